"""A Slack workspace on this machine: an HTTP server that speaks the Web API methods in use, with its limits and faults.

The official client talks to it through `base_url`. Messages are kept by channel and ts; what is posted is held to Block
Kit's limits as Slack does, so that a message Slack would refuse is refused here.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

TOKEN = "xoxb-local-0001"
CHANNEL_ID = "C0TREASURY1"
CHANNEL_NAME = "treasury-alerts"
_LIMITS = {"header": 150, "section": 3000, "field": 2000, "context": 2000}
_JSON_ARGUMENTS = ("blocks", "metadata")


@dataclass
class Fault:
    """What goes wrong with the next matching call. `kind`: status, error, reset (before doing it), drop (after doing
    it, before the answer), junk (an answer that is no JSON object).
    """

    kind: str
    method: str = ""
    status: int = 500
    error: str = ""
    retry_after: str = ""
    body: bytes = b""


@dataclass
class Message:
    """A message as it stands, and every text it had."""

    channel: str
    ts: str
    arguments: dict[str, Any]
    thread_ts: str = ""
    texts: list[str] = field(default_factory=list)

    @property
    def alert_id(self) -> str:
        metadata = self.arguments.get("metadata") or {}
        return str(metadata.get("event_payload", {}).get("alert_id", ""))


class SlackServer:
    """Use as a context manager. `base_url` is for the client; `calls` are (method, arguments) in order."""

    def __init__(self, scopes: frozenset[str] = frozenset({"chat:write", "channels:read", "channels:history"})) -> None:
        self.scopes = scopes
        self.messages: dict[tuple[str, str], Message] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[Fault] = []
        self.on_message: Callable[[Message], None] | None = None
        self.archived = False
        self._clock = 1_790_000_000
        self._lock = threading.Lock()
        server = self

        class Handler(_Handler):
            slack = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/api/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def top_messages(self) -> list[Message]:
        """Messages that are no answers, in order."""
        return [m for m in self.messages.values() if not m.thread_ts]

    def replies(self, ts: str) -> list[Message]:
        return [m for m in self.messages.values() if m.thread_ts == ts]

    def take_fault(self, method: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.method in {"", method}:
                    self.faults.remove(fault)
                    return fault
        return None

    # --- methods ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.calls.append((method, arguments))
            if token != TOKEN:
                return _error("invalid_auth")
            known = {
                "auth.test": self._auth_test,
                "chat.postMessage": self._post,
                "chat.update": self._update,
                "conversations.history": self._history,
                "conversations.replies": self._replies,
                "conversations.list": self._list,
            }
            return known[method](arguments) if method in known else _error("unknown_method")

    def _auth_test(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": True, "user_id": "U0WALLETW", "team": "local", "url": self.base_url}

    def _channel(self, name: Any) -> str:
        return CHANNEL_ID if name in {CHANNEL_ID, CHANNEL_NAME, f"#{CHANNEL_NAME}"} else ""

    def _post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments.get("channel"))
        fault = "channel_not_found" if not channel else "is_archived" if self.archived else _find_fault(arguments)
        if fault:
            return _error(fault)
        self._clock += 1
        ts = f"{self._clock}.000100"
        message = Message(channel, ts, arguments, str(arguments.get("thread_ts") or ""), [arguments["text"]])
        self.messages[channel, ts] = message
        self._tell(message)
        return {"ok": True, "channel": channel, "ts": ts, "message": {"text": arguments["text"]}}

    def _update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("channel") != CHANNEL_ID:  # chat.update takes no names
            return _error("channel_not_found")
        message = self.messages.get((CHANNEL_ID, str(arguments.get("ts"))))
        if message is None:
            return _error("message_not_found")
        fault = _find_fault(arguments)
        if fault:
            return _error(fault)
        message.arguments = {**message.arguments, **arguments}
        message.texts.append(arguments["text"])
        self._tell(message)
        return {"ok": True, "channel": CHANNEL_ID, "ts": message.ts, "text": arguments["text"]}

    def _tell(self, message: Message) -> None:
        if self.on_message is not None:
            self.on_message(message)

    def _history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "channels:history" not in self.scopes:
            return _error("missing_scope")
        if arguments.get("channel") != CHANNEL_ID:
            return _error("channel_not_found")
        oldest = float(arguments.get("oldest") or 0)
        newest_first = [m for m in reversed(self.top_messages()) if float(m.ts) > oldest]
        return self._page(newest_first, arguments, "messages", lambda m: self._shown(m, arguments))

    def _shown(self, message: Message, arguments: Mapping[str, Any]) -> dict[str, Any]:
        with_metadata = str(arguments.get("include_all_metadata")).lower() in {"1", "true"}
        metadata = {"metadata": message.arguments.get("metadata")} if with_metadata else {}
        return {"type": "message", "ts": message.ts, "text": message.texts[-1], **metadata}

    def _replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        found = [m for m in self.messages.values() if arguments.get("ts") in {m.ts, m.thread_ts}]
        return self._page(found, arguments, "messages", lambda m: self._shown(m, arguments))

    def _list(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "channels:read" not in self.scopes:
            return _error("missing_scope")
        channels = [{"id": "C0GENERAL01", "name": "general"}, {"id": CHANNEL_ID, "name": CHANNEL_NAME}]
        return self._page(channels, arguments, "channels", lambda c: c)

    def _page(
        self, items: list[Any], arguments: Mapping[str, Any], name: str, show: Callable[[Any], dict[str, Any]]
    ) -> dict[str, Any]:
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
        more = start + limit < len(items)
        cursor = {"next_cursor": str(start + limit) if more else ""}
        shown = [show(item) for item in items[start : start + limit]]
        return {"ok": True, name: shown, "has_more": more, "response_metadata": cursor}


def _error(code: str) -> dict[str, Any]:
    return {"ok": False, "error": code}


def _find_fault(arguments: Mapping[str, Any]) -> str:
    """What Slack would refuse a message for."""
    text, blocks = arguments.get("text"), arguments.get("blocks") or []
    if not isinstance(text, str) or not text:
        return "no_text"
    if len(text) > 40_000:
        return "msg_too_long"
    if len(blocks) > 50 or not all(_fits(block) for block in blocks):
        return "invalid_blocks"
    metadata = arguments.get("metadata")
    if metadata is not None and set(metadata) != {"event_type", "event_payload"}:
        return "invalid_metadata_format"
    return ""


def _fits(block: Mapping[str, Any]) -> bool:
    kind = block.get("type")
    if kind == "header":
        return block["text"]["type"] == "plain_text" and _text_fits(block["text"], _LIMITS["header"])
    if kind == "section":
        fields = block.get("fields")
        if fields is not None:
            return 1 <= len(fields) <= 10 and all(_text_fits(f, _LIMITS["field"]) for f in fields)
        return _text_fits(block["text"], _LIMITS["section"])
    if kind == "context":
        return 1 <= len(block["elements"]) <= 10 and all(_text_fits(e, _LIMITS["context"]) for e in block["elements"])
    return kind == "divider"


def _text_fits(text: Mapping[str, Any], limit: int) -> bool:
    allowed = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
    known = allowed.get(str(text.get("type")), set())
    return bool(known) and set(text) <= known and 1 <= len(text["text"]) <= limit


class _Handler(BaseHTTPRequestHandler):
    slack: SlackServer
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # one write an answer: two small ones cost 40 ms (Nagle)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class named it
        pass

    def do_POST(self) -> None:
        method = self.path.removeprefix("/api/").partition("?")[0]
        arguments = self._arguments(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        fault = self.slack.take_fault(method)
        if fault is not None and fault.kind == "reset":
            self._reset()
            return
        if fault is not None and fault.kind == "status":
            extra = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            self._send(fault.status, fault.body or b'{"ok":false,"error":"ratelimited"}', extra)
            return
        if fault is not None and fault.kind in {"error", "junk"}:
            self._send(200, fault.body or json.dumps(_error(fault.error)).encode(), {})
            return
        token = str(self.headers.get("Authorization", "")).removeprefix("Bearer ")
        answer = self.slack.answer(method, token, arguments)
        if fault is not None and fault.kind == "drop":
            self._reset()
            return
        self._send(200, json.dumps(answer).encode(), {})

    def _arguments(self, body: bytes) -> dict[str, Any]:
        if "json" in str(self.headers.get("Content-Type")):
            parsed: dict[str, Any] = json.loads(body or b"{}")
            return parsed
        form: dict[str, Any] = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        for name in _JSON_ARGUMENTS:
            if isinstance(form.get(name), str):
                form[name] = json.loads(form[name])
        return form

    def _send(self, status: int, body: bytes, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        """Close with RST, as a crashed proxy does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def find_pings(text: str) -> list[str]:
    """What Slack would turn into a mention or a link in a text: tests expect none."""
    return re.findall(r"<[^>]*>", text)
