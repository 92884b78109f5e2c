"""Conservation: at a final block each wallet holds what it held before, plus what came in, less what left and fees.

What the node tells of a balance owes nothing to logs and traces, so the difference shows what they did not: calls
inside contracts on a node without traces, tokens that say one thing and do another, a log that was left out. The
interval in which it arose is halved until its block is found. Coin chains need none of this: there an own coin cannot
move without a transaction that names it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chains.errors import ChainError, RpcError, Unsupported
from chains.model import Address, BlockRef
from chains.registry import family_of
from chains.source import ChainSource
from walletwatch.deployment import WatchedChain
from walletwatch.domain.findings import Finding
from walletwatch.store import Store, UnitOfWork
from walletwatch.store.ledger import Balance
from walletwatch.watch.balance_differences import AccountBalance, Difference, Reporter
from walletwatch.watch.judging import Judge
from walletwatch.watch.opening_balances import Holdings, Pair, books_digest, read_holdings

_log = logging.getLogger(__name__)

MAX_DIFFERENCES = 16
"""So many blocks of one book are told apart at one check; what is left over is told as one."""


@dataclass(frozen=True, slots=True)
class WalletBook:
    """One wallet's book of one asset since the node last told: `moves` are (height, in, out, fee), by height."""

    pair: Pair
    opening: Balance
    moves: Sequence[tuple[int, int, int, int]]

    def expected(self, height: int) -> int:
        """What must be there after the block at `height`, base units."""
        return self.opening.amount + sum(self.sums(self.opening.at.height, height), start=0)

    def sums(self, above: int, up_to: int) -> tuple[int, int, int]:
        """(in, -out, -fees) in blocks above `above` and up to `up_to`."""
        rows = [m for m in self.moves if above < m[0] <= up_to]
        return sum(m[1] for m in rows), -sum(m[2] for m in rows), -sum(m[3] for m in rows)


_Told = list[AccountBalance] | None


@dataclass(slots=True)
class _BlockSearch:
    """Where a difference arose: the books balance by `offset` at `verified`, and no longer at `high`."""

    offset: int
    verified: int
    low: int
    high: int


class Conservation:
    """Checks one chain's books. Owned by its worker's thread."""

    def __init__(self, watched: WatchedChain, source: ChainSource, store: Store, judge: Judge) -> None:
        self._watched = watched
        self._source = source
        self._store = store
        self._reporter = Reporter(watched, judge)
        self._checked: tuple[int, datetime] | None = None

    def check_if_due(self) -> tuple[Finding, ...]:
        """Check at a new final height, no more often than the chain's `check_balances`. New findings."""
        with self._store.reading() as unit:
            cursor = unit.chain_state.cursor(self._watched.chain)
        if cursor is None or cursor.final_height < 0 or family_of(self._watched.chain).keeps_coins:
            return ()
        if self._checked is not None:
            height, at = self._checked
            pause = timedelta(seconds=self._watched.check_balances_secs)
            if cursor.final_height <= height or self._store.clock() - at < pause:
                return ()
        return self.check()

    def check(self) -> tuple[Finding, ...]:
        """Hold every book to the node's word at the highest final block, now. New findings.

        Raises the transient errors of `chains.errors`, LyingNode and WrongChain.
        """
        started = self._store.clock()
        at, books, current = self._read_books()
        if at is None or not current:
            return ()
        ahead = {b.pair for b in books if b.opening.at.height >= at.height}
        if books and len(ahead) == len(books):
            return ()
        holdings = read_holdings(self._source, self._watched, at)
        if holdings is None:
            return ()
        found = [
            difference
            for book in books
            if book.pair in holdings.amounts and book.pair not in ahead and self._reporter.is_on(*book.pair)
            for difference in self._differences(book, at, holdings.amounts[book.pair])
        ]
        new = self._keep(at, holdings, ahead, found)
        self._checked = (at.height, started)
        return new

    def _read_books(self) -> tuple[BlockRef | None, list[WalletBook], bool]:
        """The highest final block, every book that was opened, and whether the books are of today's configuration."""
        chain = self._watched.chain
        with self._store.reading() as unit:
            cursor = unit.chain_state.cursor(chain)
            if cursor is None or cursor.final_height < max(0, cursor.start_height - 1):
                return None, [], False
            at = unit.chain_state.ref_at(chain, cursor.final_height)
            current = cursor.complete_for == books_digest(self._watched)
            books = _open_books(unit, self._watched, cursor.final_height)
        return at or self._source.ref_at(cursor.final_height), books, current

    # --- where it arose -----------------------------------------------------------------------------------------------

    def _differences(self, book: WalletBook, at: BlockRef, amount: int) -> list[Difference]:
        """Every block of the interval in which the node's word and the book parted, oldest first."""
        missing = amount - book.expected(at.height)
        offset, low = 0, book.opening.at.height
        found: list[Difference] = []
        while offset != missing:
            search = _BlockSearch(offset, low, low, at.height)
            if len(found) < MAX_DIFFERENCES - 1:
                self._narrow(book, search)
            high = at if search.high == at.height else self._source.ref_at(search.high)
            after = missing if high == at else self._offset(book, high)
            if after is None or after == offset:
                high, after = at, missing
            found.append(self._describe(book, search, high, after - offset))
            offset, low = after, high.height
        return found

    def _narrow(self, book: WalletBook, search: _BlockSearch) -> None:
        """Halve. A block whose state the node no longer keeps cannot be asked: the search goes on above it."""
        while search.high - search.low > 1:
            middle = (search.low + search.high) // 2
            offset = self._offset(book, self._source.ref_at(middle))
            if offset is None:
                search.low = middle
            elif offset == search.offset:
                search.low = search.verified = middle
            else:
                search.high = middle

    def _offset(self, book: WalletBook, at: BlockRef) -> int | None:
        """The node's word less the book's after block `at`; None where the node keeps no such state."""
        amounts = self._amounts(book.pair, at)
        return None if amounts is None else sum(a.amount for a in amounts) - book.expected(at.height)

    def _amounts(self, pair: Pair, at: BlockRef) -> list[AccountBalance] | None:
        wallet, asset = pair
        addresses = self._watched.perimeter.addresses_of(wallet)
        try:
            amounts = self._source.balances(addresses, asset, at)
        except (Unsupported, RpcError):
            return None
        return [AccountBalance(address, amount) for address, amount in zip(addresses, amounts, strict=True)]

    def _describe(self, book: WalletBook, search: _BlockSearch, high: BlockRef, missing: int) -> Difference:
        low = self._source.ref_at(search.verified)
        before = self._amounts(book.pair, low)
        after = self._amounts(book.pair, high)
        second = self._second_word(book.pair, (low, high), (before, after))
        received, sent, fees = book.sums(search.verified, high.height)
        return Difference(
            wallet=book.pair[0],
            asset=book.pair[1],
            above=search.verified,
            at=high,
            opening=book.expected(search.verified) + search.offset,
            received=received,
            sent=-sent,
            fees=-fees,
            amount=missing,
            accounts=_changed(before, after),
            second_word=second,
        )

    def _second_word(self, pair: Pair, blocks: tuple[BlockRef, BlockRef], told: tuple[_Told, _Told]) -> int | None:
        """What the wallet gained between the blocks by another endpoint's word; None if no other can tell. Raises
        nothing: the finding must not wait for it.
        """
        if told[0] is None or told[1] is None:
            return None
        addresses = self._watched.perimeter.addresses_of(pair[0])
        try:
            before, after = self._source.second_balances(addresses, pair[1], blocks)
        except ChainError as error:
            _log.debug("no second opinion on what %s holds: %s", pair[0], error)
            return None
        return sum(after) - sum(before)

    # --- keeping ------------------------------------------------------------------------------------------------------

    def _keep(
        self, at: BlockRef, holdings: Holdings, ahead: set[Pair], found: Iterable[Difference]
    ) -> tuple[Finding, ...]:
        """Findings and the new baseline in one transaction: what was said once is not said again."""
        chain = self._watched.chain
        with self._store.transaction() as unit:
            cursor = unit.chain_state.cursor(chain, lock=True)
            if (
                cursor is None
                or cursor.final_height < at.height
                or unit.chain_state.ref_at(chain, at.height) not in (None, at)
            ):
                return ()
            for pair, amount in holdings.amounts.items():
                if pair not in ahead:
                    unit.ledger.save_balance(chain, Balance(*pair, at, amount), unit.now)
            new = [f for difference in found for f in self._reporter.report(unit, difference)]
            new += [f for pair, why in holdings.unread.items() for f in self._reporter.report_unread(unit, pair, why)]
        return tuple(new)


def _open_books(unit: UnitOfWork, watched: WatchedChain, up_to: int) -> list[WalletBook]:
    openings: dict[Pair, Balance] = {}
    for wallet in watched.perimeter.names():
        for asset in (watched.native, *watched.tokens):
            told = unit.ledger.balances(watched.chain, wallet, asset.id)
            if told:
                openings[wallet, asset.id] = told[-1]
    lowest = min((b.at.height for b in openings.values()), default=up_to)
    moves: dict[Pair, list[tuple[int, int, int, int]]] = {pair: [] for pair in openings}
    for chain, wallet, _asset, height, m in unit.ledger.movements(heights=(lowest + 1, up_to)):
        if chain == str(watched.chain) and (wallet, m.asset) in moves and height > openings[wallet, m.asset].at.height:
            moves[wallet, m.asset].append((height, m.received, m.sent, m.fee))
    return [WalletBook(pair, opening, moves[pair]) for pair, opening in openings.items()]


def _changed(
    before: Sequence[AccountBalance] | None, after: Sequence[AccountBalance] | None
) -> tuple[tuple[Address, int, int], ...]:
    """(account, before, after) of those accounts of the wallet that hold another amount now."""
    if before is None or after is None:
        return ()
    pairs = zip(before, after, strict=True)
    return tuple((b.address, b.amount, a.amount) for b, a in pairs if b.amount != a.amount)
