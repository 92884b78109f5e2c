"""Files of acts: writing signed lines, and verifying every line of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import rfc8785
from joserfc import jwk, jws

from walletwatch.approvals.acts import ACT_TYPE, Malformed, hash_intent
from walletwatch.approvals.feeds import Feed, read_feed
from walletwatch.approvals.positions import FeedPosition
from walletwatch.approvals.request_book import RequestBook, opens
from walletwatch.approvals.signatures import NOT_AUTHORISED, REGISTRY
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, ActKind

_ALG_OF_CURVE = {"Ed25519": "Ed25519", "P-256": "ES256", "secp256k1": "ES256K"}


def make_intent(
    *,
    chain: str,
    asset: str,
    amount: int,
    destination: str,
    wallet: str = "",
    memo: str = "",
    customer: str = "",
    expires_at: datetime | None = None,
) -> dict[str, str]:
    """The intent of a request: CAIP-2 chain, CAIP-19 asset, `amount` in base units. Empty members are left out."""
    optional = {
        "wallet": wallet,
        "memo": memo,
        "customer": customer,
        "expires_at": format_utc(expires_at) if expires_at else "",
    }
    required = {"chain": chain, "asset": asset, "amount": str(amount), "destination": destination}
    return required | {name: text for name, text in optional.items() if text}


def make_payload(
    act: ActKind | str,
    request_id: str,
    actor: str,
    at: datetime,
    *,
    intent: Mapping[str, str] | None = None,
    shown_hash: str = "",
    txid: str = "",
) -> dict[str, Any]:
    """The payload of an act. `intent` is written out by a request and hashed by every act but a broadcast."""
    kind = ActKind(act)
    payload: dict[str, Any] = {
        "type": ACT_TYPE,
        "act": kind.value,
        "request_id": request_id,
        "actor": actor,
        "at": format_utc(at),
    }
    if kind is ActKind.BROADCAST:
        return payload | {"txid": txid}
    if intent is None:
        raise ValueError(f"{kind.value} needs the intent it is about")
    if kind is ActKind.REQUEST:
        payload["intent"] = dict(intent)
    payload["intent_hash"] = hash_intent(intent)
    return payload | ({"shown_hash": shown_hash} if shown_hash else {})


def sign_act(payload: Mapping[str, Any], private_jwk: Mapping[str, str], kid: str, alg: str = "") -> bytes:
    """One signed line with its newline: a flattened JWS over the canonical JSON of `payload`.

    `alg` follows from the key's curve (Ed25519, P-256, secp256k1) unless given. Raises ValueError for another curve.
    """
    alg = alg or _ALG_OF_CURVE.get(private_jwk.get("crv", ""), "")
    if not alg:
        raise ValueError(f"curve {private_jwk.get('crv')!r} is none of {', '.join(_ALG_OF_CURVE)}")
    key = jwk.import_key(dict(private_jwk))
    content = rfc8785.dumps(dict(payload))
    signed = jws.serialize_json({"protected": {"alg": alg, "kid": kid}}, content, key, registry=REGISTRY)
    return rfc8785.dumps({name: str(signed.get(name)) for name in ("payload", "protected", "signature")}) + b"\n"


def write_unsigned(payload: Mapping[str, Any]) -> bytes:
    """One unsigned line with its newline, for a feed with `signatures = "none"`."""
    return rfc8785.dumps(dict(payload)) + b"\n"


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
