"""Which findings make one alert, and what each new fact makes of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from alerts_samples import BITCOIN, LOOKALIKE, NAMES, T0, THEFT, make_alert, make_finding, make_outflow
from walletwatch.alerts.lifecycle import (
    NotPossible,
    acknowledge,
    close,
    end_silence,
    fingerprint_of,
    fold,
    make_silence,
    resolve,
    silence,
    unsilence,
    wake,
)
from walletwatch.alerts.rendering import make_title, plain
from walletwatch.domain.alerts import Alert, AlertState, Silence
from walletwatch.domain.findings import Mode, Severity, VerdictKind
from walletwatch.domain.outflows import OutflowState

LATER = T0 + timedelta(minutes=5)
FEE = make_finding("fee_anomaly", Severity.MEDIUM)
SHADOW = make_finding("sweep", Severity.CRITICAL, mode=Mode.SHADOW)


def refold(alert: Alert, *findings: object, **more: object) -> Alert:
    folded = fold(alert, alert.fingerprint, findings, (make_outflow(),), NAMES, LATER, **more)  # type: ignore[arg-type]
    assert folded is not None
    return folded


def make_silence_of(**matchers: tuple[str, ...]) -> Silence:
    return Silence("sil_1", "treasury-1", "planned sweep", T0, T0 + timedelta(hours=1), **matchers)


def test_a_replacement_joins_the_alert_of_the_first_transaction() -> None:
    other = make_finding(tx=b"\x02" * 32)
    assert fingerprint_of(other, family=THEFT) == fingerprint_of(make_finding()) == f"{BITCOIN}/tx/{THEFT.hex()}"
    assert fingerprint_of(other) != fingerprint_of(make_finding())


def test_findings_without_transaction_are_grouped_by_rule_place_and_day() -> None:
    stale = make_finding("node_stale", tx=None, wallet="", found_at=T0)
    assert fingerprint_of(stale) == f"rule/node_stale/{BITCOIN}/2024-05-31"
    assert fingerprint_of(replace(stale, found_at=T0 + timedelta(days=1))) != fingerprint_of(stale)
    feed = make_finding("feed_malformed", tx=None, wallet="", chain="", evidence={"feed": "approvals.jsonl"})
    assert fingerprint_of(feed) == "rule/feed_malformed/approvals.jsonl/2024-05-31"


def test_the_loudest_finding_gives_severity_and_title() -> None:
    alert = make_alert(LOOKALIKE, make_finding(), SHADOW)
    assert alert.severity is Severity.CRITICAL
    assert alert.title == "CRITICAL · unapproved outflow · 4,502.9 BTC left hot wallet dmm-hot"
    assert alert.findings == (make_finding().id, LOOKALIKE.id)
    assert (alert.state, alert.version) == (AlertState.OPEN, 1)


def test_shadow_findings_tell_nobody() -> None:
    assert fold(None, "f", (SHADOW,), (make_outflow(),), NAMES, T0) is None
    alert = make_alert(FEE)
    assert refold(alert, FEE, SHADOW) == alert


def test_the_same_facts_again_change_nothing() -> None:
    alert = make_alert()
    assert refold(alert, LOOKALIKE, make_finding()) == alert


def test_a_new_finding_is_a_new_version_and_a_louder_one_is_loud() -> None:
    quiet = refold(make_alert(make_finding()), make_finding(), LOOKALIKE)
    assert (quiet.version, quiet.severity) == (2, Severity.CRITICAL)
    assert (quiet.changes[-1].what, quiet.changes[-1].loud) == ("new: lookalike destination", False)
    loud = refold(make_alert(LOOKALIKE), make_finding(), LOOKALIKE)
    assert (loud.severity, loud.changes[-1].loud) == (Severity.CRITICAL, True)
    assert loud.changes[-1].what == "now critical, new: unapproved outflow"
    assert loud.title.startswith("CRITICAL · unapproved outflow")


def test_an_undetermined_finding_alerts_and_says_that_it_is_none_of_both() -> None:
    blind = make_finding(verdict=VerdictKind.UNDETERMINED, summary="the approval feed is silent")
    assert make_alert(blind).title.startswith("CRITICAL · unapproved outflow could not be judged · 4,502.9 BTC")


@pytest.mark.parametrize(
    ("state", "notable"),
    [
        (OutflowState.INCLUDED, False),
        (OutflowState.FINAL, False),
        (OutflowState.ORPHANED, True),
        (OutflowState.REPLACED, True),
    ],
)
def test_what_becomes_of_the_transaction_is_told(state: OutflowState, notable: bool) -> None:
    outflow = make_outflow(state)
    alert = make_alert()
    moved = fold(
        alert,
        alert.fingerprint,
        (make_finding(), LOOKALIKE),
        (outflow,),
        NAMES,
        LATER,
        before={outflow.id: OutflowState.SEEN},
    )
    assert moved is not None
    assert moved.version == 2
    assert (moved.changes[-1].what, moved.changes[-1].notable) == (f"seen → {state}", notable)


def test_a_replaced_transaction_is_not_counted_in_the_title() -> None:
    gone = make_outflow(OutflowState.REPLACED)
    other = make_outflow(tx=b"\x02" * 32, amount=100_000_000)
    assert "1 BTC left" in make_title([make_finding()], [gone, other], NAMES)
    assert "4,502.9 BTC left" in make_title([make_finding()], [gone], NAMES)


def test_a_closed_alert_reopens_on_a_new_finding_and_not_on_an_old_one() -> None:
    closed = close(make_alert(make_finding()), "treasury-1", "ours", LATER)
    assert refold(closed, make_finding()).state is AlertState.CLOSED
    again = refold(closed, make_finding(), LOOKALIKE)
    assert (again.state, again.closed, again.acknowledged) == (AlertState.OPEN, None, None)
    assert again.changes[-1].loud
    assert "reopened" in again.changes[-1].what


def test_an_acknowledgement_holds_for_as_loud_and_not_for_louder() -> None:
    known = acknowledge(make_alert(LOOKALIKE), "treasury-1", "looking", LATER)
    assert refold(known, LOOKALIKE, FEE).state is AlertState.ACKNOWLEDGED
    louder = refold(known, LOOKALIKE, make_finding())
    assert (louder.state, louder.acknowledged) == (AlertState.OPEN, None)


def test_a_silence_keeps_the_alert_and_every_matcher_must_fit() -> None:
    fits = make_silence_of(wallets=("dmm-hot",), rule_ids=("fee_anomaly",))
    assert make_alert(FEE, silences=(fits,)).state is AlertState.SILENCED
    assert make_alert(FEE, silences=(make_silence_of(wallets=("other",), rule_ids=("fee_anomaly",)),)).state == "open"
    assert make_alert(FEE, silences=(make_silence_of(),)).state == "open"
    assert make_alert(FEE, silences=(fits,), at=T0 + timedelta(hours=1)).state == "open"
    assert make_alert(make_finding(), FEE, silences=(fits,)).state == "open"


def test_a_finding_that_no_silence_covers_speaks_for_the_whole_alert() -> None:
    fits = make_silence_of(rule_ids=("fee_anomaly",))
    muted = make_alert(FEE, silences=(fits,))
    awake = refold(muted, FEE, make_finding(), silences=(fits,))
    assert awake.state is AlertState.OPEN
    assert awake.changes[-1].loud


def test_a_silence_that_is_over_lets_the_alert_speak() -> None:
    fits = make_silence_of(chains=(str(BITCOIN),))
    muted = make_alert(FEE, silences=(fits,))
    assert wake(muted, (FEE,), (fits,), LATER) == muted
    assert wake(muted, (FEE,), (end_silence(fits, LATER),), LATER).state is AlertState.OPEN
    assert wake(make_alert(FEE), (FEE,), (), LATER) == make_alert(FEE)


def test_each_decision_needs_who_and_why_and_a_state_that_allows_it() -> None:
    alert = make_alert()
    for by, reason in (("", "x"), ("x", ""), (" ", "x"), ("x", "\n"), ("x", "r" * 3_000)):
        with pytest.raises(NotPossible):
            acknowledge(alert, by, reason, LATER)
        with pytest.raises(NotPossible):
            close(alert, by, reason, LATER)
    known = acknowledge(alert, " treasury-1 ", "looking", LATER)
    assert (known.state, known.version, known.acknowledged and known.acknowledged.by) == (
        "acknowledged",
        2,
        "treasury-1",
    )
    with pytest.raises(NotPossible, match="already by treasury-1"):
        acknowledge(known, "treasury-2", "me too", LATER)
    done = close(known, "treasury-2", "ours", LATER)
    assert (done.state, done.version) == ("closed", 3)
    for act in (acknowledge, close, unsilence):
        with pytest.raises(NotPossible, match="closed already by treasury-2"):
            act(done, "a", "b", LATER)
    with pytest.raises(NotPossible, match="not silenced"):
        unsilence(known, "a", "b", LATER)


def test_silencing_one_alert_and_ending_it_returns_to_what_it_was() -> None:
    known = acknowledge(make_alert(), "treasury-1", "looking", LATER)
    muted = silence(known, make_silence_of(alert_ids=(known.id,)), LATER)
    assert muted.state is AlertState.SILENCED
    with pytest.raises(NotPossible, match="silenced already"):
        silence(muted, make_silence_of(alert_ids=(known.id,)), LATER)
    assert unsilence(muted, "treasury-1", "done", LATER).state is AlertState.ACKNOWLEDGED
    with pytest.raises(NotPossible, match="in the future"):
        silence(known, make_silence_of(alert_ids=(known.id,)), T0 + timedelta(hours=2))


def test_a_silence_needs_a_future_end_and_something_to_match() -> None:
    with pytest.raises(NotPossible, match="everything"):
        make_silence(make_silence_of(), T0)
    with pytest.raises(NotPossible, match="future"):
        make_silence(make_silence_of(wallets=("a",)), T0 + timedelta(hours=1))
    with pytest.raises(NotPossible, match="over already"):
        end_silence(make_silence_of(wallets=("a",)), T0 + timedelta(hours=1))
    assert make_silence(make_silence_of(wallets=("a",)), T0).wallets == ("a",)


def test_a_late_approval_closes_as_system_and_says_how_late() -> None:
    done = resolve(make_alert(), ("W-1042",), 312, LATER)
    assert done.closed is not None
    assert done.closed.by == "system"
    assert "W-1042" in done.closed.reason
    assert "312 s late" in done.closed.reason
    assert resolve(done, ("W-1042",), 999, LATER) == done


def test_a_title_has_no_characters_that_deceive() -> None:
    assert plain("a\u202e1\u200b2\n3\x00\x1b[31m") == "a 1 2 3 [31m"
    assert plain("x" * 1_000, 10) == "x" * 9 + "…"
    assert (
        "\u202e" not in make_alert(make_finding(wallet="a\u202eb"), outflows=(make_outflow(wallet="a\u202eb"),)).title
    )
