"""Blocks by bitcoind's REST interface: the bytes themselves, where JSON-RPC sends twice as many characters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chains.errors import BlockGone, ChainError, PermanentError
from chains.rpc.ahead import Fetched
from chains.rpc.http import HttpTransport
from chains.rpc.transport import Call, Json

RETRY_SECS: Final = 600.0
"""How long blocks come by RPC after REST did not give one that RPC had."""


@dataclass(slots=True)
class FetchedBlocks:
    """Blocks brought, or why not, in the order they were asked for; `size` in bytes."""

    blocks: Sequence[Json | ChainError]
    size: int

    def answers(self) -> list[Json | ChainError]:
        """The blocks: bytes by REST, hexadecimal by RPC."""
        return list(self.blocks)


@dataclass(slots=True)
class RestTransport:
    """An endpoint whose blocks (`getblock` 0) come from `/rest/block/<hash>.bin`, as bytes and not hexadecimal; all
    else is asked by RPC. What REST does not give is asked by RPC too: a node without `-rest` answers 404 with no word,
    one that pruned the block 404 with words. `note` says so while it lasts.
    """

    inner: HttpTransport
    clock: Callable[[], float] = time.monotonic
    name: str = field(init=False)
    note: str = field(init=False, default="")
    _pause_until: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self.name = self.inner.name

    @property
    def connections(self) -> int:
        """As the inner transport counts them: both ways go by the same ones."""
        return self.inner.connections

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """As `Transport.call`, a block as bytes."""
        if not _is_raw_block((method, params)) or self.clock() < self._pause_until:
            return self.inner.call(method, params)
        try:
            block = self.inner.raw(f"rest/block/{params[0]}.bin")
        except PermanentError as error:
            answer = self.inner.call(method, params)
            self._pause_until = self.clock() + RETRY_SECS
            self.note = f"REST gives no blocks, RPC does ({error})"
            return answer
        self.note = ""
        return block

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """As `Transport.batch`, by RPC."""
        return self.inner.batch(calls)

    def fetch(self, calls: Sequence[Call]) -> Fetched:
        """As `HttpTransport.fetch`; where only blocks are asked for they come one by one by REST."""
        if not calls or not all(map(_is_raw_block, calls)):
            return self.inner.fetch(calls)
        blocks = [self._or_error(call) for call in calls]
        return FetchedBlocks(blocks, sum(len(block) for block in blocks if isinstance(block, (bytes, str))))

    def _or_error(self, call: Call) -> Json | ChainError:
        try:
            return self.call(*call)
        except (BlockGone, PermanentError) as error:
            return error

    def raw(self, path: str) -> bytes:
        """As `Transport.raw`."""
        return self.inner.raw(path)

    def close(self) -> None:
        """Close all connections."""
        self.inner.close()


def _is_raw_block(call: Call) -> bool:
    method, params = call
    return method == "getblock" and len(params) == 2 and params[1] == 0
