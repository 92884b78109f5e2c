"""Outflows and their destinations: what left, and the history that limits and destinations are judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    ScalarSelect,
    Select,
    bindparam,
    exists,
    func,
    select,
    update,
)

from chains.model import Address, AssetId, BlockRef, ChainId, TxId
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.store import tables as t
from walletwatch.store.codecs import payments_from_json, payments_to_json
from walletwatch.store.history import PastOutflow, asset_of, chain_of, past_outflow
from walletwatch.store.statements import Filter, Statement, inserting_new, narrow

_GONE = (str(OutflowState.ORPHANED), str(OutflowState.REPLACED))
"""States that no limit counts."""


def next_change() -> ScalarSelect[int]:
    """The number after that of the latest change of any outflow."""
    return select(func.coalesce(func.max(t.outflows.c.changed), 0) + 1).scalar_subquery()


def _next_ordinal() -> ScalarSelect[int]:
    return select(func.coalesce(func.max(t.outflows.c.ordinal), 0) + 1).scalar_subquery()


_o, _d = t.outflows.c, t.destinations.c
_WHOLE = tuple(t.outflows.columns)
_NEW = inserting_new(t.outflows, changed=next_change(), ordinal=_next_ordinal())
_CHANGE = Statement(
    lambda _: update(t.outflows).where(_o.id == bindparam("which")).values(changed=next_change()),
    [c.name for c in t.outflows.columns if c.name not in ("id", "changed", "ordinal")],
)
_REDATE = Statement(
    lambda _: update(t.destinations).where(
        _d.chain == bindparam("of_chain"), _d.txid == bindparam("of_txid"), _d.asset == bindparam("of_asset")
    ),
    ["broadcast_at"],
)
_DESTINATION = inserting_new(t.destinations)
_BY_ID = Statement(lambda _: select(*_WHOLE).where(_o.id == bindparam("which")))
_PIECE = 5_000
_ORDINAL = next(n for n, column in enumerate(_WHOLE) if column.name == "ordinal")
_JUDGED = Statement(
    lambda _: (
        select(*_WHOLE)
        .where(_o.ordinal > bindparam("place"), _o.ordinal <= bindparam("last"))
        .where(_o.state != str(OutflowState.ORPHANED), _o.state != str(OutflowState.REPLACED))
        .order_by(_o.ordinal)
        .limit(bindparam("most"))
    )
)
_OF_TX = Statement(
    lambda _: (
        select(*_WHOLE)
        .where(_o.chain == bindparam("chain"), _o.txid == bindparam("txid"))
        .order_by(_o.wallet, _o.asset)
    )
)


class OutflowRepository:
    """One row an outflow, found again by its stable id."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def save(self, outflow: Outflow) -> bool:
        """Insert, or update state, block and (if earlier) times; True if it was new."""
        row = _row(outflow)
        if _NEW.run(self._c, row) == 1:
            self._save_destinations(outflow)
            return True
        known = self.get(outflow.id)
        first_seen = outflow.first_seen if known is None else min(known.first_seen, outflow.first_seen)
        broadcast_at = outflow.broadcast_at if known is None else min(known.broadcast_at, outflow.broadcast_at)
        _CHANGE.run(self._c, row | {"which": row["id"], "first_seen": first_seen, "broadcast_at": broadcast_at})
        paid = {"of_chain": row["chain"], "of_txid": row["txid"], "of_asset": row["asset"]}
        _REDATE.run(self._c, paid | {"broadcast_at": broadcast_at})
        return False

    def _save_destinations(self, outflow: Outflow) -> None:
        _DESTINATION.run_all(
            self._c,
            (
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
            ),
        )

    def get(self, outflow_id: str) -> Outflow | None:
        """The outflow with this id."""
        row = _BY_ID.row(self._c, which=outflow_id)
        return None if row is None else outflow_of(row)

    def of_tx(self, chain: ChainId, txid: TxId) -> tuple[Outflow, ...]:
        """The outflows of a transaction."""
        return tuple(outflow_of(row) for row in _OF_TX.rows(self._c, chain=str(chain), txid=txid))

    def find(self, wanted: Filter) -> Iterator[Outflow]:
        """Outflows that fit, oldest first."""
        c = t.outflows.c
        query = select(*_WHOLE).order_by(c.broadcast_at, c.id)
        fields = [("chain", "chain"), ("tx", "txid"), ("wallet", "wallet"), ("asset", "asset"), ("state", "state")]
        for row in self._c.execute(narrow(query, wanted, c, "broadcast_at", fields)):
            yield outflow_of(row)

    def judged_between(self, chain: ChainId, low: int, high: int) -> Iterator[tuple[int, Outflow]]:
        """(place in the order of judging, outflow) of everything that counts and was judged from the first to the last
        outflow of blocks `low` to `high` of `chain`, of other chains too; in that order, read piece by piece.
        """
        o = t.outflows.c
        ends = select(func.min(o.ordinal), func.max(o.ordinal)).where(
            o.chain == str(chain), o.height.between(low, high)
        )
        first, last = self._c.execute(ends).one()
        place = (first or 1) - 1
        while rows := _JUDGED.rows(self._c, place=place, last=last or 0, most=_PIECE):
            for row in rows:
                yield row[_ORDINAL], outflow_of(row)
            place = rows[-1][_ORDINAL]

    def count_between(self, chain: ChainId, low: int, high: int) -> int:
        """How many outflows `judged_between` gives."""
        o = t.outflows.c
        query = select(func.count()).where(o.chain == str(chain), o.height.between(low, high), o.state.not_in(_GONE))
        return int(self._c.execute(query).scalar_one())

    # --- history ------------------------------------------------------------------------------------------------------

    def in_window(
        self,
        after: datetime,
        until: datetime,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        chain: ChainId | None = None,
        destination: Address | None = None,
        before: int | None = None,
    ) -> list[PastOutflow]:
        """Outflows in (after, until] that fit every filter given, newest first (of the same time: last judged first);
        orphaned and replaced ones do not count. With `before` only those up to this ordinal in the order of judging.

        With a `destination` the amounts are what was paid to it, each payment once (on the first wallet that paid).
        """
        o = t.outflows.c
        query = select(o.id, o.wallet, o.asset, o.amount, o.broadcast_at, o.txid, o.ordinal).where(
            o.broadcast_at > after, o.broadcast_at <= until, o.state.not_in(_GONE)
        )
        if before is not None:
            query = query.where(o.ordinal <= before)
        if wallet is not None:
            query = query.where(o.wallet == wallet)
        if asset is not None:
            query = query.where(o.asset == str(asset))
        if destination is not None:
            return self._to_destination(query, chain, destination)
        rows = self._c.execute(query.order_by(o.broadcast_at.desc(), o.ordinal.desc()))
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


def outflow_of(row: Sequence[Any]) -> Outflow:
    """Of a row of all columns of an outflow, in the table's order."""
    # fmt: off
    (name, chain, txid, state, wallet, asset, amount, fee, payments, first_seen, _, height, block_hash, block_time,
     family, foreign_inputs, traced, *_) = row
    # fmt: on
    return Outflow(
        id=name,
        chain=chain_of(chain),
        tx=txid,
        state=OutflowState(state),
        wallet=wallet,
        asset=asset_of(asset),
        amount=amount,
        payments=payments_from_json(payments),
        fee=fee,
        first_seen=first_seen,
        block=None if height is None else BlockRef(height, block_hash),
        block_time=block_time,
        family=family,
        foreign_inputs=foreign_inputs,
        traced=traced,
    )
