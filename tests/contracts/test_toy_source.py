"""Adding a chain family is a package and one entry: a toy one fulfils the contract and is watched like any other."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from chain_sources import ChainSourceContract, Scene

from chains import registry
from chains.errors import Unsupported
from chains.model import ChainId
from chains.registry import family_of, format_hash, open_source
from chains.source import ChainSource, Endpoint, SourceSpec
from toychain.source import ALICE, BOB, FEE, PAYMENTS, digest
from walletwatch.domain.outflows import OutflowState
from walletwatch.service.application import Application
from walletwatch.settings import load
from walletwatch.store import open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import Tick

CHAIN = ChainId("toy", "main")
CONFIGURATION = f"""
[store]
url = "sqlite:///toy.db"
[audit]
origin = "audit.exchange.example/log"
signing_key = {{ env = "KEY" }}
[[chain]]
name = "toy"
id = "{CHAIN}"
endpoints = ["http://127.0.0.1:1/main"]
start = 1
[[wallet]]
name = "toy-hot"
role = "hot"
chain = "toy"
addresses = ["{ALICE.text}"]
[[rule]]
type = "transaction_limit"
max = "39.99 TOY"
[[sink]]
type = "console"
"""


@pytest.fixture(autouse=True)
def entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "toy", "toychain.family")


def open_toy(chain: ChainId) -> ChainSource:
    return open_source(SourceSpec("toy", chain, (Endpoint("node", "http://127.0.0.1:1/main"),), confirmations=2))


class TestToy(ChainSourceContract):
    @pytest.fixture
    def scene(self) -> Scene:
        paid, spent = PAYMENTS
        return Scene(
            source=open_toy(CHAIN),
            wrong=open_toy(ChainId("toy", "test")),
            watched=ALICE,
            paid_at=paid,
            paid_txid=digest(CHAIN, paid, "payment"),
            spent_at=spent,
            spent_txid=digest(CHAIN, spent, "payment"),
            confirmations=2,
        )


def test_what_a_family_lacks_is_refused_in_words() -> None:
    family, source = family_of(CHAIN), open_toy(CHAIN)
    with pytest.raises(ValueError, match="no output descriptors on toy:main"):
        family.open_branches(CHAIN, "wpkh()")
    with pytest.raises(ValueError, match="no price feeds on toy:main"):
        family.open_price_oracle(SourceSpec("toy", CHAIN, ()), ALICE)
    with pytest.raises(ValueError, match="no multisig contracts on Toy chains"):
        family.read_signature(bytes(32), bytes(65))
    for ask in (
        lambda: source.unspent({ALICE}),
        lambda: source.second_ref_at(1),
        lambda: source.second_transactions(1, [bytes(32)]),
        lambda: source.second_balances([ALICE], source.native.id, [source.tip()]),
    ):
        with pytest.raises(Unsupported):
            ask()


def test_its_payment_becomes_an_outflow_and_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "toy.toml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    settings = load(path, environ={"KEY": "k"})
    store = open_store(settings.store.url.reveal())
    store.upgrade()
    with Application(settings, store, console=StringIO()) as app:
        (worker,) = app.workers()
        ticks = [worker.tick() for _ in range(30)]
        assert not worker.last_error
        assert ticks[-1] is Tick.IDLE
        with store.reading() as unit:
            (outflow,) = unit.outflows.find(Filter())
            (finding,) = unit.findings.find(Filter(rule="transaction_limit"))
    txid = digest(CHAIN, 6, "payment")
    assert (outflow.tx, outflow.wallet, outflow.amount, outflow.fee) == (txid, "toy-hot", 4_000, FEE)
    assert [payment.address for payment in outflow.payments] == [BOB]
    assert outflow.state is OutflowState.FINAL
    assert finding.tx == txid
    assert format_hash(CHAIN, txid) == f"toy-{txid.hex()}"
