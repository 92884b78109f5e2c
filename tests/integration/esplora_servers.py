"""A local explorer that speaks the part of Esplora's HTTP API that is asked, over the blocks of a regtest node; the
shapes of its answers are those of the API's documentation. Told how to lie.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from chains.bitcoin.blocks import double_sha256
from chains.bitcoin.decode import RawTransaction, parse_transaction
from nodes.bitcoinds import Bitcoind

Change = Callable[[str, bytes], tuple[int, bytes]]
"""(path, honest answer) to (status, answer)."""


class Esplora:
    """Knows the blocks that the node has when it is made."""

    def __init__(self, node: Bitcoind) -> None:
        self.asked: list[str] = []
        self.change: Change = lambda _path, honest: (200, honest)
        self.tip = node.tip()[0]
        self.hashes = [node.cli("getblockhash", height) for height in range(self.tip + 1)]
        self.transactions: dict[str, RawTransaction] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.blocks: list[list[bytes]] = []
        self.spends: dict[tuple[str, int], tuple[str, int]] = {}
        for height, block_hash in enumerate(self.hashes):
            self._take(height, node.cli("getblock", block_hash, 2)["tx"])
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}/api"

    def _take(self, height: int, details: list[dict[str, Any]]) -> None:
        self.blocks.append([bytes.fromhex(detail["txid"]) for detail in details])
        for index, detail in enumerate(details):
            tx = parse_transaction(bytes.fromhex(detail["hex"]))
            self.transactions[detail["txid"]] = tx
            self.places[detail["txid"]] = (height, index)
            for n, spent in enumerate(tx.inputs):
                self.spends[spent.outpoint.txid.hex(), spent.outpoint.vout] = (detail["txid"], n)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body of `path` below /api/."""
        self.asked.append(path)
        honest = self._honest(path.split("/"))
        return (404, b"Transaction not found") if honest is None else self.change(path, honest)

    def _honest(self, parts: list[str]) -> bytes | None:
        if parts == ["blocks", "tip", "height"]:
            return str(self.tip).encode()
        if parts[0] == "block-height":
            return self.hashes[int(parts[1])].encode()
        if parts[0] != "tx" or parts[1] not in self.transactions:
            return None
        return {"hex": self._hex, "outspends": self._outspends, "merkle-proof": self._proof}[parts[2]](parts[1])

    def _hex(self, txid: str) -> bytes:
        return self.transactions[txid].raw.hex().encode()

    def _outspends(self, txid: str) -> bytes:
        spends = (self.spends.get((txid, vout)) for vout in range(len(self.transactions[txid].outputs)))
        return json.dumps([self._outspend(spend) for spend in spends]).encode()

    def _outspend(self, spend: tuple[str, int] | None) -> dict[str, Any]:
        if spend is None:
            return {"spent": False}
        height, _ = self.places[spend[0]]
        status = {"confirmed": True, "block_height": height, "block_hash": self.hashes[height], "block_time": 0}
        return {"spent": True, "txid": spend[0], "vin": spend[1], "status": status}

    def _proof(self, txid: str) -> bytes:
        height, index = self.places[txid]
        level, place, siblings = [found[::-1] for found in self.blocks[height]], index, []
        while len(level) > 1:
            level = level + level[-1:] if len(level) % 2 else level
            siblings.append(level[place ^ 1][::-1].hex())
            level = [double_sha256(a + b) for a, b in zip(level[::2], level[1::2], strict=True)]
            place //= 2
        return json.dumps({"block_height": height, "merkle": siblings, "pos": index}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                assert self.path.startswith("/api/")
                status, body = owner.answer(self.path.removeprefix("/api/"))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        return Handler
