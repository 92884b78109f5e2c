"""Blocks fetched ahead: while one is decoded and judged, a few threads ask the node for those that follow.

Only bytes are fetched ahead. They are decoded, proved and believed by the worker's own thread when it asks for that
block, by the same code and at the same endpoint as if they came that moment; what was wrong with them is raised there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import orjson

from chains.errors import BlockGone, ChainError
from chains.model import BlockFacts, BlockRef
from chains.rpc.jsonrpc import Call, Json, Transport

THREADS: Final = 3
"""Questions under way at a time, beside the worker's own. Four connections is what a transport keeps open."""
MAX_BLOCKS: Final = 64
MAX_BYTES: Final = 64 << 20
"""What may lie fetched: 24 blocks of Bitcoin as hexadecimal, 100 of Ethereum with their logs."""
GROUP_BYTES: Final = 4 << 20
MAX_GROUP: Final = 16
"""Small blocks are asked for together: a node 50 ms away then costs 1 ms a block and not 17."""
MAX_AGE_SECS: Final = 60.0
"""What lay longer is asked for anew: the worker was held up, and the chain went on."""


class Fetched(Protocol):
    """Answers to a batch, as they came over the wire."""

    size: int
    """Bytes."""

    def answers(self) -> list[Json | ChainError]:
        """What `Transport.batch` gives. Raises what it raises for an answer that is none."""


@runtime_checkable
class Fetches(Transport, Protocol):
    """A transport that can also bring answers without looking into them. Safe to use from several threads."""

    def fetch(self, calls: Sequence[Call]) -> Fetched:
        """Ask a batch. Raises as `Transport.batch` for what is no answer at all."""


@dataclass(frozen=True, slots=True)
class BlockRequests:
    """What one fetch brought: `size` in bytes, and the answers by `key_of`, decoded when they are asked for."""

    size: int
    read: Callable[[], Mapping[bytes, Json | ChainError]]


Ask = Callable[[], BlockRequests]
"""Brings the material of some blocks; runs in a thread of the pool."""
Plan = Callable[[Fetches, range], Ask]
"""How blocks of these heights are to be asked for at an endpoint; made in the worker's thread."""
View = Callable[[Transport], Transport]
"""The endpoint, with what was fetched ahead from it standing for its answers."""


def key_of(call: Call) -> bytes:
    """One question, as a key."""
    method, params = call
    return orjson.dumps([method, list(params)])


def requests_of(
    calls: Sequence[Call], fetched: Fetched, known: Mapping[bytes, Json | ChainError] | None = None
) -> BlockRequests:
    """The answers to `calls`, beside some that are known already."""

    def read() -> dict[bytes, Json | ChainError]:
        return dict(known or {}) | dict(zip(map(key_of, calls), fetched.answers(), strict=True))

    return BlockRequests(fetched.size, read)


@dataclass(slots=True, eq=False)
class _Job:
    """One fetch at `transport`: the blocks of `heights` or, `beside` those, something that belongs to them."""

    heights: range
    transport: Transport
    future: Future[BlockRequests]
    born: float
    beside: bool
    spent: bool = False
    _answers: dict[bytes, Json | ChainError] | None = None

    @property
    def size(self) -> int | None:
        """Bytes brought; None while under way, 0 if it failed."""
        if not self.future.done():
            return None
        return 0 if self.future.cancelled() or self.future.exception() is not None else self.future.result().size

    def take(self, key: bytes) -> Json | ChainError | None:
        """The answer to one question, which is then used up. Waits for it. Raises the error that came instead."""
        if self.spent:
            return None
        if self._answers is None:
            try:
                self._answers = dict(self.future.result().read())
            except (BlockGone, CancelledError):
                self.spent = True
                return None
            except BaseException:
                self.spent = True
                raise
        found = self._answers.pop(key, None)
        return None if isinstance(found, BlockGone) else found


@dataclass(slots=True)
class _Replay:
    """A transport that gives what was fetched ahead, once, and asks for the rest. An answer that said "not there yet"
    (null, or an unknown block) is asked for again: meanwhile it may be.
    """

    inner: Transport
    jobs: Sequence[_Job]
    used: bool = False
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.inner.name

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        found = self._take((method, params))
        if found is None:
            return self.inner.call(method, params)
        if isinstance(found, ChainError):
            raise found
        return found

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        found = [self._take(call) for call in calls]
        missing = [n for n, answer in enumerate(found) if answer is None]
        if missing:
            for n, answer in zip(missing, self.inner.batch([calls[n] for n in missing]), strict=True):
                found[n] = answer
        return found

    def raw(self, path: str) -> bytes:
        found = self._take(("GET", [path]))
        if found is None:
            return self.inner.raw(path)
        if isinstance(found, ChainError):
            raise found
        body: bytes = found
        return body

    def close(self) -> None:
        self.inner.close()

    def _take(self, call: Call) -> Json | ChainError | None:
        key = key_of(call)
        for job in self.jobs:
            found = job.take(key)
            if found is not None:
                self.used = True
                return found
        return None


def asked_anew(transport: Transport) -> Transport:
    """The endpoint itself, without anything fetched ahead."""
    return transport.inner if isinstance(transport, _Replay) else transport


class Prefetcher:
    """One source's. Everything but the fetching itself happens in the worker's thread.

    Nothing is fetched until two blocks in a row were asked for, and everything is dropped by an error, by a question
    for any other block than the last or the next, and by a change of endpoint. A block that was fetched ahead and does
    not extend the one given before is asked for anew, so that no reorg is seen that is over.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, pool: Executor | None = None) -> None:
        """`pool` fetches in place of threads of its own, which are begun when they are needed."""
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._pool = pool
        self._jobs: list[_Job] = []
        self._next = 0
        self._mean: float | None = None
        self._given: BlockRef | None = None
        self._endpoint: Transport | None = None
        self._asked: Transport | None = None
        self._replay: _Replay | None = None

    def block(self, height: int, highest: int, plan: Plan, ask: Callable[[View], BlockFacts]) -> BlockFacts:
        """The block at `height` by `ask`, and those after it, up to `highest`, on their way. Raises as `ask`."""
        since = None if self._given is None else height - self._given.height
        if since == 1:
            self._reach(height + 1, highest, plan)
        elif since != 0:
            self.forget()
        try:
            facts = ask(lambda transport: self._at(transport, height))
            if self._is_stale(facts):
                self.forget()
                facts = ask(self._directly)
        except BaseException:
            self.forget()
            raise
        self._given = facts.ref
        if self._endpoint is not self._asked:
            self._drop()
            self._endpoint = self._asked
        return facts

    def _is_stale(self, facts: BlockFacts) -> bool:
        """Whether something fetched ahead was used and does not fit the block given before."""
        given = self._given
        fits = given is None or given.height + 1 != facts.ref.height or given.hash == facts.parent_hash
        return not fits and self._replay is not None and self._replay.used

    def add_beside(self, transport: Fetches, heights: range, ask: Ask) -> None:
        """Fetch something that belongs to all of `heights`, beside the blocks themselves. For a `Plan`."""
        self._add(transport, heights, ask, beside=True)

    def beside_to(self, transport: Fetches) -> int:
        """The first height that nothing fetched beside blocks belongs to yet."""
        return max((job.heights.stop for job in self._jobs if job.beside and job.transport is transport), default=0)

    def _add(self, transport: Fetches, heights: range, ask: Ask, *, beside: bool) -> None:
        with self._lock:
            if not self._closed:
                self._pool = self._pool or ThreadPoolExecutor(THREADS, thread_name_prefix="ahead")
                self._jobs.append(_Job(heights, transport, self._pool.submit(ask), self._clock(), beside))

    def forget(self) -> None:
        """Drop everything; the next block is asked for itself."""
        self._drop()
        self._given = None

    def close(self) -> None:
        """End the threads; what is under way ends with its answer or its timeout. From any thread."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def _drop(self) -> None:
        for job in self._jobs:
            job.future.cancel()
        self._jobs, self._next, self._replay = [], 0, None

    def _at(self, transport: Transport, height: int) -> Transport:
        self._asked, self._replay = transport, None
        oldest = self._clock() - MAX_AGE_SECS
        self._jobs = [j for j in self._jobs if height < j.heights.stop and not j.spent and j.born >= oldest]
        jobs = [j for j in self._jobs if height in j.heights and j.transport is transport]
        if not jobs:
            return transport
        self._replay = _Replay(transport, jobs)
        return self._replay

    def _directly(self, transport: Transport) -> Transport:
        self._asked = transport
        return transport

    def _reach(self, start: int, highest: int, plan: Plan) -> None:
        """Ask for what is not asked for yet, as far as the bounds allow."""
        endpoint = self._endpoint
        if endpoint is None or not isinstance(endpoint, Fetches):
            return
        self._next = max(self._next, start)
        while self._next <= highest:
            heights = range(self._next, min(self._next + self._group(), highest + 1))
            if heights.stop > start + MAX_BLOCKS or not self._has_room(len(heights)):
                return
            self._add(endpoint, heights, plan(endpoint, heights), beside=False)
            self._next = heights.stop

    def _group(self) -> int:
        return 1 if not self._mean else max(1, min(MAX_GROUP, int(GROUP_BYTES / self._mean)))

    def _has_room(self, blocks: int) -> bool:
        """Whether so many more may be fetched. What the first ones weigh is waited for."""
        sizes = [(job.size, len(job.heights)) for job in self._jobs if not job.beside]
        beside = sum(job.size or 0 for job in self._jobs if job.beside)
        known = [(size, count) for size, count in sizes if size]
        if known:
            self._mean = sum(size for size, _ in known) / sum(count for _, count in known)
        if self._mean is None:
            return not sizes
        held = beside + sum(self._mean * count if size is None else size for size, count in sizes)
        return held + self._mean * blocks <= MAX_BYTES or not sizes
