"""Cases: the case itself, the transactions its fold needs, and the opening balances it was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from chains.model import Address, AssetId, BlockRef, ChainId, ChainTransaction
from walletwatch.domain.cases import Case, CaseState, Opening, Seed, TaintModel, TraceOptions
from walletwatch.domain.times import format_utc, parse_utc
from walletwatch.store import tables as t
from walletwatch.store.chain_state import CursorMoved
from walletwatch.store.codecs import address_from_json, address_to_json, transaction_from_json, transaction_to_json
from walletwatch.store.statements import insert_all_if_new, upsert


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case and its own cursor. `live` cases are extended in the block's transaction; others still read the past."""

    case: Case
    cursor: BlockRef
    live: bool


@dataclass(frozen=True, slots=True)
class CaseTransaction:
    """One transaction a case's fold needs."""

    block: BlockRef
    time: datetime
    tx: ChainTransaction


class CaseRepository:
    """Rolls back with its chain, by height."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def save(self, stored: StoredCase) -> None:
        """Insert or overwrite."""
        case = stored.case
        row = {
            "id": case.id,
            "chain": str(case.chain),
            "state": str(case.state),
            "case": _case_to_json(case),
            "opened_at": case.opened_at,
            "start_height": case.start_height,
            "height": stored.cursor.height,
            "hash": stored.cursor.hash,
            "live": stored.live,
        }
        upsert(self._c, t.cases, row, ("id",))

    def get(self, name_or_id: str) -> StoredCase | None:
        """The case with this id or name."""
        for row in self._c.execute(select(t.cases).order_by(t.cases.c.opened_at, t.cases.c.id)):
            stored = _stored(row)
            if name_or_id in (stored.case.id, stored.case.name):
                return stored
        return None

    def find(self, chain: ChainId | None = None, state: CaseState | None = None) -> list[StoredCase]:
        """Cases, oldest first."""
        query = select(t.cases).order_by(t.cases.c.opened_at, t.cases.c.id)
        if chain is not None:
            query = query.where(t.cases.c.chain == str(chain))
        if state is not None:
            query = query.where(t.cases.c.state == str(state))
        return [_stored(row) for row in self._c.execute(query)]

    def advance(self, case_id: str, expected: BlockRef, cursor: BlockRef, *, live: bool) -> None:
        """Move a case's cursor by compare-and-set. Raises CursorMoved if somebody else extended the case."""
        c = t.cases.c
        values = {"height": cursor.height, "hash": cursor.hash, "live": live}
        moved = self._c.execute(
            update(t.cases).where(c.id == case_id, c.height == expected.height, c.hash == expected.hash).values(values)
        )
        if moved.rowcount != 1:
            raise CursorMoved(f"the cursor of case {case_id} no longer stands at {expected}")

    def count_transactions(self, case_id: str) -> int:
        """How many transactions the fold needs."""
        query = select(func.count()).select_from(t.case_transactions).where(t.case_transactions.c.case_id == case_id)
        return int(self._c.execute(query).scalar_one())

    def extend(self, case_id: str, transactions: Iterable[CaseTransaction], openings: Iterable[Opening]) -> None:
        """Keep what a block added to the fold."""
        rows = [
            {
                "case_id": case_id,
                "height": one.block.height,
                "tx_index": one.tx.index,
                "block_hash": one.block.hash,
                "block_time": one.time,
                "facts": transaction_to_json(one.tx),
            }
            for one in transactions
        ]
        insert_all_if_new(self._c, t.case_transactions, rows)
        told = [
            {
                "case_id": case_id,
                "asset": str(o.asset),
                "address": o.address.key,
                "address_text": o.address.text,
                "height": o.height,
                "amount": o.amount,
            }
            for o in openings
        ]
        insert_all_if_new(self._c, t.case_openings, told)

    def transactions(self, case_id: str) -> list[CaseTransaction]:
        """Everything the fold needs, in block order."""
        c = t.case_transactions.c
        query = select(t.case_transactions).where(c.case_id == case_id).order_by(c.height, c.tx_index)
        return [
            CaseTransaction(BlockRef(r.height, r.block_hash), r.block_time, transaction_from_json(r.facts))
            for r in self._c.execute(query)
        ]

    def openings(self, case_id: str) -> list[Opening]:
        """The opening balances the fold was told."""
        c = t.case_openings.c
        return [
            Opening(AssetId.parse(r.asset), Address(r.address, r.address_text), r.height, r.amount)
            for r in self._c.execute(select(t.case_openings).where(c.case_id == case_id))
        ]

    def roll_back(self, chain: ChainId, height: int, parent: BlockRef) -> list[str]:
        """Forget what blocks at or above `height` added; the ids of the cases that changed."""
        c = t.cases.c
        query = select(c.id).where(c.chain == str(chain), c.height >= height)
        touched = list(self._c.execute(query).scalars())
        for case_id in touched:
            for table in (t.case_transactions, t.case_openings):
                self._c.execute(delete(table).where(table.c.case_id == case_id, table.c.height >= height))
            values = {"height": parent.height, "hash": parent.hash}
            self._c.execute(update(t.cases).where(c.id == case_id).values(values))
        return touched


def _stored(row: Row[Any]) -> StoredCase:
    return StoredCase(_case_from_json(row.case), BlockRef(row.height, row.hash), row.live)


def _case_to_json(case: Case) -> dict[str, Any]:
    options = case.options
    return {
        "id": case.id,
        "name": case.name,
        "chain": str(case.chain),
        "state": str(case.state),
        "opened_at": format_utc(case.opened_at),
        "opened_by": case.opened_by,
        "start_height": case.start_height,
        "seeds": [
            {
                "tx": seed.tx.hex(),
                "ordinal": seed.ordinal,
                "address": address_to_json(seed.address),
                "asset": str(seed.asset),
                "amount": str(seed.amount),
                "height": seed.height,
                "log_index": seed.log_index,
            }
            for seed in case.seeds
        ],
        "options": {
            "model": str(options.model),
            "min_value": [[str(asset), str(units)] for asset, units in options.min_value],
            "max_hops": options.max_hops,
            "through_coinjoin": options.through_coinjoin,
        },
    }


def _case_from_json(value: Any) -> Case:
    options = value["options"]
    return Case(
        id=value["id"],
        name=value["name"],
        chain=ChainId.parse(value["chain"]),
        seeds=tuple(
            Seed(
                tx=bytes.fromhex(seed["tx"]),
                ordinal=seed["ordinal"],
                address=address_from_json(seed["address"]),
                asset=AssetId.parse(seed["asset"]),
                amount=int(seed["amount"]),
                height=seed["height"],
                log_index=seed["log_index"],
            )
            for seed in value["seeds"]
        ),
        state=CaseState(value["state"]),
        opened_at=parse_utc(value["opened_at"]),
        opened_by=value["opened_by"],
        start_height=value["start_height"],
        options=TraceOptions(
            model=TaintModel(options["model"]),
            min_value=tuple((AssetId.parse(asset), int(units)) for asset, units in options["min_value"]),
            max_hops=options["max_hops"],
            through_coinjoin=options["through_coinjoin"],
        ),
    )
