"""How withdrawals are paid: rightly, or by somebody who takes more, pays elsewhere, twice, in parts, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oracle.asking import elsewhere
from oracle.worlds import ACCOUNT, BTC, CHAIN_OF, COIN, ETH, AccountTx, CoinTx, Move, Tx

if TYPE_CHECKING:
    from oracle.generating import Plan, Withdrawal

MINUTE = 60
FEE = {BTC: 2_000, ETH: 10**14}
Outputs = Sequence[tuple[str, int]]


def pay(plan: Plan, withdrawals: Sequence[Withdrawal]) -> None:
    """Pay each withdrawal in some way; sometimes two in one transaction."""
    rest = list(withdrawals)
    if len(rest) > 1 and plan.chance.random() < 0.25:
        one, two = rest[:2]
        if one.wallet == two.wallet and one.intent.asset == two.intent.asset:
            rest = rest[2:]
            plan.tell("W-0 and W-1 are paid together")
            _live(plan, build(plan, one, [_due(one), _due(two)]), max(one.out, two.out))
    for w in rest:
        way = plan.chance.choice((_plain, _plain, _plain, *WAYS))
        plan.tell(f"{w.request} is paid: {way.__name__.strip('_')}")
        way(plan, w)


def _due(w: Withdrawal) -> tuple[str, int]:
    return w.intent.destination, w.intent.amount


def build(plan: Plan, w: Withdrawal, outputs: Outputs, *, name: str = "", fee: int = 0, like: Tx | None = None) -> Tx:
    """A transaction of the withdrawal's wallet that pays `outputs`; `like`: it consumes what that one does."""
    name = name or f"t{w.number}"
    fee = fee or FEE[BTC if w.intent.asset == BTC else ETH]
    if w.intent.asset == BTC:
        total = sum(amount for _, amount in outputs)
        coins = like.coins if isinstance(like, CoinTx) else ((f"c-{name}", f"{w.wallet}-1", total + fee + 10**7),)
        change = sum(v for _, _, v in coins) - total - fee
        tx: Tx = CoinTx(name, coins, (*outputs, (f"{w.wallet}-1", change)))
    else:
        sender = f"{w.wallet}-1"
        nonce = like.nonce if isinstance(like, AccountTx) else len(plan.txs)
        tx = AccountTx(name, sender, nonce, _moves(w, sender, outputs), fee)
    plan.txs.append(tx)
    return tx


def _moves(w: Withdrawal, sender: str, outputs: Outputs) -> tuple[Move, ...]:
    """One payment straight to the payee, several by way of a batch contract."""
    asset = w.intent.asset
    if len(outputs) == 1:
        return (Move(asset, sender, outputs[0][0], outputs[0][1]),)
    total = sum(amount for _, amount in outputs)
    return (Move(asset, sender, "batcher", total), *(Move(asset, "batcher", to, amount) for to, amount in outputs))


def _live(plan: Plan, tx: Tx, out: int, *, calm: bool = False) -> None:
    """What becomes of it: seen, mined, replaced, dropped, orphaned."""
    chance, chain = plan.chance, tx.chain
    fates = (*("mined",) * 4, "unseen", "unseen", "waits", "dropped", "bumped", "undone")
    fate = "mined" if calm else chance.choice(fates)
    if fate != "unseen":
        out = plan.step(out, chain, "relay", tx.name)
    plan.tell(f"{tx.name}: {fate}")
    mined = out + chance.randint(1, 15) * MINUTE
    if fate in ("mined", "unseen"):
        mined = plan.step(mined, chain, "mine", tx.name)
        if chance.random() < 0.2:
            plan.step(mined + chance.randint(1, 20) * MINUTE, chain, "reorg", depth=chance.randint(1, 2))
    elif fate == "dropped":
        plan.step(mined + 5 * MINUTE, chain, "drop", tx.name)
    elif fate in ("bumped", "undone"):
        other = _replacement(plan, tx, undone=fate == "undone")
        mined = plan.step(mined, chain, "relay", other.name)
        if chance.random() < 0.7:
            plan.step(mined + 5 * MINUTE, chain, "mine", other.name)


def _replacement(plan: Plan, tx: Tx, *, undone: bool) -> Tx:
    """The same again with a higher fee; or, undone, all of it to ourselves."""
    name = f"{tx.name}r"
    if isinstance(tx, CoinTx):
        own = tx.coins[0][1]
        (_, change), paid = tx.outputs[-1], tx.outputs[:-1]
        left = sum(v for _, _, v in tx.coins) - 3_000
        outputs = ((own, left),) if undone else (*paid, (own, change - 3_000))
        plan.txs.append(CoinTx(name, tx.coins, outputs))
    else:
        moves = () if undone else tx.moves
        plan.txs.append(AccountTx(name, tx.sender, tx.nonce, moves, tx.fee * 2))
    return plan.txs[-1]


# --- ways -----------------------------------------------------------------------------------------------------------

Way = Callable[["Plan", "Withdrawal"], None]


def _plain(plan: Plan, w: Withdrawal) -> None:
    _live(plan, build(plan, w, [_due(w)]), w.out)


def _not_at_all(plan: Plan, w: Withdrawal) -> None:
    return


def _elsewhere(plan: Plan, w: Withdrawal) -> None:
    """A theft of the amount; the request may be paid rightly later."""
    _live(plan, build(plan, w, [(elsewhere(w.intent), w.intent.amount)], name=f"x{w.number}"), w.out)
    if plan.chance.random() < 0.6:
        _live(plan, build(plan, w, [_due(w)]), w.out + plan.chance.randint(5, 60) * MINUTE, calm=True)


def _another_amount(plan: Plan, w: Withdrawal) -> None:
    amount = w.intent.amount * plan.chance.choice((9, 11, 20)) // 10
    _live(plan, build(plan, w, [(w.intent.destination, amount)]), w.out)


def _twice(plan: Plan, w: Withdrawal) -> None:
    """The first payment may fail, be dropped, replaced or orphaned: then the second is right."""
    _live(plan, build(plan, w, [_due(w)]), w.out)
    _live(plan, build(plan, w, [_due(w)], name=f"u{w.number}"), w.out + plan.chance.randint(10, 60) * MINUTE, calm=True)


def _with_more(plan: Plan, w: Withdrawal) -> None:
    """A second payment nobody asked for."""
    _live(plan, build(plan, w, [_due(w), ("stranger", w.intent.amount // 3)]), w.out)


def _payee_twice(plan: Plan, w: Withdrawal) -> None:
    """A batch that pays the payee of the request twice: as asked, and once more or in two halves."""
    amount = w.intent.amount
    halves = plan.chance.choice(((amount, amount // 2), (amount - amount // 2, amount // 2)))
    _live(plan, build(plan, w, [(w.intent.destination, a) for a in halves]), w.out)


def _in_parts(plan: Plan, w: Withdrawal) -> None:
    first = w.intent.amount // 3
    second = plan.chance.choice((w.intent.amount - first, w.intent.amount - first - 5, w.intent.amount))
    for n, amount in enumerate((first, second)):
        tx = build(plan, w, [(w.intent.destination, amount)], name=f"p{n}-{w.number}")
        _live(plan, tx, w.out + n * 20 * MINUTE, calm=n == 0)


def _less_the_fee(plan: Plan, w: Withdrawal) -> None:
    """The receiver bears the fee: a small one, or nearly everything."""
    share = plan.chance.choice((20_000, 20_000, 2))
    lacks = w.intent.amount // share if share == 2 else min(w.intent.amount // share, FEE[BTC])
    if w.intent.asset not in FEE:
        share, lacks = 2, w.intent.amount // 2
    tx = build(plan, w, [(w.intent.destination, w.intent.amount - lacks)], fee=lacks + 1_000)
    _live(plan, tx, w.out)


def _by_both_wallets(plan: Plan, w: Withdrawal) -> None:
    """Coins of hot and cold together; the request may name one of them."""
    if w.intent.asset != BTC:
        _plain(plan, w)
        return
    hot = w.intent.amount // 10
    coins = ((f"c-h{w.number}", "btc-hot-1", hot), (f"c-c{w.number}", "btc-cold-1", w.intent.amount))
    outputs = (_due(w), ("btc-cold-1", hot - FEE[BTC]))
    plan.txs.append(CoinTx(f"t{w.number}", coins, outputs))
    _live(plan, plan.txs[-1], w.out)


def _forwarded(plan: Plan, w: Withdrawal) -> None:
    """The payee is a contract that hands on at once."""
    if w.intent.asset == BTC:
        _plain(plan, w)
        return
    asset, amount, sender = w.intent.asset, w.intent.amount, f"{w.wallet}-1"
    moves = (Move(asset, sender, w.intent.destination, amount), Move(asset, w.intent.destination, "vault", amount))
    plan.txs.append(AccountTx(f"t{w.number}", sender, len(plan.txs), moves, FEE[ETH]))
    _live(plan, plan.txs[-1], w.out)


def _failed(plan: Plan, w: Withdrawal) -> None:
    """It runs and fails, and is perhaps sent again."""
    if w.intent.asset == BTC:
        _plain(plan, w)
        return
    sender = f"{w.wallet}-1"
    plan.txs.append(AccountTx(f"t{w.number}", sender, len(plan.txs), _moves(w, sender, [_due(w)]), FEE[ETH], ok=False))
    _live(plan, plan.txs[-1], w.out, calm=True)
    if plan.chance.random() < 0.7:
        _live(plan, build(plan, w, [_due(w)], name=f"u{w.number}"), w.out + 30 * MINUTE)


def _pulled(plan: Plan, w: Withdrawal) -> None:
    """By somebody else's `transferFrom`."""
    if w.intent.asset in (BTC, ETH):
        _plain(plan, w)
        return
    moves = (Move(w.intent.asset, f"{w.wallet}-1", w.intent.destination, w.intent.amount),)
    plan.txs.append(AccountTx(f"t{w.number}", "spender", len(plan.txs), moves, FEE[ETH]))
    _live(plan, plan.txs[-1], w.out)


def _shown_otherwise(plan: Plan, w: Withdrawal) -> None:
    """What waits pays the payee alone; what runs pays a thief too."""
    if w.intent.asset == BTC:
        _plain(plan, w)
        return
    sender = f"{w.wallet}-1"
    shown = _moves(w, sender, [_due(w)])
    refund = Move(ETH, sender, "thief", 10**21)
    plan.txs.append(AccountTx(f"t{w.number}", sender, len(plan.txs), (*shown, refund), FEE[ETH], shown=shown))
    _live(plan, plan.txs[-1], w.out, calm=True)


def _chained(plan: Plan, w: Withdrawal) -> None:
    """t spends X; its replacement spends X and Y; a third spends Y: first and third are both mined."""
    if w.intent.asset != BTC:
        _twice(plan, w)
        return
    one = build(plan, w, [_due(w)])
    assert isinstance(one, CoinTx)
    more = (f"c-y{w.number}", f"{w.wallet}-1", w.intent.amount + 10**7)
    both = CoinTx(f"b{w.number}", (*one.coins, more), (_due(w), (f"{w.wallet}-1", w.intent.amount + 10**7)))
    last = CoinTx(f"u{w.number}", (more,), (_due(w), (f"{w.wallet}-1", 10**7 - FEE[BTC])))
    plan.txs += [both, last]
    for n, tx in enumerate((one, both, last)):
        plan.step(w.out + n * 5 * MINUTE, COIN, "relay", tx.name)
    plan.step(w.out + 20 * MINUTE, COIN, "mine", one.name, last.name)


def _moved_home(plan: Plan, w: Withdrawal) -> None:
    """To another wallet of ours: nothing left."""
    other = w.wallet.replace("hot", "cold") if "hot" in w.wallet else w.wallet.replace("cold", "hot")
    _live(plan, build(plan, w, [(f"{other}-1", w.intent.amount)]), w.out)


WAYS: tuple[Way, ...] = (
    _not_at_all,
    _elsewhere,
    _elsewhere,
    _another_amount,
    _twice,
    _twice,
    _twice,
    _with_more,
    _payee_twice,
    _in_parts,
    _in_parts,
    _less_the_fee,
    _by_both_wallets,
    _forwarded,
    _failed,
    _pulled,
    _shown_otherwise,
    _chained,
    _moved_home,
)

__all__ = ["ACCOUNT", "CHAIN_OF", "pay"]
