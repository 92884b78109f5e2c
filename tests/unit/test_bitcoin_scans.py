"""A scan of all unspent outputs, told of and ended by another thread than the one it keeps waiting."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from chains.bitcoin.client import Client
from chains.bitcoin.utxo_scan import UtxoScans
from chains.errors import ChainError, RpcError, Unreachable


class ScanningNode:
    """Answers `scantxoutset` as bitcoind does: `start` when the scan ends or is aborted, `status` while it runs."""

    name = "node"

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.done = False
        self.aborted = False
        self.percent = 40

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        assert method == "scantxoutset"
        return getattr(self, f"_{params[0]}")()

    def _start(self) -> Any:
        self.begun.set()
        assert self.ended.wait(10)
        return {"success": not self.aborted}

    def _status(self) -> Any:
        return {"progress": self.percent} if self.begun.is_set() and not self.ended.is_set() else None

    def _abort(self) -> bool:
        running = self.begun.is_set() and not self.ended.is_set()
        self.aborted = running
        self.ended.set()
        return running

    def batch(self, _calls: Any) -> Any:
        raise NotImplementedError

    def raw(self, _path: str) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class Scanning:
    """A scan of so many batches in a thread of its own."""

    def __init__(self, scans: UtxoScans, node: ScanningNode, batches: int) -> None:
        self.answers: list[Any] = []
        self.error: ChainError | None = None
        self._thread = threading.Thread(target=self._run, args=(scans, Client(node), batches))
        self._thread.start()

    def _run(self, scans: UtxoScans, client: Client, batches: int) -> None:
        try:
            self.answers = scans.run(client, [[b"\x51"]] * batches)
        except ChainError as error:
            self.error = error

    def end(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_how_far_it_is_counts_all_batches() -> None:
    node, scans = ScanningNode(), UtxoScans()
    assert scans.progress() is None
    scanning = Scanning(scans, node, 4)
    assert node.begun.wait(10)
    assert scans.progress() == 10  # 40 % of the first of four
    node.ended.set()
    scanning.end()
    assert [answer["success"] for answer in scanning.answers] == [True] * 4
    assert scans.progress() is None


def test_closing_ends_the_node_s_scan_and_begins_no_other() -> None:
    """A daemon that stops would leave the node scanning for nobody, and its next start would be refused."""
    node, scans = ScanningNode(), UtxoScans()
    scanning = Scanning(scans, node, 4)
    assert node.begun.wait(10)
    scans.close()
    scanning.end()
    assert node.aborted
    assert isinstance(scanning.error, Unreachable)
    with pytest.raises(Unreachable, match="closing"):
        scans.run(Client(node), [[b"\x51"]])
    scans.close()


def test_a_node_that_refuses_to_be_asked_is_let_be() -> None:
    class Refusing(ScanningNode):
        def call(self, method: str, params: Sequence[Any] = ()) -> Any:
            if params[0] != "start":
                raise RpcError("no", code=-1)
            return super().call(method, params)

    node, scans = Refusing(), UtxoScans()
    scanning = Scanning(scans, node, 1)
    assert node.begun.wait(10)
    assert scans.progress() is None
    scans.close()
    node.ended.set()
    scanning.end()
    assert [answer["success"] for answer in scanning.answers] == [True]
