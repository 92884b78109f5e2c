"""One line that says what happened: `CRITICAL · unapproved outflow · 4,502.9 BTC left hot wallet dmm-hot`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from chains.model import AssetId
from walletwatch.alerts.ports import Names
from walletwatch.domain.findings import Finding, Mode, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState

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


def name_losses(outflows: Sequence[Outflow], names: Names) -> str:
    """`1.5 BTC left hot wallet a, 2 ETH left wallet b and 3 more`; empty without outflows."""
    lost: dict[tuple[str, AssetId], int] = defaultdict(int)
    for outflow in standing_outflows(outflows):
        lost[outflow.wallet, outflow.asset] += outflow.amount
    parts = [f"{names.amount(units, asset)} left {names.wallet(name)}" for (name, asset), units in lost.items()]
    more = len(parts) - _SHOWN_LOSSES
    return ", ".join(parts[:_SHOWN_LOSSES]) + (f" and {more} more" if more > 0 else "")


def make_title(findings: Sequence[Finding], outflows: Sequence[Outflow], names: Names) -> str:
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
