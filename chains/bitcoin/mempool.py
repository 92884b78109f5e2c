"""Unconfirmed transactions of the watched addresses, and how each stands in the node's mempool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from chains.bitcoin.blocks import walk, wire_keys
from chains.bitcoin.client import Client
from chains.bitcoin.decode import (
    RawTransaction,
    member,
    outpoints_of,
    parse_transaction,
    sats,
    transaction_facts,
    uint_of,
)
from chains.bitcoin.params import Network
from chains.bitcoin.readers import Resolved, resolve
from chains.bitcoin.signing import signing_facts
from chains.errors import ChainError, LyingNode
from chains.model import MempoolOutlook, Outpoint, Replacement, UtxoTransaction
from chains.rpc.jsonrpc import Json
from chains.source import WatchSet

TARGETS: Final = (2, 3, 6, 12, 24, 72, 144, 504, 1008)
"""Blocks within which to confirm, for `estimatesmartfee`; it knows none beyond 1008."""
MAX_RANKED: Final = 2_000
"""Where the node has no estimate, transactions that pay more are counted, in mempools up to this size: the answer has
400 bytes for each.
"""
_BLOCK_VBYTES: Final = 990_000


@dataclass(frozen=True, slots=True)
class _MempoolEntry:
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


def _read_entry(entry: Json) -> _MempoolEntry:
    fees, vsize = member(entry, "fees"), _size(entry, "vsize")
    own = _milli(sats(member(fees, "base")), vsize)
    ancestors = _milli(sats(member(fees, "ancestor")), _size(entry, "ancestorsize"))
    family = sats(member(fees, "descendant"))
    descendants = _milli(family, _size(entry, "descendantsize"))
    # A poor parent holds it back, a rich child pulls it up (CPFP): miners take packages.
    return _MempoolEntry(vsize, family, max(min(own, ancestors), descendants), entry.get("bip125-replaceable") is True)


def _replacement(entry: _MempoolEntry, info: Json) -> Replacement:
    if entry.signalled:
        return Replacement.SIGNALLED
    return Replacement.NO if info.get("fullrbf") is False else Replacement.FULL_RBF


def _replace_milli(entry: _MempoolEntry, info: Json) -> int:
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


MAX_CONTESTED: Final = 20_000
"""Inputs of matches that are remembered after the match left the mempool, so that a rival is seen."""


OUTLOOK_SECS: Final = 60.0
"""How long what the node said of a waiting transaction's chances is taken as true."""
MAX_REFRESHED: Final = 20
"""Outlooks asked for anew at a look: a batch of eleven questions each."""


@dataclass(slots=True)
class Mempool:
    """The memory of one source. `look` gives the transactions that touch the watch set, and every other that spends an
    input of one which did: a replacement is noticed even when it no longer touches us.

    Every transaction's bytes are kept while it waits (as much as the node's own mempool holds): when the watch set
    grows, those already seen are judged again. Nothing that waits is missed because it came before we knew its address.
    """

    network: Network
    clock: Callable[[], float] = time.monotonic
    _waiting: dict[bytes, bytes] = field(default_factory=dict)
    _facts: dict[bytes, UtxoTransaction] = field(default_factory=dict)
    _contested: dict[bytes, None] = field(default_factory=dict)
    """Outpoints as wire bytes, oldest first."""
    _seen_watch: object = None
    _asked_at: dict[bytes, float] = field(default_factory=dict)
    """When the outlook of each that has one was last asked for, longest ago first."""

    def read(self, client: Client, watch: WatchSet) -> tuple[UtxoTransaction, ...]:
        """Transactions that wait now and touch `watch`, in order of txid."""
        txids = client.mempool_txids()
        for gone in [txid for txid in self._waiting if txid not in txids]:
            del self._waiting[gone]
            self._facts.pop(gone, None)
            self._asked_at.pop(gone, None)
        fresh = self._fetch(client, sorted(txids - self._waiting.keys()))
        self._waiting.update(fresh)
        signature = _signature(watch)
        if signature != self._seen_watch:
            self._facts.clear()
            self._asked_at.clear()
            fresh = self._waiting
        self._refresh(client)
        self._judge(client, fresh, watch)
        self._seen_watch = signature
        return tuple(self._facts[txid] for txid in sorted(self._facts))

    def _refresh(self, client: Client) -> None:
        """Ask anew for outlooks that are a minute old, those longest ago first, a few at each look."""
        due = self.clock() - OUTLOOK_SECS
        for txid in [txid for txid, at in self._asked_at.items() if at <= due][:MAX_REFRESHED]:
            outlook = self._ask_outlook(client, txid)
            if outlook is not None:
                self._facts[txid] = replace(self._facts[txid], outlook=outlook)

    def _ask_outlook(self, client: Client, txid: bytes) -> MempoolOutlook | None:
        self._asked_at.pop(txid, None)
        self._asked_at[txid] = self.clock()
        return ask_outlook(client, txid)

    def _fetch(self, client: Client, txids: list[bytes]) -> dict[bytes, bytes]:
        fetched: dict[bytes, bytes] = {}
        for txid, raw in zip(txids, client.raw_transactions(txids), strict=True):
            if raw is None:
                continue  # it left the mempool between the two questions
            if parse_transaction(raw).txid != txid:
                raise LyingNode(f"asked for transaction {txid.hex()}, got another")
            fetched[txid] = raw
        return fetched

    def _judge(self, client: Client, suspects: dict[bytes, bytes], watch: WatchSet) -> None:
        """Add the facts of the suspects that touch the watch set, in as many rounds as chains of unconfirmed
        transactions are long: an output to us may be spent by another suspect.
        """
        own = set(self._contested) | self._spends_from(client, suspects, watch) | self._own_outputs(watch)
        while suspects:
            before = len(own)
            found = _touching(suspects, watch, own)
            for txid in found:
                self._facts[txid] = self._facts_of(client, parse_transaction(suspects[txid]), watch)
            suspects = {txid: raw for txid, raw in suspects.items() if txid not in found}
            if len(own) == before:
                return

    def _spends_from(self, client: Client, suspects: dict[bytes, bytes], watch: WatchSet) -> set[bytes]:
        """Inputs (wire bytes) that spend from watched addresses. While the watch set's outpoints are incomplete that
        shows only in the outputs spent, so each of them is asked for.
        """
        if watch.complete:
            return set()
        spent = {i.outpoint for raw in suspects.values() for i in parse_transaction(raw).inputs}
        known = self._resolve(client, spent - watch.outpoints.keys())
        return {o.wire for o, output in known.items() if output.address.key in watch.addresses}

    def _own_outputs(self, watch: WatchSet) -> set[bytes]:
        """What the matches so far pay to watched addresses, as outpoints in wire bytes."""
        return {
            Outpoint(tx.txid, output.vout).wire
            for tx in self._facts.values()
            for output in tx.outputs
            if output.address.key in watch.addresses
        }

    def _resolve(self, client: Client, wanted: Iterable[Outpoint]) -> Resolved:
        wanted = set(wanted)
        found: Resolved = {}
        for parent in {o.txid for o in wanted} & self._waiting.keys():
            found.update(outpoints_of(self.network, parse_transaction(self._waiting[parent])))
        return found | resolve(self.network, client, sorted(wanted - found.keys()))

    def _facts_of(self, client: Client, tx: RawTransaction, watch: WatchSet) -> UtxoTransaction:
        spent = [i.outpoint for i in tx.inputs]
        prevouts = {o: watch.outpoints[o] for o in spent if o in watch.outpoints}
        prevouts |= self._resolve(client, [o for o in spent if o not in prevouts])
        for outpoint in spent:
            self._contested[outpoint.wire] = None
        while len(self._contested) > MAX_CONTESTED:
            del self._contested[next(iter(self._contested))]
        signing = signing_facts(tx, prevouts, watch.addresses)
        facts = transaction_facts(self.network, tx, -1, prevouts, signing)
        return facts if signing is None else replace(facts, outlook=self._ask_outlook(client, tx.txid))


def _touching(suspects: dict[bytes, bytes], watch: WatchSet, own: set[bytes]) -> set[bytes]:
    """The txids among `suspects` that touch the watch set or spend from `own`, which grows by what they pay to it."""
    txids = list(suspects)
    spends = wire_keys(watch.outpoints)
    _, matches, _ = walk(b"".join(suspects.values()), 0, len(txids), watch.addresses, spends, own, prove=False)
    return {txids[match.index] for match in matches}


def _signature(watch: WatchSet) -> object:
    """Changes whenever something was added to the watch set: a dict's last key is the one added last."""
    last = next(reversed(watch.outpoints)) if watch.outpoints else None
    return len(watch.addresses), last, watch.complete
