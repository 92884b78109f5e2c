"""Outflows and their destinations: what left, and the history that limits and destinations are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    ScalarSelect,
    Select,
    exists,
    func,
    or_,
    select,
    update,
)

from chains.model import Address, AssetId, BlockRef, ChainId, TxId
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.store import tables as t
from walletwatch.store.codecs import payments_from_json, payments_to_json
from walletwatch.store.filters import Filter, narrow
from walletwatch.store.histories import PastOutflow, asset_of, chain_of, past_outflow
from walletwatch.store.inserts import insert_all_if_new, insert_if_new

_GONE = (str(OutflowState.ORPHANED), str(OutflowState.REPLACED))
"""States that no limit counts."""


def next_change() -> ScalarSelect[int]:
    """The number after that of the latest change of any outflow."""
    return select(func.coalesce(func.max(t.outflows.c.changed), 0) + 1).scalar_subquery()


class OutflowRepository:
    """One row an outflow, found again by its stable id."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def save(self, outflow: Outflow) -> bool:
        """Insert, or update state, block and (if earlier) times; True if it was new."""
        row = _row(outflow) | {"changed": next_change()}
        if insert_if_new(self._c, t.outflows, row | {"ordinal": _next_ordinal()}):
            self._save_destinations(outflow)
            return True
        known = self.get(outflow.id)
        first_seen = outflow.first_seen if known is None else min(known.first_seen, outflow.first_seen)
        broadcast_at = outflow.broadcast_at if known is None else min(known.broadcast_at, outflow.broadcast_at)
        values = row | {"first_seen": first_seen, "broadcast_at": broadcast_at}
        self._c.execute(update(t.outflows).where(t.outflows.c.id == outflow.id).values(values))
        d = t.destinations.c
        self._c.execute(
            update(t.destinations)
            .where(d.chain == str(outflow.chain), d.txid == outflow.tx, d.asset == str(outflow.asset))
            .values(broadcast_at=broadcast_at)
        )
        return False

    def _save_destinations(self, outflow: Outflow) -> None:
        rows = [
            {
                "chain": str(outflow.chain),
                "txid": outflow.tx,
                "asset": str(outflow.asset),
                "ordinal": p.ordinal,
                "address": p.address.key,
                "address_text": p.address.text,
                "amount": p.amount,
                "broadcast_at": outflow.broadcast_at,
            }
            for p in outflow.payments
        ]
        insert_all_if_new(self._c, t.destinations, rows)

    def get(self, outflow_id: str) -> Outflow | None:
        """The outflow with this id."""
        row = self._c.execute(select(t.outflows).where(t.outflows.c.id == outflow_id)).one_or_none()
        return None if row is None else _outflow(row)

    def of_tx(self, chain: ChainId, txid: TxId) -> tuple[Outflow, ...]:
        """The outflows of a transaction."""
        c = t.outflows.c
        query = select(t.outflows).where(c.chain == str(chain), c.txid == txid).order_by(c.wallet, c.asset)
        return tuple(_outflow(row) for row in self._c.execute(query))

    def find(self, wanted: Filter) -> Iterator[Outflow]:
        """Outflows that fit, oldest first."""
        c = t.outflows.c
        query = select(t.outflows).order_by(c.broadcast_at, c.id)
        fields = [("chain", "chain"), ("tx", "txid"), ("wallet", "wallet"), ("asset", "asset"), ("state", "state")]
        for row in self._c.execute(narrow(query, wanted, c, "broadcast_at", fields)):
            yield _outflow(row)

    def judged_between(self, chain: ChainId, low: int, high: int) -> Iterator[tuple[int, Outflow]]:
        """(place in the order of judging, outflow) of everything that counts and was judged from the first to the last
        outflow of blocks `low` to `high` of `chain`, of other chains too; in that order, read piece by piece.
        """
        o = t.outflows.c
        ends = select(func.min(o.ordinal), func.max(o.ordinal)).where(
            o.chain == str(chain), o.height.between(low, high)
        )
        first, last = self._c.execute(ends).one()
        query = select(t.outflows).where(o.ordinal.between(first or 0, last or 0), o.state.not_in(_GONE))
        rows = self._c.execution_options(yield_per=5_000).execute(query.order_by(o.ordinal))
        for row in rows:
            yield row.ordinal, _outflow(row)

    def count_between(self, chain: ChainId, low: int, high: int) -> int:
        """How many outflows `judged_between` gives."""
        o = t.outflows.c
        query = select(func.count()).where(o.chain == str(chain), o.height.between(low, high), o.state.not_in(_GONE))
        return int(self._c.execute(query).scalar_one())

    # --- history ------------------------------------------------------------------------------------------------------

    def in_window(  # noqa: PLR0913 - filters, each by its name
        self,
        after: datetime,
        until: datetime,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        chain: ChainId | None = None,
        destination: Address | None = None,
        limit: int | None = None,
        own: TxId = b"",
        before: int | None = None,
    ) -> list[PastOutflow]:
        """Outflows in (after, until] that fit every filter given, newest first (of the same time: last judged first);
        orphaned and replaced ones do not count, but for those of `own`, the transaction that is judged. With `before`
        only those up to this place in the order of judging.

        With a `destination` the amounts are what was paid to it, each payment once (on the first wallet that paid).
        """
        o = t.outflows.c
        query = select(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.txid, o.ordinal).where(
            o.broadcast_at > after, o.broadcast_at <= until, or_(o.state.not_in(_GONE), o.txid == own)
        )
        if before is not None:
            query = query.where(o.ordinal <= before)
        if wallet is not None:
            query = query.where(o.wallet == wallet)
        if asset is not None:
            query = query.where(o.asset == str(asset))
        if destination is not None:
            return self._to_destination(query, chain, destination)[:limit]
        rows = self._c.execute(query.order_by(o.broadcast_at.desc(), o.ordinal.desc()).limit(limit))
        return [past_outflow(r) for r in rows]

    def _to_destination(self, query: Select[Any], chain: ChainId | None, destination: Address) -> list[PastOutflow]:
        """What `destination` got, newest first: a payment on each of several wallets counts on the first judged."""
        d, o = t.destinations.c, t.outflows.c
        query = (
            query.add_columns(d.amount.label("paid"), d.ordinal.label("payment"))
            .join(t.destinations, (d.chain == o.chain) & (d.txid == o.txid) & (d.asset == o.asset))
            .where(d.address == destination.key, d.chain == str(chain))
            .order_by(o.broadcast_at, o.ordinal)
        )
        found: dict[str, PastOutflow] = {}
        counted: set[tuple[TxId, str, int]] = set()
        for row in self._c.execute(query):
            payment = (row.txid, row.asset, row.payment)
            if payment not in counted:
                counted.add(payment)
                known = found[row.id].amount if row.id in found else 0
                found[row.id] = past_outflow(row)._replace(amount=known + row.paid)
        return list(reversed(found.values()))

    def payees(self, chain: ChainId) -> Iterator[tuple[Address, datetime, TxId]]:
        """Every destination that was paid by a transaction that counts, with when and by which."""
        c, o = t.destinations.c, t.outflows.c
        counts = exists().where(o.chain == c.chain, o.txid == c.txid, o.asset == c.asset, o.state.not_in(_GONE))
        query = select(c.address, c.address_text, c.broadcast_at, c.txid).where(c.chain == str(chain), counts)
        for row in self._c.execute(query.order_by(c.broadcast_at, c.txid)):
            yield Address(row.address, row.address_text), row.broadcast_at, row.txid


def _next_ordinal() -> ScalarSelect[int]:
    return select(func.coalesce(func.max(t.outflows.c.ordinal), 0) + 1).scalar_subquery()


def _row(outflow: Outflow) -> dict[str, Any]:
    return {
        "id": outflow.id,
        "chain": str(outflow.chain),
        "txid": outflow.tx,
        "state": str(outflow.state),
        "wallet": outflow.wallet,
        "asset": str(outflow.asset),
        "amount": outflow.amount,
        "fee": outflow.fee,
        "payments": payments_to_json(outflow.payments),
        "first_seen": outflow.first_seen,
        "broadcast_at": outflow.broadcast_at,
        "height": None if outflow.block is None else outflow.block.height,
        "block_hash": None if outflow.block is None else outflow.block.hash,
        "block_time": outflow.block_time,
        "family": outflow.family,
        "foreign_inputs": outflow.foreign_inputs,
        "traced": outflow.traced,
    }


def _outflow(row: Row[Any]) -> Outflow:
    return Outflow(
        id=row.id,
        chain=chain_of(row.chain),
        tx=row.txid,
        state=OutflowState(row.state),
        wallet=row.wallet,
        asset=asset_of(row.asset),
        amount=row.amount,
        payments=payments_from_json(row.payments),
        fee=row.fee,
        first_seen=row.first_seen,
        block=None if row.height is None else BlockRef(row.height, row.block_hash),
        block_time=row.block_time,
        family=row.family,
        foreign_inputs=row.foreign_inputs,
        traced=row.traced,
    )
