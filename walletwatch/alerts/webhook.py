"""Alerts as signed JSON by HTTP POST."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from walletwatch.alerts.ports import AlertView, PriorDelivery, SendResult, Sent, SinkRefused, TryLater
from walletwatch.domain.objects import Names, alert_object, finding_object, outflow_object
from walletwatch.domain.times import Clock, utc_now


def event_object(view: AlertView) -> dict[str, Any]:
    """The alert as it stands, with `details`."""
    labels = {address: said[0].label for address, said in view.labels.items() if said}
    names = Names(view.names.assets, view.names.chains, labels)
    about = {o.id: [f.id for f in view.findings if f.outflow == o.id] for o in view.outflows}
    return {
        "type": "walletwatch.alert/v1",
        **alert_object(view.alert),
        "details": {
            "findings": [finding_object(f, names) for f in view.findings],
            "outflows": [
                outflow_object(o, names, requests=view.requests.get(o.id, ()), findings=about[o.id])
                for o in view.outflows
            ],
        },
    }


MAX_BODY_BYTES = 1_000_000
_LATER = frozenset({408, 421, 425, 429})
_SIGNATURE = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})\Z")


def sign_body(secret: bytes, body: bytes, at: datetime) -> str:
    """The value of `Walletwatch-Signature`."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret, b"%d." % seconds + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def verify_signature(secret: bytes, header: str, body: bytes, now: datetime, tolerance_secs: int = 300) -> bool:
    """For receivers: whether the body was signed with `secret` not longer than `tolerance_secs` from `now`."""
    match = _SIGNATURE.match(header)
    if match is None or abs(int(match[1]) - now.timestamp()) > tolerance_secs:
        return False
    expected = hmac.new(secret, match[1].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, match[2])


class WebhookNotifier:
    """An HTTP endpoint. Only the host of its URL ever shows: paths of webhooks are often secrets themselves."""

    can_edit = False
    min_interval_secs = 0.0

    def __init__(self, name: str, url: str, secret: bytes, timeout_secs: float = 10.0, clock: Clock = utc_now) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._clock = clock
        timeout = urllib3.Timeout(connect=timeout_secs, read=timeout_secs)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False, maxsize=1)

    def __repr__(self) -> str:
        return f"WebhookNotifier(name={self.name!r}, host={urlsplit(self._url).hostname!r})"

    def check(self) -> SendResult:
        """Whether something answers there; an answer to HEAD of any status will do."""
        try:
            self._pool.request("HEAD", self._url, redirect=False, preload_content=False).close()
        except HTTPError as error:
            return TryLater(f"{self._host} cannot be reached: {type(error).__name__}")
        return Sent()

    def send(self, view: AlertView, told: PriorDelivery) -> SendResult:  # noqa: ARG002 - every version is its own event
        """POST the alert as it stands."""
        body = orjson.dumps(event_object(view))
        if len(body) > MAX_BODY_BYTES:
            body = orjson.dumps({k: v for k, v in event_object(view).items() if k != "details"})
        key = f"{view.alert.id}:{view.alert.version}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "walletwatch",
            "Idempotency-Key": key,
            "Walletwatch-Signature": sign_body(self._secret, body, self._clock()),
        }
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers, redirect=False, preload_content=False
            )
        except HTTPError as error:
            return TryLater(f"{self._host} cannot be reached: {type(error).__name__}")
        answer.close()  # the status is the answer: a body is not read, so it cannot be endless
        return self._judge(answer.status, answer.headers.get("Retry-After", ""), key)

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or "the webhook"

    def _judge(self, status: int, retry_after: str, key: str) -> SendResult:
        if 200 <= status < 300:
            return Sent(key)
        reason = f"{self._host} answered {status}"
        if 300 <= status < 400:
            return SinkRefused(f"{reason}: a redirect is not followed, configure its target")
        if status >= 500 or status in _LATER:
            waits = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 9
            return TryLater(reason, float(min(int(retry_after), 3_600)) if waits else None)
        return SinkRefused(reason)
