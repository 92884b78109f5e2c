"""Who signed, from the node to the finding: a pair of keys that never signed together, and a taproot script path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bitcoin_exchanges import CHAIN, Watch, chain_toml, wallet_toml
from exchanges import BTC, REGTEST, Exchange, wait_for, watching
from test_bitcoin_script_types import NOBODY, A, B, C, Key

from chains.bitcoin.descriptors import derive
from chains.model import SigningFacts, UtxoTransaction, format_units
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from slack_server import SlackServer

pytestmark = pytest.mark.bitcoind

USUAL_PAYMENTS = 5
RULES = f"""
[[rule]]
id = "signers"
type = "unusual_signers"
wallets = ["vault"]
min_history = {USUAL_PAYMENTS}
"""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


def vault_of(node: Bitcoind, kind: str, signers: tuple[Key, ...]) -> BitcoinWallet:
    """A wallet with the private keys of `signers` alone, of those of a 2 of 3."""
    name = f"vault-{''.join(str(key.number) for key in signers)}"
    node.cli("createwallet", name, False, True)
    wallet = BitcoinWallet(node, name)
    text = kind.format(*(key.wif if key in signers else key.public for key in (A, B, C)))
    whole = f"{text}#{node.cli('getdescriptorinfo', text)['checksum']}"
    (imported,) = wallet.cli("importdescriptors", [{"desc": whole, "timestamp": 0}])
    assert imported["success"], imported
    return wallet


def pay(wallet: BitcoinWallet, vault: str, payee: str, sats: int) -> str:
    made = wallet.cli("send", {payee: format_units(sats, 8)}, None, "unset", 5, {"change_address": vault})
    assert made["complete"], made
    return str(made["txid"])


def signing_of(watch: Watch, txid: str) -> SigningFacts:
    with watch.app.store.reading() as unit:
        stored = unit.ledger.transaction(CHAIN, bytes.fromhex(txid))
    assert stored is not None
    assert isinstance(stored.tx, UtxoTransaction)
    assert stored.tx.signing is not None
    return stored.tx.signing


@pytest.mark.parametrize(
    ("kind", "typed", "named"),
    [
        ("wsh(multi(2,{},{},{}))", "p2wsh-multisig", slice(0, None)),
        (f"tr({NOBODY},multi_a(2,{{}},{{}},{{}}))", "p2tr-script", slice(2, None)),
    ],
    ids=["wsh", "taproot script path"],
)
def test_another_pair_of_keys_than_usual_is_a_finding(
    tmp_path: Path, fresh_bitcoind: Bitcoind, slack: SlackServer, kind: str, typed: str, named: slice
) -> None:
    """Every payment is requested and approved; only who signed the last one differs."""
    node = fresh_bitcoind
    public = kind.format(A.public, B.public, C.public)
    (vault,) = (address.text for address in derive(CHAIN, public, 0, 1))
    node.mine(1, vault)
    node.mine(101)
    usual, other = vault_of(node, kind, (A, B)), vault_of(node, kind, (A, C))
    exchange = Exchange(tmp_path, chain_toml(node) + wallet_toml("vault", "cold", [public]), slack=slack, rules=RULES)
    strangers = node.wallet("strangers")
    with watching(exchange) as app:
        watch = Watch(app, node)
        wait_for(watch.at_tip, "the chain is watched")
        for number in range(USUAL_PAYMENTS + 1):
            pair, wallet = ((A, B), usual) if number < USUAL_PAYMENTS else ((A, C), other)
            payee, sats = strangers.address(), 1_000_000 + number
            exchange.approve(REGTEST, BTC, sats, payee)
            txid = pay(wallet, vault, payee, sats)
            watch.until(txid, "seen")
            watch.mine()
            watch.until(txid, "included")
            signing = signing_of(watch, txid)
            assert set(signing.signers) == {key.public[named] for key in pair}
            assert signing.as_dict()["input_types"] == typed
        (finding,) = watch.findings(txid)
        assert (finding.rule, finding.verdict) == ("unusual_signers", "violation")
        assert set(finding.evidence["signers"]) == {A.public[named], C.public[named]}
        assert finding.evidence["never_seen"] == [C.public[named]]
        wait_for(lambda: any(txid in str(m.arguments) for m in slack.top_messages()), "Slack is told")
