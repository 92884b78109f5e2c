"""Who signed, and by what hand: a stolen key is used by other software, on another machine, in another habit."""

from __future__ import annotations

from pydantic import Field

from chains.model import SigningFacts
from walletwatch.domain.findings import PASS, Severity, Verdict, VerdictKind, violation
from walletwatch.domain.outflows import Outflow
from walletwatch.domain.prices import Unknown
from walletwatch.rules.evidence import shown
from walletwatch.rules.facts import Facts
from walletwatch.rules.parameters import Params
from walletwatch.rules.rule_types import rule


class SigningFingerprintParams(Params):
    """`min_score` bits of surprise against the last `last` transactions, once there are `min_history` of them."""

    min_score: int = Field(default=10, ge=1, le=1_000)
    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=20, ge=1, le=10_000)


class UnusualSignersParams(Params):
    """The sets of signers of the last `last` transactions are usual, once there are `min_history` of them."""

    last: int = Field(default=100, ge=1, le=10_000)
    min_history: int = Field(default=5, ge=1, le=10_000)


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
    past = facts.past(outflow.wallet, params.last)
    if past.signed < params.min_history:
        return _too_few(outflow.wallet, past.signed, params.min_history)
    odd = past.oddities(now)
    score = sum(o.bits for o in odd)
    if score < params.min_score:
        return PASS
    return violation(
        f"This transaction is unlike the last {past.signed} of {outflow.wallet}: "
        + ", ".join(f"{o.feature} {o.value} (usually {o.usual})" for o in odd[:3]),
        score=score,
        min_score=params.min_score,
        history=past.signed,
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
    usual = facts.past(outflow.wallet, params.last).signers
    if tuple(sorted(now)) in usual:
        return PASS
    history = usual.total()
    if history < params.min_history:
        return _too_few(outflow.wallet, history, params.min_history)
    strange = sorted(now.difference(*usual))
    who = f"a key that never signed for it before ({strange[0]})" if strange else "keys that never signed it together"
    return violation(
        f"{outflow.wallet} paid with {who}",
        signers=sorted(now),
        never_seen=strange,
        usual=shown({"signers": list(s), "count": n} for s, n in sorted(usual.items(), key=lambda i: (-i[1], i[0]))),
        history=history,
    )
