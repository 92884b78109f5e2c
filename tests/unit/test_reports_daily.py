"""The daily report's parts: what counts as approved, how soon people answered, and forms that nobody can break."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chains.model import Address, Asset, AssetId, ChainId
from walletwatch.domain.alerts import Alert, AlertState, Decision, Silence
from walletwatch.domain.cases import Case, CaseState, Seed
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.reports.daily import (
    AuditHead,
    DailyReport,
    FindingTally,
    OutflowTally,
    approval_outcome,
    day_bounds,
    tally_findings,
    time_alerts,
)
from walletwatch.reports.daily_forms import ReportForm, render_daily
from walletwatch.reports.daily_limits import DailyBook, HotShare, LimitUse, share_online
from walletwatch.reports.daily_objects import daily_object
from walletwatch.reports.daily_sheets import headline, make_sheets, say_secs

CHAIN = ChainId("bip122", "000000000019d6689c085ae165831e93")
BTC = Asset(AssetId(CHAIN, "slip44", "0"), "BTC", 8)
NOON = datetime(2024, 5, 31, 3, tzinfo=UTC)
EVIL = "<script>alert('x')</script>|=HYPERLINK(1)\x1b[31m\u202e"


def finding(rule: str, verdict: VerdictKind = VerdictKind.VIOLATION, **evidence: Any) -> Finding:
    head = (f"fnd_{rule}", rule, rule, verdict, Severity.CRITICAL, Mode.ENFORCE, str(CHAIN), bytes(32))
    return Finding(*head, "btc-hot", str(BTC.id), "out_1", "broken", evidence, "sha256:0", NOON)


def alert(number: int, taken_after: int | None = None) -> Alert:
    decision = None if taken_after is None else Decision("a", NOON + timedelta(seconds=taken_after), "b")
    state = AlertState.OPEN if decision is None else AlertState.ACKNOWLEDGED
    return Alert(f"alr_{number}", str(number), Severity.HIGH, state, "t", (), (), NOON, acknowledged=decision)


def report(**changes: Any) -> DailyReport:
    since, until = day_bounds(date(2024, 5, 31), ZoneInfo("Asia/Tokyo"))
    seed = Seed(b"\x01" * 32, 0, Address(b"\x01", "1B6r"), BTC.id, 450_290_000_000, 845_752)
    base = DailyReport(
        day=date(2024, 5, 31),
        zone="Asia/Tokyo",
        since=since,
        until=until,
        made_at=until,
        books=(DailyBook("btc-hot", "hot", BTC, 5, 10, 1, 100, 94, 94, "told by the node at block 9"),),
        outflows=(OutflowTally("final", "approved", BTC.id, 3, 150_000_000),),
        findings=(FindingTally("sweep", "hot-sweep", Severity.CRITICAL, VerdictKind.VIOLATION, "enforce", 2),),
        alerts=time_alerts([alert(1, 252)]),
        limits=(LimitUse("max", "transaction_limit", "50 BTC", 0, 5_000_000_000, 150_000_000, "BTC", 8, str(BTC.id)),),
        hot=(HotShare(BTC, 94, 100),),
        silences=(Silence("sil_1", "treasury-1", "work", since, until, ("hot-sweep",)),),
        unwatched=(
            {"chain": str(CHAIN), "since": NOON, "until": NOON, "from_height": 1, "to_height": 2, "reason": "down"},
        ),
        cases=(Case("case_1", "dmm", CHAIN, (seed,), CaseState.OPEN, NOON, "system", 845_752),),
        audit=AuditHead(148, "ab" * 32, 100, NOON),
        assets={BTC.id: BTC},
        chains={str(CHAIN): "bitcoin"},
    )
    return replace(base, **changes)


# --- what counts as approved ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "resolved", "outcome"),
    [
        ([], [], "approved"),
        ([finding("sweep"), finding("case_movement")], [], "approved"),
        ([finding("unapproved")], [], "unapproved"),
        ([finding("invalid_signature"), finding("destination_mismatch")], [], "destination_mismatch"),
        ([finding("quorum_not_met"), finding("invalid_signature")], [], "invalid_signature"),
        ([finding("invalid_signature", quorum_met=True)], [], "approved"),
        ([finding("unapproved", VerdictKind.UNDETERMINED)], [], "undetermined"),
        ([finding("unapproved")], ["fnd_unapproved"], "approved late"),
    ],
)
def test_an_outflow_stands_to_the_approvals_as_its_findings_say(
    findings: list[Finding], resolved: list[str], outcome: str
) -> None:
    assert approval_outcome(findings, resolved, feed_configured=True, requested=True) == outcome


def test_without_an_approval_feed_nothing_is_called_approved() -> None:
    assert approval_outcome([], [], feed_configured=False, requested=False) == "not judged"
    assert approval_outcome([], [], feed_configured=True, requested=False) == "not judged"


def test_findings_are_counted_loudest_first() -> None:
    quiet = replace(finding("fee_anomaly"), severity=Severity.LOW)
    tallies = tally_findings([quiet, finding("sweep"), finding("sweep")])
    assert [(t.rule, t.count) for t in tallies] == [("sweep", 2), ("fee_anomaly", 1)]


def test_the_time_to_acknowledge_is_exact_and_those_who_wait_are_counted() -> None:
    times = time_alerts([alert(1, 60), alert(2, 600), alert(3, 90), alert(4)])
    assert (times.median_secs, times.max_secs, times.acknowledged, times.waiting) == (90, 600, 3, 1)
    assert (time_alerts([]).median_secs, time_alerts([]).opened) == (None, 0)
    assert [say_secs(s) for s in (59, 60, 252, 7_500)] == ["59 s", "1 min", "4 min 12 s", "2 h 5 min"]


def test_a_local_day_is_as_long_as_its_clocks_make_it() -> None:
    def hours(day: date) -> float:
        since, until = (moment.astimezone(UTC) for moment in day_bounds(day, ZoneInfo("Europe/Berlin")))
        return (until - since).total_seconds() / 3600

    assert [hours(date(2024, m, d)) for m, d in ((3, 31), (5, 31), (10, 27))] == [23, 24, 25]


def test_the_online_share_is_not_known_while_one_wallet_is_not() -> None:
    hot, cold = DailyBook("h", "hot", BTC, 0, 0, 0, 10, 10), DailyBook("c", "cold", BTC, 0, 0, 0, 90, 90)

    def no_price(*_: object) -> Any:
        raise AssertionError("one asset needs no price")

    (share,) = share_online([hot, cold], ("hot",), no_price, NOON)
    assert (share.online, share.whole, share.percent) == (10, 100, "10 %")
    (share,) = share_online([hot, replace(cold, closing=None)], ("hot",), no_price, NOON)
    assert (share.percent, share.reason) == ("", "not known what c held")


# --- forms ------------------------------------------------------------------------------------------------------------


def test_the_headline_says_what_is_wrong() -> None:
    assert headline(report())[0] == "The books agree with the chain, to the base unit."
    odd = OutflowTally("final", "destination_mismatch", BTC.id, 1, 450_290_000_000)
    wrong = report(books=(replace(report().books[0], chain_balance=95),), outflows=(*report().outflows, odd))
    assert headline(wrong)[:2] == (
        "The books do not agree with the chain: btc-hot by -0.00000001 BTC.",
        "4 outflows, 1 not as approved: 4,502.9 BTC destination mismatch.",
    )
    assert make_sheets(wrong)[0].rows[0][-1] == "has 0.00000001 more"


def test_the_object_keeps_amounts_as_texts_of_base_units() -> None:
    found = daily_object(report())
    (wallet,) = found["wallets"]
    kept = {key: wallet[key] for key in ("opening", "in", "out", "fees", "closing", "chain_balance", "difference")}
    assert kept == {
        "opening": "100",
        "in": "5",
        "out": "10",
        "fees": "1",
        "closing": "94",
        "chain_balance": "94",
        "difference": "0",
    }
    assert found["limits"][0]["used_percent"] == "3 %"
    assert found["cases"][0]["stolen"][0]["amount"] == "450290000000"
    assert found["alerts"]["time_to_acknowledge_secs"] == {"median": 252, "max": 252}
    assert json.loads(render_daily(report(), "json")) == found


def test_every_value_of_the_object_has_a_line_in_the_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(render_daily(report(), ReportForm.CSV))))
    lines = {(row["section"], row["row"], row["field"]): row["value"] for row in rows}
    assert lines["wallets", "1", "closing"] == "94"
    assert lines["alerts", "1", "time_to_acknowledge_secs.median"] == "252"
    assert lines["cases", "1", "stolen.1.amount"] == "450290000000"
    assert lines["complete", "1", ""] == "yes"


@pytest.mark.parametrize("form", list(ReportForm))
def test_a_strangers_words_stay_words_in_every_form(form: ReportForm) -> None:
    """Whoever can name a silence or a case could otherwise put a script into the page that treasury opens, a formula
    into its spreadsheet, or an escape sequence into its terminal.
    """
    silence = replace(report().silences[0], reason=EVIL, by="=1+1")
    case = replace(report().cases[0], name=EVIL)
    text = render_daily(report(silences=(silence,), cases=(case,)), form)
    if form is ReportForm.HTML:
        assert "<script" not in text
        assert "&lt;script&gt;" in text
    if form is ReportForm.MD:
        assert "<script" not in text
        assert "\\|=HYPERLINK" in text
    if form is ReportForm.CSV:
        assert ",'=1+1\n" in text
    assert "\x1b" not in text
    if form is not ReportForm.JSON:
        assert "\u202e" not in text


def test_an_empty_day_is_said_to_be_empty() -> None:
    nothing = report(
        books=(),
        outflows=(),
        findings=(),
        alerts=time_alerts([]),
        limits=(),
        hot=(),
        silences=(),
        unwatched=(),
        cases=(),
    )
    text = render_daily(nothing, "table")
    for words in (
        "Nothing left the perimeter.",
        "no rule was broken",
        "watched without a gap",
        "no thefts are followed",
    ):
        assert words in text
    assert "no limits are configured" in render_daily(nothing, "html")


def test_a_day_that_is_not_over_says_so() -> None:
    part = report(made_at=NOON)
    assert render_daily(part, "md").startswith("# Daily report 2024-05-31 (Asia/Tokyo, the day so far)")
    assert "the day so far" in render_daily(part, "html")
    assert daily_object(part)["complete"] is False


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = render_daily(report(), "html")
    assert "default-src 'none'" in page
    for forbidden in ("http://", "https://", "<script", "@import", "url("):
        assert forbidden not in page


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="pdf"):
        render_daily(report(), "pdf")
