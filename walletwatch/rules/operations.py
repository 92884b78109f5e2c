"""Rules that no function judges: the watching itself, and cases that are followed."""

from __future__ import annotations

from walletwatch.domain.findings import Severity
from walletwatch.rules.rule_types import declare

CASE_MOVEMENT = declare(
    "case_movement",
    "operation",
    Severity.MEDIUM,
    "Stolen funds that are being followed moved on, went into a CoinJoin, or came to rest.",
    "94.7 % of thieves' wallets are still full after 60 s, 32.4 % after ten minutes",
)
CASE_ARRIVAL = declare(
    "case_arrival",
    "operation",
    Severity.HIGH,
    "Stolen funds that are being followed arrived at a labelled service: it can be asked to freeze them.",
    "Bybit 2025-02-21: services froze what they were told of in time",
)


NODE_STALE = declare(
    "node_stale",
    "operation",
    Severity.HIGH,
    "The blockchain node has shown no new block for far longer than its network needs to make one. "
    "Withdrawals may be happening that nobody sees.",
    "Bitcoin Core's initial download and stale-tip states",
)
NODE_DISAGREEMENT = declare(
    "node_disagreement",
    "operation",
    Severity.CRITICAL,
    "Two of our nodes name different blocks at the same height, or an answer contradicts itself. "
    "One of them is wrong, or is being lied to.",
    "Eclipse attacks, Heilman et al. 2015",
)
WRONG_CHAIN = declare(
    "wrong_chain",
    "operation",
    Severity.CRITICAL,
    "A node follows another network than the one configured. Nothing it says is used.",
    "CAIP-2: a chain is known by its genesis block or chain id",
)
REORG_TOO_DEEP = declare(
    "reorg_too_deep",
    "operation",
    Severity.CRITICAL,
    "The chain replaced more blocks than the configured bound. The chain is halted until a person looks.",
    "Ethereum Classic 2020-08-01: 3,693 blocks reorganised",
)
FEED_SILENT = declare(
    "feed_silent",
    "operation",
    Severity.HIGH,
    "The approval log has said nothing for too long or cannot be read. Approved withdrawals cannot be told from theft.",
    "Design rule: a dead approval feed must not read as fine",
)
FEED_MALFORMED = declare(
    "feed_malformed",
    "operation",
    Severity.MEDIUM,
    "The approval log holds lines that cannot be read as signed acts. They are kept, and listed in the evidence.",
    "RFC 7515; the approval log's own form",
)
UNWATCHED_INTERVAL = declare(
    "unwatched_interval",
    "operation",
    Severity.HIGH,
    "For some time a chain was not watched. The blocks of that time are judged late, in order, and the interval is "
    "recorded.",
    "Coincheck 2018-01-26: noticed after 11 h 23 m",
)
CONFIGURATION_REFUSED = declare(
    "configuration_refused",
    "operation",
    Severity.HIGH,
    "The configuration was to be read again while the monitor runs, and could not be used. What was in force before "
    "stays in force, which is not what its files say.",
    "Knight Capital 2012-08-01: one server of eight had not taken the new version",
)
WATCHING_LESS = declare(
    "watching_less",
    "operation",
    Severity.HIGH,
    "The configuration or an address file was read again. An address, wallet, rule, feed, policy, person, key, sink or "
    "price is gone or weaker, or an address counts as ours that did not. It is told where alerts went until then.",
    "A thief's address in the own list makes the theft a move between own wallets",
)
