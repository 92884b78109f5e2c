"""What is told about a theft that is being followed. Judged by the tracer, block by block."""

from __future__ import annotations

from walletwatch.domain.findings import Severity
from walletwatch.rules.registry import declare

declare(
    "case_movement",
    "operation",
    Severity.MEDIUM,
    "Stolen funds that are being followed moved on, went into a CoinJoin, or came to rest.",
    "94.7 % of thieves' wallets are still full after 60 s, 32.4 % after ten minutes",
)
declare(
    "case_arrival",
    "operation",
    Severity.HIGH,
    "Stolen funds that are being followed arrived at a labelled service: it can be asked to freeze them.",
    "Bybit 2025-02-21: services froze what they were told of in time",
)
