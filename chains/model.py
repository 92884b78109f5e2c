"""The common language of facts about chains: frozen values, standard library only.

Amounts are integers of an asset's base units (satoshi, wei). Hashes are 32 bytes in *display order*, so that
`.hex()` is the text everybody knows; a family that meets another order on the wire (Bitcoin) turns it at its edge and
names what is not yet turned `_le`. Times are aware datetimes in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

_NAMESPACE = re.compile(r"[-a-z0-9]{3,8}\Z")
_CHAIN_REFERENCE = re.compile(r"[-_a-zA-Z0-9]{1,32}\Z")
_ASSET_REFERENCE = re.compile(r"[-.%a-zA-Z0-9]{1,128}\Z")

MAX_AMOUNT = 2**256 - 1


@dataclass(frozen=True, slots=True, order=True)
class ChainId:
    """A chain by its CAIP-2 id, e.g. `eip155:1` or `bip122:000000000019d6689c085ae165831e93`."""

    namespace: str
    reference: str

    def __post_init__(self) -> None:
        if not _NAMESPACE.match(self.namespace) or not _CHAIN_REFERENCE.match(self.reference):
            raise ValueError(f"not a CAIP-2 chain id: {self.namespace}:{self.reference}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `namespace:reference`. Raises ValueError for anything else."""
        namespace, colon, reference = text.partition(":")
        if not colon:
            raise ValueError(f"not a CAIP-2 chain id: {text!r}")
        return cls(namespace, reference)

    def __str__(self) -> str:
        return f"{self.namespace}:{self.reference}"


@dataclass(frozen=True, slots=True, order=True)
class AssetId:
    """An asset by its CAIP-19 id, e.g. `eip155:1/erc20:0xdac1…`.

    Hexadecimal contract references are kept in lower case, because EVM addresses compare without case.
    """

    chain: ChainId
    namespace: str
    reference: str

    def __post_init__(self) -> None:
        if not _NAMESPACE.match(self.namespace) or not _ASSET_REFERENCE.match(self.reference):
            raise ValueError(f"not a CAIP-19 asset id: {self.chain}/{self.namespace}:{self.reference}")
        if self.reference[:2] in ("0x", "0X"):
            object.__setattr__(self, "reference", self.reference.lower())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `chain_namespace:chain_reference/namespace:reference`. Raises ValueError for anything else."""
        chain, slash, rest = text.partition("/")
        namespace, colon, reference = rest.partition(":")
        if not slash or not colon:
            raise ValueError(f"not a CAIP-19 asset id: {text!r}")
        return cls(ChainId.parse(chain), namespace, reference)

    def __str__(self) -> str:
        return f"{self.chain}/{self.namespace}:{self.reference}"


@dataclass(frozen=True, slots=True)
class Asset:
    """What an amount is of. `decimals` only serves display: 1 `symbol` = 10**decimals base units."""

    id: AssetId
    symbol: str
    decimals: int

    def __post_init__(self) -> None:
        if not 0 <= self.decimals <= 77:
            raise ValueError(f"decimals of {self.symbol} must lie in 0..77, not {self.decimals}")


@dataclass(frozen=True, slots=True)
class Amount:
    """`units` base units of `asset`; never negative, at most 2**256 - 1."""

    asset: AssetId
    units: int

    def __post_init__(self) -> None:
        if not 0 <= self.units <= MAX_AMOUNT:
            raise ValueError(f"amount out of range 0..2**256-1: {self.units}")


def format_units(units: int, decimals: int) -> str:
    """Base units as an exact decimal text without trailing zeros: (150000000, 8) -> '1.5'.

    Integer arithmetic only: Decimal division rounds at 28 digits.
    """
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, part = divmod(units, 10**decimals)
    tail = str(part).zfill(decimals).rstrip("0") if decimals and part else ""
    return f"{sign}{whole:,}{'.' + tail if tail else ''}"


def parse_units(text: str, decimals: int) -> int:
    """Exact base units of a decimal text: ('1.5', 8) -> 150000000. Raises ValueError if it would have to round."""
    match = re.fullmatch(r"([0-9]{1,78})(?:\.([0-9]{1,77}))?", text.strip().replace("_", ""))
    if match is None:
        raise ValueError(f"not an amount: {text!r}")
    part = (match[2] or "").rstrip("0")
    if len(part) > decimals:
        raise ValueError(f"{text!r} has more than {decimals} decimal places")
    units: int = int(match[1]) * 10**decimals + int(part.ljust(decimals, "0") or "0")
    if units > MAX_AMOUNT:
        raise ValueError(f"amount above 2**256-1: {text!r}")
    return units


@dataclass(frozen=True, slots=True)
class Address:
    """A place where value rests on one chain.

    `key` is its identity: the scriptPubKey on coin chains, the 20-byte account on account chains; comparing keys makes
    upper-case bech32 and mixed-case hex equal without effort. `text` is the chain's usual form (bech32, bech32m,
    base58, EIP-55); a script that has none is `script:` + hex.
    """

    key: bytes
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class BlockRef:
    """One block: its height and its hash (32 bytes, display order)."""

    height: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.height} ({self.hash.hex()})"


TxId = bytes
"""32 bytes, display order."""


@dataclass(frozen=True, slots=True, order=True)
class Outpoint:
    """One output of one transaction (Bitcoin: what an input spends)."""

    txid: TxId
    vout: int

    @property
    def wire(self) -> bytes:
        """The 36 bytes that stand for it inside a transaction: txid in wire order, vout little-endian."""
        return self.txid[::-1] + self.vout.to_bytes(4, "little")

    def __str__(self) -> str:
        return f"{self.txid.hex()}:{self.vout}"


@dataclass(frozen=True, slots=True)
class SigningFacts:
    """How a transaction was made and signed, for fingerprint rules.

    `signers` are the public keys (or accounts) that signed, in canonical text; `features` are named measurements of the
    family (`version`, `locktime`, `low_r`, `gas_limit` …), values exact (int or text, rates in milli-units).
    """

    signers: tuple[str, ...] = ()
    features: tuple[tuple[str, int | str], ...] = ()

    def as_dict(self) -> dict[str, int | str]:
        """The features by name."""
        return dict(self.features)


@dataclass(frozen=True, slots=True)
class TxInput:
    """An input of a coin-chain transaction. `value` (base units) and `address` are None if the node did not tell."""

    outpoint: Outpoint
    value: int | None
    address: Address | None
    sequence: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class TxOutput:
    """An output of a coin-chain transaction, `value` in base units."""

    vout: int
    value: int
    address: Address


class Replacement(StrEnum):
    """Whether a waiting transaction can still be replaced by another that spends the same coins."""

    SIGNALLED = "signalled"
    """It says so itself (BIP 125), or one it stands on does: every node takes a better payer."""
    FULL_RBF = "full-rbf"
    """It does not say so; nodes with full replace-by-fee (the default since Bitcoin Core 28) take one all the same."""
    NO = "no"
    """Not at this node."""


@dataclass(frozen=True, slots=True)
class MempoolOutlook:
    """What one's node made of a waiting transaction when it was looked at.

    `replace_feerate_milli`: the least feerate of a replacement of the same size, milli-satoshi per virtual byte.
    `confirm_blocks`: within about so many blocks it is mined, None where the node cannot tell. `gone_since`: when the
    node's mempool was first found without it, though no block holds it; nodes drop what pays too little, and any other
    node may still hold it.
    """

    replacement: Replacement
    replace_feerate_milli: int
    confirm_blocks: int | None
    gone_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PoolOutlook:
    """The same of an account chain. `queued`: it waits behind a gap in its sender's nonces, and cannot be mined before
    what is missing there.
    """

    queued: bool
    gone_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class UtxoTransaction:
    """A transaction of a coin chain. Inputs and outputs stand in consensus order, all of them, ours or not.

    `index` is the position in the block, -1 while pending. `fee` is None where an input's value is unknown. A coinbase
    has no inputs here.
    """

    txid: TxId
    index: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    fee: int | None
    vsize: int
    version: int = 2
    locktime: int = 0
    signing: SigningFacts | None = None
    outlook: MempoolOutlook | None = field(default=None, compare=False)
    """While pending, of those that spend from the watch set: a moment's view, no part of what the transaction is."""
    evidence: str = ""
    """The public name of the foreign source it is known by, empty where our own node showed it."""

    @property
    def is_coinbase(self) -> bool:
        """True for the transaction that creates new coins."""
        return not self.inputs

    @property
    def spend_keys(self) -> tuple[bytes, ...]:
        """What only one transaction of a chain can consume; two that share one of these replace each other."""
        return tuple(i.outpoint.txid + i.outpoint.vout.to_bytes(4, "big") for i in self.inputs)


class TransferKind(StrEnum):
    """How value moved on an account chain."""

    NATIVE = "native"
    """The value field of the transaction itself."""
    INTERNAL = "internal"
    """A call inside the transaction, known from traces."""
    TOKEN = "token"  # noqa: S105 - a kind of transfer, not a secret
    """A token contract's Transfer log."""
    WITHDRAWAL = "withdrawal"
    """EIP-4895: from the beacon chain, no transaction; txid is the block hash."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement on an account chain.

    `ordinal` orders the movements of one transaction; `log_index` is the position of the log in its block for a token,
    None otherwise. `amount` is in base units and already what the chain says moved.
    """

    asset: AssetId
    sender: Address
    receiver: Address
    amount: int
    kind: TransferKind
    ordinal: int
    log_index: int | None = None


@dataclass(frozen=True, slots=True)
class AccountTransaction:
    """A transaction of an account chain with every movement in it that is known.

    `fee` (native base units) was paid by `sender`. A transaction that failed (`ok` false) has no transfers but a fee.
    `traced` says whether internal calls were looked at: without that, destinations are those of the first receivers.
    """

    txid: TxId
    index: int
    sender: Address
    receiver: Address | None
    nonce: int
    ok: bool
    fee: int
    transfers: tuple[Transfer, ...]
    traced: bool
    signing: SigningFacts | None = None
    outlook: PoolOutlook | None = field(default=None, compare=False)

    @property
    def spend_keys(self) -> tuple[bytes, ...]:
        """What only one transaction of a chain can consume: the sender's nonce."""
        return (self.sender.key + self.nonce.to_bytes(8, "big"),)


ChainTransaction = UtxoTransaction | AccountTransaction


class ControlKind(StrEnum):
    """What about the control of a wallet or its funds changed."""

    ALLOWANCE = "allowance"
    SINGLETON = "singleton"
    OWNERS = "owners"
    THRESHOLD = "threshold"
    MODULES = "modules"
    GUARD = "guard"
    FALLBACK_HANDLER = "fallback_handler"
    DELEGATECALL = "delegatecall"
    CODE = "code"
    IMPLEMENTATION = "implementation"


@dataclass(frozen=True, slots=True)
class ControlChange:
    """A change in who controls a watched account, or in who may take its tokens (EIP-20 allowance, EIP-7702, Safe).

    `before` and `after` are texts of the value (an address, a number); `detail` names what a person needs to check it.
    """

    txid: TxId
    account: Address
    kind: ControlKind
    before: str
    after: str
    detail: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What one block says about the watch set.

    `transactions` are those that touch a watched address or outpoint, in block order, whole. `gaps` names what the node
    could not show for this block (for example internal calls without a trace API): never empty in silence.
    """

    chain: ChainId
    ref: BlockRef
    parent_hash: bytes
    time: datetime
    transactions: tuple[ChainTransaction, ...]
    control_changes: tuple[ControlChange, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PendingFacts:
    """What the node's mempool says about the watch set at `looked_at`. `supported` is False if the node has none;
    `whole` is False if it shows a part of it only, so that what is not there may wait all the same.
    """

    chain: ChainId
    looked_at: datetime
    transactions: tuple[ChainTransaction, ...]
    supported: bool = True
    whole: bool = True
