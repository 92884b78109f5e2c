"""Facts from memory, for tests: every question is answered by brute force over a list of outflows.

`World` holds what is known; `MemoryFacts(world, subject)` answers for one outflow or event. Outflows stand in the order
in which they were judged; "before" means a broadcast that is no later, and an earlier place in the list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chains.model import Address, AssetId, ChainId, ChainTransaction, TxId
from walletwatch.domain.labels import Label
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import MatchResult, Request
from walletwatch.rules.facts import Counted, Event, Holding, Periods, Spent
from walletwatch.rules.lookalikes import PayeeIndex
from walletwatch.rules.wallet_profile import Trait, WalletProfile

GONE = (OutflowState.ORPHANED, OutflowState.REPLACED)


@dataclass
class World:
    """Everything a rule may ask about.

    `prices` may hold several of one asset: the latest with `at` not after the outflow counts (None: always).
    `balances` are those before the judged transaction, by (wallet, asset). `moves` are (wallet, time, tx) of spending
    that is no outflow. `requests` None: no approval feed.
    """

    natives: Mapping[ChainId, AssetId]
    symbols: Mapping[AssetId, tuple[str, int]]
    roles: Mapping[str, str] = field(default_factory=dict)
    outflows: list[Outflow] = field(default_factory=list)
    transactions: dict[TxId, ChainTransaction] = field(default_factory=dict)
    prices: list[Price] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    balances: dict[tuple[str, AssetId], int] = field(default_factory=dict)
    holdings: list[Holding] | None = None
    moves: list[tuple[str, datetime, TxId]] = field(default_factory=list)
    matches: dict[TxId, MatchResult] = field(default_factory=dict)
    requests: list[Request] | None = None
    allowlisted: list[Address] = field(default_factory=list)
    watched_since: dict[str, datetime] = field(default_factory=dict)
    frozen: dict[str, datetime] = field(default_factory=dict)


class MemoryFacts:
    """`walletwatch.rules.facts.Facts` over a `World`."""

    def __init__(self, world: World, subject: Outflow | Event, index: PayeeIndex | None = None) -> None:
        self.world = world
        self.subject = subject
        self.at = subject.broadcast_at if isinstance(subject, Outflow) else subject.at
        self._index = index

    def role(self, wallet: str) -> str:
        if wallet not in self.world.roles:
            raise Unknown(f"no wallet is called {wallet}")
        return self.world.roles[wallet]

    def transaction(self) -> ChainTransaction | None:
        return self.world.transactions.get(self.subject.tx)

    def match(self) -> MatchResult:
        if self.subject.tx not in self.world.matches:
            raise Unknown("no approval feed is configured")
        return self.world.matches[self.subject.tx]

    def native(self) -> AssetId:
        return self.world.natives[self.subject.chain]

    def symbol(self, asset: AssetId) -> tuple[str, int]:
        return self.world.symbols[asset]

    def price(self, asset: AssetId) -> Price:
        return self._price(asset, self.at)

    def _price(self, asset: AssetId, at: datetime) -> Price:
        known = [p for p in self.world.prices if p.asset == asset and (p.at is None or p.at <= at)]
        if not known:
            raise Unknown(f"no price of {asset} is known")
        return max(known, key=lambda p: p.at or datetime.min.replace(tzinfo=UTC))

    def labels(self, address: Address) -> tuple[Label, ...]:
        chains = ("*", str(self.subject.chain))
        said = [x for x in self.world.labels if x.address == address.text and x.chain in chains]
        return tuple(x for x in said if x.valid_at(self.at))

    def _standing(self) -> list[Outflow]:
        """Outflows that count up to now: not orphaned, not replaced; the judged one always, in its place."""
        own = self.subject
        if not isinstance(own, Outflow):
            return [o for o in self.world.outflows if o.state not in GONE and o.broadcast_at <= self.at]
        rows = [o for o in self.world.outflows if o.id == own.id or (o.state not in GONE and o.broadcast_at <= self.at)]
        return rows if any(o.id == own.id for o in rows) else [*rows, own]

    def _before(self) -> list[Outflow]:
        """Standing outflows of other transactions before this one."""
        rows = self._standing()
        place = next((n for n, o in enumerate(rows) if o.tx == self.subject.tx), len(rows))
        return [o for n, o in enumerate(rows) if o.tx != self.subject.tx and n < place]

    def spent(
        self,
        window_secs: int,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        destination: Address | None = None,
        in_usd: bool = False,
    ) -> Spent:
        rows = self.counted(window_secs, wallet=wallet, asset=asset, destination=destination, in_usd=in_usd)
        return Spent(sum((r.usd_e8 or 0) if in_usd else r.amount for r in rows), len({r.outflow for r in rows}))

    def counted(
        self,
        window_secs: int,
        *,
        wallet: str | None = None,
        asset: AssetId | None = None,
        destination: Address | None = None,
        in_usd: bool = False,
        limit: int | None = None,
    ) -> Sequence[Counted]:
        after = self.at - timedelta(seconds=window_secs)
        found: list[Counted] = []
        paid: set[tuple[TxId, AssetId, int]] = set()
        for o in self._standing():
            if o.broadcast_at <= after or wallet not in (None, o.wallet) or asset not in (None, o.asset):
                continue
            amount = o.amount if destination is None else self._paid(o, destination, paid)
            if amount is not None:
                usd = self._price(o.asset, o.broadcast_at).value_e8(amount) if in_usd else None
                found.append(Counted(o.id, o.tx, o.wallet, o.asset, amount, o.broadcast_at, usd))
        found.sort(key=lambda c: c.at)
        found.reverse()
        return found[:limit]

    def _paid(self, o: Outflow, destination: Address, paid: set[tuple[TxId, AssetId, int]]) -> int | None:
        """What `o`'s transaction paid to `destination` on this chain, each payment once; None if nothing."""
        if o.chain != self.subject.chain:
            return None
        fresh = [p for p in o.payments if p.address == destination and (o.tx, o.asset, p.ordinal) not in paid]
        paid |= {(o.tx, o.asset, p.ordinal) for p in fresh}
        return sum(p.amount for p in fresh) if fresh else None

    def active_periods(
        self, period_secs: int, history_secs: int, *, wallet: str, asset: AssetId | None = None
    ) -> Periods:
        sums: dict[int, list[int]] = defaultdict(list)
        since, until = self.at - timedelta(seconds=history_secs), self.at - timedelta(seconds=period_secs)
        for o in self._standing():
            if o.wallet == wallet and asset in (None, o.asset):
                sums[int(o.broadcast_at.timestamp()) // period_secs].append(o.amount if asset else 0)
        whole = {
            n: amounts
            for n, amounts in sums.items()
            if since <= _moment(n * period_secs) and _moment((n + 1) * period_secs) <= until
        }
        return Periods(Spent(sum(amounts), len(amounts)) for _, amounts in sorted(whole.items()))

    def first_paid(self, destination: Address, within_secs: int | None = None) -> bool:
        after = None if within_secs is None else self.at - timedelta(seconds=within_secs)
        return not any(after is None or o.broadcast_at > after for o in self._payments_to(destination))

    def first_paid_at(self, destination: Address) -> datetime | None:
        return min((o.broadcast_at for o in self._payments_to(destination)), default=None)

    def _payments_to(self, destination: Address) -> list[Outflow]:
        own = [o for o in self._before() if o.chain == self.subject.chain]
        return [o for o in own if any(p.address == destination for p in o.payments)]

    def payees(self) -> Iterable[Address]:
        paid = [p.address for o in self._before() if o.chain == self.subject.chain for p in o.payments]
        asked = [r.intent.destination for r in self.world.requests or () if r.intent.chain == self.subject.chain]
        return [*paid, *asked, *self.world.allowlisted]

    def payee_index(self) -> PayeeIndex:
        if self._index is None:
            self._index = PayeeIndex(self.payees(), self.world.allowlisted)
        return self._index

    def balance_before(self, wallet: str, asset: AssetId) -> int:
        if (wallet, asset) not in self.world.balances:
            raise Unknown(f"the balance of {wallet} is not known")
        return self.world.balances[wallet, asset]

    def balance_after(self, wallet: str, asset: AssetId) -> int:
        before, own = self.balance_before(wallet, asset), self.subject
        if not isinstance(own, Outflow) or own.wallet != wallet:
            return before
        return before - (own.amount if asset == own.asset else 0) - (own.fee if asset == self.native() else 0)

    def holdings(self) -> Sequence[Holding]:
        if self.world.holdings is None:
            raise Unknown("the balances of the wallets are not known")
        return self.world.holdings

    def watched_since(self, wallet: str) -> datetime:
        if wallet not in self.world.watched_since:
            raise Unknown(f"{wallet} is not watched yet")
        return self.world.watched_since[wallet]

    def last_moved_at(self, wallet: str) -> datetime | None:
        paid = [o.broadcast_at for o in self._before() if o.wallet == wallet]
        moved = [at for name, at, tx in self.world.moves if name == wallet and at <= self.at and tx != self.subject.tx]
        return max(paid + moved, default=None)

    def has_moved_since(self, wallet: str, moment: datetime) -> bool:
        last = self.last_moved_at(wallet)
        return last is not None and last >= moment

    def past(self, wallet: str, limit: int) -> WalletProfile:
        return WalletProfile(map(Trait.of, self._past(wallet, limit)))

    def _past(self, wallet: str, limit: int) -> list[ChainTransaction]:
        latest_last = sorted((o for o in self._before() if o.wallet == wallet), key=lambda o: o.broadcast_at)
        order = dict.fromkeys(o.tx for o in reversed(latest_last))
        return [self.world.transactions[tx] for tx in list(order)[:limit] if tx in self.world.transactions]

    def requests_to(self, destination: Address, window_secs: int) -> Sequence[Request]:
        if self.world.requests is None:
            raise Unknown("no approval feed is configured")
        after = self.at - timedelta(seconds=window_secs)
        meant = [r for r in self.world.requests if r.intent.destination == destination]
        return [r for r in meant if r.intent.chain == self.subject.chain and after < r.requested.at <= self.at]

    def frozen_at(self, wallet: str) -> datetime | None:
        return self.world.frozen.get(wallet)


def _moment(secs: int) -> datetime:
    return datetime.fromtimestamp(secs, UTC)
