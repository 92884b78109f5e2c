"""The daily report as tables of words: the one source of what a terminal, Markdown and the page show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from chains.model import Asset, AssetId, format_units
from walletwatch.domain.times import format_utc
from walletwatch.output.tables import Heading
from walletwatch.output.texts import one_line
from walletwatch.reports.daily import DailyReport
from walletwatch.reports.daily_limits import DailyBook, HotShare, LimitUse
from walletwatch.reports.daily_objects import stolen_of

AGREES, NOT_TOLD = "agrees", "not told"
"""What the chain says to a book; anything else is a difference."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table. `empty` is what is said if it has no rows, `note` what has to be known to read it."""

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    note: str = ""


def make_sheets(report: DailyReport) -> tuple[Sheet, ...]:
    """Every section, in the order in which it is read. Texts are on one line and without control characters."""
    sheets = (
        _books(report),
        _outflows(report),
        _findings(report),
        _limits(report),
        _hot(report),
        _alerts(report),
        _cases(report),
        _silences(report),
        _unwatched(report),
        _audit(report),
    )
    return tuple(_cleaned(sheet) for sheet in sheets)


def headline(report: DailyReport) -> tuple[str, ...]:
    """What somebody reads who reads nothing else, one sentence each."""
    return tuple(one_line(text) for text in (_say_books(report), _say_outflows(report), _say_alerts(report)))


def _say_books(report: DailyReport) -> str:
    if report.balances is None:
        return "No balance of a node is there to hold the books against."
    wrong = [book for book in report.books if book.difference]
    if wrong:
        said = ", ".join(f"{b.wallet} by {_amount(b.difference or 0, b.asset)}" for b in wrong)
        return f"The books do not agree with the chain: {said}."
    return "The books agree with the chain, to the base unit."


def _say_outflows(report: DailyReport) -> str:
    whole = sum(tally.count for tally in report.outflows)
    odd = [t for t in report.outflows if t.outcome not in ("approved", "approved late", "not judged")]
    if not whole:
        return "Nothing left the perimeter."
    if not odd:
        return f"{_count(whole, 'outflow')}, none against the approvals."
    said = "; ".join(f"{_units(report, t.asset, t.amount)} {t.outcome.replace('_', ' ')}" for t in odd)
    return f"{_count(whole, 'outflow')}, {sum(t.count for t in odd)} not as approved: {said}."


def _say_alerts(report: DailyReport) -> str:
    alerts = report.alerts
    if not alerts.opened:
        return "No alerts."
    taken = "" if alerts.median_secs is None else f", taken after {say_secs(alerts.median_secs)} (median)"
    waiting = f", {alerts.waiting} nobody has taken yet" if alerts.waiting else ""
    return f"{_count(alerts.opened, 'alert')}{taken}{waiting}."


# --- sections ---------------------------------------------------------------------------------------------------------


def _books(report: DailyReport) -> Sheet:
    titles = ("opening", "in", "out", "fees", "closing", "the chain")
    headings = (Heading("wallet"), Heading("asset"), *(Heading(title, right=True) for title in titles))
    reasons = dict.fromkeys(f"{b.wallet}: {b.reason}" for b in report.books if b.chain_balance is None)
    return Sheet(
        "Balances", headings, tuple(_book_row(book) for book in report.books), "no wallets", "; ".join(reasons)
    )


def _book_row(book: DailyBook) -> tuple[str, ...]:
    units = (book.opening, book.received, book.sent, book.fees, book.closing)
    amounts = ("not known" if n is None else format_units(n, book.asset.decimals) for n in units)
    return (book.wallet, book.asset.symbol, *amounts, _agreement(book))


def _agreement(book: DailyBook) -> str:
    if book.difference is None:
        return NOT_TOLD
    if book.difference == 0:
        return AGREES
    return f"has {format_units(-book.difference, book.asset.decimals)} more"


def _outflows(report: DailyReport) -> Sheet:
    rows = tuple(
        (t.outcome.replace("_", " "), t.state, str(t.count), _units(report, t.asset, t.amount)) for t in report.outflows
    )
    headings = (Heading("approval"), Heading("state"), Heading("count", right=True), Heading("amount", right=True))
    return Sheet("Outflows", headings, rows, "nothing left the perimeter")


def _findings(report: DailyReport) -> Sheet:
    rows = tuple(
        (str(t.severity), t.rule.replace("_", " "), t.rule_id, f"{t.verdict}{_shadow(t.mode)}", str(t.count))
        for t in report.findings
    )
    titles = (Heading("severity"), Heading("rule"), Heading("id"), Heading("verdict"), Heading("count", right=True))
    return Sheet("Findings", titles, rows, "no rule was broken")


def _shadow(mode: str) -> str:
    return " (shadow)" if mode == "shadow" else ""


def _limits(report: DailyReport) -> Sheet:
    rows = tuple(_limit_row(use) for use in report.limits)
    headings = (Heading("limit"), Heading("allowed"), Heading("most used", right=True), Heading("of it", right=True))
    note = "The most that was used at any moment of the day." if rows else ""
    return Sheet("Limits", (*headings, Heading("broken", right=True)), rows, "no limits are configured", note)


def _limit_row(use: LimitUse) -> tuple[str, ...]:
    used = use.reason if use.used is None else f"{format_units(use.used, use.decimals)} {use.symbol}".strip()
    return (use.rule_id, use.allowed, used, use.percent, str(use.broken) if use.broken else "")


def _hot(report: DailyReport) -> Sheet:
    rows = tuple(_share_row(share) for share in report.hot)
    headings = (Heading("asset"), Heading("online", right=True), Heading("all", right=True))
    return Sheet("Online share at the end", (*headings, Heading("share", right=True)), rows, "no wallets")


def _share_row(share: HotShare) -> tuple[str, ...]:
    symbol, decimals = ("USD", 8) if share.asset is None else (share.asset.symbol, share.asset.decimals)
    if share.online is None or share.whole is None:
        return (symbol, "not known", "", share.reason)
    return (symbol, format_units(share.online, decimals), format_units(share.whole, decimals), share.percent)


def _alerts(report: DailyReport) -> Sheet:
    a = report.alerts
    rows = (
        ("opened", f"{a.opened}" + _breakdown([f"{n} {s}" for s, n in a.by_severity.items()])),
        ("now", ", ".join(f"{n} {state}" for state, n in a.by_state.items())),
        ("time to acknowledge", _times(a.median_secs, a.max_secs)),
        ("nobody has taken yet", str(a.waiting)),
    )
    return Sheet("Alerts", (Heading(""), Heading("")), rows if a.opened else (), "no alerts")


def _breakdown(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


def _times(median: int | None, longest: int | None) -> str:
    if median is None or longest is None:
        return "none was taken"
    return f"median {say_secs(median)}, longest {say_secs(longest)}"


def _cases(report: DailyReport) -> Sheet:
    zone = ZoneInfo(report.zone)
    rows = tuple(
        (
            c.name,
            str(c.state),
            ", ".join(_units(report, asset, stolen_of(c, asset)) for asset in c.assets),
            _local(c.opened_at, zone),
            c.opened_by,
        )
        for c in report.cases
    )
    titles = (Heading("case"), Heading("state"), Heading("stolen", right=True), Heading("opened"), Heading("by"))
    return Sheet("Cases", titles, rows, "no thefts are followed")


def _silences(report: DailyReport) -> Sheet:
    zone = ZoneInfo(report.zone)
    rows = tuple(
        (", ".join((*s.rule_ids, *s.wallets, *s.chains, *s.alert_ids)), _local(s.until, zone), s.by, s.reason)
        for s in report.silences
    )
    headings = (Heading("mutes"), Heading("until"), Heading("by"), Heading("reason"))
    return Sheet("Silences", headings, rows, "none in force")


def _unwatched(report: DailyReport) -> Sheet:
    zone = ZoneInfo(report.zone)
    rows = tuple(
        (
            report.chains.get(row["chain"], row["chain"]),
            _local(row["since"], zone),
            _local(row["until"], zone),
            f"{row['from_height']} to {row['to_height']}",
            str(row["reason"]),
        )
        for row in report.unwatched
    )
    headings = (Heading("chain"), Heading("from"), Heading("to"), Heading("blocks judged late"), Heading("why"))
    return Sheet("Unwatched intervals", headings, rows, "watched without a gap")


def _audit(report: DailyReport) -> Sheet:
    head = report.audit
    signed = "no checkpoint yet" if head.signed_size is None else f"{head.signed_size:,} entries"
    at = "" if head.signed_at is None else f", {format_utc(head.signed_at)[:19]}Z"
    rows = (("entries", f"{head.size:,}"), ("root", head.root), ("signed up to", signed + at))
    return Sheet("Audit log", (Heading(""), Heading("")), rows, "empty")


# --- words ------------------------------------------------------------------------------------------------------------


def say_secs(secs: int) -> str:
    """`4 min 12 s`, `2 h 5 min`."""
    if secs < 60:
        return f"{secs} s"
    minutes, rest = divmod(secs, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _amount(units: int, asset: Asset) -> str:
    return f"{format_units(units, asset.decimals)} {asset.symbol}"


def _units(report: DailyReport, asset: AssetId, units: int) -> str:
    known = report.assets.get(asset)
    return _amount(units, known) if known else f"{units:,} base units of {asset}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _cleaned(sheet: Sheet) -> Sheet:
    rows = tuple(tuple(one_line(cell) for cell in row) for row in sheet.rows)
    return Sheet(sheet.title, sheet.headings, rows, sheet.empty, one_line(sheet.note))
