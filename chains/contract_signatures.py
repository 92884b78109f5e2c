"""What a signature for a multisig contract shows without a node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chains.model import Address


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
