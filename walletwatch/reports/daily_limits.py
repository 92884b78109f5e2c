"""Books of each wallet and asset, and how much of each limit a day used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chains.model import Asset, AssetId, ChainId
from chains.registry import format_hash
from walletwatch.domain.findings import Finding, VerdictKind
from walletwatch.domain.outflows import Movement, Outflow, OutflowState
from walletwatch.domain.prices import Price, Unknown
from walletwatch.rules.balances import HotShareParams
from walletwatch.rules.evidence import say_duration, say_percent
from walletwatch.rules.limits import CountLimitParams, TransactionLimitParams, WindowLimitParams, scopes
from walletwatch.rules.parameters import WHOLE, Limit
from walletwatch.rules.registry import RuleConfig, rule_type
from walletwatch.store import UnitOfWork
from walletwatch.store.ledger import Balance

HIGHEST = 2**62


@dataclass(frozen=True, slots=True)
class WatchedWallet:
    """An own wallet and the assets that are booked for it."""

    name: str
    role: str
    chain: ChainId
    assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True)
class DailyBook:
    """One wallet and asset over one day, base units. `received` and `sent` are net of change in each transaction, own
    wallets included. An amount that is not known is None, and `reason` says why.
    """

    wallet: str
    role: str
    asset: Asset
    received: int
    sent: int
    fees: int
    opening: int | None = None
    closing: int | None = None
    chain_balance: int | None = None
    reason: str = ""

    @property
    def difference(self) -> int | None:
        """Books minus chain: 0 when everything balances, None where one of the two is not known."""
        if self.closing is None or self.chain_balance is None:
            return None
        return self.closing - self.chain_balance


@dataclass(frozen=True, slots=True)
class Moved:
    """One movement and the height it is booked at."""

    height: int
    movement: Movement

    @property
    def net(self) -> int:
        """In - out - fee, base units, signed."""
        return self.movement.received - self.movement.sent - self.movement.fee


@dataclass(frozen=True, slots=True)
class Days:
    """A wallet's movements by block time: before the day, within it, after it."""

    before: Sequence[Moved] = ()
    within: Sequence[Moved] = ()
    after: Sequence[Moved] = ()


def book_of(wallet: WatchedWallet, asset: Asset, days: Days, balances: Sequence[Balance]) -> DailyBook:
    """The book of one wallet and asset; `balances` are those that nodes reported, oldest first."""
    received, sent, fees = (
        sum(part) for part in zip((0, 0, 0), *map(_net_of_change, (m.movement for m in days.within)), strict=True)
    )
    if not balances:
        reason = "no node has told what this wallet holds"
        return DailyBook(wallet.name, wallet.role, asset, received, sent, fees, reason=reason)
    base = balances[0]
    opening = base.amount + _net_above(days.before, base) - _net_up_to([*days.within, *days.after], base)
    closing = opening + received - sent - fees
    proof = _proof(days, balances)
    if proof is None:
        reason = f"the node told once only, at block {base.at.height}, where these books begin"
        return DailyBook(wallet.name, wallet.role, asset, received, sent, fees, opening, closing, reason=reason)
    chain = proof.amount - _net_up_to(days.after, proof) + _net_above([*days.before, *days.within], proof)
    reason = f"told by the node at block {proof.at.height}"
    return DailyBook(wallet.name, wallet.role, asset, received, sent, fees, opening, closing, chain, reason)


def _net_of_change(moved: Movement) -> tuple[int, int, int]:
    """(in, out, fee) of one transaction: what comes back in it is neither in nor out."""
    back = min(moved.received, moved.sent)
    return moved.received - back, moved.sent - back, moved.fee


def _proof(days: Days, balances: Sequence[Balance]) -> Balance | None:
    """The node's word nearest after the day, else its last one; never the one the books begin with."""
    last = max((m.height for m in (*days.before, *days.within)), default=0)
    later = [balance for balance in balances[1:] if balance.at.height >= last]
    return later[0] if later else (balances[-1] if len(balances) > 1 else None)


def _net_above(moved: Sequence[Moved], balance: Balance) -> int:
    return sum(m.net for m in moved if m.height > balance.at.height)


def _net_up_to(moved: Sequence[Moved], balance: Balance) -> int:
    return sum(m.net for m in moved if m.height <= balance.at.height)


def read_books(
    unit: UnitOfWork, wallets: Sequence[WatchedWallet], since: datetime, until: datetime
) -> tuple[DailyBook, ...]:
    """The books of [since, until) by block time, in the order of configuration."""
    known = {(w.name, a.id): unit.ledger.balances(w.chain, w.name, a.id) for w in wallets for a in w.assets}
    heights = [balance.at.height for balances in known.values() for balance in balances]
    lowest, highest = min(heights, default=HIGHEST), max(heights, default=-1)
    before = _gather(unit, None, since, (lowest + 1, HIGHEST))
    within = _gather(unit, since, until, None)
    after = _gather(unit, until, None, (0, highest))
    return tuple(
        book_of(w, a, Days(*(part.get((w.name, a.id), ()) for part in (before, within, after))), known[w.name, a.id])
        for w in wallets
        for a in w.assets
    )


def _gather(
    unit: UnitOfWork, since: datetime | None, until: datetime | None, heights: tuple[int, int] | None
) -> dict[tuple[str, AssetId], list[Moved]]:
    found: dict[tuple[str, AssetId], list[Moved]] = {}
    for _chain, wallet, _asset, height, movement in unit.ledger.movements(since=since, until=until, heights=heights):
        found.setdefault((wallet, movement.asset), []).append(Moved(height, movement))
    return found


PriceAt = Callable[[AssetId, datetime], Price]
ONLINE_ROLES = ("hot", "warm", "deposit")
_UNCOUNTED = (OutflowState.ORPHANED, OutflowState.REPLACED)
_PER = {"wallet": "per wallet", "destination": "per destination", "asset": "per asset", "all": "over all"}


@dataclass(frozen=True, slots=True)
class LimitUse:
    """The most that was used of one limit. `used` and `limit` are base units (or a count, with `symbol` empty);
    None where the rule measures otherwise, or `reason` says what was not known. `broken`: violations that day.
    """

    rule_id: str
    type: str
    allowed: str
    broken: int
    limit: int | None = None
    used: int | None = None
    symbol: str = ""
    decimals: int = 0
    asset: str = ""
    tx: str = ""
    at: datetime | None = None
    reason: str = ""

    @property
    def percent(self) -> str:
        """`used` of `limit`: `45.036 %`; empty where it cannot be said."""
        if not self.limit or self.used is None:
            return ""
        return say_percent(self.used * WHOLE // self.limit)


@dataclass(frozen=True, slots=True)
class HotShare:
    """What part of an asset lies in wallets of online roles at the day's end, base units; `asset` None: all, in 1e-8
    USD. `online` and `whole` are None where a wallet's holding is not known.
    """

    asset: Asset | None
    online: int | None
    whole: int | None
    reason: str = ""

    @property
    def percent(self) -> str:
        """`3.1 %`; empty where it cannot be said."""
        return "" if not self.whole or self.online is None else say_percent(self.online * WHOLE // self.whole)


# --- limits -----------------------------------------------------------------------------------------------------------


def use_limits(
    unit: UnitOfWork,
    rules: Iterable[RuleConfig],
    outflows: Sequence[Outflow],
    findings: Sequence[Finding],
    price: PriceAt,
    roles: Mapping[str, str],
) -> tuple[LimitUse, ...]:
    """One line a limit, in the order of configuration."""
    limits = [c for c in rules if rule_type(c.type).family == "limits"]
    counted = [o for o in outflows if o.state not in _UNCOUNTED]
    return tuple(_use(unit, c, [o for o in counted if _fits(o, c, roles)], findings, price) for c in limits)


def _use(
    unit: UnitOfWork, config: RuleConfig, outflows: Sequence[Outflow], findings: Sequence[Finding], price: PriceAt
) -> LimitUse:
    params = config.params
    broken = sum(f.rule_id == config.id and f.verdict is VerdictKind.VIOLATION for f in findings)
    if isinstance(params, TransactionLimitParams):
        return _peak(
            config, broken, params.max, params.max.text, ((o, _single(o, params.max, price)) for o in outflows)
        )
    if isinstance(params, WindowLimitParams):
        allowed = f"{params.max.text} in {say_duration(params.window)}, {_PER[params.per]}"
        sums = ((o, _window(unit, o, params, price)) for o in outflows)
        return _peak(config, broken, params.max, allowed, sums)
    if isinstance(params, CountLimitParams):
        limit = Limit(params.max, None, "", 0)
        allowed = f"{params.max} in {say_duration(params.window)}, {_PER[params.per]}"
        return _peak(config, broken, limit, allowed, ((o, _count(unit, o, params)) for o in outflows))
    said = ", ".join(f"{name} {value}" for name, value in params.model_dump(mode="json").items())
    return LimitUse(config.id, config.type, said, broken, reason="measured on the balance at each outflow")


def _peak(
    config: RuleConfig, broken: int, limit: Limit, allowed: str, sums: Iterator[tuple[Outflow, int | None]]
) -> LimitUse:
    """The largest of the sums."""
    asset = "" if limit.asset is None and not limit.symbol else str(limit.asset or "USD")
    use = LimitUse(config.id, config.type, allowed, broken, limit.units, 0, limit.symbol, limit.decimals, asset)
    most: tuple[int, Outflow] | None = None
    try:
        for outflow, used in sums:
            if used is not None and (most is None or used > most[0]):
                most = (used, outflow)
    except Unknown as unknown:
        return LimitUse(config.id, config.type, allowed, broken, reason=str(unknown))
    if most is None:
        return use
    tx = format_hash(most[1].chain, most[1].tx)
    head = (config.id, config.type, allowed, broken, limit.units, most[0], limit.symbol, limit.decimals, asset)
    return LimitUse(*head, tx=tx, at=most[1].broadcast_at)


def _single(outflow: Outflow, limit: Limit, price: PriceAt) -> int | None:
    if limit.asset is None:
        return price(outflow.asset, outflow.broadcast_at).value_e8(outflow.amount)
    return outflow.amount if limit.asset == outflow.asset else None


def _window(unit: UnitOfWork, outflow: Outflow, params: WindowLimitParams, price: PriceAt) -> int | None:
    limit, at = params.max, outflow.broadcast_at
    if limit.asset not in (None, outflow.asset):
        return None
    sums = []
    for chosen in scopes(outflow, params.per, limit.asset):
        chain = outflow.chain if "destination" in chosen else None
        rows = unit.outflows.in_window(at - timedelta(seconds=params.window), at, chain=chain, **chosen)
        in_usd = limit.asset is None
        sums.append(sum(price(r.asset, r.broadcast_at).value_e8(r.amount) if in_usd else r.amount for r in rows))
    return max(sums, default=0)


def _count(unit: UnitOfWork, outflow: Outflow, params: CountLimitParams) -> int:
    at, counts = outflow.broadcast_at, []
    for chosen in scopes(outflow, params.per, None):
        chain = outflow.chain if "destination" in chosen else None
        rows = unit.outflows.in_window(at - timedelta(seconds=params.window), at, chain=chain, **chosen)
        counts.append(len({row.id for row in rows}))
    return max(counts, default=0)


def _fits(outflow: Outflow, config: RuleConfig, roles: Mapping[str, str]) -> bool:
    """Whether the rule is about this outflow, as the engine has it."""
    chosen = config.selectors
    return (
        (not chosen.wallets or outflow.wallet in chosen.wallets)
        and (not chosen.chains or outflow.chain in chosen.chains)
        and (not chosen.assets or outflow.asset in chosen.assets)
        and (not chosen.roles or roles.get(outflow.wallet) in chosen.roles)
    )


# --- hot share --------------------------------------------------------------------------------------------------------


def online_roles(rules: Iterable[RuleConfig]) -> tuple[str, ...]:
    """The roles that count as online: those of a `hot_share` rule, else hot, warm and deposit."""
    params = (c.params for c in rules)
    return next((tuple(p.online_roles) for p in params if isinstance(p, HotShareParams)), ONLINE_ROLES)


def share_online(
    books: Sequence[DailyBook], roles: Sequence[str], price: PriceAt, at: datetime
) -> tuple[HotShare, ...]:
    """For each asset, and for all of them together in USD where there are several."""
    assets = {book.asset.id: book.asset for book in books}
    shares = [_share(asset, [b for b in books if b.asset.id == asset.id], roles) for asset in assets.values()]
    return (*shares, _share_usd(shares, price, at)) if len(shares) > 1 else tuple(shares)


def _share(asset: Asset, books: Sequence[DailyBook], roles: Sequence[str]) -> HotShare:
    unknown = [book.wallet for book in books if book.closing is None]
    if unknown:
        return HotShare(asset, None, None, f"not known what {', '.join(unknown)} held")
    online = sum(book.closing or 0 for book in books if book.role in roles)
    return HotShare(asset, online, sum(book.closing or 0 for book in books))


def _share_usd(shares: Sequence[HotShare], price: PriceAt, at: datetime) -> HotShare:
    online = whole = 0
    for share in shares:
        if share.asset is None or share.online is None or share.whole is None:
            return HotShare(None, None, None, share.reason)
        if share.whole:
            try:
                quoted = price(share.asset.id, at)
            except Unknown as unknown:
                return HotShare(None, None, None, str(unknown))
            online += quoted.value_e8(share.online)
            whole += quoted.value_e8(share.whole)
    return HotShare(None, online, whole)
