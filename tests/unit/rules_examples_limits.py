"""Examples of limits and destinations."""

from __future__ import annotations

from datetime import timedelta

from unit.rules_examples import (
    BTC,
    CUSTOMER,
    DMM_PAYEE,
    DMM_THIEF,
    NOON,
    ago,
    fires,
    out,
    passes,
    unknown,
    usd,
    world,
)
from walletwatch.domain.labels import Label
from walletwatch.rules.facts import Holding

DAY = 86_400
LIMIT = {"max": "50 BTC"}
DAILY = {"max": "100 BTC", "window": "24h"}
HOURLY = {"max": 2, "window": "1h", "roles": ["hot"]}
SHARE = {"max_percent": 20, "window": "24h"}
FLOOR = {"min": "5 BTC"}
HOT = {"max_percent": 5}
LISTED = {"allowlist": [str(DMM_PAYEE)]}
TWO = [out(at=ago(60), name="one"), out(at=ago(30), name="two")]
PAID = [out(to=DMM_PAYEE, at=ago(7 * DAY), name="earlier")]


def holdings(hot: int, cold: int) -> list[Holding]:
    return [Holding("hot", "hot", BTC.id, hot * 10**8), Holding("vault", "cold", BTC.id, cold * 10**8)]


def label(**validity: object) -> Label:
    return Label("*", str(DMM_THIEF), "thief", "sanctioned", "OFAC", 1000, **validity)  # type: ignore[arg-type]


LIMITS = [
    fires("transaction_limit", "50.00000001 BTC at a limit of 50 BTC", LIMIT, out("50.00000001 BTC"), world()),
    passes("transaction_limit", "exactly 50 BTC", LIMIT, out("50 BTC"), world()),
    unknown("transaction_limit", "a limit in USD, and no price", {"max": "1000000 USD"}, out(), world()),
    fires(
        "window_limit",
        "60 BTC 23 h 59 min 59 s ago, 40.00000001 BTC now; 100 BTC in 24 h allowed",
        DAILY,
        out("40.00000001 BTC"),
        world([out("60 BTC", at=ago(DAY - 1), name="earlier")]),
    ),
    passes(
        "window_limit",
        "the same, but the 60 BTC left exactly 24 h ago",
        DAILY,
        out("40.00000001 BTC"),
        world([out("60 BTC", at=ago(DAY), name="earlier")]),
    ),
    unknown("window_limit", "a limit in USD, and no price", {"max": "1 USD", "window": "24h"}, out(), world()),
    fires("count_limit", "a third outflow within the hour; 2 allowed", HOURLY, out(), world(TWO)),
    passes("count_limit", "the second outflow within the hour", HOURLY, out(), world(TWO[:1])),
    unknown("count_limit", "for hot wallets only, and the wallet's role is not known", HOURLY, out(), world(roles={})),
    fires(
        "balance_share",
        "10 BTC an hour ago, 10.00000001 BTC now, out of 100 BTC; 20 % in 24 h allowed",
        SHARE,
        out("10.00000001 BTC"),
        world([out("10 BTC", at=ago(3600), name="earlier")], held="90 BTC"),
    ),
    passes(
        "balance_share",
        "the same with 10 BTC now: exactly 20 %",
        SHARE,
        out("10 BTC"),
        world([out("10 BTC", at=ago(3600), name="earlier")], held="90 BTC"),
    ),
    unknown("balance_share", "the wallet's balance is not known", SHARE, out(), world()),
    fires("balance_floor", "4.99999999 BTC left; 5 must stay", FLOOR, out("5 BTC", fee=1), world(held="10 BTC")),
    passes("balance_floor", "exactly 5 BTC left", FLOOR, out("5 BTC"), world(held="10 BTC")),
    unknown("balance_floor", "the wallet's balance is not known", FLOOR, out(), world()),
    fires(
        "hot_share",
        "6 of 100 BTC online; 5 % allowed",
        HOT,
        out(),
        world(holdings=holdings(6, 94), prices=[usd("BTC", "95000")]),
    ),
    passes(
        "hot_share",
        "5 of 100 BTC online",
        HOT,
        out(),
        world(holdings=holdings(5, 95), prices=[usd("BTC", "95000")]),
    ),
    unknown("hot_share", "a wallet's balance is not known", HOT, out(), world(prices=[usd("BTC", "95000")])),
]

DESTINATIONS = [
    fires("new_destination", "the first payment to an address", {}, out(), world(PAID)),
    passes("new_destination", "the second payment to it", {}, out(to=DMM_PAYEE), world(PAID)),
    unknown("new_destination", "a token burnt, no receiver known", {}, out(to=None), world(PAID)),
    fires(
        "denied_destination",
        "paid to an address that OFAC lists",
        {},
        out(to=DMM_THIEF),
        world(labels=[label(expires_at=NOON + timedelta(seconds=1))]),
    ),
    passes(
        "denied_destination",
        "the label expired at the second of the payment",
        {},
        out(to=DMM_THIEF),
        world(labels=[label(expires_at=NOON)]),
    ),
    unknown("denied_destination", "no receiver known", {}, out(to=None), world(labels=[label()])),
    fires("not_allowlisted", "the list has the payee, the payment went elsewhere", LISTED, out(to=CUSTOMER), world()),
    passes("not_allowlisted", "paid to the listed address", LISTED, out(to=DMM_PAYEE), world()),
    unknown("not_allowlisted", "no receiver known", LISTED, out(to=None), world()),
    fires(
        "lookalike_destination",
        "1B6rJRfj…kdZw7P is paid; 1B6rJ6ZK…QdNM7P was paid before",
        {},
        out(to=DMM_THIEF),
        world(PAID),
    ),
    passes("lookalike_destination", "the known payee itself is paid", {}, out(to=DMM_PAYEE), world(PAID)),
    unknown("lookalike_destination", "no receiver known", {}, out(to=None), world(PAID)),
]

EXAMPLES = LIMITS + DESTINATIONS
