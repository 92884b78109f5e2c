"""Entries a second through the audit log's hot path, against the floor: one plain SHA-256 of the same bytes.

Run `python tests/benchmarks/bench_audit.py [ENTRIES]`; prints a table, medians of five runs.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from walletwatch.audit.leaves import AuditEntry, leaf_bytes, make_entry
from walletwatch.audit.merkle import Frontier, prove_inclusions
from walletwatch.audit.notes import SigningKey, sign_checkpoint
from walletwatch.audit.verification import Head, verify_log

START = datetime(2026, 11, 22, tzinfo=UTC)
PAYLOAD = {
    "finding": "fnd_0123456789abcdef01234567",
    "rule": "transaction_limit",
    "rule_id": "btc-max",
    "severity": "critical",
    "wallet": "btc-hot",
    "asset": "bip122:000000000019d6689c085ae165831e93/slip44:0",
    "amount": "450290000000",
    "destinations": [{"address": "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P", "amount": "450290000000"}],
    "height": 845_829,
    "traced": True,
}


def make_entries(count: int) -> list[AuditEntry]:
    return [
        make_entry(n, START + timedelta(milliseconds=n), "walletwatch", "finding.made", f"tx-{n}", PAYLOAD | {"n": n})
        for n in range(count)
    ]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def median_secs(work: Callable[[], object]) -> float:
    took = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    entries = make_entries(count)
    leaves = [leaf_bytes(e.seq, e.recorded_at, e.actor, e.action, e.subject, e.payload) for e in entries]
    hashes = [e.leaf_hash for e in entries]
    frontier = Frontier().extend(hashes)
    key = SigningKey.generate("bench.example/log")
    notes = [
        sign_checkpoint(key, n, Frontier().extend(hashes[:n]).root())
        for n in range(count // 10, count + 1, count // 10)
    ]
    head = Head(count, frontier.root(), frontier.to_bytes())

    def floor() -> None:
        for leaf in leaves:
            hashlib.sha256(b"\x00" + leaf).digest()

    def append() -> None:
        grown = Frontier()
        for n in range(0, count, 10):  # ten entries a transaction, as a block of outflows makes
            grown = grown.extend(e.leaf_hash for e in make_entries_of(n))
            grown.root()

    def make_entries_of(n: int) -> list[AuditEntry]:
        return [
            make_entry(m, START, "walletwatch", "finding.made", f"tx-{m}", PAYLOAD | {"n": m}) for m in range(n, n + 10)
        ]

    def prove() -> None:
        prove_inclusions(range(0, count, count // 1_000), count, hashes)

    def verify() -> None:
        assert verify_log(iter(entries), head=head, checkpoints=notes, vkey=key.verifying_key).ok

    least = median_secs(floor)
    say(f"{count:,} entries of {sum(map(len, leaves)) // count} bytes")
    say(f"{'':<34}{'entries/s':>12}{'x floor':>9}")
    rows = [
        ("floor: SHA-256 of each leaf", least),
        ("append: leaf, hash, frontier", median_secs(append)),
        ("verify: rows, head, 10 checkpoints", median_secs(verify)),
        (
            "1,000 inclusion proofs, one pass",
            median_secs(lambda: prove_inclusions(range(0, count, count // 1_000), count, hashes)),
        ),
    ]
    for name, secs in rows:
        say(f"{name:<34}{count / secs:>12,.0f}{secs / least:>9.1f}")
    tracemalloc.start()
    verify()
    say(f"verify's peak memory beyond its rows: {tracemalloc.get_traced_memory()[1] / 1024:,.0f} KiB")


if __name__ == "__main__":
    main()
