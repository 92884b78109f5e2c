"""An alert as Slack's Block Kit. Pure dictionaries; the limits are those of Slack's reference.

Whatever somebody else may have written (labels, memos, summaries that quote them) stands in `plain_text` objects, where
Slack makes no links, mentions or formatting, and is escaped all the same. Own words are mrkdwn with `verbatim`, which
keeps Slack from turning texts that look like links or channels into such.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from walletwatch.alerts.ports import AlertView
from walletwatch.alerts.rendering import Page, make_page
from walletwatch.domain.findings import Severity

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3_000
MAX_FIELD = 2_000
MAX_FIELDS = 10
MAX_TEXT = 4_000
EVENT_TYPE = "walletwatch_alert"

_MARKS = {Severity.CRITICAL: "🟥", Severity.HIGH: "🟧", Severity.MEDIUM: "🟨", Severity.LOW: "🟦", Severity.INFO: "⬜"}

Block = dict[str, Any]


def escape(text: str, limit: int) -> str:
    """Slack's three control characters as entities; the result, entities whole, is at most `limit` long."""
    parts: list[str] = []
    length = 0
    for char in text:
        part = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(char, char)
        if length + len(part) > limit - 1:
            return "".join(parts) + "…"
        parts.append(part)
        length += len(part)
    return "".join(parts)


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": escape(text, limit), "emoji": False}


def _section(lines: Iterable[str]) -> list[Block]:
    text = "\n".join(lines)
    return [{"type": "section", "text": _plain(text, MAX_SECTION)}] if text else []


def _code(text: str) -> str:
    return escape(text.replace("`", "'"), MAX_FIELD - 200)


def _fields(page: Page) -> Block:
    pairs = [("State", page.status), *page.facts]
    fields = [
        {"type": "mrkdwn", "text": f"*{escape(label, 60)}*\n`{_code(value)}`", "verbatim": True}
        for label, value in pairs[:MAX_FIELDS]
    ]
    return {"type": "section", "fields": fields}


def make_blocks(page: Page) -> list[Block]:
    """The message's blocks, at most 50."""
    commands = "\n".join(page.commands)
    blocks = [
        {"type": "header", "text": _plain(f"{_MARKS[page.severity]} {page.title}", MAX_HEADER)},
        _fields(page),
        *_section(("To", *page.destinations) if page.destinations else ()),
        *(block for line in page.findings for block in _section([line.text])),
        {"type": "section", "text": {"type": "mrkdwn", "text": f"```{_code(commands)}```", "verbatim": True}},
        {"type": "context", "elements": [_plain(f"alert {page.alert_id} · version {page.version}", MAX_FIELD)]},
    ]
    return blocks[:MAX_BLOCKS]


def make_message(view: AlertView) -> dict[str, Any]:
    """The arguments of chat.postMessage and chat.update that say this alert. `text` is what notifications show."""
    page = make_page(view)
    return {
        "text": escape(f"{page.title} ({page.status}) {page.alert_id}", MAX_TEXT),
        "blocks": make_blocks(page),
        "metadata": {
            "event_type": EVENT_TYPE,
            "event_payload": {"alert_id": page.alert_id, "version": page.version},
        },
        "parse": "none",
        "link_names": False,
    }


def make_reply(view: AlertView, notified_version: int) -> tuple[str, bool] | None:
    """What to answer in the message's thread about changes since `notified_version`, and whether the channel should see
    it too; None if nothing of it is worth an answer.
    """
    since = [c for c in view.alert.changes if c.version > notified_version and c.notable]
    if not since:
        return None
    lines = "\n".join(c.what.replace("\n", " ") for c in since)
    return escape(f"{lines}\n{view.alert.id}", MAX_TEXT), any(c.loud for c in since)
