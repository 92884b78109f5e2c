"""What may still become of a waiting transaction: whether another can take its place, at which feerate, and about when
a block takes it. As the node sees it now; another node's mempool may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chains.bitcoin.answers import member, sats, uint_of
from chains.bitcoin.client import Client
from chains.errors import ChainError, LyingNode
from chains.model import MempoolOutlook, Replacement
from chains.rpc.transport import Json

TARGETS: Final = (2, 3, 6, 12, 24, 72, 144, 504, 1008)
"""Blocks within which to confirm, for `estimatesmartfee`; it knows none beyond 1008."""
MAX_RANKED: Final = 2_000
"""Where the node has no estimate, transactions that pay more are counted, in mempools up to this size: the answer has
400 bytes for each.
"""
_BLOCK_VBYTES: Final = 990_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """`getmempoolentry`: fees in satoshi, rates in milli-satoshi per virtual byte. `signalled`: it, or an unconfirmed
    transaction it stands on, signals that it may be replaced (BIP 125).
    """

    vsize: int
    family_fee: int
    effective_milli: int
    signalled: bool


def ask_outlook(client: Client, txid: bytes) -> MempoolOutlook | None:
    """The outlook of `txid`, None if the node does not tell or no longer holds it. Raises LyingNode for an answer of
    another shape, and what worth another try is of `chains.errors`.
    """
    answers = client.mempool_outlook(txid, TARGETS)
    entry, info, estimates = answers[0], answers[1], answers[2:]
    if isinstance(entry, ChainError) or isinstance(info, ChainError):
        return None
    seen = _read_entry(entry)
    blocks = _by_estimates(seen.effective_milli, estimates)
    if blocks is None and uint_of(member(info, "size")) <= MAX_RANKED:
        blocks = _by_rank(seen.effective_milli, client.mempool_entries())
    return MempoolOutlook(_replacement(seen, info), _replace_milli(seen, info), blocks)


def _read_entry(entry: Json) -> _Entry:
    fees, vsize = member(entry, "fees"), _size(entry, "vsize")
    own = _milli(sats(member(fees, "base")), vsize)
    ancestors = _milli(sats(member(fees, "ancestor")), _size(entry, "ancestorsize"))
    family = sats(member(fees, "descendant"))
    descendants = _milli(family, _size(entry, "descendantsize"))
    # A poor parent holds it back, a rich child pulls it up (CPFP): miners take packages.
    return _Entry(vsize, family, max(min(own, ancestors), descendants), entry.get("bip125-replaceable") is True)


def _replacement(entry: _Entry, info: Json) -> Replacement:
    if entry.signalled:
        return Replacement.SIGNALLED
    return Replacement.NO if info.get("fullrbf") is False else Replacement.FULL_RBF


def _replace_milli(entry: _Entry, info: Json) -> int:
    """The least feerate at which a replacement of the same size is relayed: it pays for all it evicts, children
    included, and for its own relay (BIP 125, rules 3 and 4).
    """
    relay_milli = sats(member(info, "incrementalrelayfee"))  # BTC a kilo-vbyte: satoshi of it are milli-satoshi a byte
    least_fee = entry.family_fee + -(-relay_milli * entry.vsize // 1000)
    return -(-least_fee * 1000 // entry.vsize)


def _by_estimates(rate_milli: int, estimates: list[Json | ChainError]) -> int | None:
    """The least of the node's targets whose estimated feerate is paid; one beyond the last where none is, None where
    the node has no estimates.
    """
    told = [e for e in estimates if isinstance(e, dict) and "feerate" in e]
    targets = [(uint_of(member(e, "blocks")), sats(e["feerate"])) for e in told]
    if not targets:
        return None
    paid = [blocks for blocks, least_milli in targets if least_milli <= rate_milli]
    return min(paid, default=max(blocks for blocks, _ in targets) + 1)


def _by_rank(rate_milli: int, entries: Json | ChainError) -> int | None:
    """By how many blocks' worth of transactions pay more."""
    if not isinstance(entries, dict):
        return None
    rows = [(_size(e, "vsize"), sats(member(member(e, "fees"), "base"))) for e in entries.values()]
    return sum(size for size, fee in rows if _milli(fee, size) > rate_milli) // _BLOCK_VBYTES + 1


def _size(entry: Json, name: str) -> int:
    size = uint_of(member(entry, name))
    if not size:
        raise LyingNode("a transaction of no size")
    return size


def _milli(fee: int, size: int) -> int:
    return fee * 1000 // size
