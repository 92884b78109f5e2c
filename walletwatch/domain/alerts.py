"""Alerts: each collects the findings about one transaction family or one incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from walletwatch.domain.findings import Severity


class AlertState(StrEnum):
    """The state of an alert. `silenced` alerts are kept and shown, but not delivered."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    CLOSED = "closed"


class Outcome(StrEnum):
    """The result of delivering to one sink. `muted`: below the sink's severity, or silenced."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The latest delivery of one alert to one sink. `remote_id` is the sink's id of the message (Slack `ts`)."""

    sink: str
    outcome: Outcome
    attempts: int
    remote_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """Who acknowledged, closed or silenced an alert, when and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What changed in `version` of an alert, as text. `notable`: also posted as a reply in the message's thread, beside
    the update in place; `loud`: the reply is shown in the channel too.
    """

    version: int
    at: datetime
    what: str
    notable: bool = False
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """`severity` is the highest of its findings. `version` grows with every change that is to be delivered; a sink with
    an older version is updated in place. `changes` are the latest changes, oldest first.
    """

    id: str
    fingerprint: str
    severity: Severity
    state: AlertState
    title: str
    findings: tuple[str, ...]
    outflows: tuple[str, ...]
    opened_at: datetime
    version: int = 1
    acknowledged: Decision | None = None
    closed: Decision | None = None
    deliveries: tuple[Delivery, ...] = ()
    changes: tuple[AlertChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """Mutes new alerts that fit all given matchers, until `until`. Matchers are rule ids, wallets, chains (CAIP-2) and
    alert ids; an earlier `until` ends it early.
    """

    id: str
    by: str
    reason: str
    created_at: datetime
    until: datetime
    rule_ids: tuple[str, ...] = ()
    wallets: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    alert_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """The delivery of one alert to one sink. `version` is due, `notified_version` was delivered last (0: never).
    `attempts` counts the failures recorded since the last success; `remote_id` is the sink's id of the message.
    `interrupted`: an earlier claim's lease expired without a recorded result, so the sink may have the message.
    """

    id: int
    alert_id: str
    sink: str
    version: int
    due_at: datetime
    notified_version: int = 0
    attempts: int = 0
    remote_id: str = ""
    last_error: str = ""
    interrupted: bool = False

    @property
    def may_have_arrived(self) -> bool:
        """Whether an earlier attempt could have reached the sink although no success was recorded."""
        return not self.remote_id and bool(self.attempts or self.last_error or self.interrupted)
