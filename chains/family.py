"""A chain family: all that differs between kinds of blockchain, in one frozen object, and its abilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from chains.model import Address, Asset, AssetId, BlockRef, ChainId, ChainTransaction, ControlChange, Outpoint, TxOutput
from chains.source import Branch, ChainSource, SourceSpec


class SignatureKind(StrEnum):
    """How an owner of a multisig contract agrees."""

    DIGEST = "digest"
    """A signature over the digest itself."""
    MESSAGE = "message"
    """A signature over the digest as a message of the wallet (`eth_sign`)."""
    ON_CHAIN = "on-chain"
    """A transaction of the owner said so; nothing here shows it."""
    CONTRACT = "contract"
    """The owner is a contract that is asked on chain; nothing here shows it."""


@dataclass(frozen=True, slots=True)
class Signature:
    """`signer` is who signed, as far as the bytes prove it; None where they do not, or are no signature."""

    kind: SignatureKind
    signer: Address | None


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


MAX_BYTES = 16 * 1024 * 1024
"""A PSBT carries whole earlier transactions of up to 4 MB each; nothing larger than this is read."""


class NotATransaction(ValueError):
    """The bytes are no transaction of the chain meant; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What the bytes alone cannot show. `wrong`: they contradict themselves or the chain, which is worse."""

    text: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """What is known beside the bytes. `accounts` are the keys of own addresses, `outputs` own unspent outputs by the
    chain's own word, `tokens` the 20-byte contracts that are believed to be EIP-20, `sender` who will sign.
    """

    accounts: AbstractSet[bytes] = frozenset()
    outputs: Mapping[Outpoint, TxOutput] = field(default_factory=dict)
    tokens: AbstractSet[bytes] = frozenset()
    sender: Address | None = None


@dataclass(frozen=True, slots=True)
class UnsignedTransaction:
    """A transaction before it is signed. `kind` is `psbt`, `safe` or `transaction`.

    Its `txid` is the id it will have, where that is known before it is signed, else the digest that is signed;
    `digests` are what signers' devices show, by name. `control` are the changes of control it asks for: what they
    replace is not known from the bytes, so `before` is empty.
    """

    kind: str
    transaction: ChainTransaction
    digests: Mapping[str, str]
    control: tuple[ControlChange, ...] = ()
    doubts: tuple[Doubt, ...] = ()


class Bookkeeping(StrEnum):
    """How a chain records who holds what."""

    COINS = "coins"
    """Unspent outputs: a transaction consumes some and creates others."""
    ACCOUNTS = "accounts"
    """One balance for each account and asset."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """The keys of `[[chain]]` and of its endpoints that only nodes of some families understand."""

    chain: frozenset[str] = frozenset()
    """Of `prove` and `history`."""
    endpoint: frozenset[str] = frozenset()
    """Of `zmq`, `cookie`, `rest` and `ws`."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of blockchain. Functions that take a `ChainId` raise ValueError for a network the family does not know.

    `native_id` is the CAIP-19 id of a network's coin and `native_asset` the coin itself; the latter raises
    `UnknownCoin` where only a deployment can know its name. An optional ability is None where the family lacks it; the
    methods of the same purpose raise ValueError then, which says so.
    """

    namespace: str
    """CAIP-2 namespace."""
    name: str
    bookkeeping: Bookkeeping
    example: str
    """The CAIP-2 id of its best known network, for messages."""
    native_id: Callable[[ChainId], AssetId]
    native_asset: Callable[[ChainId], Asset]
    parse_address: Callable[[ChainId, str], Address]
    source_opener: Callable[[SourceSpec], ChainSource] | None = None
    """None where addresses are understood and blocks cannot be followed yet."""
    address_parser_maker: Callable[[ChainId], Callable[[str], Address]] | None = None
    """A faster `parse_address` for many addresses of one chain."""
    descriptor_reader: Callable[[ChainId, str], tuple[Branch, ...]] | None = None
    unsigned_reader: Callable[[ChainId, bytes, KnownBefore], UnsignedTransaction] | None = None
    oracle_opener: Callable[[SourceSpec, Address], PriceOracle] | None = None
    decimals_reader: Callable[[SourceSpec, AssetId], int | None] | None = None
    """What a token's own contract says of its decimals, None if nothing. Raises ChainError."""
    signature_reader: Callable[[bytes, bytes], Signature] | None = None
    """Who signed a digest for a contract wallet (a Safe), as far as the bytes show."""
    confirmations: int = 20
    """A block is final with so many, where the configuration does not say otherwise."""
    finality: str | None = None
    """The network's own tag that decides finality by default; None where confirmations do."""
    finality_tags: frozenset[str] = frozenset()
    stale_after: timedelta = timedelta(minutes=5)
    """A chain without a new block for longer is reported as stale."""
    block_time_slack: Callable[[ChainId], timedelta] = lambda _: timedelta(0)
    """By how much a block's time may lie before the broadcast of what it holds."""
    fee_unit: str = ""
    """Of a fee rate."""
    hash_prefix: str = ""
    """Stands before the hexadecimal digits of a hash."""
    token_namespaces: frozenset[str] = frozenset()
    """CAIP-19 asset namespaces of token contracts."""
    options: NodeOptions = NodeOptions()

    @property
    def keeps_coins(self) -> bool:
        """True for chains of unspent outputs."""
        return self.bookkeeping is Bookkeeping.COINS

    def open_source(self, spec: SourceSpec) -> ChainSource:
        """The source for `spec`; connects to nothing yet. Raises ValueError if blocks cannot be followed."""
        if self.source_opener is None:
            raise ValueError(
                f"chain {spec.name} ({spec.chain}): {self.name} blocks cannot be followed by this version; "
                f"{self.name} addresses are understood in labels and cases. Remove the chain from the configuration."
            )
        return self.source_opener(spec)

    def address_parser(self, chain: ChainId) -> Callable[[str], Address]:
        """`parse_address` for many addresses of `chain`."""
        if self.address_parser_maker is None:
            return partial(self.parse_address, chain)
        return self.address_parser_maker(chain)

    def open_branches(self, chain: ChainId, descriptor: str) -> tuple[Branch, ...]:
        """The rows of addresses an output descriptor (BIP 380) stands for, one for each alternative of a multipath
        step. Raises ValueError that says what is wrong, or that the chain has no descriptors.
        """
        if self.descriptor_reader is None:
            raise ValueError(f"there are no output descriptors on {chain}")
        return self.descriptor_reader(chain, descriptor)

    def open_price_oracle(self, spec: SourceSpec, feed: Address) -> PriceOracle:
        """The price feed whose contract is at `feed`; asks nothing yet. Raises ValueError without such contracts."""
        if self.oracle_opener is None:
            raise ValueError(f"there are no price feeds on {spec.chain}")
        return self.oracle_opener(spec, feed)

    def read_unsigned_transaction(self, chain: ChainId, content: bytes, known: KnownBefore) -> UnsignedTransaction:
        """What a file that is about to be signed would do on `chain`: a PSBT, a Safe transaction, a raw EVM
        transaction. Raises NotATransaction, also for a chain whose unsigned transactions are not read.
        """
        if self.unsigned_reader is None:
            raise NotATransaction(f"transactions of {chain} are not read before they are signed")
        return self.unsigned_reader(chain, content, known)

    def read_signature(self, digest: bytes, signature: bytes) -> Signature:
        """Who signed `digest` for a contract wallet. Raises ValueError if the family has none."""
        if self.signature_reader is None:
            raise ValueError(f"there are no multisig contracts on {self.name} chains")
        return self.signature_reader(digest, signature)


class UnknownCoin(ValueError):
    """The network's coin has no name here: the configuration has to give it."""


def later(module: str, name: str) -> Callable[..., Any]:
    """The function `name` of `module`, which is imported at the first call."""

    def call(*args: Any) -> Any:
        return getattr(import_module(module), name)(*args)

    return call
