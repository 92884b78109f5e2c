"""Rules as a large deployment has them: round the catalogue, no two with the same parameters, nearly all satisfied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unit.rules_examples import NAMES
from walletwatch.rules.registry import RuleConfig, configure

Table = dict[str, Any]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _day(n: int) -> str:
    return f"2027-01-{n + 1:02}"


MAKERS: tuple[Callable[[int], Table], ...] = (
    lambda n: {"type": "transaction_limit", "max": f"{50 + n} BTC"},
    lambda n: {"type": "transaction_limit", "max": f"{5_000_000 + n} USD"},
    lambda n: {"type": "window_limit", "max": f"{500 + 200 * n} BTC", "window": f"{3 * (n + 1)}h"},
    lambda n: {"type": "window_limit", "max": f"{90 + 40 * n}000000 USD", "window": f"{2 * (n + 1)}h"},
    lambda n: {"type": "window_limit", "max": "9000000 USD", "window": f"{n + 1}h", "per": "destination"},
    lambda n: {"type": "count_limit", "max": 500 * (n + 1), "window": f"{10 * (n + 1)}m"},
    lambda n: {"type": "count_limit", "max": 90 * (n + 1), "window": f"{n + 1}h", "per": "destination"},
    lambda n: {"type": "balance_share", "max_percent": 50 + n, "window": f"{24 + n}h"},
    lambda n: {"type": "balance_floor", "min": f"{5 + n} BTC"},
    lambda n: {"type": "new_destination", "history": f"{400 + n}d"},
    lambda n: {"type": "denied_destination", "min_confidence": 50 + n},
    lambda n: {"type": "lookalike_destination", "base58": 5 + n},
    lambda n: {"type": "baseline_spike", "factor": 3 + n, "period": f"{1 + n % 3}h"},
    lambda n: {"type": "sweep", "min_percent": 90 - n},
    lambda n: {"type": "burst", "factor": 3 + n, "window": f"{10 * (n % 3 + 1)}m"},
    lambda n: {"type": "structuring", "limit": f"{50 + n} BTC"},
    lambda n: {"type": "test_then_drain", "window": f"{24 + n}h"},
    lambda n: {"type": "multi_asset_drain", "window": f"{30 + n}m"},
    lambda n: {"type": "dormant_wallet", "idle": f"{90 + n}d"},
    lambda n: {"type": "off_hours", "hours": "00:00-24:00", "days": list(DAYS), "calendar": "US", "closed": [_day(n)]},
    lambda n: {"type": "fee_anomaly", "max_rate": 1_000 + n, "last": 100 + n},
    lambda n: {"type": "signing_fingerprint", "last": 100 + n},
    lambda n: {"type": "unusual_signers", "last": 100 + n},
    lambda n: {"type": "after_freeze", "grace": f"{n}s"},
    lambda n: {
        "type": "hot_share",
        "max_percent": 100,
        "online_roles": ["hot", "warm", "deposit", "cold"][: n % 4 + 1],
    },
    lambda n: {"type": "expression", "when": f'exceeds("{100 + n}") && role == "hot"'},
)


def rules(count: int) -> tuple[RuleConfig, ...]:
    """`count` rules that go round the catalogue; at most 31 of a kind."""
    made = (MAKERS[n % len(MAKERS)](n // len(MAKERS)) | {"id": f"r{n}"} for n in range(count))
    return tuple(configure(table, amounts=NAMES) for table in made)
