"""Versions of the approval policies, and which policy applies to a request (CONTRACT §2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from walletwatch.domain.policies import Policy, PolicyFit
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Intent

UNNAMED = Policy(name="")
"""Applies where no policy fits: one approval, by anybody who may approve but the requester."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """The configured policies, in order, as they stood from `since` on (None: since ever)."""

    policies: tuple[Policy, ...]
    since: datetime | None = None

    @property
    def document(self) -> list[dict[str, Any]]:
        """The policies in their normal form, in order."""
        return [policy.as_json() for policy in self.policies]

    @property
    def digest(self) -> str:
        """`sha256:` + hex SHA-256 of the canonical JSON of the document."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(self.document)).hexdigest()

    @classmethod
    def from_document(cls, document: Iterable[Mapping[str, Any]], since: datetime | None) -> PolicyVersion:
        """The version whose `document` was kept."""
        return cls(tuple(map(Policy.from_json, document)), since)


@dataclass(frozen=True, slots=True)
class PolicyHistory:
    """Every version there was, oldest first: what was in force when people approved is what counts."""

    versions: tuple[PolicyVersion, ...]

    def __post_init__(self) -> None:
        if not self.versions:
            raise ValueError("a history of policies has at least one version, if only an empty one")
        object.__setattr__(self, "versions", tuple(sorted(self.versions, key=_started)))

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> PolicyHistory:
        """These policies, since ever."""
        return cls((PolicyVersion(tuple(policies)),))

    @property
    def has_leeway(self) -> bool:
        """Whether any policy lets payments differ from their requests."""
        policies = (policy for version in self.versions for policy in version.policies)
        return any(policy.tolerance or policy.fee_deducted or policy.parts > 1 for policy in policies)

    @property
    def has_parts(self) -> bool:
        """Whether any policy lets several transactions pay one request."""
        return any(policy.parts > 1 for version in self.versions for policy in version.policies)

    def index_at(self, moment: datetime) -> int:
        """Which version was in force at `moment`; before the first one, the first."""
        if len(self.versions) == 1:
            return 0
        started = [n for n, version in enumerate(self.versions) if _started(version) <= moment]
        return started[-1] if started else 0


def _started(version: PolicyVersion) -> datetime:
    return version.since or _EVER


_EVER = datetime.min.replace(tzinfo=UTC)


def candidates(
    policies: Iterable[Policy], intent: Intent, wallets: tuple[str, ...], price: Price | None
) -> tuple[Policy, ...]:
    """The policies that may be the first that fits: usually one; several where a price or a wallet is not known."""
    chosen: list[Policy] = []
    for policy in policies:
        fit = policy.fits(intent, wallets, price)
        if fit is not PolicyFit.NO:
            chosen.append(policy)
        if fit is PolicyFit.YES:
            return tuple(chosen)
    return (*chosen, UNNAMED)
