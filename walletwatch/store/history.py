"""What outflows of the past are judged by. Read at every outflow, so each query is one statement, compiled once."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from itertools import count, islice
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
)

from chains.model import Address, AssetId, ChainId, TxId
from walletwatch.domain.outflows import OutflowState
from walletwatch.store import tables as t
from walletwatch.store.columns import UtcTime
from walletwatch.store.statements import Statement

LAST_ORDINAL = 2**63 - 1
"""After every other in the order of judging."""

_o, _d, _m, _x = t.outflows.c, t.destinations.c, t.movements.c, t.transactions.c
_COUNTS = and_(_o.state != str(OutflowState.ORPHANED), _o.state != str(OutflowState.REPLACED))
"""No limit counts the others."""
_GONE = frozenset({str(OutflowState.ORPHANED), str(OutflowState.REPLACED)})

asset_of = lru_cache(4_096)(AssetId.parse)
chain_of = lru_cache(256)(ChainId.parse)
"""Few ids in very many rows."""


class PastOutflow(NamedTuple):
    """What windows are summed over."""

    id: str
    wallet: str
    asset: AssetId
    amount: int
    broadcast_at: datetime
    tx: TxId
    ordinal: int
    """Its number in the order of judging."""


class ChangedOutflow(NamedTuple):
    """An outflow as it is now; `block_hash` is empty while it is in none."""

    row: PastOutflow
    counts: bool
    chain: str
    block_hash: bytes


class PastTransaction(NamedTuple):
    """A transaction with an outflow of a wallet, by the latest of these. `block_hash` is empty while it is in none;
    under chain, transaction and block hash what it says cannot change.
    """

    chain: str
    tx: TxId
    block_hash: bytes
    broadcast_at: datetime
    ordinal: int


class PaymentReceived(NamedTuple):
    """One payment to a destination: `paid` base units, by its position `payment` in the transaction of `row`."""

    row: PastOutflow
    payment: int
    paid: int


def _text(name: str) -> Any:
    return bindparam(name, type_=Text())


def _time(name: str) -> Any:
    return bindparam(name, type_=UtcTime())


def _bytes(name: str) -> Any:
    return bindparam(name, type_=LargeBinary())


def _number(name: str = "ordinal") -> Any:
    return bindparam(name, type_=BigInteger())


def _to_address() -> ColumnElement[bool]:
    """Payments to an address that count: by other transactions, judged before an ordinal."""
    paying = exists().where(
        _o.chain == _d.chain, _o.txid == _d.txid, _o.asset == _d.asset, _COUNTS, _o.ordinal < _number()
    )
    return and_(
        _d.chain == _text("chain"),
        _d.address == _bytes("address"),
        _d.txid != _bytes("tx"),
        _d.broadcast_at <= _time("until"),
        paying,
    )


_LATEST_CHANGE = Statement(lambda _: select(func.coalesce(func.max(_o.changed), 0)))
_LARGEST_ORDINAL = Statement(lambda _: select(func.coalesce(func.max(_o.ordinal), 0)))
_PAST = (_o.id, _o.wallet, _o.asset, _o.amount, _o.broadcast_at, _o.txid, _o.ordinal)
_CHANGED = Statement(lambda _: select(*_PAST, _o.state, _o.chain, _o.block_hash).where(_o.changed > _number("change")))
_ROWS_OF = Statement(
    lambda _: (
        select(*_PAST, _o.state, _o.chain, _o.block_hash)
        .where(_o.chain == _text("chain"), _o.txid == _bytes("tx"), _o.wallet == _text("wallet"), _COUNTS)
        .order_by(_o.ordinal)
    )
)
_ORDINAL_OF = Statement(
    lambda _: select(func.min(_o.ordinal)).where(_o.chain == _text("chain"), _o.txid == _bytes("tx"))
)
_FIRST_PAID = Statement(lambda _: select(_d.broadcast_at).where(_to_address()).order_by(_d.broadcast_at).limit(1))
_LAST_PAID = Statement(lambda _: select(_d.broadcast_at).where(_to_address()).order_by(_d.broadcast_at.desc()).limit(1))
_LAST_AT = Statement(
    lambda _: (
        select(_o.broadcast_at)
        .where(_o.wallet == _text("wallet"), _COUNTS, _o.txid != _bytes("tx"))
        .where(_o.broadcast_at <= _time("until"), _o.ordinal < _number())
        .order_by(_o.broadcast_at.desc())
        .limit(1)
    )
)


_PAYING = Statement(
    lambda _: (
        select(_o.chain, _o.txid, _o.block_hash, _o.broadcast_at, _o.ordinal)
        .where(_o.wallet == _text("wallet"), _COUNTS, _o.txid != _bytes("tx"))
        .where(_o.broadcast_at <= _time("until"), _o.ordinal < _number())
        .order_by(_o.broadcast_at.desc(), _o.ordinal.desc())
        .limit(bindparam("limit", type_=BigInteger()))
        .offset(bindparam("offset", type_=BigInteger()))
    )
)


def _receipts() -> Select[Any]:
    return (
        select(*_PAST, _d.ordinal, _d.amount)
        .join(t.destinations, (_d.chain == _o.chain) & (_d.txid == _o.txid) & (_d.asset == _o.asset))
        .where(_d.chain == _text("chain"), _d.address == _bytes("address"))
        .where(_d.broadcast_at > _time("after"), _d.broadcast_at <= _time("until"), _o.ordinal <= _number())
        .where(or_(_COUNTS, _o.txid == _bytes("own")))
        .order_by(_o.broadcast_at, _o.ordinal)
    )


_RECEIPTS = Statement(lambda _: _receipts())


def _spending() -> Select[Any]:
    at = case((_x.first_seen < _m.block_time, _x.first_seen), else_=_m.block_time)
    joined = (_x.chain == _m.chain) & (_x.txid == _m.txid)
    spends = select(at.label("at")).join(t.transactions, joined)
    return spends.where(_m.wallet == _text("wallet"), _m.txid != _bytes("tx"), _m.sent != 0)


def _latest_spending() -> Select[Any]:
    found = _spending().where(_m.block_time >= _time("near")).subquery().c.at
    return select(func.max(found, type_=UtcTime())).where(found <= _time("until"))


_SPENDINGS = Statement(
    lambda _: (
        select(case((_x.first_seen < _m.block_time, _x.first_seen), else_=_m.block_time), _m.txid)
        .join(t.transactions, (_x.chain == _m.chain) & (_x.txid == _m.txid))
        .where(_m.wallet == _text("wallet"), _m.sent != 0)
    )
)
_NEAR = Statement(lambda _: _spending().where(_m.block_time <= _time("until")).order_by(_m.block_time.desc()).limit(1))
_LATEST_SPENDING = Statement(lambda _: _latest_spending())
_BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class HistoryRepository:
    """Reads only."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    # --- changes ------------------------------------------------------------------------------------------------------

    def latest_change(self) -> int:
        """The number of the latest change of any outflow; 0 if there are none."""
        return int(_LATEST_CHANGE.row(self._c)[0])

    def last_ordinal(self) -> int:
        """The last ordinal in the order of judging; 0 if there is no outflow."""
        return int(_LARGEST_ORDINAL.row(self._c)[0])

    def changed_after(self, change: int) -> list[ChangedOutflow]:
        """Every outflow that changed since, as it is now, in the order of judging."""
        # Sorted here: SQLite walks all of history along the index of an ORDER BY (176 ms at 1,000,000 outflows).
        rows = sorted(_CHANGED.rows(self._c, change=change), key=lambda r: int(r[6]))
        return [_changed(r) for r in rows]

    def rows_of(self, wallet: str, chain: str, tx: TxId) -> list[ChangedOutflow]:
        """A transaction's outflows of `wallet` that count, in the order of judging."""
        return [_changed(r) for r in _ROWS_OF.rows(self._c, chain=chain, tx=tx, wallet=wallet)]

    def ordinal_of(self, chain: ChainId, tx: TxId) -> int:
        """The first ordinal of a transaction in the order of judging; after all others if it is not there."""
        (ordinal,) = _ORDINAL_OF.row(self._c, chain=str(chain), tx=tx)
        return LAST_ORDINAL if ordinal is None else int(ordinal)

    # --- who was paid -------------------------------------------------------------------------------------------------

    def first_paid_at(
        self, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        """When another transaction than `tx` that counts and was judged before `ordinal` first paid `address`, up to
        `until`; None if none did.
        """
        return self._paid_at(_FIRST_PAID, chain, address, until, tx, ordinal)

    def last_paid_at(
        self, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        """When such a transaction last paid `address`."""
        return self._paid_at(_LAST_PAID, chain, address, until, tx, ordinal)

    def _paid_at(
        self, statement: Statement, chain: ChainId, address: Address, until: datetime, tx: TxId, ordinal: int
    ) -> datetime | None:
        row = statement.row(self._c, chain=str(chain), address=address.key, until=until, tx=tx, ordinal=ordinal)
        found: datetime | None = None if row is None else row[0]
        return found

    def receipts(
        self, chain: ChainId, address: Address, after: datetime, until: datetime, own: TxId, ordinal: int = LAST_ORDINAL
    ) -> list[PaymentReceived]:
        """Payments to `address` in (after, until] of outflows that count (or of transaction `own`), up to `ordinal` in
        the order of judging, by time and that order. A payment stands once for each wallet that shared in it.
        """
        given = {"chain": str(chain), "address": address.key, "after": after, "until": until, "own": own}
        rows = _RECEIPTS.rows(self._c, **given, ordinal=ordinal)
        return [PaymentReceived(past_outflow(r), r[7], r[8]) for r in rows]

    # --- when a wallet moved ------------------------------------------------------------------------------------------

    def last_paying_at(self, wallet: str, tx: TxId, until: datetime, ordinal: int) -> datetime | None:
        """Broadcast time, up to `until`, of the wallet's latest outflow that counts and was judged before `ordinal`, of
        another transaction than `tx`.
        """
        row = _LAST_AT.row(self._c, wallet=wallet, tx=tx, until=until, ordinal=ordinal)
        found: datetime | None = None if row is None else row[0]
        return found

    def past_of(self, wallet: str, tx: TxId, until: datetime, ordinal: int, limit: int) -> list[PastTransaction]:
        """The wallet's last `limit` such transactions, newest first."""
        found: dict[tuple[str, TxId], PastTransaction] = {}
        # A transaction may have an outflow in each of several assets: read on until there are enough.
        for low in count(0, 2 * limit):
            given = {"wallet": wallet, "tx": tx, "until": until, "ordinal": ordinal}
            rows = _PAYING.rows(self._c, **given, limit=2 * limit, offset=low)
            for chain, txid, block_hash, at, number in rows:
                found.setdefault((chain, txid), PastTransaction(chain, txid, block_hash or b"", at, number))
            if len(found) >= limit or len(rows) < 2 * limit:
                break
        return list(islice(found.values(), limit))

    def spendings(self, wallet: str) -> list[tuple[datetime, TxId]]:
        """(broadcast time, transaction) of every transaction in the books by which the wallet spent, unordered."""
        return [(at, tx) for at, tx in _SPENDINGS.rows(self._c, wallet=wallet)]

    def last_spent_at(self, wallet: str, tx: TxId, until: datetime) -> datetime | None:
        """Broadcast time, up to `until`, of the wallet's latest transaction in the books that spent anything, other
        than `tx`.
        """
        # A broadcast comes no later than its block: what is latest has a block time of at least the first one found.
        row = _NEAR.row(self._c, wallet=wallet, tx=tx, until=until)
        near = _BEGINNING if row is None else row[0]
        latest: datetime | None = _LATEST_SPENDING.row(self._c, wallet=wallet, tx=tx, near=near, until=until)[0]
        return latest


def _changed(r: Any) -> ChangedOutflow:
    return ChangedOutflow(past_outflow(r), r[7] not in _GONE, r[8], r[9] or b"")


def past_outflow(r: Any) -> PastOutflow:
    """Of a row that begins with the columns of `PastOutflow`."""
    return PastOutflow(r[0], r[1], asset_of(r[2]), r[3], r[4], r[5], r[6])
