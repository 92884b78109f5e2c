"""Where value went: new, denied, not allowed, or made to look like somebody known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from chains.model import Address
from walletwatch.domain.findings import PASS, Severity, Verdict, violation
from walletwatch.domain.labels import CATEGORIES, Label
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules.evidence import (
    amount_json,
    destinations_of,
    first_receivers,
    say_amount,
    say_duration,
    say_percent,
    shown,
)
from walletwatch.rules.facts import Facts
from walletwatch.rules.lookalikes import THRESHOLDS, Alphabet, Lookalike
from walletwatch.rules.parameters import AddressKeys, Duration, Params, Percent, Texts
from walletwatch.rules.rule_types import rule


class NewDestinationParams(Params):
    """`history`: how far back a payment still makes a destination known; without it, since watching began."""

    history: Duration | None = Field(default=None, gt=0)


class DeniedDestinationParams(Params):
    """`categories` of labels that must not be paid; labels below `min_confidence` (percent) are not heard."""

    categories: Texts = ("sanctioned", "mixer", "darknet", "scam", "theft")
    min_confidence: Percent = Field(default=50_000, le=100_000)

    @field_validator("categories")
    @classmethod
    def _known(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(categories) - CATEGORIES)
        if unknown or not categories:
            raise ValueError(f"must name categories out of {', '.join(sorted(CATEGORIES))}")
        return categories


class NotAllowlistedParams(Params):
    """`allowlist`: the only addresses that may be paid."""

    allowlist: AddressKeys


class LookalikeParams(Params):
    """How many free characters must be alike at both ends together, by alphabet."""

    base58: int = Field(default=THRESHOLDS[Alphabet.BASE58], ge=3, le=33)
    hex: int = Field(default=THRESHOLDS[Alphabet.HEX], ge=4, le=39)
    bech32: int = Field(default=THRESHOLDS[Alphabet.BECH32], ge=3, le=70)


def paid_addresses(outflow: Outflow) -> Mapping[Address, int]:
    """Base units by destination. Raises Unknown where value left and nobody is known to have received it."""
    paid = destinations_of(outflow)
    if not paid:
        raise Unknown("value left, and no destination is known (burnt, or taken by a token's own rules)")
    return paid


@rule(
    type="new_destination",
    family="destination",
    severity=Severity.MEDIUM,
    description="An address was paid that none of the watched wallets has paid before. The first payment to every new "
    "customer is one; from a cold wallet there should be none.",
    source="DMM Bitcoin 2024-05-31: 4,502.9 BTC to an address that had never been paid",
)
def new_destination(outflow: Outflow, facts: Facts, params: NewDestinationParams) -> Verdict:
    """Violated by a destination never paid before, or not within `history`."""
    paid = paid_addresses(outflow)
    new = [place for place in paid if facts.first_paid(place, params.history)]
    if not new:
        return PASS
    since = f" within {say_duration(params.history)}" if params.history else ""
    first = f"{new[0]} was" if len(new) == 1 else f"{len(new)} destinations were"
    return violation(
        f"{first} never paid before{since}: {say_amount(facts, outflow.asset, sum(paid[n] for n in new))}",
        new=shown({"address": str(place), **amount_json(facts, outflow.asset, paid[place])} for place in new),
        count=len(new),
        **_history(params),
        **first_receivers(outflow),
    )


def _history(params: NewDestinationParams) -> dict[str, Any]:
    return {} if params.history is None else {"history_secs": params.history}


@rule(
    type="denied_destination",
    family="destination",
    severity=Severity.CRITICAL,
    description="Value went to an address that a label calls sanctioned, a mixer, or another category you deny.",
    source="OFAC SDN list; FATF guidance on virtual assets of 2021-10",
)
def denied_destination(outflow: Outflow, facts: Facts, params: DeniedDestinationParams) -> Verdict:
    """Violated by a destination with a denied label that was valid at broadcast."""
    hits = [
        (place, label)
        for place in paid_addresses(outflow)
        for label in facts.labels(place)
        if label.category in params.categories and label.confidence_milli * 100 >= params.min_confidence
    ]
    if not hits:
        return PASS
    place, label = hits[0]
    said = say_amount(facts, outflow.asset, outflow.amount)
    return violation(
        f"{said} left for {place}, labelled {label.label} ({label.category}, {label.source or 'no source named'})",
        destinations=shown({"address": str(place), **_label_json(label)} for place, label in hits),
        **first_receivers(outflow),
    )


def _label_json(label: Label) -> dict[str, str]:
    confidence = say_percent(label.confidence_milli * 100)
    return {"label": label.label, "category": label.category, "source": label.source, "confidence": confidence}


@rule(
    type="not_allowlisted",
    family="destination",
    severity=Severity.CRITICAL,
    description="Value went to an address that is not on your list of allowed destinations.",
    source="Japan's supervisor after DMM Bitcoin 2024-05-31: allowlisted destinations for cold wallets",
)
def not_allowlisted(outflow: Outflow, facts: Facts, params: NotAllowlistedParams) -> Verdict:
    """Violated by any destination outside the list."""
    paid = paid_addresses(outflow)
    strange = [place for place in paid if (outflow.chain, place.key) not in params.allowlist]
    if not strange:
        return PASS
    first = f"{strange[0]} is" if len(strange) == 1 else f"{len(strange)} destinations are"
    return violation(
        f"{first} not on the list of allowed destinations: "
        f"{say_amount(facts, outflow.asset, sum(paid[s] for s in strange))}",
        not_listed=shown({"address": str(s), **amount_json(facts, outflow.asset, paid[s])} for s in strange),
        count=len(strange),
        allowed=len(params.allowlist),
        **first_receivers(outflow),
    )


@rule(
    type="lookalike_destination",
    family="destination",
    severity=Severity.CRITICAL,
    description="An address paid for the first time begins and ends like one you know. People compare the first and "
    "the last characters; a thief can make an address that passes this comparison.",
    source="DMM Bitcoin 2024-05-31: 1B6rJRfj…dw7P instead of 1B6rJ6ZK…NM7P; address poisoning, Tsuchiya et al. 2025",
)
def lookalike_destination(outflow: Outflow, facts: Facts, params: LookalikeParams) -> Verdict:
    """Violated by a destination that was never paid, is not allowlisted, and resembles a known payee."""
    paid = paid_addresses(outflow)
    found: list[tuple[Address, Lookalike]] = []
    for place in paid:
        near = resembling(place, facts, params)
        found += [(place, near[0])] if near else []
    if not found:
        return PASS
    place, most = max(found, key=lambda pair: pair[1].score)
    return violation(
        f"{place} looks like {most.payee}, and is another address: "
        f"{most.first} characters alike at the beginning, {most.last} at the end",
        lookalikes=shown(_resemblance_json(place, r, params) for place, r in found),
        **amount_json(facts, outflow.asset, sum(paid[p] for p, _ in found)),
        **first_receivers(outflow),
    )


def resembling(place: Address, facts: Facts, params: LookalikeParams) -> tuple[Lookalike, ...]:
    """Known payees that `place` could be mistaken for. A request for an address does not make it known: in a fraud the
    request names the thief's.
    """
    index = facts.payee_index()
    if index.trusts(place) or not facts.first_paid(place):
        return ()
    return tuple(r for r in index.near(place, _lowest(params)) if r.score >= getattr(params, r.alphabet))


def _lowest(params: LookalikeParams) -> int | None:
    """None where the index's own thresholds suffice."""
    lower = [n for alphabet, n in THRESHOLDS.items() if getattr(params, alphabet) < n]
    return min(params.base58, params.hex, params.bech32) if lower else None


def _resemblance_json(place: Address, found: Lookalike, params: LookalikeParams) -> dict[str, Any]:
    return {
        "address": str(place),
        "payee": str(found.payee),
        "alike_first": found.first,
        "alike_last": found.last,
        "score": found.score,
        "threshold": int(getattr(params, found.alphabet)),
    }
