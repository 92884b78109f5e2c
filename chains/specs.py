"""What opens a source: endpoints, and all that a chain family needs to know of a deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chains.model import Address, Asset, ChainId


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node answers. `url` may hold credentials and therefore never shows in repr; `name` is safe to show."""

    name: str
    url: str = field(repr=False)
    cookie_file: Path | None = None
    notifier_url: str = field(default="", repr=False)
    """ZMQ `tcp://…` for bitcoind (hashblock, hashtx), empty for none."""
    rest: bool = False
    """Ask bitcoind's REST interface for blocks."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Everything a family needs to open a source.

    `confirmations`: a block is final when it has this many (1 = the tip itself); `finality` (`finalized`, `safe`,
    `latest`) takes its place on networks that have the tag. `tokens` are the assets beside the native one.
    An endpoint url `recorded:PATH` answers from a capture, without network. With `record_to` every answer is also
    written to that file.
    """

    name: str
    chain: ChainId
    endpoints: tuple[Endpoint, ...]
    confirmations: int = 6
    finality: str | None = None
    tokens: tuple[Asset, ...] = ()
    timeout_secs: float = 20.0
    record_to: Path | None = None
    history: Endpoint | None = None
    """An explorer that serves the tracer where the nodes have pruned a block (Bitcoin, Esplora's API)."""
    native: Asset | None = None
    """The chain's coin where the configuration names it, for networks whose coin the family does not know."""
    contract_wallets: tuple[Address, ...] = ()
    """Wallets that are contracts (Safes): who controls them is read from their storage (account chains)."""
    prove_contents: bool = False
    """Prove by the header's roots that nothing in a block was changed or left out, where that is not always done: for
    nodes that are not one's own (account chains; 20 µs a transaction).
    """


@dataclass(frozen=True, slots=True)
class Branch:
    """One row of addresses of an output descriptor. `text` is the descriptor with its checksum, its multipath step
    chosen; `derive(start, count)` gives the addresses from index `start` on, at most one if it is not `ranged`.
    """

    text: str
    ranged: bool
    derive: Callable[[int, int], tuple[Address, ...]] = field(repr=False, compare=False)
