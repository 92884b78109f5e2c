"""The last transactions of each wallet, added up: moved along with each outflow that was judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from chains.model import ChainTransaction, TxId
from walletwatch.history.windows import NEVER, ticks
from walletwatch.rules.wallet_profile import Trait, WalletProfile
from walletwatch.store import UnitOfWork
from walletwatch.store.history import LAST_ORDINAL, ChangedOutflow

_MOST_TRAITS = 50_000
_SLACK = 1_000
"""How many more than needed are held before the oldest are dropped."""

Version = tuple[str, TxId, bytes]
"""Chain, transaction, and the hash of its block (empty while in none): its content cannot change under this name."""


@dataclass(slots=True)
class _Sum:
    """A profile, and which entries it holds: [low, high)."""

    past: WalletProfile = field(default_factory=WalletProfile)
    low: int = 0
    high: int = 0


class Disturbed(Exception):
    """The change is more than a newer transaction: the wallet has to be read anew."""


@dataclass(slots=True)
class RecentOfWallet:
    """The latest transactions of one wallet, oldest first, each with its time; none is older than `since`."""

    since: int
    least: int
    """It holds at least so many, if the wallet has them."""
    entries: list[tuple[Version, Trait, int]] = field(default_factory=list)
    known: dict[tuple[str, TxId], bytes] = field(default_factory=dict)
    time: int = -1
    ordinal: int = -1
    """The latest of each, of all entries."""
    waiting: list[ChangedOutflow] = field(default_factory=list)
    """New rows; those of the transaction that is judged wait until another is."""
    sums: dict[int, _Sum] = field(default_factory=dict)

    def add(self, version: Version, trait: Trait, at: int, ordinal: int) -> None:
        """The newest in both orders. Raises Disturbed if it is not."""
        name = version[:2]
        if at < self.time or ordinal <= self.ordinal or (name in self.known and self.entries[-1][0] != version):
            raise Disturbed
        self.time, self.ordinal = at, ordinal
        if name in self.known:
            return
        self.known[name] = version[2]
        self.entries.append((version, trait, at))
        if len(self.entries) > 2 * self.least + _SLACK:
            self._drop(len(self.entries) - self.least)

    def _drop(self, count: int) -> None:
        for version, _, _ in self.entries[:count]:
            del self.known[version[:2]]
        del self.entries[:count]
        self.since = self.entries[0][2]
        self.sums.clear()

    def past(self, limit: int) -> WalletProfile:
        """What the last `limit` add up to."""
        kept = self.sums.setdefault(limit, _Sum())
        high = len(self.entries)
        low = max(0, high - limit)
        for _, trait, _ in self.entries[max(kept.high, low) : high]:
            kept.past.add(trait)
        for _, trait, _ in self.entries[kept.low : min(low, kept.high)]:
            kept.past.remove(trait)
        kept.low, kept.high = low, high
        return kept.past


class RecentTransactions:
    """The recent transactions of each wallet a rule needs. Call `follow` with what changed first."""

    def __init__(self, upto: Callable[[], int] = lambda: LAST_ORDINAL) -> None:
        self._upto = upto
        """Only what was judged before this ordinal is there."""
        self._by_wallet: dict[str, RecentOfWallet] = {}
        self._traits: dict[Version, Trait] = {}

    def clear(self) -> None:
        """Forget everything; it is read again when needed."""
        self._by_wallet.clear()
        self._traits.clear()

    def follow(self, changes: Iterable[ChangedOutflow], latest: int) -> None:
        """Take in rows that changed; those judged after ordinal `latest` are new."""
        for change in changes:
            row = change.row
            recent = self._by_wallet.get(row.wallet)
            if recent is None or ticks(row.broadcast_at) < recent.since:
                continue
            if change.counts and row.ordinal > latest:
                recent.waiting.append(change)
            elif not change.counts or recent.known.get((change.chain, row.tx)) != change.block_hash:
                del self._by_wallet[row.wallet]  # it came into a block, left one, or was replaced

    def remember(self, chain: str, block_hash: bytes, tx: ChainTransaction) -> None:
        """Keep the traits of a transaction that is already in memory, so that it need not be read."""
        if len(self._traits) >= _MOST_TRAITS:
            self._traits.clear()
        self._traits[chain, tx.txid, block_hash] = Trait.of(tx)

    def past(
        self, unit: UnitOfWork, wallet: str, but: tuple[str, TxId], at: datetime, ordinal: int, limit: int
    ) -> WalletProfile:
        """What the wallet's last `limit` transactions add up to of those broadcast up to `at` and judged before
        `ordinal`, without `but`.
        """
        recent = self._current(unit, wallet, but, limit)
        if recent.time <= ticks(at) and recent.ordinal < ordinal and but not in recent.known:
            return recent.past(limit)
        # Something that came later is known already: what came before it is read.
        found = unit.history.past_of(wallet, but[1], at, ordinal, limit)
        return WalletProfile(self._trait(unit, (one.chain, one.tx, one.block_hash)) for one in found)

    def _current(self, unit: UnitOfWork, wallet: str, but: tuple[str, TxId], limit: int) -> RecentOfWallet:
        recent = self._by_wallet.get(wallet)
        if recent is not None and recent.least >= limit:
            try:
                self._take(unit, recent, but)
            except Disturbed:
                del self._by_wallet[wallet]
            else:
                return recent
        least = limit if recent is None else max(limit, recent.least)
        recent = self._by_wallet[wallet] = self._load(unit, wallet, but, least)
        return recent

    def _take(self, unit: UnitOfWork, recent: RecentOfWallet, but: tuple[str, TxId]) -> None:
        waiting, recent.waiting = recent.waiting, []
        for change in waiting:
            version = (change.chain, change.row.tx, change.block_hash)
            if version[:2] == but:
                recent.waiting.append(change)
            else:
                recent.add(version, self._trait(unit, version), ticks(change.row.broadcast_at), change.row.ordinal)

    def _load(self, unit: UnitOfWork, wallet: str, but: tuple[str, TxId], least: int) -> RecentOfWallet:
        found = unit.history.past_of(wallet, but[1], NEVER, self._upto(), least)
        recent = RecentOfWallet(ticks(found[-1].broadcast_at) if len(found) >= least else -1, least)
        for one in reversed(found):
            version = (one.chain, one.tx, one.block_hash)
            recent.known[version[:2]] = version[2]
            recent.entries.append((version, self._trait(unit, version), ticks(one.broadcast_at)))
        recent.time = max((at for _, _, at in recent.entries), default=-1)
        recent.ordinal = max((one.ordinal for one in found), default=-1)
        recent.waiting = unit.history.rows_of(wallet, *but)
        return recent

    def _trait(self, unit: UnitOfWork, version: Version) -> Trait:
        if version not in self._traits:
            tx = unit.ledger.decode(version[0], version[1])
            if len(self._traits) >= _MOST_TRAITS:
                self._traits.clear()
            self._traits[version] = Trait(None, None) if tx is None else Trait.of(tx)
        return self._traits[version]
