"""The protocol every way of asking a node fulfils."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from chains.errors import ChainError

Json = Any
"""A decoded JSON value. Whoever receives one checks its shape: nodes are not trusted."""

Call = tuple[str, Sequence[Json]]
"""A method and its positional parameters."""


class Transport(Protocol):
    """Asks one node (or one pool of them)."""

    name: str
    """Public name, safe in logs."""

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """The `result`. Raises the errors of `chains.errors`."""

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """Results in the order of `calls`, whatever order the node answered in; an error stands in its place."""

    def raw(self, path: str) -> bytes:
        """The body of a plain GET below the endpoint (bitcoind REST). Raises Unsupported where there is none."""

    def close(self) -> None:
        """Close connections."""
