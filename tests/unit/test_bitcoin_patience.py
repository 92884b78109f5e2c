"""How long each question may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import orjson
import pytest

from chains.errors import Unreachable
from chains.rpc.http import HttpTransport
from chains.source import Endpoint


@pytest.fixture
def slow() -> Iterator[str]:
    """A node that takes half a second for everything, and is told apart by nothing else."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            done.wait(0.5)
            body = orjson.dumps({"id": asked["id"], "result": asked["method"], "error": None})
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    done.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_scan_of_all_unspent_outputs_may_take_minutes(slow: str) -> None:
    """On mainnet the scan takes minutes. It was given the 20 s of any question: the first contact failed for ever, and
    each try left the node scanning for nobody.
    """
    node = HttpTransport(Endpoint("slow", slow), timeout_secs=0.1)
    with pytest.raises(Unreachable, match="in time"):
        node.call("getblockhash", [0])
    assert node.call("scantxoutset", ["start", []]) == "scantxoutset"
    with pytest.raises(Unreachable, match="in time"):
        node.call("scantxoutset", ["status"])
    node.close()
