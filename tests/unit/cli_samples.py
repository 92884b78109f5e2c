"""Running the command in this process, on a small deployment with something in its store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from settings_samples import BASE

from chains.model import Address, AssetId, BlockRef, ChainId
from walletwatch.audit.notes import SigningKey
from walletwatch.cli.main import main
from walletwatch.domain.alerts import Alert, AlertState
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Payment
from walletwatch.store import open_store

BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
BTC = AssetId(BITCOIN, "slip44", "0")
THEFT = bytes.fromhex("975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7")
THIEF = "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P"


@dataclass(frozen=True)
class Answer:
    """What a run of the command gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.out)


Run = Callable[..., Answer]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: Path | None = None) -> Run:
    """A function that runs `walletwatch ARGS` as the console script does."""

    def run(*args: str) -> Answer:
        first = [] if config is None else ["--config", str(config)]
        monkeypatch.setattr("sys.argv", ["walletwatch", *first, *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        code = ended.value.code
        return Answer(0 if code is None else int(code), shown.out, shown.err)

    return run


def write_deployment(folder: Path, more: str = "") -> Path:
    """A configuration and its empty database, with a fresh audit key."""
    key = SigningKey.generate("audit.exchange.example/log")
    key.save(folder / "audit.key")
    path = folder / "walletwatch.toml"
    text = BASE.replace('{ env = "KEY" }', '{ file = "audit.key" }')
    path.write_text(f"{text}[[sink]]\ntype = 'console'\n{more}", encoding="utf-8")
    store = open_store(f"sqlite:///{folder}/w.db")
    store.upgrade()
    store.close()
    return path


def seed(folder: Path) -> None:
    """The DMM theft as the store would hold it, and what was told of it."""
    store = open_store(f"sqlite:///{folder}/w.db")
    with store.transaction() as unit:
        at = unit.now
        payment = Payment(0, Address(b"\x76\xa9", THIEF), 450_290_000_000)
        block = BlockRef(845_828, b"\xaa" * 32)
        unit.outflows.save(
            Outflow(
                id="out_dmm",
                chain=BITCOIN,
                tx=THEFT,
                state=OutflowState.INCLUDED,
                wallet="btc-hot",
                asset=BTC,
                amount=450_290_000_000,
                payments=(payment,),
                fee=10_000_000,
                first_seen=at,
                block=block,
                block_time=at,
            )
        )
        unit.findings.add(
            Finding(
                id="fnd_dmm",
                rule="transaction_limit",
                rule_id="btc-max",
                verdict=VerdictKind.VIOLATION,
                severity=Severity.CRITICAL,
                mode=Mode.ENFORCE,
                chain=str(BITCOIN),
                tx=THEFT,
                wallet="btc-hot",
                asset=str(BTC),
                outflow="out_dmm",
                summary="4,502.9 BTC is more than 50 BTC",
                evidence={"max": "5000000000", "sent": "450290000000"},
                rules_digest="sha256:00",
                found_at=at,
            )
        )
        unit.alerts.save(
            Alert(
                "alr_dmm", "dmm", Severity.CRITICAL, AlertState.OPEN, "4,502.9 BTC left", ("fnd_dmm",), ("out_dmm",), at
            )
        )
        unit.labels.save([Label("*", THIEF, "DMM thief", "theft", "NPA 2024-12-24", 900)])
        unit.audit.append("walletwatch", "finding.made", THEFT.hex(), {"finding": "fnd_dmm"})
    store.close()
