"""Plays events to a whole deployment: the recommended rules, the approval log, the store, the judge, the alerts.

The rules are those of `config/rules.example.toml`, word for word but for two: where a play has tens of thousands of
acts it takes unsigned lines (`signatures = "none"`), which changes no verdict and spares a minute of signing; and its
people ask up to 80 minutes before they pay, with a log that may be 12 minutes late, so `max_late` is two hours. Nobody
else runs here, so commits need not survive a power cut: the database does not wait for the disk.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sqlalchemy import event as database_event

from chains.model import ChainId
from chains.registry import format_hash
from incidents.months_under_way import FIRST_DAY
from incidents.normal_months import Month
from incidents.played_chains import PlayedChain
from incidents.played_exchanges import BITCOIN, ETHEREUM, WALLETS, ActLine, Event
from walletwatch.alerts.lifecycle import close
from walletwatch.approvals.act_files import make_intent, make_payload, sign_act
from walletwatch.audit.notes import SigningKey
from walletwatch.domain.alerts import Alert, AlertState, Silence
from walletwatch.domain.findings import Finding, Mode, Severity
from walletwatch.service.application import Application
from walletwatch.service.deployment import check_rule
from walletwatch.settings import load
from walletwatch.store import open_store
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import ChainWorker, Tick

CONFIG = Path(__file__).parents[2] / "config"
PEOPLE = {
    "withdrawal-desk": ("operations", ("requester",)),
    "treasury-2": ("treasury", ("approver",)),
    "compliance-1": ("compliance", ("approver",)),
}
BEGIN = FIRST_DAY.astimezone(UTC)
LOOKED_AT = timedelta(minutes=20)
PAGES_FROM = Severity.MEDIUM
"""`min_severity` of the Slack sink in config/walletwatch.example.toml: what is at least as loud wakes somebody."""


class PlayedClock:
    """The time of the play."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def private_jwk(person: str) -> dict[str, str]:
    """A key made from words, for everybody to know."""
    seed = hashlib.sha256(f"walletwatch play key of {person}".encode()).digest()
    found: dict[str, str] = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed)).as_dict(private=True)
    return found


def _people_toml() -> str:
    text = ""
    for person, (department, roles) in PEOPLE.items():
        x = private_jwk(person)["x"]
        listed = ", ".join(f'"{role}"' for role in roles)
        text += f'[[person]]\nid = "{person}"\ndepartment = "{department}"\nroles = [{listed}]\n'
        text += f'keys = [{{ kid = "{person}-key", jwk = {{ kty = "OKP", crv = "Ed25519", x = "{x}" }} }}]\n'
    return text


def _wallets_toml() -> str:
    text = ""
    for name, (role, chain, addresses) in WALLETS.items():
        listed = ", ".join(f'"{a.text}"' for a in addresses)
        text += f'[[wallet]]\nname = "{name}"\nrole = "{role}"\nchain = "{chain}"\naddresses = [{listed}]\n'
        text += 'kind = "safe"\n' if name == "eth-cold" else ""
    return text


_BASE = f"""
include = ["rules.toml", "people.toml", "wallets.toml"]
timezone = "Asia/Tokyo"
[store]
url = "sqlite:///watch.db"
[audit]
origin = "play.walletwatch.example/log"
signing_key = {{ file = "audit.key" }}
[[chain]]
name = "bitcoin"
id = "{BITCOIN}"
endpoints = ["http://127.0.0.1:1"]
confirmations = 2
[[chain]]
name = "ethereum"
id = "{ETHEREUM}"
endpoints = ["http://127.0.0.1:1"]
finality = 2
check_balances = "12h"
[[asset]]
id = "eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"
symbol = "USDT"
decimals = 6
[[price]]
asset = "BTC"
usd = "95000"
[[price]]
asset = "ETH"
usd = "3500"
[[price]]
asset = "USDT"
usd = "1"
[[sink]]
name = "treasury"
type = "console"
[trace]
auto_open = "never"
"""


def _write_deployment(folder: Path, *, signed: bool) -> Path:
    rules = (CONFIG / "rules.example.toml").read_text("utf-8")
    if not signed:
        assert rules.count('signatures = "required"') == 1
        rules = rules.replace('signatures = "required"', 'signatures = "none"')
    path = 'path = "approvals.jsonl"\n'
    assert rules.count(path) == 1
    rules = rules.replace(path, f'{path}max_late = "2h"\n')
    SigningKey.generate("play.walletwatch.example/log").save(folder / "audit.key")
    (folder / "approvals.jsonl").touch()
    for name, text in (("rules", rules), ("people", _people_toml()), ("wallets", _wallets_toml()), ("watch", _BASE)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder / "watch.toml"


@dataclass
class Play:
    """A running deployment and the world it watches."""

    app: Application
    clock: PlayedClock
    chains: dict[ChainId, PlayedChain]
    workers: dict[ChainId, ChainWorker]
    log: Path
    signed: bool
    _day: str = ""
    _silences: int = 0
    _looked_at: datetime = BEGIN

    def run(self, events: Iterable[Event], *, duty: bool = True) -> None:
        """Let everything happen, each at its time. With `duty` somebody looks at every page within twenty minutes,
        finds that nothing is wrong, and closes it.
        """
        for happened in events:
            self.clock.now = max(self.clock.now, happened.at.astimezone(UTC))
            if duty:
                self._close_pages()
            self._write(happened.acts)
            chain = self.chains[happened.chain]
            if happened.node_away is not None:
                chain.broken = happened.node_away
                if happened.node_away:
                    self._live_without(happened.chain)
            if happened.silence_until is not None:
                self._silence(happened.chain, happened.silence_until)
            for tx in happened.relayed:
                chain.relay(tx)
            if happened.mined is not None:
                chain.mine(happened.at.astimezone(UTC), happened.mined, happened.changes)
            if happened.relayed or happened.mined is not None or happened.node_away is False:
                self._tick(happened.chain)
            elif happened.acts and happened.acts[0].at + timedelta(minutes=1) < happened.at:
                self._tick(happened.chain)  # acts that come late are read at the next poll

    def _tick(self, chain: ChainId) -> None:
        worker = self.workers[chain]
        if self.chains[chain].broken:
            assert worker.tick() is Tick.FAILED
            return
        if not worker.last_error:
            # The node was polled every two seconds since, and had nothing to show.
            worker.health.watched_at = self.clock.now
        while True:
            done = worker.tick()
            assert done not in (Tick.FAILED, Tick.HALTED), worker.last_error or worker.halted
            if done is Tick.IDLE:
                return

    def _live_without(self, chain: ChainId) -> None:
        """The node is away: polled now and after two minutes, which is when people are told."""
        self._tick(chain)
        self.clock.now += timedelta(minutes=2)
        self._tick(chain)

    # --- the approval log ---------------------------------------------------------------------------------------------

    def _write(self, acts: Sequence[ActLine]) -> None:
        if not acts:
            return
        day = f"{self.clock.now:%Y%m%d}"
        if day != self._day and self.log.stat().st_size:
            with self.app.judge.approvals.held():
                self.app.feeds.read()
            self.log.rename(self.log.with_name(f"{self.log.name}-{self._day}"))
            self.log.touch()
        self._day = day
        with self.log.open("ab") as log:
            log.write(b"".join(map(self._line, acts)))

    def _line(self, line: ActLine) -> bytes:
        w = line.withdrawal
        chain = w.asset.chain
        intent = make_intent(
            chain=str(chain),
            asset=str(w.asset),
            amount=w.amount,
            destination=w.destination.text,
            wallet=w.wallet,
            customer=w.customer,
        )
        told = format_hash(chain, line.txid) if line.txid else ""
        at = line.at.astimezone(UTC)
        payload = make_payload(line.act, w.request_id, line.actor, at, intent=intent, txid=told)
        if not self.signed:
            return orjson.dumps(payload) + b"\n"
        return sign_act(payload, private_jwk(line.actor), f"{line.actor}-key")

    # --- people -------------------------------------------------------------------------------------------------------

    def _close_pages(self) -> None:
        if self.clock.now < self._looked_at + timedelta(minutes=5):
            return
        since, self._looked_at = self._looked_at - 2 * LOOKED_AT, self.clock.now
        with self.app.store.reading() as unit:
            opened = [a for a in unit.alerts.find(Filter(state=str(AlertState.OPEN), since=since)) if _is_page(a)]
        due = [a for a in opened if a.opened_at + LOOKED_AT <= self.clock.now]
        for alert in due:
            with self.app.store.transaction() as unit:
                said = close(alert, "treasury-2", "looked at every approval: this was meant", unit.now)
                self.app.alert_writer.save(unit, said)

    def _silence(self, chain: ChainId, until: datetime) -> None:
        self._silences += 1
        with self.app.store.transaction() as unit:
            rules = ("node_stale", "unwatched_interval")
            reason = "planned maintenance of the node, payments rest"
            silence = Silence(f"s-{self._silences}", "treasury-2", reason, unit.now, until, rules, chains=(str(chain),))
            unit.alerts.save_silence(silence)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def findings(self, tx: bytes | None = None) -> list[Finding]:
        """Every finding, or those about one transaction."""
        with self.app.store.reading() as unit:
            return list(unit.findings.find(Filter() if tx is None else Filter(tx=tx)))

    def pages(self) -> list[Alert]:
        """The alerts that woke somebody."""
        with self.app.store.reading() as unit:
            alerts = list(unit.alerts.find(Filter()))
        return [a for a in alerts if _is_page(a)]

    def pages_by_rule(self) -> dict[str, int]:
        """Of each rule how many alerts it is the loudest part of, in enforce mode."""
        by_id = {f.id: f for f in self.findings()}
        counted: Counter[str] = Counter()
        for alert in self.pages():
            loud = [f for f in map(by_id.__getitem__, alert.findings) if f.mode is Mode.ENFORCE]
            counted[min(loud, key=lambda f: f.severity.rank).rule_id] += 1
        return dict(counted.most_common())

    def told_before(self, moment: datetime) -> dict[bytes, list[Finding]]:
        """The findings loud enough to wake somebody, by transaction, of what was broadcast before `moment`."""
        found: dict[bytes, list[Finding]] = {}
        for finding in self.findings():
            loud = finding.mode is Mode.ENFORCE and finding.severity.rank <= PAGES_FROM.rank
            if loud and finding.tx is not None and finding.found_at < moment:
                found.setdefault(finding.tx, []).append(finding)
        return found


def _is_page(alert: Alert) -> bool:
    return alert.severity.rank <= PAGES_FROM.rank and alert.state is not AlertState.SILENCED


@contextmanager
def playing(folder: Path, month: Month, *, signed: bool = False) -> Iterator[Play]:
    """The deployment at the beginning of `month`, before anything happened."""
    settings = load(_write_deployment(folder, signed=signed), environ={}, rule_check=check_rule)
    clock = PlayedClock(BEGIN)
    store = open_store(settings.store.url.reveal(), clock)
    database_event.listen(store.engine, "connect", _hurry)
    store.upgrade()
    chains = {BITCOIN: PlayedChain(BITCOIN, 2), ETHEREUM: PlayedChain(ETHEREUM, 2)}
    chains[BITCOIN].coins.update(dict(month.opening_coins))
    chains[ETHEREUM].held.update(month.opening_balances)
    with Application(settings, store, console=io.StringIO()) as app:
        workers = {c.id: app.worker(c, chains[c.id]) for c in settings.chains}
        play = Play(app, clock, chains, workers, folder / "approvals.jsonl", signed)
        for chain in chains:
            play._tick(chain)
        yield play


def _hurry(connection: Any, _entry: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")
