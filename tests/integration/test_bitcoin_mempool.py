"""The mempool of a real node: batches, chains, replacements, and what was there before we knew its address."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from chains.bitcoin.mempool import OUTLOOK_SECS
from chains.bitcoin.params import REGTEST
from chains.bitcoin.source import BitcoinSource
from chains.model import Address, ChainTransaction, Outpoint, UtxoTransaction
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind, BitcoinWallet

pytestmark = pytest.mark.bitcoind


@pytest.fixture
def node(bitcoind: Bitcoind) -> Bitcoind:
    return bitcoind


_NUMBERS = count()


def fund(node: Bitcoind, name: str) -> BitcoinWallet:
    """A wallet of this test's own with one coin of 20 BTC."""
    miner = node.wallet("miner")
    if miner.cli("getbalance") < 100:
        node.mine(110)
    wallet = node.wallet(f"{name}-{next(_NUMBERS)}")
    miner.pay({wallet.address(): "20"})
    node.mine()
    return wallet


@pytest.fixture
def source(node: Bitcoind) -> Iterator[BitcoinSource]:
    endpoint = Endpoint("node", node.url, node.cookie)
    opened = BitcoinSource(SourceSpec("btc", REGTEST.chain, (endpoint,)))
    yield opened
    opened.close()


@pytest.fixture
def hot(node: Bitcoind) -> BitcoinWallet:
    """A funded hot wallet."""
    return fund(node, "hot")


def watch_of(source: BitcoinSource, wallet: BitcoinWallet, *, complete: bool) -> WatchSet:
    """All addresses the wallet has coins on, with their outpoints if they are to be complete."""
    addresses = {source.parse_address(coin["address"]) for coin in wallet.cli("listunspent", 0)}
    watch = WatchSet({address.key for address in addresses}, complete=complete)
    if complete:
        watch.outpoints.update(source.unspent(addresses).outputs)
    return watch


def utxo(transactions: tuple[ChainTransaction, ...]) -> list[UtxoTransaction]:
    return [tx for tx in transactions if isinstance(tx, UtxoTransaction)]


def outputs_to(tx: UtxoTransaction, address: Address) -> list[int]:
    return [o.value for o in tx.outputs if o.address == address]


@pytest.mark.parametrize("complete", [False, True])
def test_a_batch_payout_is_seen_with_every_output_and_its_fee(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet, complete: bool
) -> None:
    watch = watch_of(source, hot, complete=complete)
    customers = [node.wallet("customers").address(kind) for kind in ("legacy", "p2sh-segwit", "bech32", "bech32m")]
    more = {node.wallet("customers").address(): f"0.{n:08d}" for n in range(1000, 1096)}
    txid = hot.pay({**dict.fromkeys(customers, "0.12345678"), **more})
    (tx,) = utxo(source.pending(watch).transactions)
    assert (tx.txid.hex(), tx.index, len(tx.outputs)) == (txid, -1, 101)
    assert [outputs_to(tx, source.parse_address(text)) for text in customers] == [[12345678]] * 4
    assert tx.fee == int(node.cli("getmempoolentry", txid)["fees"]["base"].scaleb(8))
    assert source.pending(watch).transactions == (tx,)
    node.mine()
    assert source.pending(watch).transactions == ()
    (mined,) = utxo(source.block(node.tip()[0], watch).transactions)
    assert (mined.txid, mined.inputs, mined.outputs, mined.signing) == (tx.txid, tx.inputs, tx.outputs, tx.signing)


@pytest.mark.parametrize("complete", [False, True])
def test_a_chain_of_unconfirmed_spends_is_followed(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet, complete: bool
) -> None:
    """Unconfirmed change is spent again at once: its outpoint is in no block and no watch set yet."""
    (coin,) = hot.cli("listunspent")[:1]
    watch = watch_of(source, hot, complete=complete)
    change = hot.address()
    watch.addresses.add(source.parse_address(change).key)
    sent = []
    spent = {"txid": coin["txid"], "vout": coin["vout"]}
    for _ in range(5):
        payee = node.wallet("customers").address()
        options = {"inputs": [spent], "add_inputs": False, "change_address": change, "change_position": 1}
        sent.append(hot.cli("send", [{payee: "1"}], None, "unset", 2, options)["txid"])
        spent = {"txid": sent[-1], "vout": 1}
    seen = {tx.txid.hex(): tx for tx in utxo(source.pending(watch).transactions)}
    assert set(seen) == set(sent)
    assert all(tx.fee for tx in seen.values())


def test_a_replacement_is_seen_and_the_replaced_one_is_gone(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet
) -> None:
    watch = watch_of(source, hot, complete=True)
    first = hot.pay({node.wallet("customers").address(): "1"})
    (before,) = utxo(source.pending(watch).transactions)
    bumped = hot.cli("bumpfee", first)["txid"]
    (after,) = utxo(source.pending(watch).transactions)
    assert (before.txid.hex(), after.txid.hex()) == (first, bumped)
    assert set(before.spend_keys) & set(after.spend_keys)
    assert after.fee is not None
    assert before.fee is not None
    assert after.fee > before.fee


def test_a_replacement_that_no_longer_touches_us_is_seen(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet
) -> None:
    """A stranger's deposit is replaced by a payment to himself: he spends no watched coin and pays none of ours, and
    yet the deposit we told people about will never come."""
    deposit = source.parse_address(hot.address())
    watch = WatchSet({deposit.key}, complete=True)
    stranger = fund(node, "stranger")
    (coin,) = stranger.cli("listunspent")
    inputs = [{"txid": coin["txid"], "vout": coin["vout"], "sequence": 0}]
    for payee, amount in ((deposit.text, "19.999"), (stranger.address(), "19.99")):
        raw = node.cli("createrawtransaction", inputs, [{payee: amount}])
        node.cli("sendrawtransaction", stranger.cli("signrawtransactionwithwallet", raw)["hex"])
        (tx,) = utxo(source.pending(watch).transactions)
        assert tx.outputs[0].address.text == payee
        assert tx.inputs[0].outpoint == Outpoint(bytes.fromhex(coin["txid"]), coin["vout"])


def test_what_waited_before_its_address_was_known_is_found(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet
) -> None:
    payee = source.parse_address(node.wallet("customers").address())
    watch = WatchSet(complete=True)
    txid = hot.pay({payee.text: "1"})
    assert source.pending(watch).transactions == ()
    watch.addresses.add(payee.key)
    (tx,) = source.pending(watch).transactions
    assert tx.txid.hex() == txid


def test_a_spend_looked_at_before_the_block_that_funded_it_is_found_afterwards(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet
) -> None:
    """The mempool was looked at between a node's new block and our reading of it: a spend of an output of that block
    was taken for a stranger's, and never judged again."""
    hidden = node.wallet(f"hidden-{next(_NUMBERS)}")
    address = source.parse_address(hidden.address())
    hot.pay({address.text: "2"})
    node.mine()
    spend = hidden.pay({node.wallet("customers").address(): "1"})
    watch = WatchSet(complete=True)
    assert source.pending(watch).transactions == ()
    watch.outpoints.update(source.unspent({address}).outputs)
    (tx,) = source.pending(watch).transactions
    assert tx.txid.hex() == spend


def test_a_child_that_pays_for_its_parent_is_seen_with_it(
    node: Bitcoind, source: BitcoinSource, hot: BitcoinWallet
) -> None:
    customer = node.wallet("customers")
    payee = customer.address()
    watch = watch_of(source, hot, complete=True)
    parent = hot.pay({payee: "3"})
    vout = next(
        o["n"] for o in node.cli("getrawtransaction", parent, 1)["vout"] if o["scriptPubKey"]["address"] == payee
    )
    raw = node.cli("createrawtransaction", [{"txid": parent, "vout": vout}], [{customer.address(): "2.99"}])
    child = node.cli("sendrawtransaction", customer.cli("signrawtransactionwithwallet", raw)["hex"])
    (only,) = utxo(source.pending(watch).transactions)
    assert only.txid.hex() == parent
    watch.addresses.add(source.parse_address(payee).key)
    assert {tx.txid.hex() for tx in source.pending(watch).transactions} == {parent, child}


def test_the_outlook_of_what_waits_is_asked_again_each_minute(node: Bitcoind, hot: BitcoinWallet) -> None:
    """An alert said "in about 2 hours" until it was mined, though a child had long pulled it up."""
    now = [0.0]
    endpoint = Endpoint("node", node.url, node.cookie)
    source = BitcoinSource(SourceSpec("btc", REGTEST.chain, (endpoint,)), clock=lambda: now[0])
    watch = watch_of(source, hot, complete=True)
    parent = hot.cli("send", {node.wallet("miner").address(): "1"}, None, "unset", 2)["txid"]

    def outlook() -> object:
        (found,) = [tx for tx in utxo(source.pending(watch).transactions) if tx.txid.hex() == parent]
        return found.outlook

    first = outlook()
    change = next(coin for coin in hot.cli("listunspent", 0) if coin["txid"] == parent)
    inputs = [{"txid": parent, "vout": change["vout"]}]
    assert hot.cli("sendall", [hot.address()], None, "unset", 50, {"inputs": inputs})["complete"]
    now[0] += OUTLOOK_SECS - 1
    assert outlook() == first
    now[0] += 1
    assert outlook() != first
    source.close()
