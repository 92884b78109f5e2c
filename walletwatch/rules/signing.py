"""Who signed, and by what hand: a stolen key is used by other software, on another machine, in another habit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from pydantic import Field

from chains.model import SigningFacts
from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules.evidence import shown
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import Params
from walletwatch.rules.registry import rule

_ROUNDNESS_FROM = 1_000
"""Integers below this are counts and versions; above, they are sizes and prices, whose roundness is a habit too."""


class SigningFingerprintParams(Params):
    """`min_score` bits of surprise against the last `last` transactions, once there are `min_history` of them."""

    min_score: int = Field(default=10, ge=1, le=1_000)
    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=20, ge=1, le=10_000)


class UnusualSignersParams(Params):
    """The sets of signers of the last `last` transactions are usual, once there are `min_history` of them."""

    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=5, ge=1, le=10_000)


@dataclass(frozen=True, slots=True)
class Oddity:
    """One feature that does not fit: `bits` = how many times its odds halve, rounded down."""

    feature: str
    value: str
    usual: str
    usual_count: int
    seen: int
    of: int
    bits: int


@lru_cache(maxsize=10_000)
def readings(name: str, value: int | str) -> tuple[tuple[str, str], ...]:
    """A feature as text, and of a large integer also how many zeros it ends in (Bitget's thief set gas limits of
    100,000 and 200,000, where the exchange's own stood near 63,000).
    """
    text = str(value)
    if isinstance(value, str) or abs(value) < _ROUNDNESS_FROM:
        return ((name, text),)
    return (name, text), (f"{name}: zeros at the end", str(len(text) - len(text.rstrip("0"))))


def _habits(past: Sequence[SigningFacts]) -> dict[str, dict[str, int]]:
    """How often each value of each feature was seen."""
    habits: dict[str, dict[str, int]] = defaultdict(dict)
    # Counted as they stand first: a hundred transactions share most values, which are then read once.
    for (name, value), n in Counter(chain.from_iterable(p.features for p in past)).items():
        for feature, text in readings(name, value):
            seen = habits[feature]
            seen[text] = seen.get(text, 0) + n
    return habits


def oddities(now: SigningFacts, past: Sequence[SigningFacts]) -> tuple[Oddity, ...]:
    """What in `now` surprises who knows `past`, most surprising first.

    A value seen n times of N has odds (n + 1) of (N + 1). An unseen value has at least the odds of *any* unseen value:
    as many as values were seen just once (Good and Turing). A feature that changes every time, such as a nonce or a
    lock time at the tip, therefore never surprises; a version that was always 2 and now is 1 does.
    """
    habits = _habits(past)
    found = []
    for name, value in (reading for feature in now.features for reading in readings(*feature)):
        counts = habits.get(name, {})
        times_seen = list(counts.values())
        of, once, seen = sum(times_seen), times_seen.count(1), counts.get(value, 0)
        odds = 1 + max(seen, once)
        bits = ((of + 1) // odds).bit_length() - 1
        if bits > 0:
            usual, times = min(counts.items(), key=lambda item: (-item[1], item[0]))
            found.append(Oddity(name, value, usual, times, seen, of, bits))
    return tuple(sorted(found, key=lambda o: (-o.bits, o.feature)))


def _signing(facts: Facts) -> SigningFacts:
    tx = facts.transaction()
    if tx is None or tx.signing is None:
        raise Unknown("how this transaction was made and signed is not known")
    return tx.signing


def _too_few(wallet: str, have: int, needed: int) -> Verdict:
    reason = f"{have} earlier transactions of {wallet} are known; {needed} are needed to know its habits"
    return Verdict(VerdictKind.UNDETERMINED, reason, {"reason": reason, "history": have}, Severity.INFO)


@rule(
    type="signing_fingerprint",
    family="pattern",
    severity=Severity.HIGH,
    description="The transaction was built differently from all others of this wallet (version, lock time, fee habits, "
    "gas limit …): other software may have used the key. Each oddity scores; the reasons are listed.",
    source="Good 1953 (unseen species); Bitget 2026-09-24: round gas limits; DMM Bitcoin 2024-05-31: version 1",
)
def signing_fingerprint(outflow: Outflow, facts: Facts, params: SigningFingerprintParams) -> Verdict:
    """Violated by a score of `min_score` bits or more."""
    now = _signing(facts)
    past = facts.signing_history(outflow.wallet, params.last)
    if len(past) < params.min_history:
        return _too_few(outflow.wallet, len(past), params.min_history)
    odd = oddities(now, past)
    score = sum(o.bits for o in odd)
    if score < params.min_score:
        return PASS
    return violation(
        f"This transaction is unlike the last {len(past)} of {outflow.wallet}: "
        + ", ".join(f"{o.feature} {o.value} (usually {o.usual})" for o in odd[:3]),
        score=score,
        min_score=params.min_score,
        history=len(past),
        reasons=shown(
            {"feature": o.feature, "value": o.value, "usual": o.usual, "usual_count": o.usual_count}
            | {"seen": o.seen, "of": o.of, "bits": o.bits}
            for o in odd
        ),
    )


@rule(
    type="unusual_signers",
    family="pattern",
    severity=Severity.HIGH,
    description="A set of keys signed that has not signed together for this wallet before.",
    source="DMM Bitcoin 2024-05-31: 2 of 3 keys held together; WazirX 2024-07-18: 4 of 6",
)
def unusual_signers(outflow: Outflow, facts: Facts, params: UnusualSignersParams) -> Verdict:
    """Violated by a set of signers that is none of the last `last` ones."""
    now = frozenset(_signing(facts).signers)
    if not now:
        raise Unknown("who signed this transaction is not known")
    past = [frozenset(p.signers) for p in facts.signing_history(outflow.wallet, params.last) if p.signers]
    if now in past:
        return PASS
    if len(past) < params.min_history:
        return _too_few(outflow.wallet, len(past), params.min_history)
    known = frozenset[str]().union(*past)
    strange = sorted(now - known)
    usual = Counter(tuple(sorted(signers)) for signers in past)
    who = f"a key that never signed for it before ({strange[0]})" if strange else "keys that never signed it together"
    return violation(
        f"{outflow.wallet} paid with {who}",
        signers=sorted(now),
        never_seen=strange,
        usual=shown({"signers": list(s), "count": n} for s, n in sorted(usual.items(), key=lambda i: (-i[1], i[0]))),
        history=len(past),
    )
