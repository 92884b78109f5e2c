"""The pool of endpoints: the healthiest is asked first, another after a fault, each proved to follow the chain."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol, TypeVar, runtime_checkable

from chains.errors import (
    BlockGone,
    ChainError,
    LyingNode,
    NotReady,
    RateLimited,
    RpcError,
    TransientError,
    Unreachable,
    Unsupported,
    WrongChain,
)
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Call, Json, Loads, Transport, clean_message, loads_fast
from chains.rpc.recorded import CaptureWriter, RecordedTransport, RecordingTransport
from chains.source import Endpoint, EndpointHealth, SourceSpec

T = TypeVar("T")

RETRIED: Final = (Unreachable, RateLimited, NotReady)
"""BlockGone is no member: it is an answer about the chain, and the caller decides."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long to try. The pause before try n is drawn evenly from 0 to min(cap, base·2ⁿ) seconds
    ("full jitter": workers that failed together do not come back together). A node's `retry_after_secs` is honoured
    if the deadline allows it; else the error is raised at once. `sleep` returns True to give up (we are closing).
    """

    attempts: int = 3
    base_secs: float = 0.2
    cap_secs: float = 3.0
    deadline_secs: float = 20.0
    sleep: Callable[[float], bool | None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform
    clock: Callable[[], float] = time.monotonic

    def run(self, question: Callable[[], T]) -> T:
        """The answer, or the last error."""
        deadline = self.clock() + self.deadline_secs
        for attempt in range(1, self.attempts):
            try:
                return question()
            except RETRIED as error:
                pause = self.pause_secs(attempt, error)
                if self.clock() + pause > deadline or self.sleep(pause):
                    raise
        return question()

    def pause_secs(self, attempt: int, error: TransientError) -> float:
        """How long to wait after try number `attempt` (from 1) ended in `error`."""
        drawn = self.uniform(0.0, min(self.cap_secs, self.base_secs * 2.0**attempt))
        asked = error.retry_after_secs if isinstance(error, RateLimited) else None
        return max(drawn, asked or 0.0)


QUARANTINE_SECS: Final = 60.0
"""How long an endpoint that lied, or follows another chain, is left alone before it must prove itself again."""
COOL_DOWN_SECS: Final = 5.0
"""How long an endpoint that failed is asked last."""
BEHIND_BLOCKS: Final = 3
"""An endpoint this many blocks below the best one is ranked after the others."""

_RANK: Final = {"ok": 0, "behind": 1, "down": 2}


@runtime_checkable
class CountsConnections(Protocol):
    """A transport that tells how many connections it ever opened."""

    @property
    def connections(self) -> int:
        """Grows with each new connection."""


@dataclass(slots=True)
class _PooledEndpoint:
    transport: Transport
    order: int
    state: str = "ok"
    height: int | None = None
    latency_ms: int | None = None
    last_error: str = ""
    lag: str = ""
    blocked_until: float = 0.0
    proven_at: int = -1
    """The connection count at which the identity was last proved; -1 for never."""

    @property
    def connections(self) -> int:
        return self.transport.connections if isinstance(self.transport, CountsConnections) else 0

    @property
    def health(self) -> EndpointHealth:
        error = self.lag or self.last_error
        return EndpointHealth(self.transport.name, self.state, self.height, self.latency_ms, error)


@dataclass(slots=True)
class EndpointPool:
    """Asks the healthiest endpoint and goes on to the next when one fails. Itself a `Transport`.

    `identify` proves that an endpoint follows the right chain; it is run at first use, after each failure and after
    each new connection, *before* an answer is believed. A question of several calls goes through `ask`, so that one
    node answers all of it and a LyingNode raised by whoever checks the answers quarantines that node.
    """

    transports: Sequence[Transport]
    identify: Callable[[Transport], None]
    name: str = "pool"
    retry: Retry = field(default_factory=Retry)
    clock: Callable[[], float] = time.monotonic
    _endpoints: list[_PooledEndpoint] = field(init=False)
    _lock: threading.RLock = field(init=False, default_factory=threading.RLock)
    _closing: threading.Event = field(init=False, default_factory=threading.Event)
    _last: threading.local = field(init=False, default_factory=threading.local)

    def __post_init__(self) -> None:
        if not self.transports:
            raise ValueError("a pool needs at least one endpoint")
        self._endpoints = [_PooledEndpoint(transport, order) for order, transport in enumerate(self.transports)]
        if self.retry.sleep is time.sleep:
            self.retry = replace(self.retry, sleep=self._closing.wait)

    def ask(self, question: Callable[[Transport], T]) -> T:
        """The answer of the healthiest endpoint that gives one.

        Raises BlockGone and RpcError at once, for they are answers; else what is worth another try when every endpoint
        failed and the retries are used up; LyingNode or WrongChain when none is left to ask.
        """
        return self.retry.run(lambda: self._ask_each(question, self._candidates()))

    def second_opinion(self, question: Callable[[Transport], T]) -> T:
        """The answer of another endpoint than the one this thread asked last. Raises Unsupported if there is none."""
        last = getattr(self._last, "endpoint", None)
        others = [e for e in self._candidates() if e is not last]
        if not others:
            raise Unsupported("no second endpoint to ask", endpoint=self.name)
        return self._ask_each(question, others)

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """One call to the healthiest endpoint."""
        return self.ask(lambda transport: transport.call(method, params))

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """One batch to the healthiest endpoint."""
        return self.ask(lambda transport: transport.batch(calls))

    def raw(self, path: str) -> bytes:
        """One plain GET to the healthiest endpoint."""
        return self.ask(lambda transport: transport.raw(path))

    def prove_all(self) -> None:
        """Identify every endpoint now. Raises WrongChain if any follows another chain, or the last error if none
        answered.
        """
        errors: list[ChainError] = []
        for endpoint in self._endpoints:
            try:
                self._prove(endpoint)
            except ChainError as error:
                self._record_failure(endpoint, error)
                errors.append(error)
        wrong = next((e for e in errors if isinstance(e, WrongChain)), None)
        if wrong is not None or len(errors) == len(self._endpoints):
            raise wrong or errors[-1]

    def survey(self, height_of: Callable[[Transport], int]) -> None:
        """Ask every endpoint that may be asked for its height, and rank by what they say. Raises nothing."""
        for endpoint in self._candidates():
            try:
                height = self._answer(endpoint, height_of)
            except ChainError as error:
                self._record_failure(endpoint, error)
            else:
                self.record_height(endpoint.transport.name, height)

    def record_height(self, name: str, height: int, lag: str = "") -> None:
        """The endpoint called `name` has its tip at `height`; `lag` says why that is not the network's tip (initial
        download, old tip), if it is not. An endpoint that lags or lies three blocks below the best is `behind`.
        """
        with self._lock:
            for endpoint in self._endpoints:
                if endpoint.transport.name == name:
                    endpoint.height, endpoint.lag = height, clean_message(lag)
            best = max((e.height for e in self._endpoints if e.height is not None), default=0)
            for endpoint in self._endpoints:
                if endpoint.state in ("ok", "behind") and endpoint.height is not None:
                    late = endpoint.lag or endpoint.height <= best - BEHIND_BLOCKS
                    endpoint.state = "behind" if late else "ok"

    def health(self) -> tuple[EndpointHealth, ...]:
        """Every endpoint as last met, in configured order."""
        with self._lock:
            return tuple(
                EndpointHealth(e.transport.name, e.state, e.height, e.latency_ms, e.lag or e.last_error)
                for e in self._endpoints
            )

    def close(self) -> None:
        """Close every transport and end the pauses between tries."""
        self._closing.set()
        for endpoint in self._endpoints:
            endpoint.transport.close()

    def _candidates(self) -> list[_PooledEndpoint]:
        """Who may be asked, best first."""
        now = self.clock()
        with self._lock:
            free = [e for e in self._endpoints if e.state in _RANK or e.blocked_until <= now]
            return sorted(free, key=lambda e: (_RANK.get(e.state, 3), e.blocked_until > now, e.order))

    def _ask_each(self, question: Callable[[Transport], T], candidates: list[_PooledEndpoint]) -> T:
        errors: list[ChainError] = []
        for endpoint in candidates:
            self._last.endpoint = endpoint
            try:
                return self._answer(endpoint, question)
            except (BlockGone, RpcError):
                raise
            except ChainError as error:
                self._record_failure(endpoint, error)
                errors.append(error)
        raise _gravest(errors) or self._nobody_left()

    def _answer(self, endpoint: _PooledEndpoint, question: Callable[[Transport], T]) -> T:
        """Ask, and believe the answer only if every connection it may have come by is proved."""
        if endpoint.proven_at < 0:
            self._prove(endpoint)
        started = self.clock()
        try:
            answer = question(endpoint.transport)
        except (BlockGone, RpcError, Unsupported):
            self._prove_connection(endpoint)
            raise
        self._prove_connection(endpoint)
        with self._lock:
            endpoint.latency_ms = int((self.clock() - started) * 1000)
            if endpoint.state == "down":
                endpoint.state, endpoint.blocked_until = "ok", 0.0
        return answer

    def _prove_connection(self, endpoint: _PooledEndpoint) -> None:
        if endpoint.connections != endpoint.proven_at:
            self._prove(endpoint)

    def _prove(self, endpoint: _PooledEndpoint) -> None:
        self.identify(endpoint.transport)
        with self._lock:
            endpoint.proven_at = endpoint.connections
            if endpoint.state not in ("ok", "behind"):
                endpoint.state, endpoint.blocked_until = "ok", 0.0

    def _record_failure(self, endpoint: _PooledEndpoint, error: ChainError) -> None:
        if isinstance(error, (Unsupported, BlockGone, RpcError)):
            return  # the endpoint is well, it only cannot answer this
        state, pause = _verdict(error)
        with self._lock:
            endpoint.last_error = clean_message(error)
            endpoint.state = state
            endpoint.blocked_until = self.clock() + pause
            endpoint.proven_at = -1

    def _nobody_left(self) -> ChainError:
        with self._lock:
            states = {e.state for e in self._endpoints}
            words = "; ".join(f"{e.transport.name}: {e.state}, {e.last_error}" for e in self._endpoints)
        kind = WrongChain if states == {"wrong-chain"} else LyingNode
        return kind(f"no endpoint is left to ask ({words})", endpoint=self.name)


def _verdict(error: ChainError) -> tuple[str, float]:
    """The state an error puts its endpoint into, and for how many seconds."""
    if isinstance(error, WrongChain):
        return "wrong-chain", QUARANTINE_SECS
    if isinstance(error, LyingNode):
        return "lying", QUARANTINE_SECS
    if isinstance(error, NotReady):
        return "behind", COOL_DOWN_SECS
    if isinstance(error, RateLimited) and error.retry_after_secs:
        return "down", error.retry_after_secs
    return "down", COOL_DOWN_SECS


def _gravest(errors: Sequence[ChainError]) -> ChainError | None:
    """What to raise when endpoints failed differently: first what is worth another try, then what came first."""
    hopeful = [e for e in errors if isinstance(e, (Unreachable, RateLimited, NotReady))]
    return next(iter(hopeful or errors), None)


RECORDED: Final = "recorded:"
Door = Callable[[Endpoint, HttpTransport], Transport]
"""Another way to a node than JSON-RPC alone."""


def open_transport(
    spec: SourceSpec,
    identify: Callable[[Transport], None],
    loads: Loads = loads_fast,
    clock: Callable[[], float] = time.monotonic,
    door: Door | None = None,
) -> EndpointPool:
    """The pool for `spec`: an endpoint url `recorded:PATH` answers from a capture, any other is asked over HTTP; with
    `record_to` every answer of a node is also written there. Raises ValueError for an url that is neither,
    PermanentError for a capture that cannot be read. `clock` times quarantines. `door` may wrap what asks a node; while
    answers are written to a file it does not, so that a capture holds one form of each.
    """
    writer = CaptureWriter(spec.record_to) if spec.record_to is not None else None
    transports = [
        _open_one(endpoint, spec.timeout_secs, loads, door if writer is None else None) for endpoint in spec.endpoints
    ]
    if writer is not None:
        transports = [RecordingTransport(transport, writer) for transport in transports]
    return EndpointPool(transports, identify, spec.name, clock=clock)


def _open_one(endpoint: Endpoint, timeout_secs: float, loads: Loads, door: Door | None) -> Transport:
    if endpoint.url.startswith(RECORDED):
        return RecordedTransport(Path(endpoint.url.removeprefix(RECORDED)), loads, endpoint.name)
    transport = HttpTransport(endpoint, timeout_secs, loads)
    return transport if door is None else door(endpoint, transport)
