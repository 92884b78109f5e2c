"""A proxy between us and a node that lies, lags and drops as it is told; everything else it passes on.

What breaks on the way is the same for every chain and is done here; what a lie looks like is the family's own
(`bitcoin_proxies`, `evm_proxies`).
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

Call = dict[str, Any]


@dataclass
class LyingProxy:
    """`fault(call, number)` names the fault for a call of the request with this running number: `pass`, `truncate`
    (half the body), `garble` (no JSON), `late` (no answer until released), `drop` (no answer at all), `busy` (429), or
    one of the family's. The first call of a batch that gets a fault decides.
    """

    upstream: str
    fault: Callable[[Call, int], str] = field(default=lambda _call, _number: "pass")
    count: int = 0
    played: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.answer(self, body, self.headers.get("authorization", ""))

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def honest(self) -> None:
        """Pass everything on from now on."""
        self.fault = lambda _call, _number: "pass"

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes, authorization: str) -> None:
        fault, call = self._choose(json.loads(body))
        if fault == "late":
            self.released.wait(60.0)
        if fault in ("late", "drop"):
            handler.close_connection = True
            return
        status, said = (429, b"") if fault == "busy" else self.ask_node(body, authorization)
        if fault == "garble":
            said = b"<html>" + said
        elif fault not in ("pass", "busy", "truncate"):
            said = self.distort(fault, call, said, authorization)
        handler.send_response(status)
        handler.send_header("content-length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said[: len(said) // 2] if fault == "truncate" else said)
        handler.close_connection = fault == "truncate"

    def _choose(self, asked: Call | list[Call]) -> tuple[str, Call]:
        calls = asked if isinstance(asked, list) else [asked]
        self.count += 1
        for call in calls:
            fault = self.fault(call, self.count)
            if fault != "pass":
                self.played.append(fault)
                return fault, call
        return "pass", calls[0]

    def ask_node(self, body: bytes, authorization: str) -> tuple[int, bytes]:
        """What the node says."""
        parts = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            headers = {"content-type": "application/json"} | ({"authorization": authorization} if authorization else {})
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def distort(self, fault: str, call: Call, said: bytes, authorization: str) -> bytes:
        """The node's answer, made into a lie about `call`."""
        raise ValueError(f"no such fault: {fault}")
