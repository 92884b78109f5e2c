"""Nothing somebody else wrote can ping, link or break a Slack message."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from alerts_samples import THIEF, make_alert, make_finding, make_view
from slack_server import _find_fault, find_pings
from walletwatch.alerts.rendering import make_text
from walletwatch.alerts.slack import escape, make_message
from walletwatch.domain.labels import Label

HOSTILE = st.lists(
    st.sampled_from(
        ["<!channel>", "<@U1>", "<http://e.example|ok>", "&", "&lt;", "`", "```", "\n", "\x1b[2J", "\u202e"]
    )
    | st.text(max_size=30),
    max_size=400,
).map("".join)


@given(st.text(), st.integers(5, 200))
def test_an_escaped_text_fits_and_its_entities_are_whole(text: str, limit: int) -> None:
    out = escape(text, limit)
    assert len(out) <= limit
    assert not set("<>") & set(out)
    assert re.sub(r"&(amp|lt|gt);", "", out).count("&") == 0
    if not out.endswith("…"):
        assert html.unescape(out) == text or "&" in text


@given(HOSTILE, HOSTILE)
def test_any_words_make_a_message_slack_takes_and_that_pings_nobody(summary: str, label: str) -> None:
    finding = make_finding(summary=summary)
    labels = {THIEF.text: (Label("*", THIEF.text, label, "other"),)}
    view = make_view(make_alert(finding), findings=(finding,), labels=labels)
    message = make_message(view)
    assert _find_fault(message) == ""
    for block in message["blocks"]:
        for part in [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]:
            if part:
                assert find_pings(part["text"]) == []
    assert find_pings(message["text"]) == []


@given(HOSTILE)
def test_any_words_stay_on_their_line_of_a_terminal(summary: str) -> None:
    finding = make_finding(summary=summary)
    plain = make_text(make_view(make_alert(finding), findings=(finding,)))
    calm = make_text(make_view(make_alert(finding), findings=(make_finding(summary="x"),)))
    assert plain.count("\n") == calm.count("\n")
    assert all(c.isprintable() or c == "\n" for c in plain)
