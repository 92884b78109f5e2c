"""An alert's life: findings grouped by fingerprint, states, silences, decisions of people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from chains.model import TxId
from walletwatch.alerts.ports import AlertNames
from walletwatch.alerts.rendering import make_title, name_rule, order_findings
from walletwatch.domain.alerts import Alert, AlertChange, AlertState, Decision, Silence
from walletwatch.domain.findings import Finding, Severity, alert_id
from walletwatch.domain.outflows import Outflow, OutflowState

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


States = Mapping[str, OutflowState]
"""Outflow states by outflow id."""

_NOTABLE_STATES = (OutflowState.ORPHANED, OutflowState.REPLACED)


def fingerprint_of(finding: Finding, family: TxId | None = None) -> str:
    """What a finding is grouped by: its chain and transaction family (`family`: the first transaction of those that
    replace each other, its own if None); without a transaction the rule, the chain or feed, and the UTC day.
    """
    if finding.tx is not None:
        return f"{finding.chain}/tx/{(family or finding.tx).hex()}"
    day = finding.found_at.astimezone(UTC).date().isoformat()
    about = [part for part in (finding.chain, str(finding.evidence.get("feed", "")), finding.wallet) if part]
    return "/".join(["rule", finding.rule_id, *about, day])


def covers(silence: Silence, alert: str, finding: Finding, now: datetime) -> bool:
    """Whether `silence` is in force and every matcher it gives fits this finding of the alert with this id."""
    if silence.until <= now or silence.created_at > now:
        return False
    matchers = (
        (silence.rule_ids, finding.rule_id),
        (silence.wallets, finding.wallet),
        (silence.chains, finding.chain),
        (silence.alert_ids, alert),
    )
    return any(m for m, _ in matchers) and all(not wanted or value in wanted for wanted, value in matchers)


def is_silenced(alert: str, findings: Sequence[Finding], silences: Sequence[Silence], now: datetime) -> bool:
    """Whether each of the findings is covered by some silence; one that is not speaks for all."""
    return bool(findings) and all(any(covers(s, alert, f, now) for s in silences) for f in findings)


def fold(
    alert: Alert | None,
    fingerprint: str,
    findings: Sequence[Finding],
    outflows: Sequence[Outflow],
    names: AlertNames,
    now: datetime,
    *,
    silences: Sequence[Silence] = (),
    before: States | None = None,
) -> Alert | None:
    """The alert over every finding and outflow known under `fingerprint`, None while none of them alerts.

    `before` are the states of outflows as last folded, for those that may have changed. Folding the same facts again
    gives the same alert: a replay tells nobody anything.
    """
    ordered = order_findings(findings)
    if not ordered:
        return alert
    if alert is None:
        return _open(fingerprint, ordered, outflows, names, now, silences)
    alert = _join(alert, ordered, outflows, now, silences)
    alert = _follow(alert, outflows, before or {}, now)
    return replace(alert, title=make_title(ordered, outflows, names))


def _open(
    fingerprint: str,
    ordered: Sequence[Finding],
    outflows: Sequence[Outflow],
    names: AlertNames,
    now: datetime,
    silences: Sequence[Silence],
) -> Alert:
    own_id = alert_id(fingerprint)
    silenced = is_silenced(own_id, ordered, silences, now)
    return Alert(
        id=own_id,
        fingerprint=fingerprint,
        severity=ordered[0].severity,
        state=AlertState.SILENCED if silenced else AlertState.OPEN,
        title=make_title(ordered, outflows, names),
        findings=tuple(f.id for f in ordered),
        outflows=tuple(o.id for o in outflows),
        opened_at=now,
    )


def _join(
    alert: Alert, ordered: Sequence[Finding], outflows: Sequence[Outflow], now: datetime, silences: Sequence[Silence]
) -> Alert:
    """Take up findings and outflows that are new to the alert."""
    fresh = [f for f in ordered if f.id not in alert.findings]
    new_outflows = tuple(o.id for o in outflows if o.id not in alert.outflows)
    if not fresh:
        if not new_outflows:
            return alert
        return changed(replace(alert, outflows=alert.outflows + new_outflows), now, "another transaction joined")
    severity = min((alert.severity, *(f.severity for f in fresh)), key=lambda s: s.rank)
    state = _state_after(alert, severity, silenced=is_silenced(alert.id, fresh, silences, now))
    reopened = alert.state is AlertState.CLOSED and state is not AlertState.CLOSED
    said = ", ".join(dict.fromkeys(name_rule(f) for f in fresh))
    louder = severity.rank < alert.severity.rank
    joined = replace(
        alert,
        severity=severity,
        state=state,
        findings=alert.findings + tuple(f.id for f in fresh),
        outflows=alert.outflows + new_outflows,
        closed=None if reopened else alert.closed,
        acknowledged=None if state is AlertState.OPEN else alert.acknowledged,
    )
    quiet = state is AlertState.SILENCED
    what = f"{'reopened, ' if reopened else ''}{'now ' + severity + ', ' if louder else ''}new: {said}"
    return changed(joined, now, what, notable=not quiet, loud=not quiet and (louder or reopened))


def _state_after(alert: Alert, severity: Severity, *, silenced: bool) -> AlertState:
    """Somebody who acknowledged or silenced less did not mean this; a closed alert opens again for anything new."""
    if silenced:
        return AlertState.SILENCED if alert.state in {AlertState.OPEN, AlertState.CLOSED} else alert.state
    if alert.state is AlertState.ACKNOWLEDGED and severity.rank >= alert.severity.rank:
        return AlertState.ACKNOWLEDGED
    return AlertState.OPEN


def _follow(alert: Alert, outflows: Sequence[Outflow], before: States, now: datetime) -> Alert:
    """Tell what became of the transactions."""
    moved = [o for o in outflows if o.id in before and before[o.id] is not o.state]
    if not moved:
        return alert
    said = ", ".join(dict.fromkeys(f"{before[o.id]} → {o.state}" for o in moved))
    awake = alert.state in {AlertState.OPEN, AlertState.ACKNOWLEDGED}
    return changed(alert, now, said, notable=awake and any(o.state in _NOTABLE_STATES for o in moved))


def wake(alert: Alert, findings: Sequence[Finding], silences: Sequence[Silence], now: datetime) -> Alert:
    """A silenced alert whose silence is over speaks again; any other stays as it is."""
    if alert.state is not AlertState.SILENCED or is_silenced(alert.id, order_findings(findings), silences, now):
        return alert
    state = AlertState.ACKNOWLEDGED if alert.acknowledged else AlertState.OPEN
    return changed(replace(alert, state=state), now, "the silence is over", notable=True)
