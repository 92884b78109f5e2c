"""Outflows and their destinations: what left, and the history that limits and destinations are judged by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, or_, select, update

from chains.model import Address, AssetId, BlockRef, ChainId, TxId
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.store import tables as t
from walletwatch.store.codecs import payments_from_json, payments_to_json
from walletwatch.store.filters import Filter, narrow
from walletwatch.store.inserts import insert_all_if_new, insert_if_new

_GONE = (str(OutflowState.ORPHANED), str(OutflowState.REPLACED))
"""States that no limit counts."""


@dataclass(frozen=True, slots=True)
class PastOutflow:
    """What windows are summed over."""

    id: str
    wallet: str
    asset: str
    amount: int
    broadcast_at: datetime
    tx: TxId


class OutflowRepository:
    """One row an outflow, found again by its stable id."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def save(self, outflow: Outflow) -> bool:
        """Insert, or update state, block and (if earlier) times; True if it was new."""
        row = _row(outflow)
        if insert_if_new(self._c, t.outflows, row):
            self._save_destinations(outflow)
            return True
        known = self.get(outflow.id)
        first_seen = outflow.first_seen if known is None else min(known.first_seen, outflow.first_seen)
        broadcast_at = outflow.broadcast_at if known is None else min(known.broadcast_at, outflow.broadcast_at)
        changed = row | {"first_seen": first_seen, "broadcast_at": broadcast_at}
        self._c.execute(update(t.outflows).where(t.outflows.c.id == outflow.id).values(changed))
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

    # --- history ------------------------------------------------------------------------------------------------------

    def in_window(
        self,
        after: datetime,
        until: datetime,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        destination: tuple[ChainId, Address] | None = None,
    ) -> list[PastOutflow]:
        """Outflows in (after, until] that fit every filter given; orphaned and replaced ones do not count."""
        c = t.outflows.c
        query = select(c.id, c.wallet, c.asset, c.amount, c.broadcast_at, c.txid).where(
            c.broadcast_at > after, c.broadcast_at <= until, c.state.not_in(_GONE)
        )
        if wallet is not None:
            query = query.where(c.wallet == wallet)
        if asset is not None:
            query = query.where(c.asset == str(asset))
        if destination is not None:
            query = query.where(_paid_to(*destination))
        rows = self._c.execute(query.order_by(c.broadcast_at, c.id))
        return [PastOutflow(r.id, r.wallet, r.asset, r.amount, r.broadcast_at, r.txid) for r in rows]

    def paid_to(
        self, chain: ChainId, address: Address, asset: AssetId, after: datetime, until: datetime
    ) -> list[tuple[str, int]]:
        """(txid hex, base units) of arrivals at `address` in (after, until], of transactions that count."""
        d, o = t.destinations.c, t.outflows.c
        counts = exists().where(o.chain == d.chain, o.txid == d.txid, o.asset == d.asset, o.state.not_in(_GONE))
        query = select(d.txid, d.amount).where(
            d.chain == str(chain),
            d.address == address.key,
            d.asset == str(asset),
            d.broadcast_at > after,
            d.broadcast_at <= until,
            counts,
        )
        return [(r.txid.hex(), r.amount) for r in self._c.execute(query)]

    def first_paid(self, chain: ChainId, address: Address, before: datetime, tx: TxId, after: datetime | None) -> bool:
        """True if no other transaction that counts paid `address` before `before` (and after `after`)."""
        d, o = t.destinations.c, t.outflows.c
        counts = exists().where(o.chain == d.chain, o.txid == d.txid, o.asset == d.asset, o.state.not_in(_GONE))
        query: Select[Any] = select(d.txid).where(
            d.chain == str(chain),
            d.address == address.key,
            d.txid != tx,
            or_(d.broadcast_at < before, (d.broadcast_at == before) & (d.txid < tx)),
            counts,
        )
        if after is not None:
            query = query.where(d.broadcast_at > after)
        return self._c.execute(query.limit(1)).first() is None

    def payees(self, chain: ChainId) -> Iterator[tuple[Address, datetime, TxId]]:
        """Every destination ever paid, with when and by which transaction."""
        c = t.destinations.c
        query = select(c.address, c.address_text, c.broadcast_at, c.txid).where(c.chain == str(chain))
        for row in self._c.execute(query.order_by(c.broadcast_at, c.txid)):
            yield Address(row.address, row.address_text), row.broadcast_at, row.txid


def _paid_to(chain: ChainId, address: Address) -> Any:
    d, o = t.destinations.c, t.outflows.c
    return exists().where(
        d.chain == o.chain, d.txid == o.txid, d.asset == o.asset, d.address == address.key, d.chain == str(chain)
    )


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
        chain=ChainId.parse(row.chain),
        tx=row.txid,
        state=OutflowState(row.state),
        wallet=row.wallet,
        asset=AssetId.parse(row.asset),
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
