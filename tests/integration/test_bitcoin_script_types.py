"""Every script type, received and spent on a real regtest node: seen in the mempool, in the block, and who signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chains.bitcoin.addresses import address_of, base58check
from chains.bitcoin.params import REGTEST
from chains.bitcoin.scripts import script_type
from chains.bitcoin.source import BitcoinSource
from chains.model import Outpoint, TxOutput, UtxoTransaction, format_units
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.bitcoinds import Bitcoind, BitcoinWallet

pytestmark = pytest.mark.bitcoind

NOBODY = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
"""The point of BIP 341 whose private key nobody knows: only the script path can spend."""
_WIF_VERSION = 0xEF


@dataclass(frozen=True)
class Key:
    number: int

    @property
    def wif(self) -> str:
        return base58check(_WIF_VERSION, self.number.to_bytes(32, "big") + b"\x01")

    @property
    def public(self) -> str:
        point = ec.derive_private_key(self.number, ec.SECP256K1()).public_key()
        return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()


A, B, C, D = Key(1001), Key(1002), Key(1003), Key(1004)
MULTI = f"multi(2,{A.wif},{B.public},{C.wif})"

DESCRIPTORS: dict[str, tuple[str, set[str]]] = {
    "p2pk": (f"pk({A.wif})", {A.public}),
    "p2pkh": (f"pkh({A.wif})", {A.public}),
    "p2wpkh": (f"wpkh({A.wif})", {A.public}),
    "p2sh-p2wpkh": (f"sh(wpkh({A.wif}))", {A.public}),
    "multisig": (MULTI, {A.public, C.public}),
    "p2sh-multisig": (f"sh({MULTI})", {A.public, C.public}),
    "p2wsh-multisig": (f"wsh({MULTI})", {A.public, C.public}),
    "p2sh-p2wsh-multisig": (f"sh(wsh({MULTI}))", {A.public, C.public}),
    "p2wsh-p2pkh": (f"wsh(pkh({D.wif}))", {D.public}),
    "p2tr-key": (f"tr({D.wif})", set()),
    "p2tr-script": (f"tr({NOBODY},pk({A.wif}))", {A.public[2:]}),
    "p2tr-script of many": (f"tr({NOBODY},multi_a(2,{A.wif},{B.public},{C.wif}))", {A.public[2:], C.public[2:]}),
}


@dataclass
class Played:
    source: BitcoinSource
    wallet: BitcoinWallet
    received: dict[str, tuple[Outpoint, TxOutput]]
    spent_txids: dict[str, bytes]
    pending: dict[bytes, UtxoTransaction]
    in_block: dict[bytes, UtxoTransaction]
    by_outpoints: dict[bytes, UtxoTransaction]


def receive(node: Bitcoind, wallet: BitcoinWallet) -> dict[str, tuple[Outpoint, TxOutput]]:
    """Mine one block to each script, and enough to spend them."""
    received = {}
    for name, (text, _) in DESCRIPTORS.items():
        descriptor = f"{text}#{node.cli('getdescriptorinfo', text)['checksum']}"
        (imported,) = wallet.cli("importdescriptors", [{"desc": descriptor, "timestamp": "now"}])
        assert imported["success"], imported
        (block_hash,) = node.cli("generatetodescriptor", 1, descriptor)
        coinbase = node.cli("getblock", block_hash, 2)["tx"][0]
        paid = coinbase["vout"][0]
        script = bytes.fromhex(paid["scriptPubKey"]["hex"])
        output = TxOutput(0, int(paid["value"].scaleb(8)), address_of(REGTEST, script))
        received[name] = (Outpoint(bytes.fromhex(coinbase["txid"]), 0), output)
    node.mine(101)
    return received


def spend(wallet: BitcoinWallet, outpoint: Outpoint, output: TxOutput) -> bytes:
    """Pay half of this output, and nothing else, to the wallet `miner`."""
    options = {"inputs": [{"txid": outpoint.txid.hex(), "vout": outpoint.vout}], "add_inputs": False, "fee_rate": 5}
    options["change_address"] = wallet.node.wallet("miner").address("bech32m")
    payee = wallet.node.wallet("miner").address()
    sent = wallet.cli("send", [{payee: format_units(output.value // 2, 8)}], None, "unset", None, options)
    assert sent["complete"], sent
    return bytes.fromhex(sent["txid"])


@pytest.fixture(scope="module")
def played(bitcoind: Bitcoind) -> Iterator[Played]:
    bitcoind.cli("createwallet", "scripts", False, True)
    wallet = BitcoinWallet(bitcoind, "scripts")
    received = receive(bitcoind, wallet)
    source = BitcoinSource(SourceSpec("btc", REGTEST.chain, (Endpoint("node", bitcoind.url, bitcoind.cookie),)))
    watch = WatchSet({output.address.key for _, output in received.values()})
    source.pending(watch)
    spent = {name: spend(wallet, *coin) for name, coin in received.items()}
    pending = {tx.txid: tx for tx in source.pending(watch).transactions}
    bitcoind.mine()
    height = bitcoind.tip()[0]
    facts = source.block(height, watch)
    complete = WatchSet(watch.addresses, complete=True)
    complete.outpoints.update(received.values())
    again = source.block(height, complete)
    yield Played(
        source,
        wallet,
        received,
        spent,
        pending,
        {tx.txid: tx for tx in facts.transactions},
        {tx.txid: tx for tx in again.transactions},
    )
    source.close()


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_a_spend_is_seen_whole_before_and_in_its_block(played: Played, name: str) -> None:
    outpoint, output = played.received[name]
    tx = played.in_block[played.spent_txids[name]]
    (spent,) = tx.inputs
    assert (spent.outpoint, spent.value, spent.address) == (outpoint, output.value, output.address)
    assert output.value // 2 in [o.value for o in tx.outputs]
    assert tx.fee == output.value - sum(o.value for o in tx.outputs)
    assert tx.vsize == played.wallet.node.cli("getrawtransaction", tx.txid.hex(), 1)["vsize"]
    assert played.pending[tx.txid] == replace(tx, index=-1)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_the_keys_that_signed_are_named(played: Played, name: str) -> None:
    tx = played.in_block[played.spent_txids[name]]
    signing = tx.signing
    assert signing is not None
    assert tx.fee is not None
    signers = DESCRIPTORS[name][1] or {played.received[name][1].address.key[2:].hex()}
    assert set(signing.signers) == signers
    features = signing.as_dict()
    assert features["input_types"] == name.split(" ", maxsplit=1)[0]
    assert features["inputs"] == 1
    assert features["output_types"] == "p2tr,p2wpkh"
    ecdsa = 0 if name.startswith("p2tr") else len(signers)
    assert features.get("signatures", 0) == ecdsa
    assert features.get("low_r", 0) == ecdsa  # Bitcoin Core grinds for a low r
    assert features["feerate_milli"] == tx.fee * 1000 // tx.vsize


def test_both_ways_of_reading_a_block_agree(played: Played) -> None:
    assert played.by_outpoints == played.in_block
    assert set(played.in_block) == set(played.spent_txids.values())


def test_every_script_type_is_covered(played: Played) -> None:
    types = {script_type(output.address.key) for _, output in played.received.values()}
    assert types == {"p2pk", "p2pkh", "p2sh", "p2wpkh", "p2wsh", "p2tr", "multisig"}


def test_addresses_are_those_of_the_node(played: Played) -> None:
    for _, output in played.received.values():
        said = played.wallet.node.cli("decodescript", output.address.key.hex()).get("address")
        if script_type(output.address.key) in ("p2pk", "multisig"):
            assert output.address.text == f"script:{output.address.key.hex()}"
        else:
            assert output.address.text == said


def test_what_was_received_is_unspent_no_more(played: Played) -> None:
    found = played.source.unspent({output.address for _, output in played.received.values()})
    assert found.outputs == {}


def test_each_receipt_was_seen_in_its_block(played: Played) -> None:
    first = played.wallet.node.cli("getrawtransaction", next(iter(played.received.values()))[0].txid.hex(), 1)
    height = played.wallet.node.cli("getblock", first["blockhash"])["height"]
    for offset, (outpoint, output) in enumerate(played.received.values()):
        (tx,) = played.source.block(height + offset, WatchSet({output.address.key})).transactions
        assert (tx.txid, tx.is_coinbase, tx.fee, tx.outputs[0]) == (outpoint.txid, True, 0, output)


UNSIGNED = {"anchor": "51024e73", "witness": "5220" + "07" * 32, "nonstandard": "51"}
"""Scripts that anybody may spend: pay to anchor, a witness version of the future, OP_TRUE."""


@pytest.mark.parametrize("kind", UNSIGNED)
def test_a_script_that_needs_no_signature_is_seen_received_and_spent(bitcoind: Bitcoind, kind: str) -> None:
    """Beside it the block pays an OP_RETURN, which nobody can spend."""
    script = bytes.fromhex(UNSIGNED[kind])
    assert script_type(script) == kind
    descriptor = f"raw({UNSIGNED[kind]})"
    descriptor = f"{descriptor}#{bitcoind.cli('getdescriptorinfo', descriptor)['checksum']}"
    (block_hash,) = bitcoind.cli("generatetodescriptor", 1, descriptor)
    coinbase = bitcoind.cli("getblock", block_hash, 2)["tx"][0]
    received, value = bitcoind.tip()[0], int(coinbase["vout"][0]["value"].scaleb(8))
    bitcoind.mine(100)
    outputs = [{bitcoind.wallet("miner").address(): format_units(value, 8)}, {"data": "aa" * 30}]
    spending = bitcoind.cli("createrawtransaction", [{"txid": coinbase["txid"], "vout": 0}], outputs)
    bitcoind.cli("generateblock", bitcoind.wallet("miner").address(), [spending])
    source = BitcoinSource(SourceSpec("btc", REGTEST.chain, (Endpoint("node", bitcoind.url, bitcoind.cookie),)))
    try:
        (paid,) = source.block(received, WatchSet({script})).transactions
        (spent,) = source.block(bitcoind.tip()[0], WatchSet({script})).transactions
    finally:
        source.close()
    assert (paid.outputs[0].value, paid.outputs[0].address.key) == (value, script)
    assert [(i.outpoint.txid, i.value, i.address) for i in spent.inputs] == [
        (paid.txid, value, address_of(REGTEST, script))
    ]
    assert script_type(spent.outputs[1].address.key) == "op_return"
