"""What telling people needs from outside: alerts to tell, a memory of what was told, and a way to each sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chains.model import Asset, AssetId, MempoolOutlook, PoolOutlook, TxId, format_units
from walletwatch.domain.alerts import Alert, OutboxRow
from walletwatch.domain.findings import Finding
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow


@dataclass(frozen=True, slots=True)
class AlertNames:
    """What things are called: assets by id, configured chain names by CAIP-2 text, wallet roles by wallet name."""

    assets: Mapping[AssetId, Asset] = field(default_factory=dict)
    chains: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)

    def chain(self, chain_id: str) -> str:
        """The configured name, else the id itself."""
        return self.chains.get(chain_id, chain_id)

    def wallet(self, name: str) -> str:
        """`hot wallet btc-hot`, or `wallet x` where the role is not known."""
        return f"{self.roles.get(name, '')} wallet {name}".strip()

    def amount(self, units: int, asset_id: AssetId) -> str:
        """`4,502.9 BTC`; of an unknown asset the base units and its CAIP-19 id, because its decimals are not known."""
        asset = self.assets.get(asset_id)
        if asset is None:
            return f"{units:,} base units of {asset_id}"
        return f"{format_units(units, asset.decimals)} {asset.symbol}"


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with all that a person should see of it. `labels` are by address text; `requests` are the ids of matched
    requests by outflow id; `tips` the height of each chain's cursor by CAIP-2 text, for confirmations; `outlooks` what
    the node made of those that wait in the mempool.
    """

    alert: Alert
    findings: tuple[Finding, ...] = ()
    outflows: tuple[Outflow, ...] = ()
    names: AlertNames = field(default_factory=AlertNames)
    labels: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)
    requests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tips: Mapping[str, int] = field(default_factory=dict)
    outlooks: Mapping[TxId, MempoolOutlook | PoolOutlook] = field(default_factory=dict)


class Outbox(Protocol):
    """There is one row for each alert and sink, for good. Every method is one transaction of its own."""

    def claim_due(self, sink: str, now: datetime, lease_secs: int, limit: int) -> Sequence[OutboxRow]:
        """Take rows of `sink` that are due and not under a lease, oldest first, for `lease_secs` from `now`."""

    def load(self, alert_id: str) -> AlertView | None:
        """The alert as it stands now, None if there is none."""

    def delivered(self, row: OutboxRow, notified_version: int, remote_id: str, at: datetime) -> None:
        """`notified_version` was delivered. The row stays due if a newer version came meanwhile; the lease ends,
        `attempts` and `last_error` start anew.
        """

    def retry(self, row: OutboxRow, due_at: datetime, error: str, at: datetime, remote_id: str = "") -> None:
        """One more failed attempt; due again at `due_at`. The lease ends. `remote_id`, if given, is kept."""

    def failed(self, row: OutboxRow, error: str, at: datetime) -> None:
        """Refused for good, with an audit entry in the same transaction. A newer version makes the row due again."""

    def muted(self, row: OutboxRow, notified_version: int, at: datetime) -> None:
        """`notified_version` need not be delivered. The row stays due if a newer version came meanwhile; the lease
        ends.
        """


@dataclass(frozen=True, slots=True)
class PriorDelivery:
    """What the sink knows already. `uncertain`: it may hold a message of this alert whose id we never learned."""

    version: int = 0
    remote_id: str = ""
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """The sink has it. `remote_id` is its own name for the message, empty if it has none."""

    remote_id: str = ""


@dataclass(frozen=True, slots=True)
class TryLater:
    """It did not work and may work later; `after_secs` if the sink said when. `of_sink`: the trouble is the sink's and
    other alerts would meet it too. `remote_id` where the message was sent in part.
    """

    reason: str
    after_secs: float | None = None
    of_sink: bool = True
    remote_id: str = ""


@dataclass(frozen=True, slots=True)
class SinkRefused:
    """It will not work however often it is tried; the reason is for a person."""

    reason: str


SendResult = Sent | TryLater | SinkRefused


class Notifier(Protocol):
    """One way to people. `send` neither sleeps nor raises for what a network or a server may do."""

    @property
    def name(self) -> str:
        """The sink's configured name, safe to show."""

    @property
    def can_edit(self) -> bool:
        """Whether a message that was sent can be changed without notifying anybody anew."""

    @property
    def min_interval_secs(self) -> float:
        """The pace the sink asks for between two messages."""

    def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
        """Tell this alert as it stands, in place of what was told before where the sink can do that."""

    def check(self) -> SendResult:
        """Whether the sink would take a message, without sending one."""
