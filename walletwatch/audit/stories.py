"""`audit why TXID`: everything known about one transaction in chronological order, each line with its evidence.

Built from domain values and the log's entries. An entry that records the same event as a line becomes that line's
evidence; any other entry gets a line of its own, so that no entry is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from chains.model import AssetId
from walletwatch.audit.leaves import AuditEntry
from walletwatch.domain.alerts import Alert, Outcome
from walletwatch.domain.findings import Finding, Mode, VerdictKind
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.times import format_utc, parse_utc
from walletwatch.domain.withdrawals import Act, ActKind, Grade, Request

NameAmount = Callable[[int, AssetId], str]
"""Formats an amount of base units for display, e.g. `1.5 BTC`."""

_ACTED = {
    ActKind.REQUEST: "requested",
    ActKind.APPROVE: "approved",
    ActKind.REJECT: "rejected",
    ActKind.CANCEL: "cancelled",
    ActKind.BROADCAST: "announced the broadcast of",
}
_DELIVERED = {
    Outcome.DELIVERED: "last delivered to",
    Outcome.RETRYING: "still to be delivered to",
    Outcome.FAILED: "refused by",
    Outcome.MUTED: "not delivered to",
}
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#~!"})


@dataclass(frozen=True, slots=True)
class StoryFacts:
    """The facts about one transaction (and those that it replaced or was replaced by).

    `refused` is why acts do not count, by act digest; `entries` are the log's entries about the transaction, its
    findings and its alerts.
    """

    outflows: Sequence[Outflow] = ()
    requests: Sequence[Request] = ()
    findings: Sequence[Finding] = ()
    alerts: Sequence[Alert] = ()
    entries: Sequence[AuditEntry] = ()
    refused: Mapping[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoryLine:
    """At `at` (UTC) `actor` did `what`; `evidence` says where to check it. `order` sorts lines of the same time, `key`
    connects the event with the log's entries.
    """

    at: datetime
    actor: str
    what: str
    evidence: tuple[str, ...] = ()
    order: int = 0
    key: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Story:
    """A transaction's story. `conclusion` are the sentences that answer "why"."""

    title: str
    conclusion: tuple[str, ...]
    lines: tuple[StoryLine, ...]


def make_story(tx: str, facts: StoryFacts, name_amount: NameAmount) -> Story:
    """The story of the transaction with the id `tx`, as text."""
    lines = [
        *_acts(facts, name_amount),
        *_chain_lines(facts.outflows, name_amount),
        *_findings(facts.findings),
        *_alerts(facts.alerts),
    ]
    ordered = sorted(_attach(lines, facts.entries), key=lambda line: (line.at, line.order, line.key, line.what))
    return Story(f"Transaction {tx}", tuple(_conclude(facts, name_amount)), tuple(ordered))


def _conclude(facts: StoryFacts, name_amount: NameAmount) -> Iterator[str]:
    if not facts.outflows:
        yield "No outflow of this transaction is known."
    for outflow in facts.outflows:
        yield f"{name_amount(outflow.amount, outflow.asset)} left {outflow.wallet}; the outflow is {outflow.state}."
    broken = [f for f in facts.findings if f.verdict is VerdictKind.VIOLATION]
    undetermined = len(facts.findings) - len(broken)
    if broken:
        yield f"Rules broken: {', '.join(sorted({f.rule_id for f in broken}))}."
    if undetermined:
        yield f"{undetermined} rule{'s' * (undetermined != 1)} could not be judged."
    if facts.requests:
        yield f"Requests: {', '.join(r.id for r in facts.requests)}."
    if facts.outflows and not facts.findings:
        yield "No rule was broken."


def _acts(facts: StoryFacts, name_amount: NameAmount) -> Iterator[StoryLine]:
    for request in facts.requests:
        for act in request.acts or (request.requested,):
            yield StoryLine(
                act.at, act.actor, _describe_act(act, request, name_amount), _act_evidence(act, facts.refused)
            )


def _describe_act(act: Act, request: Request, name_amount: NameAmount) -> str:
    text = f"{_ACTED[act.kind]} {request.id}"
    if act.kind is ActKind.REQUEST:
        intent = request.intent
        text += f": {name_amount(intent.amount, intent.asset)} to {intent.destination.text}"
        text += f", memo {intent.memo}" if intent.memo else ""
    return text


def _act_evidence(act: Act, refused: Mapping[bytes, str]) -> tuple[str, ...]:
    reason = refused.get(act.digest, "") or ": ".join(part for part in (act.refused, act.reason) if part)
    return (
        f"{act.feed} line {act.line}",
        _describe_grade(act),
        *((f"does not count ({reason})",) if reason else ()),
    )


def _describe_grade(act: Act) -> str:
    texts = {
        Grade.SIGNED: f"signed with {act.kid}",
        Grade.SAFE_SIGNATURE: f"signed by the Safe's owner {act.kid}; the time is stated by the service",
        Grade.VENDOR_EXPORT: "stated by a vendor: weaker evidence",
        Grade.UNSIGNED: "not signed: weaker evidence",
    }
    return texts[act.grade]


def _chain_lines(outflows: Iterable[Outflow], name_amount: NameAmount) -> Iterator[StoryLine]:
    for outflow in outflows:
        amount = name_amount(outflow.amount, outflow.asset)
        receivers = ", ".join(
            f"{name_amount(p.amount, outflow.asset)} to {p.address.text}" for p in outflow.payments[:10]
        )
        more = f" and {len(outflow.payments) - 10} more" if len(outflow.payments) > 10 else ""
        how = () if outflow.traced else ("inner calls were not visible: these are the first receivers",)
        seen = f"{amount} leaving {outflow.wallet} was first seen: {receivers}{more}"
        yield StoryLine(outflow.first_seen, "chain", seen, (f"outflow {outflow.id}", *how), 1)
        if outflow.block is not None and outflow.block_time is not None:
            included = f"{amount} leaving {outflow.wallet} was included in block {outflow.block.height}"
            yield StoryLine(outflow.block_time, "chain", included, (f"block {outflow.block.hash.hex()}",), 2)


def _findings(findings: Iterable[Finding]) -> Iterator[StoryLine]:
    for finding in findings:
        verdict = "broken" if finding.verdict is VerdictKind.VIOLATION else "could not be judged"
        shadow = " (shadow: no alert)" if finding.mode is Mode.SHADOW else ""
        what = f"rule {finding.rule_id} {verdict}, {finding.severity}{shadow}: {finding.summary}"
        proof = (f"finding {finding.id}", f"rules {finding.rules_digest[:16]}")
        yield StoryLine(finding.found_at, "walletwatch", what, proof, 3, ("finding.made", finding.id))


def _alerts(alerts: Iterable[Alert]) -> Iterator[StoryLine]:
    for alert in alerts:
        proof = (f"alert {alert.id}",)
        opened = f"alert opened: {alert.title}"
        yield StoryLine(alert.opened_at, "walletwatch", opened, proof, 4, ("alert.opened", alert.id))
        for change in alert.changes:
            key = ("alert.changed", f"{alert.id} {change.version}")
            yield StoryLine(change.at, "walletwatch", f"alert changed: {change.what}", proof, 5, key)
        for delivery in alert.deliveries:
            sent = f" as {delivery.remote_id}" if delivery.remote_id else ""
            what = f"{_DELIVERED[delivery.outcome]} {delivery.sink}{sent}, attempts {delivery.attempts}"
            yield StoryLine(delivery.at, delivery.sink, what, proof, 6)
        decisions = (("acknowledged", alert.acknowledged), ("closed", alert.closed))
        for name, decision in decisions:
            if decision is not None:
                yield StoryLine(decision.at, decision.by, f"{name} the alert: {decision.reason}", proof, 7)


# --- the log's entries ------------------------------------------------------------------------------------------------


def _attach(lines: Iterable[StoryLine], entries: Iterable[AuditEntry]) -> Iterator[StoryLine]:
    """Add to each line the entries that record it; other entries become lines of their own."""
    recorded: dict[tuple[str, str], list[int]] = defaultdict(list)
    others: list[AuditEntry] = []
    lines = list(lines)
    keys = {line.key for line in lines if line.key[0]}
    for entry in {e.seq: e for e in entries}.values():
        key = _key_of(entry)
        if key in keys:
            recorded[key].append(entry.seq)
        else:
            others.append(entry)
    for line in lines:
        proof = tuple(f"audit entry {seq}" for seq in sorted(recorded.get(line.key, ())))
        yield replace(line, evidence=line.evidence + proof)
    yield from map(_own_line, others)


def _payload(entry: AuditEntry) -> Mapping[str, Any]:
    payload = orjson.loads(entry.payload)
    return payload if isinstance(payload, dict) else {}


def _key_of(entry: AuditEntry) -> tuple[str, str]:
    payload = _payload(entry)
    match entry.action:
        case "finding.made":
            return entry.action, str(payload.get("finding", ""))
        case "alert.opened":
            return entry.action, entry.subject
        case "alert.changed":
            return entry.action, f"{entry.subject} {payload.get('version', '')}"
        case _:
            return "", ""


def _own_line(entry: AuditEntry) -> StoryLine:
    payload = _payload(entry)
    details = [f"{name} {value}" for name, value in payload.items() if isinstance(value, (str, int)) and value != ""]
    what = entry.action.replace(".", " ").replace("_", " ") + (f" ({', '.join(details[:8])})" if details else "")
    at = parse_utc(entry.recorded_at)
    return StoryLine(at, entry.actor, what, (f"audit entry {entry.seq}",), 8, (entry.action, f"{entry.seq:020}"))


# --- forms ------------------------------------------------------------------------------------------------------------


def _clean(text: str) -> str:
    """On one line, without control and bidirectional characters: memos and labels may be written by the thief."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:4_000]).split())


def story_rows(story: Story) -> list[dict[str, str]]:
    """The lines as table rows: time, actor, what, evidence."""
    return [
        {
            "time": format_utc(line.at),
            "actor": _clean(line.actor),
            "what": _clean(line.what),
            "evidence": "; ".join(map(_clean, line.evidence)),
        }
        for line in story.lines
    ]


def story_text(story: Story) -> str:
    """The story as text for a terminal."""
    parts = [story.title, *(f"  {line}" for line in map(_clean, story.conclusion)), ""]
    for row in story_rows(story):
        parts += [f"{row['time']}  {row['actor']}", f"    {row['what']}"]
        parts += [f"    [{row['evidence']}]"] if row["evidence"] else []
    return "\n".join(parts) + "\n"


def story_markdown(story: Story) -> str:
    """The story as Markdown, with all markup in its texts escaped."""
    parts = [f"# {story.title}", "", *(f"- {_clean(line).translate(_MARKDOWN)}" for line in story.conclusion), ""]
    parts += ["| time (UTC) | who | what | evidence |", "|---|---|---|---|"]
    for row in story_rows(story):
        parts.append("| " + " | ".join(value.translate(_MARKDOWN) for value in row.values()) + " |")
    return "\n".join(parts) + "\n"
