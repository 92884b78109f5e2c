"""Ids that are the same after a restart, a reorg or a replay, because they are digests of what they name."""

from __future__ import annotations

import hashlib

from chains.model import AssetId, ChainId, TxId


def stable_id(prefix: str, *parts: str | bytes) -> str:
    """`prefix_` + 24 hex digits of SHA-256 over the parts, each preceded by its length: none can run together."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return f"{prefix}_{digest.hexdigest()[:24]}"


def outflow_id(chain: ChainId, tx: TxId, wallet: str, asset: AssetId) -> str:
    """The id of what `wallet` lost of `asset` in `tx`."""
    return stable_id("out", str(chain), tx, wallet, str(asset))


def finding_id(chain: str, tx: TxId | None, wallet: str, asset: str, rule_id: str, period: str = "") -> str:
    """The id of a finding: at most one for (chain, tx, wallet, asset, rule_id). Findings without a transaction
    (`feed_malformed`, `node_stale` …) are told apart by `period`, e.g. the day.
    """
    return stable_id("fnd", chain, tx or b"", wallet, asset, rule_id, period)


def alert_id(fingerprint: str) -> str:
    """The id of the alert that gathers everything with this fingerprint."""
    return stable_id("alr", fingerprint)
