"""Alerts to Slack: messages in its block format, posted once, edited, answered in their thread."""

from __future__ import annotations

import http.client
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import WebClient

from walletwatch.alerts.ports import AlertView, PriorDelivery, SendResult, Sent, SinkRefused, TryLater
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


def _code_text(text: str) -> str:
    return escape(text.replace("`", "'"), MAX_FIELD - 200)


def _fields(page: Page) -> Block:
    pairs = [("State", page.status), *page.facts]
    fields = [
        {"type": "mrkdwn", "text": f"*{escape(label, 60)}*\n`{_code_text(value)}`", "verbatim": True}
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
        {"type": "section", "text": {"type": "mrkdwn", "text": f"```{_code_text(commands)}```", "verbatim": True}},
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


_log = logging.getLogger(__name__)

_FOR_GOOD = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"}
    | {"missing_scope", "not_allowed_token_type", "access_denied", "ekm_access_denied", "team_access_not_granted"}
    | {"channel_not_found", "not_in_channel", "is_archived", "restricted_action", "restricted_action_read_only_channel"}
    | {"invalid_arguments", "invalid_arg_name", "invalid_blocks", "invalid_metadata_format", "msg_too_long", "no_text"}
)
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
"""The message we knew cannot be changed: somebody deleted it, or the bot was put in anew."""
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{6,20}\Z")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}\Z")
_CODE = re.compile(r"[a-z0-9_]{1,80}\Z")
_PAGES = 5
_PAGE = 200
_SKEW_SECS = 3_600


class SlackNotifier:
    """A Slack channel. `channel` is its id or `#name`; the token never shows."""

    can_edit = True
    min_interval_secs = 1.0  # chat.postMessage takes about one message a second a channel

    def __init__(
        self, name: str, token: str, channel: str, base_url: str = "https://slack.com/api/", timeout_secs: int = 10
    ) -> None:
        self.name = name
        self._channel = channel
        self._channel_id = channel if _CHANNEL_ID.match(channel) else ""
        # No retry handlers: theirs for 429 sleeps in the thread, and a retry that forgets is no retry.
        self._client = WebClient(token=token, base_url=base_url, timeout=timeout_secs, retry_handlers=[])
        if re.match(r"https?://(localhost|127\.0\.0\.1|\[::1\])[:/]", base_url):
            self._client.proxy = None  # the client takes HTTPS_PROXY even for loopback

    def __repr__(self) -> str:
        return f"SlackNotifier(name={self.name!r}, channel={self._channel!r})"

    def check(self) -> SendResult:
        """auth.test: whether the token is good; `remote_id` is the bot's user id."""
        try:
            answer = self._client.auth_test()
            return Sent(str(answer.get("user_id", "")))
        except _TROUBLE as error:
            return _judge(error)

    def send(self, view: AlertView, told: PriorDelivery) -> SendResult:
        """Post the alert, or change the message it has; answer in the thread what is notable."""
        try:
            return self._send(view, told)
        except _TROUBLE as error:
            return _judge(error)

    def _send(self, view: AlertView, told: PriorDelivery) -> SendResult:
        remote_id = told.remote_id
        if not remote_id and told.uncertain:
            remote_id = self._find(view)
        if not remote_id:
            return Sent(self._write("chat_postMessage", view, self._channel_id or self._channel))
        channel, _, ts = remote_id.partition("/")
        try:
            self._write("chat_update", view, channel, ts=ts)
        except SlackApiError as error:
            if _code(error) not in _GONE:
                raise
            return Sent(self._write("chat_postMessage", view, channel))
        return self._answer(view, told, remote_id)

    def _write(self, method: str, view: AlertView, channel: str, **more: str) -> str:
        """Call a writing method; if Slack does not like our blocks the words must get through all the same."""
        message = make_message(view)
        if method == "chat_postMessage":
            message |= {"unfurl_links": False, "unfurl_media": False}
        call = getattr(self._client, method)
        try:
            answer = call(channel=channel, **message, **more)
        except SlackApiError as error:
            if _code(error) not in {"invalid_blocks", "invalid_blocks_format", "invalid_metadata_format"}:
                raise
            _log.error("Slack refused the blocks of alert %s (%s): sent as plain text", view.alert.id, _code(error))
            answer = call(channel=channel, text=message["text"], parse="none", link_names=False, **more)
        return self._learn(answer.get("channel"), answer.get("ts"))

    def _learn(self, channel: Any, ts: Any) -> str:
        if (
            not isinstance(channel, str)
            or not _CHANNEL_ID.match(channel)
            or not isinstance(ts, str)
            or not _TS.match(ts)
        ):
            raise SlackClientError("Slack answered ok without a channel and ts")
        self._channel_id = channel
        return f"{channel}/{ts}"

    def _answer(self, view: AlertView, told: PriorDelivery, remote_id: str) -> SendResult:
        """Say notable changes in the thread. A repeat after a crash may say them twice; none is left out."""
        reply = make_reply(view, told.version) if told.version else None
        if reply is None:
            return Sent(remote_id)
        channel, _, ts = remote_id.partition("/")
        text, loud = reply
        try:
            self._client.chat_postMessage(
                channel=channel, thread_ts=ts, text=text, reply_broadcast=loud, parse="none", link_names=False,
                unfurl_links=False, unfurl_media=False,
            )  # fmt: skip
        except _TROUBLE as error:
            result = _judge(error)
            if isinstance(result, TryLater):
                return TryLater(result.reason, result.after_secs, result.of_sink, remote_id)
            return result
        return Sent(remote_id)

    def _find(self, view: AlertView) -> str:
        """The message an earlier attempt may have left, empty if there is none (or the bot may not look)."""
        try:
            channel = self._channel_id or self._look_up_channel()
            return self._search(channel, view) if channel else ""
        except SlackApiError as error:
            if _code(error) != "missing_scope":
                raise
            _log.warning("Slack sink %s may not read its channel: an alert may be posted twice", self.name)
            return ""

    def _search(self, channel: str, view: AlertView) -> str:
        cursor, oldest = "", f"{view.alert.opened_at.timestamp() - _SKEW_SECS:.6f}"
        for _ in range(_PAGES):
            page = self._client.conversations_history(
                channel=channel, limit=_PAGE, oldest=oldest, include_all_metadata=True, cursor=cursor or None
            )
            for message in _list(page.get("messages")):
                if _alert_of(message) == view.alert.id:
                    return self._learn(channel, message.get("ts"))
            cursor = _next_cursor(page.get("response_metadata"))
            if not cursor:
                break
        return ""

    def _look_up_channel(self) -> str:
        cursor = ""
        for _ in range(_PAGES):
            page = self._client.conversations_list(
                exclude_archived=True, limit=1_000, types="public_channel,private_channel", cursor=cursor or None
            )
            for channel in _list(page.get("channels")):
                if channel.get("name") == self._channel.lstrip("#"):
                    self._channel_id = str(channel.get("id", ""))
                    return self._channel_id
            cursor = _next_cursor(page.get("response_metadata"))
            if not cursor:
                break
        return ""


_TROUBLE = (SlackClientError, http.client.HTTPException, OSError, UnicodeError, LookupError, AttributeError)
"""What the client lets through: its own errors; refused, reset and late connections (urllib's URLError is an OSError);
and what it stumbles over in an answer that is not what Slack's are (a JSON list, an unknown charset).
"""


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _alert_of(message: Mapping[str, Any]) -> str:
    metadata = message.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("event_type") != EVENT_TYPE:
        return ""
    payload = metadata.get("event_payload")
    return str(payload.get("alert_id", "")) if isinstance(payload, Mapping) else ""


def _next_cursor(metadata: Any) -> str:
    return str(metadata.get("next_cursor") or "") if isinstance(metadata, Mapping) else ""


def _code(error: SlackApiError) -> str:
    data = getattr(error.response, "data", None)
    code = data.get("error") if isinstance(data, Mapping) else None
    return code if isinstance(code, str) and _CODE.match(code) else ""


def _judge(error: Exception) -> SendResult:
    """Whether it is worth another try. Only what Slack's reference says is for good is taken as such."""
    if not isinstance(error, SlackApiError):
        return TryLater(f"Slack cannot be reached: {_say(error)}")
    code, status = _code(error), getattr(error.response, "status_code", 0)
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        return TryLater("Slack asked to slow down", _retry_after(error))
    if code in _FOR_GOOD:
        return SinkRefused(f"Slack refused: {code}")
    return TryLater(f"Slack answered {status}: {code or 'no error code'}")


def _say(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return f"{type(error).__name__}" + (f" ({reason})" if isinstance(reason, (OSError, str)) else "")


def _retry_after(error: SlackApiError) -> float:
    """Seconds Slack asked for, within an hour; 30 if it did not say."""
    headers = getattr(error.response, "headers", {})
    value = next((str(v) for k, v in headers.items() if k.lower() == "retry-after"), "")
    return float(min(int(value), 3_600)) if value.isascii() and value.isdigit() and len(value) < 9 else 30.0
