"""What people (and `system`) may do with an alert: pure changes from one state to the next, each with who and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from walletwatch.domain.alerts import Alert, AlertChange, AlertState, Decision, Silence

SYSTEM = "system"
MAX_CHANGES = 20
_MAX_REASON = 2_000


class NotPossible(ValueError):
    """The alert's state does not allow it, or who and why are missing; the message says which."""


def changed(alert: Alert, at: datetime, what: str, *, notable: bool = False, loud: bool = False) -> Alert:
    """The next version of `alert`, because of `what`."""
    change = AlertChange(alert.version + 1, at, what, notable or loud, loud)
    return replace(alert, version=change.version, changes=(*alert.changes, change)[-MAX_CHANGES:])


def _decide(by: str, reason: str, at: datetime) -> Decision:
    by, reason = by.strip(), reason.strip()
    if not by or not reason:
        raise NotPossible(f"say {'who decides' if not by else 'why'}")
    if len(by) > 200 or len(reason) > _MAX_REASON:
        raise NotPossible(f"a reason has at most {_MAX_REASON} characters, a name 200")
    return Decision(by, at, reason)


def _refuse_closed(alert: Alert) -> None:
    if alert.state is AlertState.CLOSED:
        by = f" by {alert.closed.by}" if alert.closed else ""
        raise NotPossible(f"alert {alert.id} is closed already{by}")


def acknowledge(alert: Alert, by: str, reason: str, now: datetime) -> Alert:
    """Somebody is at it. Raises NotPossible if it is closed or somebody is already."""
    decision = _decide(by, reason, now)
    _refuse_closed(alert)
    if alert.state is AlertState.ACKNOWLEDGED and alert.acknowledged:
        raise NotPossible(f"alert {alert.id} is acknowledged already by {alert.acknowledged.by}")
    alert = replace(alert, state=AlertState.ACKNOWLEDGED, acknowledged=decision)
    return changed(alert, now, f"acknowledged by {decision.by}: {decision.reason}", notable=True)


def close(alert: Alert, by: str, reason: str, now: datetime) -> Alert:
    """It is dealt with. Raises NotPossible if it is closed."""
    decision = _decide(by, reason, now)
    _refuse_closed(alert)
    alert = replace(alert, state=AlertState.CLOSED, closed=decision)
    return changed(alert, now, f"closed by {decision.by}: {decision.reason}", notable=True)


def resolve(alert: Alert, request_ids: Sequence[str], late_secs: int, now: datetime) -> Alert:
    """Approvals that were given before broadcast arrived late and explain everything: closed by `system`, which says
    how late the feed was. An alert that is closed stays as it is.
    """
    if alert.state is AlertState.CLOSED:
        return alert
    ids = ", ".join(request_ids) or "its requests"
    return close(alert, SYSTEM, f"approved before broadcast by {ids}; the approval feed was {late_secs} s late", now)


def silence(alert: Alert, by_silence: Silence, now: datetime) -> Alert:
    """Keep the alert and tell nobody. Raises NotPossible if it is closed or silenced, or the silence is over."""
    decision = _decide(by_silence.by, by_silence.reason, now)
    _refuse_closed(alert)
    if alert.state is AlertState.SILENCED:
        raise NotPossible(f"alert {alert.id} is silenced already")
    if by_silence.until <= now:
        raise NotPossible("a silence must end in the future")
    alert = replace(alert, state=AlertState.SILENCED)
    return changed(
        alert, now, f"silenced by {decision.by} until {by_silence.until:%Y-%m-%d %H:%M} UTC: {decision.reason}"
    )


def unsilence(alert: Alert, by: str, reason: str, now: datetime) -> Alert:
    """Speak again. Raises NotPossible if the alert is not silenced."""
    decision = _decide(by, reason, now)
    _refuse_closed(alert)
    if alert.state is not AlertState.SILENCED:
        raise NotPossible(f"alert {alert.id} is not silenced")
    state = AlertState.ACKNOWLEDGED if alert.acknowledged else AlertState.OPEN
    alert = replace(alert, state=state)
    return changed(alert, now, f"silence ended by {decision.by}: {decision.reason}", notable=True)


def make_silence(silence: Silence, now: datetime) -> Silence:
    """The silence, if it makes sense. Raises NotPossible without who, why, a future end, or anything to match."""
    decision = _decide(silence.by, silence.reason, now)
    if silence.until <= now:
        raise NotPossible("a silence must end in the future")
    if not (silence.rule_ids or silence.wallets or silence.chains or silence.alert_ids):
        raise NotPossible("a silence of everything is none: name a rule, wallet, chain or alert")
    return replace(silence, by=decision.by, reason=decision.reason)


def end_silence(silence: Silence, now: datetime) -> Silence:
    """The silence, ended now. Raises NotPossible if it is over."""
    if silence.until <= now:
        raise NotPossible(f"silence {silence.id} is over already")
    return replace(silence, until=now)
