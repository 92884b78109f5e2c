"""Transactions of the perimeter and what they did to its books: movements, unspent outputs, balances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from chains.model import Address, AssetId, BlockFacts, BlockRef, ChainId, ChainTransaction, Outpoint, TxId, TxOutput
from walletwatch.domain.outflows import Movement, OutflowState
from walletwatch.store import tables as t
from walletwatch.store.codecs import transaction_from_json, transaction_to_json
from walletwatch.store.outflows import next_change
from walletwatch.store.statements import Statement, inserting_new, overwriting, upsert

_m, _b, _x = t.movements.c, t.balances.c, t.transactions.c
_WHOLE = tuple(t.transactions.columns)
_TRANSACTION = Statement(
    lambda _: select(*_WHOLE).where(
        t.transactions.c.chain == bindparam("chain"), t.transactions.c.txid == bindparam("txid")
    )
)
_SAVE = overwriting(t.transactions, ("chain", "txid"))
_SPEND_KEY = inserting_new(t.spend_keys)
_MOVEMENT = Statement(lambda _: insert(t.movements), [c.name for c in t.movements.columns])
_OUTPUT = inserting_new(t.unspent_outputs)
_SPEND = Statement(
    lambda _: update(t.unspent_outputs).where(
        t.unspent_outputs.c.chain == bindparam("of_chain"),
        t.unspent_outputs.c.txid == bindparam("of_txid"),
        t.unspent_outputs.c.vout == bindparam("of_vout"),
    ),
    ["spent_height"],
)
_FAMILY = Statement(
    lambda _: (
        select(_x.txid)
        .where(_x.chain == bindparam("chain"), _x.family == bindparam("family"))
        .order_by(_x.first_seen, _x.txid)
    )
)
_RIVALS = Statement(
    lambda _: (
        select(_x.txid, _x.first_seen)
        .join(t.spend_keys, (t.spend_keys.c.chain == _x.chain) & (t.spend_keys.c.txid == _x.txid))
        .where(t.spend_keys.c.chain == bindparam("chain"), t.spend_keys.c.key == bindparam("key"))
        .where(t.spend_keys.c.txid != bindparam("txid"))
    )
)
_HIGHEST = 2**63 - 1
_NET = select(_m.received, _m.sent, _m.fee)
_NET_SINCE = Statement(
    lambda _: _NET.where(
        _m.wallet == bindparam("wallet"),
        _m.asset == bindparam("asset"),
        _m.height > bindparam("above"),
        _m.height <= bindparam("upto"),
    )
)
_NET_OF = Statement(
    lambda _: _NET.where(
        _m.chain == bindparam("chain"),
        _m.txid == bindparam("txid"),
        _m.wallet == bindparam("wallet"),
        _m.asset == bindparam("asset"),
    )
)
_BALANCE = Statement(
    lambda _: (
        select(_b.height, _b.amount)
        .where(_b.chain == bindparam("chain"), _b.wallet == bindparam("wallet"), _b.asset == bindparam("asset"))
        .order_by(_b.height.desc())
        .limit(1)
    )
)
_FACTS = Statement(lambda _: select(_x.facts).where(_x.chain == bindparam("chain"), _x.txid == bindparam("txid")))


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A transaction as last known."""

    chain: ChainId
    tx: ChainTransaction
    state: OutflowState
    first_seen: datetime
    family: TxId
    block: BlockRef | None
    block_time: datetime | None


@dataclass(frozen=True, slots=True)
class Balance:
    """What a node said `wallet` held of `asset` after block `at`, base units."""

    wallet: str
    asset: AssetId
    at: BlockRef
    amount: int


class LedgerRepository:
    """Writes in the block's transaction; rolls back by height."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection
        self._balances: dict[tuple[ChainId, str, AssetId], tuple[int, int] | None] = {}
        self._nets: dict[tuple[str, AssetId], dict[int, int]] = {}

    # --- transactions -------------------------------------------------------------------------------------------------

    def transaction(self, chain: ChainId, txid: TxId) -> StoredTransaction | None:
        """The transaction, None if it never concerned us."""
        row = _TRANSACTION.row(self._c, chain=str(chain), txid=txid)
        return None if row is None else _stored(row)

    def in_state(self, chain: ChainId, state: OutflowState) -> list[StoredTransaction]:
        """Every transaction in `state`, oldest first."""
        c = t.transactions.c
        query = select(*_WHOLE).where(c.chain == str(chain), c.state == str(state)).order_by(c.first_seen, c.txid)
        return [_stored(row) for row in self._c.execute(query)]

    def txids_in(self, chain: ChainId, state: OutflowState) -> tuple[TxId, ...]:
        """Every transaction in `state`, by name only."""
        c = t.transactions.c
        return tuple(self._c.execute(select(c.txid).where(c.chain == str(chain), c.state == str(state))).scalars())

    def save(self, stored: StoredTransaction) -> None:
        """Insert or overwrite; spend keys are kept for good, so that a replacement is known years later."""
        tx, chain = stored.tx, str(stored.chain)
        row = {
            "chain": chain,
            "txid": tx.txid,
            "state": str(stored.state),
            "height": None if stored.block is None else stored.block.height,
            "block_hash": None if stored.block is None else stored.block.hash,
            "block_time": stored.block_time,
            "first_seen": stored.first_seen,
            "family": stored.family,
            "facts": transaction_to_json(tx),
        }
        _SAVE.run(self._c, row)
        _SPEND_KEY.run_all(self._c, ({"chain": chain, "key": key, "txid": tx.txid} for key in tx.spend_keys))

    def set_state(self, chain: ChainId, txids: Sequence[TxId], state: OutflowState) -> None:
        """Change the state of transactions and of their outflows alike."""
        if not txids:
            return
        for table, also in ((t.transactions, {}), (t.outflows, {"changed": next_change()})):
            c = table.c
            fits = (c.chain == str(chain), c.txid.in_(list(txids)))
            self._c.execute(update(table).where(*fits).values(state=str(state), **also))

    def rivals(self, chain: ChainId, tx: ChainTransaction) -> tuple[TxId, ...]:
        """Other transactions that consume one of the same inputs or nonces, oldest first."""
        found: dict[TxId, datetime] = {}
        for key in tx.spend_keys:
            found.update(_RIVALS.rows(self._c, chain=str(chain), key=key, txid=tx.txid))
        return tuple(sorted(found, key=lambda txid: (found[txid], txid)))

    def family(self, chain: ChainId, family: TxId) -> tuple[TxId, ...]:
        """Every transaction of a family."""
        return tuple(row[0] for row in _FAMILY.rows(self._c, chain=str(chain), family=family))

    def conflicts(self, chain: ChainId, txid: TxId, family: TxId) -> tuple[TxId, ...]:
        """A transaction and those that conflict with it directly: t1 and t3, which both conflict with t2 and not with
        each other, may both be mined, and share no request.
        """
        if len(self.family(chain, family)) <= 1:
            return (txid,)
        stored = self.transaction(chain, txid)
        return (txid,) if stored is None else (txid, *self.rivals(chain, stored.tx))

    def at_height(self, chain: ChainId, height: int) -> tuple[TxId, ...]:
        """Transactions included at `height`."""
        c = t.transactions.c
        return tuple(self._c.execute(select(c.txid).where(c.chain == str(chain), c.height == height)).scalars())

    def newly_final(self, chain: ChainId, height: int) -> tuple[TxId, ...]:
        """Included transactions at or below `height`."""
        c = t.transactions.c
        query = select(c.txid).where(c.chain == str(chain), c.state == str(OutflowState.INCLUDED), c.height <= height)
        return tuple(self._c.execute(query.order_by(c.height, c.txid)).scalars())

    # --- movements ----------------------------------------------------------------------------------------------------

    def add_movements(self, block: BlockFacts, tx: ChainTransaction, moved: Sequence[Movement]) -> None:
        """Write what an included transaction did to the books."""
        rows = [
            {
                "chain": str(block.chain),
                "txid": tx.txid,
                "wallet": m.wallet,
                "asset": str(m.asset),
                "height": block.ref.height,
                "block_time": block.time,
                "received": m.received,
                "sent": m.sent,
                "fee": m.fee,
            }
            for m in moved
        ]
        _MOVEMENT.run_all(self._c, rows)
        for m in moved:
            self._nets.pop((m.wallet, m.asset), None)

    def movements(
        self, *, since: datetime | None = None, until: datetime | None = None, heights: tuple[int, int] | None = None
    ) -> Iterator[tuple[str, str, str, int, Movement]]:
        """(chain, wallet, asset, height, movement) in block-time [since, until) and heights [low, high]."""
        c = t.movements.c
        query = select(t.movements).order_by(c.height, c.txid)
        if since is not None:
            query = query.where(c.block_time >= since)
        if until is not None:
            query = query.where(c.block_time < until)
        if heights is not None:
            query = query.where(c.height.between(*heights))
        for r in self._c.execute(query):
            movement = Movement(r.wallet, AssetId.parse(r.asset), r.received, r.sent, r.fee)
            yield r.chain, r.wallet, r.asset, r.height, movement

    def net_since(self, wallet: str, asset: AssetId, above_height: int, upto: int | None = None) -> int:
        """In - out - fees of `wallet` in blocks above `above_height` (not above `upto`), base units, signed. Without
        `upto` read once a transaction, for as long as the wallet does not move.
        """
        known = self._nets.setdefault((wallet, asset), {})
        if upto is not None or above_height not in known:
            upto_height = _HIGHEST if upto is None else upto
            rows = _NET_SINCE.rows(self._c, wallet=wallet, asset=str(asset), above=above_height, upto=upto_height)
            net: int = sum(received - sent - fee for received, sent, fee in rows)
            if upto is not None:
                return net
            known[above_height] = net
        return known[above_height]

    def net_of(self, chain: ChainId, txid: TxId, wallet: str, asset: AssetId) -> int:
        """What one included transaction did to `wallet` (in - out - fee), base units, signed; 0 if not in the books."""
        row = _NET_OF.row(self._c, chain=str(chain), txid=txid, wallet=wallet, asset=str(asset))
        return 0 if row is None else row[0] - row[1] - row[2]

    def decode(self, chain: str, txid: TxId) -> ChainTransaction | None:
        """What a transaction says, None if it never concerned us."""
        row = _FACTS.row(self._c, chain=chain, txid=txid)
        return None if row is None else transaction_from_json(row[0])

    def latest_balance(self, chain: ChainId, wallet: str, asset: AssetId) -> tuple[int, int] | None:
        """(height, amount) of what the node said last: read once a transaction, for every outflow judged in it."""
        key = (chain, wallet, asset)
        if key not in self._balances:
            self._balances[key] = _BALANCE.row(self._c, chain=str(chain), wallet=wallet, asset=str(asset))
        return self._balances[key]

    # --- unspent outputs ----------------------------------------------------------------------------------------------

    def add_outputs(self, chain: ChainId, height: int, txid: TxId, outputs: Iterable[TxOutput]) -> None:
        """Outputs of ours that a block at `height` created (or that a node listed as unspent there)."""
        rows = [
            {
                "chain": str(chain),
                "txid": txid,
                "vout": o.vout,
                "address": o.address.key,
                "address_text": o.address.text,
                "value": o.value,
                "created_height": height,
                "spent_height": None,
            }
            for o in outputs
        ]
        _OUTPUT.run_all(self._c, rows)

    def spend(self, chain: ChainId, height: int, outpoints: Iterable[Outpoint]) -> None:
        """Note that a block at `height` spent these outputs."""
        _SPEND.run_all(
            self._c,
            (
                {"of_chain": str(chain), "of_txid": outpoint.txid, "of_vout": outpoint.vout, "spent_height": height}
                for outpoint in outpoints
            ),
        )

    def unspent(self, chain: ChainId) -> dict[Outpoint, TxOutput]:
        """Everything of ours that is unspent at the cursor."""
        c = t.unspent_outputs.c
        rows = self._c.execute(select(t.unspent_outputs).where(c.chain == str(chain), c.spent_height.is_(None)))
        return {Outpoint(r.txid, r.vout): TxOutput(r.vout, r.value, Address(r.address, r.address_text)) for r in rows}

    def used_addresses(self, chain: ChainId) -> Iterator[bytes]:
        """Every own address that a block or a node showed an output of."""
        c = t.unspent_outputs.c
        yield from self._c.execute(select(c.address).where(c.chain == str(chain)).distinct()).scalars()

    # --- balances -----------------------------------------------------------------------------------------------------

    def save_balance(self, chain: ChainId, balance: Balance, now: datetime) -> None:
        """Keep what the node said."""
        row = {
            "chain": str(chain),
            "wallet": balance.wallet,
            "asset": str(balance.asset),
            "height": balance.at.height,
            "hash": balance.at.hash,
            "amount": balance.amount,
            "taken_at": now,
        }
        upsert(self._c, t.balances, row, ("chain", "wallet", "asset", "height"))
        self._balances.clear()

    def balances(self, chain: ChainId, wallet: str, asset: AssetId) -> list[Balance]:
        """What the node said, oldest first."""
        c = t.balances.c
        rows = self._c.execute(
            select(t.balances)
            .where(c.chain == str(chain), c.wallet == wallet, c.asset == str(asset))
            .order_by(c.height)
        )
        return [Balance(r.wallet, asset, BlockRef(r.height, r.hash), r.amount) for r in rows]

    # --- reorg --------------------------------------------------------------------------------------------------------

    def roll_back(self, chain: ChainId, height: int) -> tuple[TxId, ...]:
        """Undo everything that blocks at or above `height` did; the transactions they held become orphaned."""
        name = str(chain)
        c = t.transactions.c
        txids = tuple(self._c.execute(select(c.txid).where(c.chain == name, c.height >= height)).scalars())
        nowhere: dict[str, Any] = {"height": None, "block_hash": None, "block_time": None}
        orphaned = nowhere | {"state": str(OutflowState.ORPHANED)}
        for table, values in ((t.transactions, orphaned), (t.outflows, orphaned | {"changed": next_change()})):
            self._c.execute(update(table).where(table.c.chain == name, table.c.height >= height).values(values))
        # Outputs that a node listed at a block that is gone have to be listed again.
        b = t.balances.c
        listed = exists().where(b.chain == name, b.height >= height)
        self._c.execute(update(t.cursors).where(t.cursors.c.chain == name, listed).values(complete_for=""))
        for table, column in ((t.movements, t.movements.c.height), (t.balances, t.balances.c.height)):
            self._c.execute(delete(table).where(table.c.chain == name, column >= height))
        self._balances.clear()
        self._nets.clear()
        u = t.unspent_outputs.c
        self._c.execute(delete(t.unspent_outputs).where(u.chain == name, u.created_height >= height))
        self._c.execute(
            update(t.unspent_outputs).where(u.chain == name, u.spent_height >= height).values(spent_height=None)
        )
        return txids


def _stored(row: Sequence[Any]) -> StoredTransaction:
    chain, _, state, height, block_hash, block_time, first_seen, family, facts = row
    return StoredTransaction(
        chain=ChainId.parse(chain),
        tx=transaction_from_json(facts),
        state=OutflowState(state),
        first_seen=first_seen,
        family=family,
        block=None if height is None else BlockRef(height, block_hash),
        block_time=block_time,
    )
