"""What somebody is about to sign, in the common language: the transaction it will be, as far as its bytes tell."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from chains.model import Address, ChainTransaction, ControlChange, Outpoint, TxOutput

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
