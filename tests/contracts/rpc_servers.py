"""A real HTTP server that speaks JSON-RPC, for tests of transports: honest by default, and told how to misbehave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = tuple[int, dict[str, str], bytes]


def honest(asked: dict[str, Any]) -> dict[str, Any]:
    """Answers `echo` with its parameters, `fail` with the error in its parameters, anything else with -32601."""
    head = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] == "echo":
        return {**head, "result": asked["params"]}
    if asked["method"] == "fail":
        code, message = asked["params"]
        return {**head, "error": {"code": code, "message": message}}
    return {**head, "error": {"code": -32601, "message": "Method not found"}}


@dataclass
class RpcServer:
    """`answers` are used up first, one a request; then the honest answer is given. `gets` are the same for GET."""

    gets: list[Answer] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    transform: Callable[[Any], Any] = field(default=lambda answer: answer)
    authorization: list[str | None] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    drop_next: int = 0

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.bodies.append(body)
                self._give(owner.answer_to(body, self.headers.get("authorization")))

            def do_GET(self) -> None:
                if owner.gets:
                    self._give(owner.gets.pop(0))
                    return
                found = self.path == "/rest/thing.bin"
                self._give((200, {}, b"\x00\xffraw") if found else (404, {}, b"no such thing"))

            def _give(self, answer: Answer | None) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = "content-length" in headers

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer_to(self, body: bytes, authorization: str | None) -> Answer | None:
        self.authorization.append(authorization)
        if self.drop_next:
            self.drop_next -= 1
            return None
        if self.answers:
            return self.answers.pop(0)
        asked = json.loads(body)
        answer = [honest(a) for a in asked] if isinstance(asked, list) else honest(asked)
        failed = isinstance(answer, dict) and "error" in answer
        return (500 if failed else 200), {}, json.dumps(self.transform(answer)).encode()
