"""Balances read from a node: opening the books with what the wallets hold, beside the watch where it takes long."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from chains.errors import PermanentError, RpcError, Unsupported
from chains.model import Address, AssetId, BlockFacts, BlockRef, Outpoint, TxOutput, UtxoTransaction
from chains.registry import family_of
from chains.source import ChainSource, Outpoints, Unspent, WatchSet
from walletwatch.deployment import WatchedChain
from walletwatch.domain.wallets import Perimeter
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.chain_state import Cursor
from walletwatch.store.ledger import Balance

MAX_ACCOUNTS = 20_000
"""A node answers one balance a call: anvil 120,000 a second in batches of a hundred. A wallet of more accounts is left
to the block-by-block books, and that is reported once a day.
"""

Pair = tuple[str, AssetId]
"""A wallet and an asset: one book."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the wallets held after block `at`; `outputs` are their unspent outputs on coin chains, `unread` says why a
    book could not be read.
    """

    at: BlockRef
    amounts: dict[Pair, int]
    outputs: dict[Outpoint, TxOutput]
    unread: dict[Pair, str] = field(default_factory=dict)


def read_holdings(source: ChainSource, watched: WatchedChain, at: BlockRef) -> Holdings | None:
    """Ask the node what every wallet holds. On coin chains a node only knows its tip: None if that is not `at`.

    A token that cannot be read is left out and named; it hides no other. Raises Unsupported on coin chains where the
    node keeps no such state, and the transient errors of `chains.errors`.
    """
    if family_of(watched.chain).keeps_coins:
        return _read_outputs(source, watched, at)
    amounts: dict[Pair, int] = {}
    unread: dict[Pair, str] = {}
    for wallet in watched.perimeter.names():
        addresses = watched.perimeter.addresses_of(wallet)
        for asset in (watched.native, *watched.tokens):
            if len(addresses) > MAX_ACCOUNTS:
                unread[wallet, asset.id] = (
                    f"has {len(addresses):,} accounts, more than the {MAX_ACCOUNTS:,} that are read"
                )
                continue
            try:
                amounts[wallet, asset.id] = sum(source.balances(addresses, asset.id, at))
            except (Unsupported, RpcError) as error:
                unread[wallet, asset.id] = str(error)
    return Holdings(at, amounts, {}, unread)


def _read_outputs(source: ChainSource, watched: WatchedChain, at: BlockRef) -> Holdings | None:
    unspent = source.unspent(set(watched.perimeter.addresses.values()))
    return holdings_of(watched, unspent) if unspent.at == at else None


def holdings_of(watched: WatchedChain, unspent: Unspent) -> Holdings:
    """What the wallets of a coin chain hold, by all their unspent outputs."""
    perimeter = watched.perimeter
    amounts: dict[Pair, int] = defaultdict(int)
    for name in perimeter.names():
        amounts[name, watched.native.id] = 0
    for output in unspent.outputs.values():
        wallet = perimeter.wallet_of(output.address)
        if wallet is not None:
            amounts[wallet.name, watched.native.id] += output.value
    return Holdings(unspent.at, dict(amounts), dict(unspent.outputs))


def keep_holdings(unit: UnitOfWork, watched: WatchedChain, holdings: Holdings) -> None:
    """Keep what the node said; on coin chains every unspent output of ours is known from here on."""
    for (wallet, asset), amount in holdings.amounts.items():
        unit.ledger.save_balance(watched.chain, Balance(wallet, asset, holdings.at, amount), unit.now)
    for outpoint, output in holdings.outputs.items():
        unit.ledger.add_outputs(watched.chain, holdings.at.height, outpoint.txid, (output,))
    unit.chain_state.set_complete(watched.chain, books_digest(watched))


def books_digest(watched: WatchedChain) -> str:
    """What the books are of: with other addresses or, on account chains, other assets they have to be opened anew."""
    if family_of(watched.chain).keeps_coins:
        return addresses_digest(watched.perimeter)
    digest = hashlib.sha256()
    for wallet in watched.perimeter.names():
        keys = sorted(a.key for a in watched.perimeter.addresses_of(wallet))
        if len(keys) <= MAX_ACCOUNTS:
            digest.update(f"{len(keys)} {wallet}\n".encode() + b"".join(keys))
    for asset in watched.tokens:
        digest.update(f"{asset.id}\n".encode())
    return digest.hexdigest()


def addresses_digest(perimeter: Perimeter) -> str:
    """SHA-256 over the sorted keys: another configuration has other outputs to know."""
    return perimeter.digest()


_log = logging.getLogger(__name__)

PATIENCE_SECS: Final = 2.0
"""How long the worker waits for a scan it began: on a small chain it takes milliseconds."""
MAX_ROLL_BLOCKS: Final = 200
"""A scan that lies further back is made anew."""
AGAIN_AFTER: Final = timedelta(seconds=60)
"""The pause after a refusal: bitcoind makes one scan at a time, "Scan already in progress" may be somebody else's."""


@dataclass(slots=True)
class _RunningScan:
    """One scan, for the addresses of `digest`; `found` or `error` when its thread has ended."""

    digest: str
    addresses: frozenset[Address]
    found: Unspent | None = None
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def begin(self, source: ChainSource) -> None:
        self.thread = threading.Thread(target=self._run, args=(source,), name="opening balances", daemon=True)
        self.thread.start()

    def _run(self, source: ChainSource) -> None:
        try:
            self.found = source.unspent(self.addresses)
        except BaseException as error:  # noqa: BLE001 - the worker's thread raises it, or reports it
            self.error = error


class UtxoScan:
    """One coin chain's. Owned by the worker's thread; only the scan itself runs in another."""

    def __init__(self, watched: WatchedChain, source: ChainSource, clock: Callable[[], datetime]) -> None:
        self._watched = watched
        self._source = source
        self._clock = clock
        self._scan: _RunningScan | None = None
        self._failed = ""
        self._again_at: datetime | None = None

    @property
    def under_way(self) -> bool:
        """Whether a scan runs, or waits for the cursor to reach its block."""
        return self._scan is not None

    def status(self) -> str:
        """What `status` says while the balances are not read; empty when nothing is to be said."""
        if self._scan is None:
            return f"opening balances not read yet: {self._failed}" if self._failed else ""
        percent = self._source.scan_progress()
        return "opening balances not read yet" + ("" if percent is None else f" ({percent} %)")

    def holdings(self, at: BlockRef) -> Holdings | None:
        """What the wallets hold after block `at`; None while it is not known, with a scan begun if none is under way.

        Raises what is worth another try of `chains.errors`, LyingNode too.
        """
        digest = books_digest(self._watched)
        if self._scan is None:
            self._begin(digest)
        scan = self._scan
        if scan is None or scan.thread.is_alive():
            return None
        if scan.error is not None:
            self._give_up(scan.error)
            return None
        if scan.found is not None and scan.found.at.height > at.height:
            return None
        outputs = None
        if scan.found is not None and scan.digest == digest:
            outputs = self._roll_forward(scan.found, scan.addresses, at)
        self._scan, self._failed = None, ""
        if outputs is not None:
            return holdings_of(self._watched, Unspent(at, outputs))
        self._begin(digest)
        return None

    def _begin(self, digest: str) -> None:
        if self._again_at is not None and self._clock() < self._again_at:
            return
        self._scan = _RunningScan(digest, frozenset(self._watched.perimeter.addresses.values()))
        self._scan.begin(self._source)
        self._scan.thread.join(PATIENCE_SECS)

    def _give_up(self, error: BaseException) -> None:
        """This scan failed. What is worth another try is raised."""
        self._scan = None
        if not isinstance(error, PermanentError):
            raise error
        self._failed = str(error)
        self._again_at = self._clock() + AGAIN_AFTER
        _log.warning("%s: balances cannot be read: %s", self._watched.name, error)

    def _roll_forward(self, found: Unspent, addresses: frozenset[Address], at: BlockRef) -> Outpoints | None:
        """The unspent outputs after `at`; None if `found` is of another branch, or lies too far back."""
        if at.height - found.at.height > MAX_ROLL_BLOCKS:
            return None
        outputs, ref = Outpoints(found.outputs), found.at
        watch = WatchSet({address.key for address in addresses}, outputs, complete=True)
        for height in range(found.at.height + 1, at.height + 1):
            facts = self._source.block(height, watch)
            if facts.parent_hash != ref.hash:
                return None
            _apply(facts, watch, outputs)
            ref = facts.ref
        return outputs if ref == at else None


def _apply(facts: BlockFacts, watch: WatchSet, outputs: Outpoints) -> None:
    for tx in facts.transactions:
        if isinstance(tx, UtxoTransaction):
            for spent in tx.inputs:
                outputs.pop(spent.outpoint, None)
            created = (o for o in tx.outputs if o.address.key in watch.addresses)
            outputs.update({Outpoint(tx.txid, o.vout): o for o in created})


class OpeningBalances:
    """Opens one chain's books: with what the node says the wallets hold, once for each configuration."""

    def __init__(self, watched: WatchedChain, source: ChainSource, store: Store) -> None:
        self._watched = watched
        self._source = source
        self._store = store
        self._scans = UtxoScan(watched, source, store.clock)
        self._tried: BlockRef | None = None

    def status(self) -> str:
        """What `status` says while the books are not opened; empty when nothing is to be said."""
        return self._scans.status()

    def at_start(self, before: BlockRef, tip: BlockRef) -> Holdings | None:
        """What the wallets hold before the first block, None if that is not known yet: of a past block only an account
        chain's archive can tell.
        """
        past = before != tip
        if family_of(self._watched.chain).keeps_coins:
            return None if past else self._scans.holdings(before)
        if past and before.height < 0:
            return None
        holdings = read_holdings(self._source, self._watched, before)
        return None if holdings is None or (past and holdings.unread) else holdings

    def is_open(self, cursor: Cursor) -> bool:
        """Whether the books are of today's configuration."""
        return cursor.complete_for == books_digest(self._watched)

    def is_opening(self, cursor: Cursor) -> bool:
        """Whether a node's answer is on its way that will open the books."""
        return self._scans.under_way and not self.is_open(cursor)

    def open(self, cursor: Cursor) -> bool:
        """Open the books at the cursor's block if they are not. Whether that was done now; else asked again at the
        next block, or when a scan has ended.
        """
        if self.is_open(cursor):
            return False
        holdings = self._read(cursor.ref)
        if holdings is None:
            return False
        with self._store.transaction() as unit:
            keep_holdings(unit, self._watched, holdings)
        return True

    def _read(self, at: BlockRef) -> Holdings | None:
        if family_of(self._watched.chain).keeps_coins:
            return self._scans.holdings(at)
        if self._tried == at:
            return None
        self._tried = at
        try:
            return read_holdings(self._source, self._watched, at)
        except Unsupported as error:
            _log.warning("%s: balances cannot be read: %s", self._watched.name, error)
            return None
