"""A proxy between us and a bitcoind that lies, lags and drops as it is told; everything else it passes on."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from nodes.bitcoinds import Bitcoind

MAINNET_GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


@dataclass
class LyingProxy:
    """`fault(call, number)` names the fault for the call with this running number: `pass`, `truncate` (half the body),
    `garble` (no JSON), `late` (no answer until released), `drop` (no answer at all), `other-block`, `other-chain`,
    `other-question`, `hide` (a transaction left out of a block) or `busy` (429).
    """

    node: Bitcoind
    fault: Callable[[dict[str, Any], int], str] = field(default=lambda _call, _number: "pass")
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
                owner.answer(self, body, self.headers["authorization"])

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

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes, authorization: str) -> None:
        call = json.loads(body)
        call = call[0] if isinstance(call, list) else call
        self.count += 1
        fault = self.fault(call, self.count)
        if fault != "pass":
            self.played.append(fault)
        if fault == "late":
            self.released.wait(60.0)
        if fault in ("late", "drop"):
            handler.close_connection = True
            return
        status, said = (429, b"") if fault == "busy" else self._ask_node(body, authorization)
        said = self._distort(fault, call, said, authorization)
        handler.send_response(status)
        handler.send_header("content-length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said[: len(said) // 2] if fault == "truncate" else said)
        handler.close_connection = fault == "truncate"

    def _ask_node(self, body: bytes, authorization: str) -> tuple[int, bytes]:
        parts = urlsplit(self.node.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            headers = {"content-type": "application/json", "authorization": authorization}
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _distort(self, fault: str, call: dict[str, Any], said: bytes, authorization: str) -> bytes:
        if fault == "garble":
            return b"<html>" + said
        if fault == "other-question":
            return said.replace(f'"id":{call["id"]}'.encode(), b'"id":0')
        if fault == "other-chain":
            return json.dumps({"id": call["id"], "result": MAINNET_GENESIS, "error": None}).encode()
        if fault == "other-block":
            other = {**call, "params": [self.node.cli("getblockhash", 1), *call["params"][1:]]}
            return self._ask_node(json.dumps(other).encode(), authorization)[1]
        if fault == "hide":
            return self._hide(call, said)
        return said

    def _hide(self, call: dict[str, Any], said: bytes) -> bytes:
        """The block without its last transaction."""
        answer = json.loads(said)
        block_hash, verbosity = call["params"]
        last = self.node.cli("getblock", block_hash, 2)["tx"][-1]["hex"]
        if verbosity == 0:
            raw: str = answer["result"]
            count = int(raw[160:162], 16)
            answer["result"] = raw[:160] + f"{count - 1:02x}" + raw[162:].removesuffix(last)
        else:
            answer["result"]["tx"].pop()
        return json.dumps(answer).encode()
