"""`audit why`: the DMM transaction's story, whole, in order, with its proofs."""

from dataclasses import replace
from datetime import timedelta

from alerts_samples import BITCOIN, BTC, LOOKALIKE, NAMES, T0, THEFT, make_alert, make_finding, make_outflow
from chains.model import Address
from walletwatch.alerts.lifecycle import acknowledge
from walletwatch.audit.leaves import AuditEntry, make_entry
from walletwatch.audit.stories import StoryFacts, make_story, story_markdown, story_rows, story_text
from walletwatch.domain.alerts import Delivery, Outcome
from walletwatch.domain.findings import Mode, VerdictKind
from walletwatch.domain.outflows import OutflowState
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Request

PAYEE = Address(b"\x01", "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")
INTENT = Intent(BITCOIN, BTC, 450_290_000_000, PAYEE, "sha256:00", memo="settlement | <b>")


def act(kind: ActKind, actor: str, minutes: int, **more: object) -> Act:
    digest = bytes([minutes % 256]) * 32
    at = T0 - timedelta(minutes=minutes)
    return Act(kind, "W-1042", actor, at, digest, "approvals.jsonl", 60 - minutes, f"{actor}-key", **more)  # type: ignore[arg-type]


REQUESTED = act(ActKind.REQUEST, "treasury-1", 60)
ACTS = (REQUESTED, act(ActKind.APPROVE, "compliance-1", 30), act(ActKind.APPROVE, "treasury-1", 20, signed=False))
REQUEST = Request("W-1042", INTENT, REQUESTED, ACTS)


def entries(alert_id: str) -> list[AuditEntry]:
    told = [
        (1, "outflow.included", THEFT.hex(), {"outflow": make_outflow().id, "height": 845_829}),
        (2, "finding.made", THEFT.hex(), {"finding": make_finding().id}),
        (2, "alert.opened", alert_id, {"alert": alert_id, "version": 1}),
        (300, "alert.changed", alert_id, {"alert": alert_id, "version": 2}),
        (3, "alert.delivered", alert_id, {"sink": "slack", "remote_id": "C1/1.2"}),
    ]
    return [make_entry(n, T0 + timedelta(seconds=s), "walletwatch", *rest) for n, (s, *rest) in enumerate(told)]  # type: ignore[arg-type]


def make_facts() -> StoryFacts:
    alert = acknowledge(make_alert(at=T0 + timedelta(seconds=2)), "treasury-2", "looking", T0 + timedelta(minutes=5))
    told = Delivery("slack", Outcome.DELIVERED, 1, "C1/1.2", T0 + timedelta(seconds=3))
    return StoryFacts(
        outflows=(make_outflow(OutflowState.INCLUDED),),
        requests=(REQUEST,),
        findings=(make_finding(), LOOKALIKE),
        alerts=(replace(alert, deliveries=(told,)),),
        entries=entries(alert.id),
        refused={ACTS[2].digest: "self_approval: the requester may not approve"},
    )


def test_the_story_runs_from_the_request_to_the_acknowledgement() -> None:
    story = make_story(THEFT.hex(), make_facts(), NAMES.amount)
    told = [(line.actor, line.what.split(":")[0]) for line in story.lines]
    assert told == [
        ("treasury-1", "requested W-1042"),
        ("compliance-1", "approved W-1042"),
        ("treasury-1", "approved W-1042"),
        ("chain", "4,502.9 BTC leaving dmm-hot was first seen"),
        ("chain", "4,502.9 BTC leaving dmm-hot was included in block 845829"),
        ("walletwatch", "rule lookalike_destination broken, high"),
        ("walletwatch", "rule unapproved broken, critical"),
        ("walletwatch", f"outflow included (height 845829, outflow {make_outflow().id})"),
        ("walletwatch", "alert opened"),
        ("slack", "last delivered to slack as C1/1.2, attempts 1"),
        ("walletwatch", "alert delivered (remote_id C1/1.2, sink slack)"),
        ("walletwatch", "alert changed"),
        ("treasury-2", "acknowledged the alert"),
    ]
    assert [line.at for line in story.lines] == sorted(line.at for line in story.lines)
    assert story.conclusion == (
        "4,502.9 BTC left dmm-hot; the outflow is included.",
        "Rules broken: lookalike_destination, unapproved.",
        "Requests: W-1042.",
    )


def test_each_line_says_where_to_check_it_and_each_entry_stands_once() -> None:
    story = make_story(THEFT.hex(), make_facts(), NAMES.amount)
    proofs = {line.what.split(":")[0]: line.evidence for line in story.lines}
    assert "audit entry 1" in proofs["rule unapproved broken, critical"]
    assert "audit entry 2" in proofs["alert opened"]
    assert "audit entry 3" in proofs["alert changed"]
    every = [part for line in story.lines for part in line.evidence if part.startswith("audit entry")]
    assert sorted(every) == [f"audit entry {n}" for n in range(5)]


def test_an_act_that_does_not_count_says_why_and_a_missing_signature_is_told() -> None:
    rows = story_rows(make_story(THEFT.hex(), make_facts(), NAMES.amount))
    assert rows[1]["evidence"] == "approvals.jsonl line 30; signed with compliance-1-key"
    assert rows[2]["evidence"] == (
        "approvals.jsonl line 40; not signed: weaker evidence; "
        "does not count (self_approval: the requester may not approve)"
    )


def test_undetermined_shadow_and_untraced_are_said() -> None:
    blind = make_finding(verdict=VerdictKind.UNDETERMINED, mode=Mode.SHADOW, summary="no price")
    story = make_story("x", StoryFacts(outflows=(make_outflow(traced=False),), findings=(blind,)), NAMES.amount)
    text = story_text(story)
    assert "could not be judged, critical (shadow: no alert): no price" in text
    assert "1 rule could not be judged." in text
    assert "these are the first receivers" in text


def test_nothing_known_and_nothing_wrong_are_different_answers() -> None:
    assert make_story("x", StoryFacts(), NAMES.amount).conclusion == ("No outflow of this transaction is known.",)
    fine = make_story("x", StoryFacts(outflows=(make_outflow(),)), NAMES.amount)
    assert fine.conclusion[-1] == "No rule was broken."


def test_a_memo_cannot_write_markup_or_hide_lines() -> None:
    evil = replace(REQUEST, intent=replace(INTENT, memo="x |\n| [ok](https://evil.example) <img> \u202e"))
    page = story_markdown(make_story("x", StoryFacts(requests=(evil,)), NAMES.amount))
    (line,) = [row for row in page.splitlines() if "memo" in row]
    assert line.replace("\\|", "").count("|") == 5
    assert "](" not in line.replace("\\]", "")
    assert "<img" not in line.replace("\\<", "")
    assert "\u202e" not in page
