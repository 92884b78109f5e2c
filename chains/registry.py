"""The one door to the chain families: from deployment facts to a `ChainSource`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

from chains.model import Address, Asset, ChainId
from chains.price_oracles import PriceOracle
from chains.source import ChainSource
from chains.unsigned_transactions import KnownBefore, NotATransaction, UnsignedTransaction

_FAMILIES = {"bip122": "chains.bitcoin.source", "eip155": "chains.evm.source", "tron": "chains.tron.source"}


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


def open_source(spec: SourceSpec) -> ChainSource:
    """The source for `spec`; connects to nothing yet. Raises ValueError for a chain no family knows."""
    module = _FAMILIES.get(spec.chain.namespace)
    if module is None:
        known = ", ".join(sorted(_FAMILIES))
        raise ValueError(f"no chain family for {spec.chain} (known namespaces: {known})")
    factory: Callable[[SourceSpec], ChainSource] = import_module(module).open_source
    return factory(spec)


def native_asset(chain: ChainId) -> Asset:
    """The coin of `chain`, from the constants beside its family. Raises ValueError for an unknown namespace."""
    module = _FAMILIES.get(chain.namespace)
    if module is None:
        raise ValueError(f"no chain family for {chain}")
    lookup: Callable[[ChainId], Asset] = import_module(module.replace(".source", ".params")).native_asset
    return lookup(chain)


def parse_address(chain: ChainId, text: str) -> Address:
    """Read an address of `chain` in its usual text form, without a node. Raises ValueError that says what is wrong."""
    module = _FAMILIES.get(chain.namespace)
    if module is None:
        raise ValueError(f"no chain family for {chain}")
    parse: Callable[[ChainId, str], Address] = import_module(module.replace(".source", ".addresses")).parse_address
    return parse(chain, text)


def address_parser(chain: ChainId) -> Callable[[str], Address]:
    """`parse_address` for many addresses of one chain. Raises ValueError for a chain no family knows."""
    if chain.namespace == "bip122":
        parser: Callable[[str], Address] = import_module("chains.bitcoin.addresses").address_parser(chain)
        return parser
    module = _FAMILIES.get(chain.namespace)
    if module is None:
        raise ValueError(f"no chain family for {chain}")
    return partial(import_module(module.replace(".source", ".addresses")).parse_address, chain)


def open_branches(chain: ChainId, descriptor: str) -> tuple[Branch, ...]:
    """The rows of addresses an output descriptor (BIP 380) stands for, one for each alternative of a multipath step.
    Raises ValueError that says what is wrong, or that the chain has no descriptors.
    """
    if chain.namespace != "bip122":
        raise ValueError(f"there are no output descriptors on {chain}")
    opened: Callable[[ChainId, str], tuple[Branch, ...]] = import_module("chains.bitcoin.descriptors").open_branches
    return opened(chain, descriptor)


def derive(chain: ChainId, descriptor: str, start: int, count: int) -> tuple[Address, ...]:
    """The addresses `start` to `start + count - 1` of every branch of `descriptor`, branch by branch. Raises ValueError
    as `open_branches`, and for an index outside 0..2**31 - 1.
    """
    return tuple(address for branch in open_branches(chain, descriptor) for address in branch.derive(start, count))


def open_price_oracle(spec: SourceSpec, feed: Address) -> PriceOracle:
    """The price feed whose contract is at `feed`; asks nothing yet. Raises ValueError for a chain without contracts."""
    if spec.chain.namespace != "eip155":
        raise ValueError(f"there are no price feeds on {spec.chain}")
    opened: Callable[[SourceSpec, Address], PriceOracle] = import_module("chains.evm.price_oracle").open_oracle
    return opened(spec, feed)


def read_unsigned_transaction(chain: ChainId, content: bytes, known: KnownBefore) -> UnsignedTransaction:
    """What a file that is about to be signed would do on `chain`: a PSBT, a Safe transaction, a raw EVM transaction.
    Raises NotATransaction, for a chain whose unsigned transactions are not read too.
    """
    modules = {"bip122": "chains.bitcoin.unsigned_transactions", "eip155": "chains.evm.unsigned_transactions"}
    if chain.namespace not in modules:
        raise NotATransaction(f"transactions of {chain} are not read before they are signed")
    read: Callable[[ChainId, bytes, KnownBefore], UnsignedTransaction] = import_module(
        modules[chain.namespace]
    ).read_unsigned_transaction
    return read(chain, content, known)
