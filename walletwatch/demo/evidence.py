"""What the demonstration gathers of the theft once it was played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import groupby
from pathlib import Path

import orjson

from chains.model import AssetId
from walletwatch.audit.leaves import AuditEntry
from walletwatch.audit.pack_verification import verify_pack
from walletwatch.audit.packs import Pack, write_pack
from walletwatch.audit.stories import Story, StoryFacts, make_story, story_markdown
from walletwatch.audit.verdicts import Verification
from walletwatch.audit.verification import Head, verify_log
from walletwatch.demo.play import DAY, THEFT, DemoFailed
from walletwatch.domain.alerts import Alert
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.withdrawals import Request
from walletwatch.output.texts import one_line, percent
from walletwatch.reports.daily import DailyReport
from walletwatch.reports.daily_forms import ReportForm, render_daily
from walletwatch.service.application import Application
from walletwatch.service.reporting import daily_report
from walletwatch.store import UnitOfWork
from walletwatch.store.cases import StoredCase
from walletwatch.store.statements import Filter
from walletwatch.tracing.exports.files import export_files
from walletwatch.tracing.exports.layouts import Symbols, Unit, kind_of, unit_of
from walletwatch.tracing.results import rank_places
from walletwatch.tracing.tracer import Tracer
from walletwatch.tracing.traces import Trace, TraceNode

MAX_LINES = 200
_MARKS = {"victim": "robbed", "passed": "passed on", "holding": "HOLDS IT", "small": "too small to follow"}


def render_tree(trace: Trace, symbols: Symbols) -> str:
    """Plain text, one line an address; an address reached by several ways stands under the largest payer."""
    unit = unit_of(trace.asset, symbols)
    totals = trace.totals[trace.model]
    head = [
        f"{one_line(trace.case.name)} ({trace.case.id}, {trace.case.state})",
        (
            f"stolen {unit.exact(trace.stolen)} · by {trace.model}: at services {unit.exact(totals.at_services)}, "
            f"held {unit.exact(totals.holding)}, fees {unit.exact(totals.fees)}, "
            f"too small {unit.exact(totals.below_threshold)}"
        ),
        "",
    ]
    lines = _branches(trace, unit)
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more addresses (export the case to see them)"]
    gaps = ["", *(f"not seen: {one_line(gap)}" for gap in trace.gaps[:10])] if trace.gaps else []
    return "\n".join([*head, *lines, "", *_resting_addresses(trace, unit), *gaps]) + "\n"


def _branches(trace: Trace, unit: Unit) -> list[str]:
    parents = _parents(trace)
    children: dict[str | None, list[TraceNode]] = {}
    for node in trace.nodes:
        children.setdefault(parents.get(node.id), []).append(node)
    lines: list[str] = []
    stack: list[tuple[TraceNode, str, str]] = [(root, "", "") for root in reversed(children.get(None, []))]
    while stack:
        node, lead, below = stack.pop()
        lines.append(lead + _line(trace, node, unit))
        nested = sorted(children.get(node.id, []), key=lambda n: (-n.tainted, n.id))
        for place, child in reversed(list(enumerate(nested))):
            last = place == len(nested) - 1
            stack.append((child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  ")))
    return lines


def _parents(trace: Trace) -> dict[str, str]:
    """By node, who of an earlier hop paid it most."""
    hops = {node.id: node.hop for node in trace.nodes}
    paid: dict[str, dict[str, int]] = {}
    for edge in trace.edges:
        if hops[edge.source] < hops[edge.target]:
            payers = paid.setdefault(edge.target, {})
            payers[edge.source] = payers.get(edge.source, 0) + edge.tainted
    return {node: max(payers, key=lambda p: (payers[p], p)) for node, payers in paid.items()}


def _line(trace: Trace, node: TraceNode, unit: Unit) -> str:
    kind = kind_of(node, [s for s in trace.stops if s.node == node.id])
    who = f" {one_line(node.label)}" if node.label else ""
    amount = f"  {unit.exact(node.tainted)}" if node.tainted else ""
    left = f", {unit.exact(node.holding)} left" if node.holding and kind == "passed" else ""
    return f"{one_line(node.address or node.id)}{who}{amount}  [{_MARKS.get(kind, one_line(kind))}{left}]"


def _resting_addresses(trace: Trace, unit: Unit) -> Sequence[str]:
    places = rank_places(trace)
    lines = ["what to freeze first:"] if places else []
    for number, place in enumerate(places[:20], start=1):
        who = f"{one_line(place.label)} " if place.label else ""
        share = percent(place.tainted, trace.stolen)
        where = f"{who}{one_line(place.address or place.node)}"
        lines.append(f"{number:3}. {unit.exact(place.tainted)} ({share})  {where}: {place.advice}")
    return lines + ([f"     and {len(places) - 20} more"] if len(places) > 20 else [])


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is shown. `paid` are the ordinary outflows, `requests` the ids of those whose place the theft took, `forged`
    is the answer to a copy of the log in which somebody made the theft smaller.
    """

    paid: tuple[Outflow, ...]
    theft: Outflow
    findings: tuple[Finding, ...]
    on_ordinary: tuple[Finding, ...]
    alert: Alert
    case: StoredCase
    trace: Trace
    tree: str
    story: Story
    report: DailyReport
    verified: Verification
    forged: Verification
    pack: Verification
    checkpoint: str
    acts: int
    requests: tuple[str, ...]


def gather(app: Application, folder: Path) -> Evidence:
    """Read everything back from the store and write the files. Raises DemoFailed if the theft was not seen."""
    with app.store.reading() as unit:
        outflows = list(unit.outflows.find(Filter()))
        found = list(unit.findings.find(Filter()))
        theft = next((o for o in outflows if o.tx == THEFT), None)
        alert = next((a for a in unit.alerts.find(Filter()) if theft and theft.id in a.outflows), None)
        stored = next(iter(unit.cases.find()), None)
        if theft is None or alert is None or stored is None:
            raise DemoFailed("the theft was not seen, raised no alert, or is not followed")
        trace = _trace(app, unit, stored)
        story = _story(app, unit, theft, [f for f in found if f.tx == THEFT], alert)
        report = daily_report(app.settings, unit, DAY)
        newest = unit.audit.newest_checkpoint()
        acts = unit.approvals.count_acts()
    checkpoint = newest[1] if newest else ""
    symbols = {asset.id: (asset.symbol, asset.decimals) for asset in app.settings.asset_index.values()}
    _write_files(folder, trace, symbols, story, report, checkpoint)
    return Evidence(
        paid=tuple(o for o in outflows if o.tx != THEFT),
        theft=theft,
        findings=tuple(sorted((f for f in found if f.tx == THEFT), key=lambda f: (f.severity.rank, f.rule))),
        on_ordinary=tuple(f for f in found if f.outflow is not None and f.tx != THEFT),
        alert=alert,
        case=stored,
        trace=trace,
        tree=render_tree(trace, symbols),
        story=story,
        report=report,
        verified=_verify(app),
        forged=_verify(app, forge=True),
        pack=_pack(app, folder, checkpoint),
        checkpoint=checkpoint,
        acts=acts,
        requests=tuple(r.id for r in _replaced_requests(app, theft)),
    )


def _trace(app: Application, unit: UnitOfWork, stored: StoredCase) -> Trace:
    """The case folded from what is kept of it."""
    native, openings = app.deployment.chains[stored.case.chain].native.id, unit.cases.openings(stored.case.id)
    tracer = Tracer(stored.case, app.deployment.labels, native, None, openings)
    for _, group in groupby(unit.cases.transactions(stored.case.id), key=lambda one: one.block.height):
        block = list(group)
        tracer.step(block[0].block, block[0].time, [one.tx for one in block])
    return tracer.result()


def _story(app: Application, unit: UnitOfWork, theft: Outflow, findings: list[Finding], alert: Alert) -> Story:
    subjects = {theft.tx.hex(), alert.id, *alert.findings}
    entries = {e.seq: e for subject in subjects for e in unit.audit.find(Filter(subject=subject))}
    app.approvals.refresh(unit)
    facts = StoryFacts(
        outflows=(theft,),
        requests=_replaced_requests(app, theft),
        findings=findings,
        alerts=(alert,),
        entries=[entries[seq] for seq in sorted(entries)],
    )
    return make_story(theft.tx.hex(), facts, app.names.amount)


def _replaced_requests(app: Application, theft: Outflow) -> tuple[Request, ...]:
    """The requests that name what the theft took the place of: same asset and amount."""
    return tuple(r for r in app.approvals.book if (r.intent.asset, r.intent.amount) == (theft.asset, theft.amount))


# --- files ------------------------------------------------------------------------------------------------------------


def _write_files(
    folder: Path,
    trace: Trace,
    symbols: Mapping[AssetId, tuple[str, int]],
    story: Story,
    report: DailyReport,
    checkpoint: str,
) -> None:
    for name, content in export_files([trace], ("html", "svg", "json"), symbols).items():
        (folder / f"trace{Path(name).suffix}").write_bytes(content)
    (folder / "story.md").write_text(story_markdown(story), encoding="utf-8")
    for form in (ReportForm.HTML, ReportForm.JSON):
        (folder / f"report.{form}").write_text(render_daily(report, form), encoding="utf-8")
    (folder / "checkpoint.txt").write_text(checkpoint, encoding="utf-8")


def _pack(app: Application, folder: Path, checkpoint: str) -> Verification:
    """Write the evidence pack of the whole log and check it as a stranger would, who has the public key."""
    files = {name: (folder / name).read_bytes() for name in ("trace.html", "trace.svg", "trace.json", "story.md")}
    out = BytesIO()
    key = app.signing_key()
    with app.store.reading() as unit:
        pack = Pack(unit.audit.entries(), (), checkpoint, (folder / "report.html").read_bytes(), files)
        write_pack(out, pack, key)
    path = folder / "evidence.zip"
    path.write_bytes(out.getvalue())
    return verify_pack(path, key.verifying_key)


def _verify(app: Application, *, forge: bool = False) -> Verification:
    """Recompute the log; with `forge`, a copy in which somebody made the theft a hundred times smaller."""
    with app.store.reading() as unit:
        head, entries = unit.audit.head(), list(unit.audit.entries())
        notes = unit.audit.checkpoints()
    if forge:
        entries = [_belittle(entry) for entry in entries]
    stored = Head(head.size, head.root, head.frontier.to_bytes())
    return verify_log(entries, head=stored, checkpoints=notes, vkey=app.signing_key().verifying_key)


def _belittle(entry: AuditEntry) -> AuditEntry:
    if entry.action != "outflow.included" or entry.subject != THEFT.hex():
        return entry
    payload = orjson.loads(entry.payload)
    payload["amount"] = payload["amount"][:-2]
    return replace(entry, payload=orjson.dumps(payload, option=orjson.OPT_SORT_KEYS).decode())
