"""What a signature for a multisig contract shows without a node: the door to the families that have such contracts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module

from chains.model import Address, ChainId


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


def read_signature(chain: ChainId, digest: bytes, signature: bytes) -> Signature:
    """Who signed `digest` for a multisig contract of `chain`, as far as the bytes show it. Raises ValueError for a
    chain that has none.
    """
    if chain.namespace != "eip155":
        raise ValueError(f"there are no multisig contracts on {chain}")
    read: Callable[[bytes, bytes], Signature] = import_module("chains.evm.safe").read_signature
    return read(digest, signature)
