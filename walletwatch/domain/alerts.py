"""What people are told: one alert gathers the findings about one transaction family (or one trouble)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from walletwatch.domain.findings import Severity


class AlertState(StrEnum):
    """`silenced` alerts are kept and shown, and not delivered."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    CLOSED = "closed"


class Outcome(StrEnum):
    """What became of telling one sink. `muted`: below the sink's severity, or silenced."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The last word of one sink about one alert. `remote_id` is the sink's own name for the message (Slack `ts`)."""

    sink: str
    outcome: Outcome
    attempts: int
    remote_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """Who acknowledged, closed or silenced, when and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What `version` of an alert brought, in words for a person. `notable`: worth an answer in the message's thread
    beside the change in place; `loud`: the channel should see that answer too.
    """

    version: int
    at: datetime
    what: str
    notable: bool = False
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """`severity` is the loudest of its findings. `version` grows with every change worth telling; a sink that was told
    an older one is told again, in place. `changes` are the latest of those, oldest first.
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
    """Mutes new alerts that fit every matcher given, until `until`. Matchers are rule ids, wallets, chains (CAIP-2) and
    alert ids; an early end is an earlier `until`.
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
    `attempts` are those whose failure was recorded since the last success; `remote_id` is the sink's own name for the
    message. `interrupted`: the row was claimed before and the lease ran out with nothing recorded, so that the sink may
    have the message without our knowing.
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
