"""What people read: titles, lines and pages of an alert. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from chains.model import AssetId, ChainId, PoolOutlook, Replacement, format_units
from chains.registry import format_hash
from walletwatch.alerts.ports import AlertNames, AlertView
from walletwatch.domain.alerts import Alert, AlertState
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.times import format_utc

MAX_TITLE_CHARS = 300
_FIRST = ("unapproved", "destination_mismatch", "amount_mismatch", "content_mismatch", "wallet_control_changed")
"""Among findings equally loud, what a person should read first."""
_SAID = {"unapproved": "unapproved outflow"}
_SHOWN_LOSSES = 2


def plain(text: str, limit: int = 500) -> str:
    """`text` on one line without control, direction-changing or zero-width characters, at most `limit` long.

    Labels, memos and summaries may carry a thief's words: U+202E turns the digits of an amount around on a screen.
    """
    text = text[: 4 * limit]
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def order_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Those that alert, loudest first; the order never depends on the order they came in."""
    enforced = [f for f in findings if f.mode is Mode.ENFORCE]
    return sorted(
        enforced,
        key=lambda f: (
            f.severity.rank,
            f.verdict is not VerdictKind.VIOLATION,
            _FIRST.index(f.rule) if f.rule in _FIRST else len(_FIRST),
            f.rule_id,
            f.id,
        ),
    )


def name_rule(finding: Finding) -> str:
    """The rule in words; an undetermined verdict is never read as a violation or as fine."""
    said = _SAID.get(finding.rule, finding.rule.replace("_", " "))
    return said if finding.verdict is VerdictKind.VIOLATION else f"{said} could not be judged"


def standing_outflows(outflows: Sequence[Outflow]) -> list[Outflow]:
    """Those that were not replaced, or all of them if every one was."""
    standing = [o for o in outflows if o.state is not OutflowState.REPLACED]
    return standing or list(outflows)


def name_losses(outflows: Sequence[Outflow], names: AlertNames) -> str:
    """`1.5 BTC left hot wallet a, 2 ETH left wallet b and 3 more`; empty without outflows."""
    lost: dict[tuple[str, AssetId], int] = defaultdict(int)
    for outflow in standing_outflows(outflows):
        lost[outflow.wallet, outflow.asset] += outflow.amount
    parts = [f"{names.amount(units, asset)} left {names.wallet(name)}" for (name, asset), units in lost.items()]
    more = len(parts) - _SHOWN_LOSSES
    return ", ".join(parts[:_SHOWN_LOSSES]) + (f" and {more} more" if more > 0 else "")


def make_title(findings: Sequence[Finding], outflows: Sequence[Outflow], names: AlertNames) -> str:
    """The title of an alert over these. Raises ValueError if no finding alerts."""
    ordered = order_findings(findings)
    if not ordered:
        raise ValueError("no finding that alerts")
    first = ordered[0]
    about = name_losses(outflows, names) or " · ".join(
        part for part in (names.wallet(first.wallet) if first.wallet else "", names.chain(first.chain)) if part
    )
    parts = [str(first.severity).upper(), name_rule(first), about or str(first.evidence.get("feed", ""))]
    return plain(" · ".join(part for part in parts if part), MAX_TITLE_CHARS)


MAX_DESTINATIONS = 10
MAX_FINDINGS = 10
MAX_ESTIMATED_BLOCKS = 1008
_REPLACEMENT = {
    Replacement.SIGNALLED: "possible (it signals so, BIP 125)",
    Replacement.FULL_RBF: "possible at nodes with full RBF (no BIP 125 signal)",
}
_LIFE = {
    OutflowState.SEEN: "in the mempool, in no block yet",
    OutflowState.FINAL: "final",
    OutflowState.ORPHANED: "orphaned by a reorg, may be included again",
    OutflowState.REPLACED: "replaced by another transaction",
}
_QUEUED = "none before the gap in its sender's nonces is filled"


@dataclass(frozen=True, slots=True)
class FindingLine:
    """Why: one rule's answer."""

    severity: Severity
    rule: str
    rule_id: str
    summary: str

    @property
    def text(self) -> str:
        """`CRITICAL unapproved outflow: no request explains …`."""
        name = (
            self.rule
            if self.rule_id in {self.rule.replace(" ", "_"), "unapproved"}
            else (f"{self.rule} ({self.rule_id})")
        )
        return f"{self.severity.upper()} {name}: {self.summary}"


@dataclass(frozen=True, slots=True)
class Page:
    """An alert as words. Every text is on one line and without control characters; nothing is escaped yet."""

    alert_id: str
    version: int
    severity: Severity
    title: str
    status: str
    facts: tuple[tuple[str, str], ...]
    destinations: tuple[str, ...]
    findings: tuple[FindingLine, ...]
    commands: tuple[str, ...]


def make_page(view: AlertView) -> Page:
    """All of `view` that a person should see."""
    alert, outflows = view.alert, standing_outflows(view.outflows)
    ordered = order_findings(view.findings)
    lines = [FindingLine(f.severity, name_rule(f), plain(f.rule_id, 80), plain(f.summary, 600)) for f in ordered]
    shown, hidden = tuple(lines[:MAX_FINDINGS]), len(lines[MAX_FINDINGS:])
    more = (("Not shown", f"{hidden} more findings"),) if hidden else ()
    txs = list(dict.fromkeys(format_hash(o.chain, o.tx) for o in view.outflows))
    if not txs:
        txs = list(dict.fromkeys(format_hash(ChainId.parse(f.chain), f.tx) for f in ordered if f.tx is not None))
    return Page(
        alert_id=alert.id,
        version=alert.version,
        severity=alert.severity,
        title=plain(alert.title, 300),
        status=_status(alert),
        facts=_facts(view, txs) + more,
        destinations=_destinations(view, outflows),
        findings=shown,
        commands=_commands(alert, txs),
    )


def _status(alert: Alert) -> str:
    """`open since …`, and who did what."""
    said = f"{alert.state} since {format_utc(alert.opened_at)[:19]}Z" if alert.state is AlertState.OPEN else alert.state
    if alert.state is AlertState.CLOSED and alert.closed:
        return plain(f"closed by {alert.closed.by}: {alert.closed.reason}")
    if alert.acknowledged:
        said = f"{said} by {alert.acknowledged.by}: {alert.acknowledged.reason}"
    return plain(said)


def _facts(view: AlertView, txs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    chains = dict.fromkeys([str(o.chain) for o in view.outflows] or [f.chain for f in view.findings if f.chain])
    requests = dict.fromkeys(request for o in view.outflows for request in view.requests.get(o.id, ()))
    fees = [f"{view.names.chain(str(o.chain))}: {_fee(view, o)}" for o in view.outflows if o.fee]
    facts = [
        ("Chain", ", ".join(view.names.chain(c) for c in chains)),
        ("Transaction", ", ".join(txs[:3])),
        ("Life", _life(view)),
        *_outlook(view),
        ("Request", ", ".join(plain(r, 80) for r in list(requests)[:5])),
        ("Network fee", fees[0].partition(": ")[2] if fees else ""),
        ("First seen", _first_seen(view.outflows)),
    ]
    return tuple((label, plain(value, 300)) for label, value in facts if value)


def _fee(view: AlertView, outflow: Outflow) -> str:
    native = next((a for a in view.names.assets if a.chain == outflow.chain and a.namespace == "slip44"), None)
    return f"{outflow.fee:,} base units" if native is None else view.names.amount(outflow.fee, native)


def _first_seen(outflows: Sequence[Outflow]) -> str:
    return format_utc(min(o.first_seen for o in outflows)) if outflows else ""


def _life(view: AlertView) -> str:
    """What became of the transactions, each state once, with confirmations where the tip is known."""
    return ", ".join(dict.fromkeys(_life_of(view, outflow) for outflow in view.outflows))


def _life_of(view: AlertView, outflow: Outflow) -> str:
    tip, outlook = view.tips.get(str(outflow.chain)), view.outlooks.get(outflow.tx)
    if outflow.state is OutflowState.SEEN and outlook is not None and outlook.gone_since is not None:
        return f"in no block, and dropped from our node's mempool at {format_utc(outlook.gone_since)[:19]}Z"
    block = "" if outflow.block is None else f" in block {outflow.block.height}"
    if outflow.state is OutflowState.FINAL:
        return f"final{block}"
    if outflow.state is not OutflowState.INCLUDED or outflow.block is None:
        return _LIFE.get(outflow.state, str(outflow.state))
    if tip is None or tip < outflow.block.height:
        return f"included{block}"
    count = tip - outflow.block.height + 1
    return f"included{block}, {count} confirmation{'s' * (count != 1)}"


def _outlook(view: AlertView) -> tuple[tuple[str, str], ...]:
    """Of what waits in the mempool: whether it can still be replaced, from which feerate on, and about when it is
    mined, as the node saw it first. Empty for anything else.
    """
    waiting = [o.tx for o in view.outflows if o.state is OutflowState.SEEN]
    seen = next((view.outlooks[tx] for tx in waiting if tx in view.outlooks), None)
    if seen is None:
        return ()
    if seen.gone_since is not None:
        return (("Replacement", "by whoever sends it again, or another that spends the same"),)
    if isinstance(seen, PoolOutlook):
        return (("First block", _QUEUED),) if seen.queued else ()
    rate = format_units(seen.replace_feerate_milli, 3)
    possible = _REPLACEMENT.get(seen.replacement)
    said = f"{possible}, from {rate} sat/vB" if possible else "not at our node"
    return (("Replacement", said), ("First block", _confirmation(seen.confirm_blocks)))


def _confirmation(blocks: int | None) -> str:
    """`in about 3 blocks (30 minutes)`; blocks come every ten minutes on average."""
    if blocks is None:
        return "not known"
    if blocks > MAX_ESTIMATED_BLOCKS:
        return f"in more than {MAX_ESTIMATED_BLOCKS:,} blocks (a week), if ever"
    hours, days = blocks // 6, blocks // 144
    time = f"{days} days" if days >= 2 else f"{hours} hours" if hours >= 2 else f"{blocks * 10} minutes"
    return f"in about {blocks} block{'s' * (blocks != 1)} ({time})"


def _destinations(view: AlertView, outflows: Sequence[Outflow]) -> tuple[str, ...]:
    """`4,502.9 BTC → 1B6r…` by falling amount, with labels; what each place got over the whole transaction."""
    got: dict[tuple[AssetId, str], int] = defaultdict(int)
    counted: set[tuple[bytes, AssetId]] = set()
    for outflow in outflows:
        if (outflow.tx, outflow.asset) in counted:  # wallets that spent together share their payments
            continue
        counted.add((outflow.tx, outflow.asset))
        for payment in outflow.payments:
            got[outflow.asset, payment.address.text] += payment.amount
    ordered = sorted(got.items(), key=lambda item: (-item[1], item[0][1]))
    lines = [_destination(view, asset, address, units) for (asset, address), units in ordered[:MAX_DESTINATIONS]]
    if len(ordered) > MAX_DESTINATIONS:
        lines.append(f"and {len(ordered) - MAX_DESTINATIONS} more destinations")
    return tuple(lines)


def _destination(view: AlertView, asset: AssetId, address: str, units: int) -> str:
    labels = view.labels.get(address, ())
    said = ", ".join(plain(f"{label.label} [{label.category}]", 120) for label in labels[:3])
    return plain(f"{view.names.amount(units, asset)} → {address}", 250) + (f" ({said})" if said else "")


def _commands(alert: Alert, txs: Sequence[str]) -> tuple[str, ...]:
    commands = [f"walletwatch alerts show {alert.id}"]
    if alert.state is AlertState.OPEN:
        commands.append(f"walletwatch alerts ack {alert.id} --by YOU --reason '…'")
    return (*commands, *(f"walletwatch audit why {tx}" for tx in txs[:3]))


def make_text(view: AlertView) -> str:
    """The whole page as plain text, for a console, a mail or a log."""
    page = make_page(view)
    lines = [page.title, page.status]
    lines += [f"  {label + ':':<13} {value}" for label, value in page.facts]
    lines += [f"  {'to:':<13} {line}" for line in page.destinations]
    lines += [f"  {'why:':<13} {line.text}" for line in page.findings]
    lines += [f"  {'do:':<13} {command}" for command in page.commands]
    return "\n".join([*lines, f"  {'alert:':<13} {page.alert_id} (version {page.version})", ""])
