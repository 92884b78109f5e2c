"""Examples of patterns in amounts and in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from unit.rules_examples import (
    BITCOIN,
    BTC,
    DMM_THIEF,
    NOON,
    SAFE,
    ago,
    fires,
    out,
    passes,
    txid,
    unknown,
    utxo_tx,
    world,
)
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.withdrawals import Act, ActKind, Intent, Request

DAY = 86_400
SPIKE = {"factor": 3, "history": "30d"}
BURST = {"factor": 3, "window": "10m"}
BAND = {"limit": "50 BTC", "count": 3, "window": "24h"}
TEST = [out("0.1 BTC", DMM_THIEF, at=ago(28 * 60), name="test")]
SHARED = {"customers": 3, "window": "24h"}
IDLE = {"idle": "90d"}
RATE = {"max_rate": 1000}
FROZEN = {"roles": ["hot"]}


def hourly(count: int) -> list[Outflow]:
    """One outflow of 1 BTC in each of the last `count` whole hours."""
    return [out(at=NOON - timedelta(hours=n, minutes=30), name=f"h{n}") for n in range(1, count + 1)]


def pairs(count: int) -> list[Outflow]:
    """Two outflows in each of `count` windows of ten minutes, hours apart."""
    return [out(at=NOON - timedelta(hours=n, minutes=m), name=f"p{n}-{m}") for n in range(1, count + 1) for m in (5, 7)]


def rapid(count: int) -> list[Outflow]:
    """`count` outflows within the last minute."""
    return [out(at=ago(60 - n), name=f"r{n}") for n in range(count)]


def band(*amounts: str) -> list[Outflow]:
    return [out(amount, at=ago(3600 * (n + 1)), name=f"b{n}") for n, amount in enumerate(amounts)]


def tokens(*amounts: str) -> list[Outflow]:
    return [out(amount, SAFE, at=ago(60 * (n + 1)), name=f"t{n}") for n, amount in enumerate(amounts)]


def asked(*customers: str) -> list[Request]:
    """Requests of these customers for the thief's address, one an hour."""
    intents = [Intent(BITCOIN, BTC.id, 10**8, DMM_THIEF, f"sha256:{n}", customer=c) for n, c in enumerate(customers)]
    return [
        Request(f"W-{n}", intent, Act(ActKind.REQUEST, f"W-{n}", "desk", ago(3600 * n), b"", "feed", n + 1))
        for n, intent in enumerate(intents)
    ]


def at(*moment: int) -> Outflow:
    return out(at=datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type, misc]


def priced(fee: int, vsize: int) -> dict[bytes, object]:
    """Five transactions at 100 sat/vB, and this one."""
    past = {txid(f"h{n}"): utxo_tx(f"h{n}", fee=20_000, vsize=200) for n in range(1, 6)}
    return {**past, txid("now"): utxo_tx(fee=fee, vsize=vsize)}


AMOUNTS = [
    fires(
        "baseline_spike",
        "20 hours of 1 BTC each, then 3.00000001 BTC; factor 3",
        SPIKE,
        out("3.00000001 BTC"),
        world(hourly(20)),
    ),
    passes("baseline_spike", "the same with 3 BTC", SPIKE, out("3 BTC"), world(hourly(20))),
    unknown("baseline_spike", "only 19 hours of history", SPIKE, out("3.00000001 BTC"), world(hourly(19))),
    fires("burst", "7 outflows in 10 min, usually 2; factor 3", BURST, out(), world(pairs(20) + rapid(6))),
    passes("burst", "6 outflows in 10 min", BURST, out(), world(pairs(20) + rapid(5))),
    unknown("burst", "7 outflows, and only 19 periods of history", BURST, out(), world(pairs(19) + rapid(6))),
    fires("sweep", "9 of 10 BTC at once", {}, out("9 BTC"), world(held="10 BTC")),
    passes("sweep", "8.99999999 of 10 BTC", {}, out("8.99999999 BTC"), world(held="10 BTC")),
    unknown("sweep", "the wallet's balance is not known", {}, out("9 BTC"), world()),
    fires(
        "structuring",
        "45, 50 and now 45 BTC within a day, at a limit of 50 BTC",
        BAND,
        out("45 BTC"),
        world(band("45 BTC", "50 BTC")),
    ),
    passes(
        "structuring",
        "the same, but now 44.99999999 BTC",
        BAND,
        out("44.99999999 BTC"),
        world(band("45 BTC", "50 BTC")),
    ),
    unknown("structuring", "a limit in USD, and no price", {"limit": "1000 USD"}, out(), world()),
    fires(
        "test_then_drain",
        "0.1 BTC, and 28 min later 10 of 100 BTC to the same address",
        {},
        out("10 BTC", DMM_THIEF),
        world(TEST, held="99.9 BTC"),
    ),
    passes(
        "test_then_drain",
        "9.99999999 BTC after the test: less than 100 times as much",
        {},
        out("9.99999999 BTC", DMM_THIEF),
        world(TEST, held="99.9 BTC"),
    ),
    unknown("test_then_drain", "the balance is not known", {}, out("10 BTC", DMM_THIEF), world(TEST)),
    fires(
        "multi_asset_drain",
        "ETH, USDT and now USDC to one new address within minutes",
        {},
        out("1000 USDC", SAFE),
        world(tokens("1 ETH", "500 USDT")),
    ),
    passes("multi_asset_drain", "ETH and USDC only", {}, out("1000 USDC", SAFE), world(tokens("1 ETH", "2 USDC"))),
    unknown("multi_asset_drain", "no receiver known", {}, out("1 USDC", None), world(tokens("1 ETH", "2 USDC"))),
    fires(
        "shared_destination",
        "three customers asked for the same address",
        SHARED,
        out(to=DMM_THIEF),
        world(requests=asked("ann", "bob", "cyd")),
    ),
    passes(
        "shared_destination",
        "three requests, two customers",
        SHARED,
        out(to=DMM_THIEF),
        world(requests=asked("ann", "bob", "ann")),
    ),
    unknown("shared_destination", "no approval feed", SHARED, out(to=DMM_THIEF), world()),
]

TIMES = [
    fires(
        "dormant_wallet",
        "90 days and one second after the last payment",
        IDLE,
        out(),
        world([out(at=ago(90 * DAY + 1), name="last")]),
    ),
    passes("dormant_wallet", "exactly 90 days", IDLE, out(), world([out(at=ago(90 * DAY), name="last")])),
    unknown(
        "dormant_wallet",
        "never paid, and watched for ten days",
        IDLE,
        out(),
        world(watched_since={"hot": ago(10 * DAY)}),
    ),
    fires("off_hours", "Monday noon in Tokyo, but a holiday (2026-11-23)", {}, at(2026, 11, 23, 3), world()),
    passes("off_hours", "Friday noon in Tokyo", {}, at(2026, 11, 20, 3), world()),
    unknown("off_hours", "2100: the holiday calendar ends before", {}, at(2100, 1, 4, 3), world()),
    fires(
        "fee_anomaly",
        "1,000.005 sat/vB; 1,000 allowed",
        RATE,
        out(),
        world(hourly(5), transactions=priced(200_001, 200)),
    ),
    passes(
        "fee_anomaly",
        "exactly 1,000 sat/vB, ten times the usual 100",
        RATE,
        out(),
        world(hourly(5), transactions=priced(200_000, 200)),
    ),
    unknown("fee_anomaly", "the transaction itself is not at hand", RATE, out(), world(hourly(5))),
    fires("after_freeze", "one second after the alarm", FROZEN, out(), world(frozen={"hot": ago(1)})),
    passes("after_freeze", "in the second of the alarm", FROZEN, out(), world(frozen={"hot": NOON})),
    unknown("after_freeze", "for hot wallets only, and the role is not known", FROZEN, out(), world(roles={})),
]

EXPRESSIONS = [
    fires(
        "expression",
        "more than 10 coins from a hot wallet",
        {"when": 'exceeds("10") && role == "hot"'},
        out("10.00000001 BTC"),
        world(),
    ),
    passes("expression", "exactly 10 coins", {"when": 'exceeds("10") && role == "hot"'}, out("10 BTC"), world()),
    unknown("expression", "asks for USD, and there is no price", {"when": "usd > 1000"}, out(), world()),
]

EXAMPLES = AMOUNTS + TIMES + EXPRESSIONS
