"""Prices that a contract keeps, read through a node: the port, and what a round of such a feed is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chains.model import BlockRef


@dataclass(frozen=True, slots=True)
class PriceRound:
    """One answer of a feed, as of its contract's state after block `at`: one whole unit is worth
    `answer` / 10**`decimals`. It was written at `updated_at`, by the chain's clock.
    """

    number: int
    answer: int
    decimals: int
    updated_at: datetime
    at: BlockRef


class PriceOracle(Protocol):
    """One feed. Every method may raise the errors of `chains.errors`; `Unsupported` says that the contract's answer is
    no price, and why.
    """

    def latest(self) -> PriceRound:
        """The round in force after the node's latest block."""

    def before(self, later: PriceRound, count: int) -> Sequence[PriceRound]:
        """Up to `count` rounds just before `later`, newest first, by the state it was read from; fewer where the feed
        has no more.
        """

    def close(self) -> None:
        """Give back connections."""
