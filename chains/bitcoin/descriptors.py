"""Output descriptors (BIP 380 to 386 and 389) to addresses, by the Bitcoin Development Kit. No private key is taken.

The library's parser ends the whole process on some texts that are no descriptors (a hardened wildcard behind a public
key: "The key should not contain any wildcards at this point"), so what it must never meet is refused before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import bdkpython as bdk  # type: ignore[import-untyped,unused-ignore]  # ships no types

from chains.bitcoin.addresses import address_of
from chains.bitcoin.params import MAINNET, Network, network_of
from chains.model import Address, ChainId
from chains.source import Branch

MAX_TEXT: Final = 10_000
MAX_NESTING: Final = 40
"""Brackets within brackets. BIP 386 allows a script tree 128 deep; the parser recurses."""
MAX_BRANCHES: Final = 16
MAX_INDEX: Final = 2**31 - 1

_CHARACTERS: Final = re.compile(r"[0-9A-Za-z()\[\]{}<>/;:,*'#@!&_-]+\Z")
_ORIGIN: Final = re.compile(r"\[[^\[\]]*\]")
_PRIVATE: Final = re.compile(r"[a-zA-Z]prv[0-9A-Za-z]{10}")
_HARDENED: Final = re.compile(r"[/<;][0-9*]+[hH']")
_WITHOUT_ADDRESS: Final = ("pk(", "multi(", "sortedmulti(", "raw(", "rawtr(", "combo(", "addr(")


@dataclass(frozen=True, slots=True)
class _Deriver:
    """One descriptor without multipath steps. Derives 70 us an address, 500 us for a sorted multisig of three."""

    descriptor: bdk.Descriptor
    network: Network
    ranged: bool

    def __call__(self, start: int, count: int) -> tuple[Address, ...]:
        if start < 0 or count < 0 or start + count > MAX_INDEX + 1:
            raise ValueError(f"an index of a descriptor lies in 0..{MAX_INDEX}")
        indexes = range(start, start + count) if self.ranged else range(start, min(start + count, 1))
        return tuple(self._address(index) for index in indexes)

    def _address(self, index: int) -> Address:
        # Only the script is taken from the library; an address of any network has the same one.
        derived = self.descriptor.derive_address(index, bdk.Network.REGTEST if self._is_test() else bdk.Network.BITCOIN)
        return address_of(self.network, bytes(derived.script_pubkey().to_bytes()))

    def _is_test(self) -> bool:
        return self.network is not MAINNET


def open_branches(chain: ChainId, text: str) -> tuple[Branch, ...]:
    """The branches of a descriptor: one for each alternative of its multipath step (`<0;1>`), else itself alone.

    A checksum is verified where there is one. Raises ValueError that says what is wrong; the text is not repeated.
    """
    network = network_of(chain)
    text = text.strip()
    _check_text(text)
    kind = bdk.NetworkKind.MAIN if network is MAINNET else bdk.NetworkKind.TEST
    try:
        whole = bdk.Descriptor(text, kind)
        singles = whole.to_single_descriptors() if whole.is_multipath() else [whole]
        _check(whole, len(singles))
        return tuple(_branch(single, network) for single in singles)
    except (bdk.DescriptorError, bdk.MiniscriptError, bdk.DescriptorKeyError) as error:
        raise ValueError(_describe(error, network)) from None


def _branch(single: bdk.Descriptor, network: Network) -> Branch:
    ranged = bool(single.has_wildcard())
    derive = _Deriver(single, network, ranged)
    derive(0, 1)  # what can have no address is refused now and not when it is first used
    return Branch(str(single), ranged, derive)


def _check_text(text: str) -> None:
    if not text or len(text) > MAX_TEXT or not _CHARACTERS.match(text):
        raise ValueError("empty, too long, or with characters no descriptor has")
    if _PRIVATE.search(text):
        raise ValueError("holds a private key: write the xpub in its place, and keep the key off this machine")
    if _HARDENED.search(_ORIGIN.sub("", text)):
        raise ValueError("a hardened step behind a public key cannot be derived: write it into the [origin]")
    depth = deepest = 0
    for character in text:
        depth += (character in "({") - (character in ")}")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise ValueError(f"brackets nested deeper than {MAX_NESTING}")
    if text.startswith(_WITHOUT_ADDRESS):
        raise ValueError("only pkh, wpkh, sh, wsh and tr descriptors are understood")


def _check(whole: bdk.Descriptor, branches: int) -> None:
    if whole.to_string_with_secret() != str(whole):
        raise ValueError("holds a private key: write the public key in its place, and keep the key off this machine")
    if branches > MAX_BRANCHES:
        raise ValueError(f"more than {MAX_BRANCHES} alternatives in a multipath step")


def _describe(error: Exception, network: Network) -> str:
    name = type(error).__name__
    if name == "InvalidDescriptorChecksum":
        return "the checksum behind # is wrong: copy the descriptor again, whole"
    if name == "MultipathDescLenMismatch":
        return "its multipath steps have different numbers of alternatives"
    return f"no output descriptor of {network.name} ({name}): check the brackets, and that the keys are of this network"


def derive(chain: ChainId, descriptor: str, start: int, count: int) -> tuple[Address, ...]:
    """The addresses `start` to `start + count - 1` of every branch of `descriptor`, branch by branch. Raises ValueError
    as `open_branches`, and for an index outside 0..2**31 - 1.
    """
    return tuple(address for branch in open_branches(chain, descriptor) for address in branch.derive(start, count))
