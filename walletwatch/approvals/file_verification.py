"""Checking a whole log before it goes live: a row for every line, good or bad."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from walletwatch.approvals.acts import Malformed
from walletwatch.approvals.feeds import Feed, read_feed
from walletwatch.approvals.positions import FeedPosition
from walletwatch.approvals.request_book import RequestBook, opens
from walletwatch.approvals.signatures import NOT_AUTHORISED
from walletwatch.domain.withdrawals import Act, ActKind


def verify_file(feed: Feed, now: datetime) -> Iterator[dict[str, Any]]:
    """A row for every line of a log, in order: `{line, ok, act, request_id, actor, kid, rule?, reason?}`.

    `ok` says that the line is an act that may count: well formed, signed by its actor, its request by somebody who may
    ask for payments, and over the content of the request that stands before it. Raises FeedUnreadable.
    """
    book = RequestBook(feed.ring.people)
    position = FeedPosition()
    while True:
        batch = read_feed(feed, position, now)
        rows: list[Act | Malformed] = [*batch.acts, *batch.malformed]
        yield from (_row(answer, feed, book) for answer in sorted(rows, key=lambda r: r.line))
        position = batch.position
        if not batch.more:
            break
    if batch.waiting is not None:
        yield _bad(position.lines + 1, "feed_malformed", "the last line has no newline: it is no line yet")


def _row(answer: Act | Malformed, feed: Feed, book: RequestBook) -> dict[str, Any]:
    if isinstance(answer, Malformed):
        return _bad(answer.line, "feed_malformed", answer.error)
    book.add(answer)
    rule, reason = _flaw(answer, feed, book)
    row: dict[str, Any] = {
        "line": answer.line,
        "ok": not rule,
        "act": answer.kind.value,
        "request_id": answer.request_id,
        "actor": answer.actor,
        "kid": answer.kid,
    }
    return row | ({"rule": rule, "reason": reason} if rule else {})


def _flaw(act: Act, feed: Feed, book: RequestBook) -> tuple[str, str]:
    if act.refused:
        return act.refused, act.reason
    if act.kind is ActKind.REQUEST and not opens(act, feed.ring.people):
        return NOT_AUTHORISED, f"{act.actor} may not ask for payments (no role requester)"
    if any(conflict.other == act for conflict in book.conflicts(act.request_id)):
        return "content_mismatch", f"a request {act.request_id} with other content stands before it"
    request = book.get(act.request_id)
    if request is not None and act.intent_hash not in ("", request.intent.hash):
        return "content_mismatch", f"the act is over other content than request {act.request_id}"
    if act.shown_hash not in ("", act.intent_hash):
        return "content_mismatch", "the screen showed other content than was signed"
    return "", ""


def _bad(line: int, rule: str, reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("act", "request_id", "actor", "kid"))
    return {"line": line, "ok": False, **nothing, "rule": rule, "reason": reason}
