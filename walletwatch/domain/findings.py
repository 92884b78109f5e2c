"""Verdicts, findings, and stable ids, which are digests of the things they name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chains.model import AssetId, ChainId, TxId


def stable_id(prefix: str, *parts: str | bytes) -> str:
    """`prefix_` + 24 hex digits of SHA-256 over the parts, each preceded by its length to keep them apart."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return f"{prefix}_{digest.hexdigest()[:24]}"


def outflow_id(chain: ChainId, tx: TxId, wallet: str, asset: AssetId) -> str:
    """The id of the outflow of `asset` from `wallet` in `tx`."""
    return stable_id("out", str(chain), tx, wallet, str(asset))


def finding_id(chain: str, tx: TxId | None, wallet: str, asset: str, rule_id: str, period: str = "") -> str:
    """The id of a finding: at most one for (chain, tx, wallet, asset, rule_id). Findings without a transaction
    (`feed_malformed`, `node_stale` …) are distinguished by `period`, e.g. the day.
    """
    return stable_id("fnd", chain, tx or b"", wallet, asset, rule_id, period)


def alert_id(fingerprint: str) -> str:
    """The id of the alert that collects the findings with this fingerprint."""
    return stable_id("alr", fingerprint)


class VerdictKind(StrEnum):
    """A rule passes, is violated, or could not be judged; undetermined never counts as a pass."""

    PASS = "pass"  # noqa: S105 - a verdict, not a secret
    VIOLATION = "violation"
    UNDETERMINED = "undetermined"


class Severity(StrEnum):
    """The severity of a finding or alert; compare by `rank`, 0 is the highest."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Position in the order critical (0) … info (4)."""
        return list(Severity).index(self)


class Mode(StrEnum):
    """`enforce` raises alerts; `shadow` findings are recorded and shown only."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


Evidence = Mapping[str, Any]
"""JSON values only: text, bool, small int, list, mapping. Amounts are base units as text."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's verdict on one outflow: `summary` is one sentence for a treasurer, `evidence` lets a person check it.

    `severity` overrides that of the rule where the catalogue says so (a refused act beside a met quorum is `low`).
    """

    kind: VerdictKind
    summary: str = ""
    evidence: Evidence = field(default_factory=dict)
    severity: Severity | None = None


PASS = Verdict(VerdictKind.PASS)


def violation(summary: str, severity: Severity | None = None, **evidence: Any) -> Verdict:
    """The verdict that the rule is violated."""
    return Verdict(VerdictKind.VIOLATION, summary, evidence, severity)


def undetermined(reason: str, **evidence: Any) -> Verdict:
    """The verdict that the rule could not be judged, and why."""
    return Verdict(VerdictKind.UNDETERMINED, reason, {**evidence, "reason": reason})


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation or an undetermined verdict, as kept. `rule` is the type, `rule_id` the configured rule.

    `chain` is the CAIP-2 text (empty for a feed's finding); `tx`, `wallet`, `asset`, `outflow` are empty or None where
    the rule is not about a transaction. `rules_digest` is the SHA-256 of the configured rules in force.
    """

    id: str
    rule: str
    rule_id: str
    verdict: VerdictKind
    severity: Severity
    mode: Mode
    chain: str
    tx: TxId | None
    wallet: str
    asset: str
    outflow: str | None
    summary: str
    evidence: Evidence
    rules_digest: str
    found_at: datetime
