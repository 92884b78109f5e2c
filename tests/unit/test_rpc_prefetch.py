"""Blocks fetched ahead: asked for by other threads, met where the worker would have asked, dropped when in doubt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from chains.errors import BlockGone, ChainError, LyingNode, RateLimited, Unreachable
from chains.model import BlockFacts, BlockRef, ChainId
from chains.rpc import prefetch as ahead
from chains.rpc.jsonrpc import Call, Json, Transport
from chains.rpc.prefetch import Ask, BlockRequests, Fetches, Prefetcher, View, asked_anew, requests_of

CHAIN = ChainId("eip155", "1")
HIGHEST = 500
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Bodies:
    size: int
    rows: list[Json | ChainError]
    broken: ChainError | None = None

    def answers(self) -> list[Json | ChainError]:
        if self.broken is not None:
            raise self.broken
        return self.rows


@dataclass
class Node:
    """Answers `block [height]` with `branch:height`; a fault stands in for the answer to a height, as often as told."""

    name: str = "node"
    branch: str = "a"
    weight: int = 1_000
    fork: int = HIGHEST
    """Up to here the branch is `a`, whatever it is called."""
    faults: dict[int, list[Any]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    """Heights that the worker's own thread asked for."""
    fetched: list[int] = field(default_factory=list)
    worker: int = field(default_factory=threading.get_ident)
    connections: int = 1

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, ChainError):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        return self.fetch(calls).answers()

    def fetch(self, calls: Sequence[Call]) -> Bodies:
        heights = [int(params[0]) for _, params in calls]
        (self.asked if threading.get_ident() == self.worker else self.fetched).extend(heights)
        rows = [self._answer(height) for height in heights]
        broken = next((row for row in rows if isinstance(row, Unreachable | LyingNode | RateLimited)), None)
        return Bodies(self.weight * len(calls), rows, broken)

    def _answer(self, height: int) -> Any:
        left = self.faults.get(height)
        if left:
            return left.pop(0)
        return {"hash": self.hash_at(height), "parent": self.hash_at(height - 1)}

    def hash_at(self, height: int) -> str:
        return f"{'a' if height <= self.fork else self.branch}:{height}"

    def raw(self, path: str) -> bytes:
        return path.encode()

    def close(self) -> None:
        return


def digest(text: str) -> bytes:
    return text.encode().rjust(32, b"\0")


def plan(node: Fetches, heights: range) -> Ask:
    calls: list[Call] = [("block", [height]) for height in heights]
    return lambda: requests_of(calls, node.fetch(calls))


def reader(node: Transport, height: int) -> Callable[[View], BlockFacts]:
    def ask(view: View) -> BlockFacts:
        told = view(node).call("block", [height])
        if told is None:
            raise BlockGone("not there yet")
        ref = BlockRef(height, digest(told["hash"]))
        return BlockFacts(CHAIN, ref, digest(told["parent"]), NOON, ())

    return ask


@pytest.fixture
def fetching() -> Iterator[Prefetcher]:
    opened = Prefetcher()
    yield opened
    opened.close()


def read(fetching: Prefetcher, node: Node, *heights: int, highest: int = HIGHEST) -> list[BlockFacts]:
    return [fetching.block(height, highest, plan, reader(node, height)) for height in heights]


def test_from_the_third_block_in_a_row_on_the_worker_asks_nothing(fetching: Prefetcher) -> None:
    node = Node()
    facts = read(fetching, node, *range(10, 40))
    assert [f.ref.hash for f in facts] == [digest(f"a:{height}") for height in range(10, 40)]
    assert node.asked == [10, 11]
    assert node.fetched[:3] == [12, 13, 14]
    assert len(node.fetched) == len(set(node.fetched))


def test_nothing_is_fetched_above_the_highest_block_known(fetching: Prefetcher) -> None:
    node = Node()
    read(fetching, node, 10, 11, 12, highest=12)
    assert (node.asked, node.fetched) == ([10, 11], [12])


@pytest.mark.parametrize("fault", [Unreachable("reset"), RateLimited("slow down"), LyingNode("another question")])
def test_an_error_fetched_ahead_is_raised_at_its_block_and_then_the_node_is_asked(
    fetching: Prefetcher, fault: ChainError
) -> None:
    node = Node(faults={13: [fault]})
    read(fetching, node, 10, 11, 12)
    with pytest.raises(type(fault)):
        read(fetching, node, 13)
    (facts,) = read(fetching, node, 13)
    assert facts.ref.hash == digest("a:13")
    assert node.asked[-1] == 13


@pytest.mark.parametrize("fault", [None, BlockGone("unknown block")])
def test_a_block_that_was_not_there_yet_is_asked_for_again(fetching: Prefetcher, fault: ChainError | None) -> None:
    node = Node(faults={13: [fault]})
    assert read(fetching, node, 10, 11, 12, 13)[-1].ref.hash == digest("a:13")
    assert 13 in node.asked


def test_a_block_of_the_branch_that_was_left_is_asked_for_again(fetching: Prefetcher) -> None:
    """The worker would else take the stale block for a reorg and step back from a block that stands."""
    node = Node(faults={12: [None]})
    read(fetching, node, 10, 11)
    drain(fetching)
    node.branch, node.fork = "b", 11
    facts = read(fetching, node, 12, 13)
    assert [f.ref.hash for f in facts] == [digest("b:12"), digest("b:13")]
    assert 13 in node.fetched
    assert node.asked[-1] == 13


def test_a_block_fetched_in_time_extends_what_was_given_though_the_node_left_it_since(fetching: Prefetcher) -> None:
    node = Node()
    read(fetching, node, 10, 11)
    drain(fetching)
    node.branch, node.fork = "b", 11
    assert read(fetching, node, 12)[0].ref.hash == digest("a:12")


def drain(fetching: Prefetcher) -> None:
    """Wait until everything under way came."""
    for job in fetching._jobs:
        job.future.exception()


def test_another_block_than_the_next_drops_what_was_fetched(fetching: Prefetcher) -> None:
    node = Node()
    read(fetching, node, 10, 11, 12, 10, 11, 12)
    assert node.asked == [10, 11, 10, 11]
    assert node.fetched.count(12) == 2


def test_the_same_block_again_is_asked_of_the_node(fetching: Prefetcher) -> None:
    node = Node()
    read(fetching, node, 10, 11, 12, 12, 13)
    assert node.asked == [10, 11, 12]


def test_another_endpoint_is_not_told_for_the_one_that_was_asked_ahead(fetching: Prefetcher) -> None:
    node, other = Node(), Node("other", branch="b", fork=0)
    read(fetching, node, 10, 11)
    drain(fetching)
    (facts,) = read(fetching, other, 12)
    assert facts.ref.hash == digest("b:12")
    assert other.asked == [12]


def test_what_lay_for_a_minute_is_asked_for_again() -> None:
    now = [0.0]
    fetching, node = Prefetcher(lambda: now[0]), Node()
    read(fetching, node, 10, 11)
    drain(fetching)
    now[0] = ahead.MAX_AGE_SECS + 1
    read(fetching, node, 12)
    assert node.asked == [10, 11, 12]
    fetching.close()


def test_no_more_bytes_lie_fetched_than_the_bound(fetching: Prefetcher) -> None:
    node = Node(weight=ahead.MAX_BYTES // 8)
    for height in range(10, 60):
        read(fetching, node, height)
        drain(fetching)
        assert sum(job.size or 0 for job in fetching._jobs) <= ahead.MAX_BYTES


def test_no_more_blocks_lie_fetched_than_the_bound(fetching: Prefetcher) -> None:
    node = Node(weight=1)
    read(fetching, node, *range(10, 30))
    drain(fetching)
    assert max(node.fetched) <= 30 + ahead.MAX_BLOCKS


def test_a_transport_that_cannot_fetch_is_asked_block_by_block(fetching: Prefetcher) -> None:
    """Captures: a file's answers come in the order in which they were asked for."""

    class Plain:
        name = "capture"

        def __init__(self) -> None:
            self.node = Node()
            self.call, self.batch, self.raw, self.close = (
                self.node.call,
                self.node.batch,
                self.node.raw,
                self.node.close,
            )

    plain = Plain()
    for height in (10, 11, 12, 13):
        fetching.block(height, HIGHEST, plan, reader(plain, height))
    assert plain.node.asked == [10, 11, 12, 13]


def test_after_the_end_nothing_is_fetched() -> None:
    fetching, node = Prefetcher(), Node()
    read(fetching, node, 10, 11)
    fetching.close()
    facts = read(fetching, node, *range(12, 120))
    assert [f.ref.height for f in facts] == list(range(12, 120))
    assert node.asked[-1] == 119
    assert max(node.fetched) <= 12 + ahead.MAX_BLOCKS


def test_a_second_look_passes_by_what_was_fetched(fetching: Prefetcher) -> None:
    node = Node()
    read(fetching, node, 10, 11)

    def ask(view: View) -> BlockFacts:
        seen = view(node)
        assert seen is not node
        assert asked_anew(seen) is node
        return reader(asked_anew(seen), 12)(lambda same: same)

    fetching.block(12, HIGHEST, plan, ask)
    assert node.asked == [10, 11, 12]


def test_a_bug_in_the_fetching_is_not_taken_for_the_nodes_word(fetching: Prefetcher) -> None:
    def broken(_node: Fetches, _heights: range) -> Ask:
        def ask() -> BlockRequests:
            raise ZeroDivisionError

        return ask

    node = Node()
    for height in (10, 11):
        fetching.block(height, HIGHEST, broken, reader(node, height))
    with pytest.raises(ZeroDivisionError):
        fetching.block(12, HIGHEST, broken, reader(node, 12))
