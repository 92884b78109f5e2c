"""Random histories of two chains, told to the store and to the brute-force world alike."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from chains.model import (
    Address,
    Asset,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    Outpoint,
    SigningFacts,
    TxInput,
    UtxoTransaction,
)
from unit.rules_facts import GONE, World
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.findings import outflow_id
from walletwatch.domain.outflows import Movement, Outflow, OutflowState
from walletwatch.domain.prices import Price
from walletwatch.domain.wallets import Perimeter, Wallet
from walletwatch.domain.withdrawals import Payment
from walletwatch.store import UnitOfWork
from walletwatch.store.ledger import Balance, StoredTransaction

ONE, TWO = ChainId.parse("bip122:0f9188f13cb7b2c71f2a335e3a4fc328"), ChainId.parse("eip155:31337")
BTC = Asset(AssetId.parse(f"{ONE}/slip44:0"), "BTC", 8)
ETH = Asset(AssetId.parse(f"{TWO}/slip44:60"), "ETH", 18)
TOKEN = Asset(AssetId.parse(f"{TWO}/erc20:0x{'11' * 20}"), "TOK", 6)
ASSETS = (BTC, ETH, TOKEN)
WALLETS = {ONE: ("hot", "warm"), TWO: ("safe", "till")}
ROLES = {"hot": "hot", "warm": "warm", "safe": "cold", "till": "hot"}
START = datetime(2026, 5, 1, tzinfo=UTC)
OPENING = 10**12
PLACES = tuple(Address(bytes([n]) * 20, f"place-{n}") for n in range(3))


def txid(number: int) -> bytes:
    return hashlib.sha256(f"tx {number}".encode()).digest()


def moment(half_minutes: int) -> datetime:
    """Few different times, so that many are equal; every third is not a whole second."""
    return START + timedelta(seconds=30 * half_minutes, microseconds=(half_minutes % 3 == 0) * 500_000)


@dataclass(frozen=True)
class Paying:
    """A transaction of some wallets, first seen at one time, in a block of another (None: still pending)."""

    asset: Asset
    spenders: tuple[tuple[str, int], ...]
    payments: tuple[tuple[int, int], ...]
    seen: int
    block: int | None
    fee: int


@dataclass(frozen=True)
class Moving:
    """A move between own wallets."""

    wallet: str
    at: int


@dataclass(frozen=True)
class Again:
    """A transaction that is pending or lost comes into a block, perhaps one with an earlier time."""

    which: int
    block: int


@dataclass(frozen=True)
class Losing:
    """The last `depth` blocks of a chain are undone; or, if `which` is still pending, it is replaced."""

    which: int
    depth: int


HALF_MINUTES = st.integers(0, 12) | st.integers(0, 600)


@st.composite
def payings(draw: st.DrawFn) -> Paying:
    asset = draw(st.sampled_from(ASSETS))
    names = draw(st.lists(st.sampled_from(WALLETS[asset.id.chain]), min_size=1, max_size=2, unique=True))
    spenders = tuple((name, draw(st.integers(1, 90))) for name in sorted(names))
    payments = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 50)), max_size=3))
    block = draw(st.none() | HALF_MINUTES)
    return Paying(asset, spenders, tuple(payments), draw(HALF_MINUTES), block, draw(st.integers(0, 9)))


MOVES = st.builds(Moving, st.sampled_from(tuple(ROLES)), HALF_MINUTES)
STEPS = st.lists(
    payings()
    | payings()
    | MOVES
    | st.builds(Again, st.integers(0, 20), HALF_MINUTES)
    | st.builds(Losing, st.integers(0, 20), st.integers(1, 3)),
    max_size=16,
)


class Prices:
    def price(self, asset: AssetId, at: datetime) -> Price:
        known = next(a for a in ASSETS if a.id == asset)
        return Price(asset, 10 ** (7 + ASSETS.index(known)), known.decimals, "fixed")


def deployment() -> Deployment:
    watched = {}
    for chain, native, tokens in ((ONE, BTC, ()), (TWO, ETH, (TOKEN,))):
        perimeter = Perimeter(chain)
        for name in WALLETS[chain]:
            perimeter.add(Wallet(name, ROLES[name], chain), [Address(name.encode(), name)])
        watched[chain] = WatchedChain(chain, str(chain), native, perimeter, tokens)
    assets = {a.id: a for a in ASSETS}
    return Deployment(watched, assets, ROLES, (), "sha256:0", Prices(), lambda *_: ())


@dataclass
class History:
    """One history as it grows, in the store and in `world`."""

    world: World = field(
        default_factory=lambda: World(
            natives={ONE: BTC.id, TWO: ETH.id},
            symbols={a.id: (a.symbol, a.decimals) for a in ASSETS},
            roles=ROLES,
            prices=[Prices().price(a.id, START) for a in ASSETS],
        )
    )
    heights: dict[bytes, tuple[ChainId, int]] = field(default_factory=dict)
    booked: dict[bytes, list[Movement]] = field(default_factory=dict)
    made: int = 0

    def open(self, unit: UnitOfWork) -> None:
        for chain, names in WALLETS.items():
            unit.chain_state.register(chain, str(chain), START)
            for asset in (a for a in ASSETS if a.id.chain == chain):
                for name in names:
                    at = BlockRef(0, txid(-1))
                    unit.ledger.save_balance(chain, Balance(name, asset.id, at, OPENING), START)

    # --- what happens -------------------------------------------------------------------------------------------------

    def pay(self, unit: UnitOfWork, what: Paying) -> list[Outflow]:
        self.made += 1
        chain, tx = what.asset.id.chain, self._transaction(self.made, what.fee)
        payments = tuple(Payment(n, PLACES[to], amount) for n, (to, amount) in enumerate(what.payments))
        outflows = [
            Outflow(
                id=outflow_id(chain, tx.txid, name, what.asset.id),
                chain=chain,
                tx=tx.txid,
                state=OutflowState.SEEN,
                wallet=name,
                asset=what.asset.id,
                amount=amount,
                payments=payments,
                fee=what.fee if n == 0 else 0,
                first_seen=moment(what.seen),
                family=tx.txid,
            )
            for n, (name, amount) in enumerate(what.spenders)
        ]
        self.world.transactions[tx.txid] = tx
        self.world.outflows += outflows
        return self._settle(unit, outflows, what.block)

    def move(self, unit: UnitOfWork, what: Moving) -> None:
        self.made += 1
        tx, chain = self._transaction(self.made, 0), _chain_of(what.wallet)
        native = self.world.natives[chain]
        self._save(unit, tx, chain, OutflowState.INCLUDED, moment(what.at), moment(what.at))
        self._book(unit, tx, chain, moment(what.at), [Movement(what.wallet, native, 0, 5, 0)])
        self.world.moves.append((what.wallet, moment(what.at), tx.txid))

    def again(self, unit: UnitOfWork, what: Again) -> None:
        """Come into a block, if it is in none."""
        txs = list(dict.fromkeys(o.tx for o in self.world.outflows if o.block is None))
        self.made += 1
        if txs:
            self._settle(unit, self._of(txs[what.which % len(txs)]), what.block)

    def lose(self, unit: UnitOfWork, what: Losing) -> None:
        pending = [o.tx for o in self.world.outflows if o.state is OutflowState.SEEN]
        if pending and what.which % 2:
            tx = pending[what.which % len(pending)]
            unit.ledger.set_state(self._of(tx)[0].chain, [tx], OutflowState.REPLACED)
            self._restate({tx}, OutflowState.REPLACED)
            return
        self._undo(unit, (ONE, TWO)[what.which % 2], max(1, self.made - what.depth))

    def _undo(self, unit: UnitOfWork, chain: ChainId, height: int) -> None:
        unit.ledger.roll_back(chain, height)
        lost = {tx for tx, place in self.heights.items() if place[0] == chain and place[1] >= height}
        for tx in lost:
            del self.heights[tx]
            del self.booked[tx]
        self.world.moves = [m for m in self.world.moves if m[2] not in lost]
        self._restate(lost, OutflowState.ORPHANED)

    # --- telling both -------------------------------------------------------------------------------------------------

    def _of(self, tx: bytes) -> list[Outflow]:
        return [o for o in self.world.outflows if o.tx == tx]

    def _restate(self, txs: set[bytes], state: OutflowState) -> None:
        self.world.outflows = [
            replace(o, state=state, block=None, block_time=None) if o.tx in txs else o for o in self.world.outflows
        ]

    def _transaction(self, number: int, fee: int) -> UtxoTransaction:
        signing = SigningFacts((f"key-{number}",), (("version", number),))
        coin = TxInput(Outpoint(txid(-number), 0), None, None)
        return UtxoTransaction(txid(number), 0, (coin,), (), fee, 2, signing=signing)

    def _save(
        self,
        unit: UnitOfWork,
        tx: UtxoTransaction,
        chain: ChainId,
        state: OutflowState,
        seen: datetime,
        block: datetime | None,
    ) -> None:
        ref = None if block is None else BlockRef(self.made, txid(10_000 + self.made))
        unit.ledger.save(StoredTransaction(chain, tx, state, seen, tx.txid, ref, block))

    def _book(self, unit: UnitOfWork, tx: UtxoTransaction, chain: ChainId, at: datetime, moved: list[Movement]) -> None:
        block = BlockFacts(chain, BlockRef(self.made, txid(10_000 + self.made)), bytes(32), at, ())
        unit.ledger.add_movements(block, tx, moved)
        self.heights[tx.txid] = (chain, self.made)
        self.booked[tx.txid] = moved

    def _settle(self, unit: UnitOfWork, outflows: list[Outflow], block: int | None) -> list[Outflow]:
        """Save the outflows of one transaction, with its block if it has one now."""
        first = outflows[0]
        tx = self.world.transactions[first.tx]
        assert isinstance(tx, UtxoTransaction)
        state = OutflowState.SEEN if block is None else OutflowState.INCLUDED
        at = None if block is None else moment(block)
        self._save(unit, tx, first.chain, state, first.first_seen, at)
        ref = None if at is None else BlockRef(self.made, txid(10_000 + self.made))
        now = [replace(o, state=state, block=ref, block_time=at) for o in outflows]
        for outflow in now:
            unit.outflows.save(outflow)
        if at is not None:
            self._book(unit, tx, first.chain, at, self._moved(now))
        new = {o.id: o for o in now}
        self.world.outflows = [new.get(o.id, o) for o in self.world.outflows]
        return now

    def _moved(self, outflows: list[Outflow]) -> list[Movement]:
        native = self.world.natives[outflows[0].chain]
        moved = []
        for o in outflows:
            moved.append(Movement(o.wallet, o.asset, 0, o.amount, o.fee if o.asset == native else 0))
            if o.fee and o.asset != native:
                moved.append(Movement(o.wallet, native, 0, 0, o.fee))
        return moved

    def balance(self, wallet: str, asset: AssetId, but: bytes) -> int:
        """Opening balance and everything booked but the effects of `but`."""
        moved = [m for tx, some in self.booked.items() if tx != but for m in some]
        return OPENING + sum(m.received - m.sent - m.fee for m in moved if (m.wallet, m.asset) == (wallet, asset))


def _chain_of(wallet: str) -> ChainId:
    return next(chain for chain, names in WALLETS.items() if wallet in names)


__all__ = ["GONE", "STEPS", "History", "deployment"]
