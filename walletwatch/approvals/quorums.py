"""Whether a request was approved as its policy asks, recomputed from the raw acts and explained step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chains.model import AssetId
from chains.registry import family_of
from walletwatch.approvals.policies import PolicyHistory, candidates
from walletwatch.approvals.request_book import REQUESTER
from walletwatch.domain.calendars import BusinessHours
from walletwatch.domain.people import People
from walletwatch.domain.policies import Policy
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.times import format_utc
from walletwatch.domain.withdrawals import Act, ActKind, Authorisation, MatchTerms, RefusedAct, Request, Spending

PriceOf = Callable[[AssetId], Price]
"""The price in force at broadcast. Raises `Unknown` if it is missing or stale."""


@dataclass(frozen=True, slots=True)
class JudgementTime:
    """What approvals are held against: an approval later than `approve_by` came after the broadcast; ages are counted
    to `broadcast_at`. `wallets` paid, or would pay.
    """

    broadcast_at: datetime
    approve_by: datetime
    wallets: tuple[str, ...] = ()

    @classmethod
    def of(cls, spending: Spending, request: Request) -> JudgementTime:
        """The broadcast of `spending`, as far as it concerns `request`.

        Its broadcast acts can only make the deadline of approvals earlier: age, expiry and cancellation are held to
        mempool and chain, because a person can write any time into an act.

        Block time alone lets approvals count until the slack of the chain's block times after it (two hours on
        Bitcoin); a sight in a mempool or a broadcast act is better evidence, and then nothing later counts.
        """
        family = {spending.tx, *spending.family}
        told = [a.at for a in request.acts if a.kind is ActKind.BROADCAST and a.txid in family and not a.refused]
        seen = spending.broadcast_at if spending.seen_at is None else min(spending.broadcast_at, spending.seen_at)
        return cls(seen, min([deadline_of(spending), *told]), spending.wallets)

    @classmethod
    def now(cls, at: datetime) -> JudgementTime:
        """As if the request were paid at `at`, by whatever wallet: for lists of requests."""
        return cls(at, at)


def deadline_of(spending: Spending) -> datetime:
    """The latest time by which an act may be dated and still come before the broadcast, by mempool and chain."""
    by_block = spending.from_block_time_only or spending.seen_at is not None
    slack = family_of(spending.chain).block_time_slack(spending.chain) if by_block else timedelta(0)
    latest = spending.broadcast_at + slack
    return latest if spending.seen_at is None else min(latest, spending.seen_at)


@dataclass(frozen=True, slots=True)
class _PolicyDecision:
    """What one policy says."""

    policy: Policy
    counted: tuple[Act, ...]
    refused: tuple[RefusedAct, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one version of the policies says; `doubt` where they differ for lack of a fact."""

    decision: _PolicyDecision
    doubt: str

    @property
    def rank(self) -> int:
        return 2 if not self.decision.missing else 1 if self.doubt else 0


def authoriser(
    spending: Spending, *, policies: PolicyHistory, people: People, price_of: PriceOf
) -> Callable[[Request], Authorisation]:
    """`authorise` for the requests that may explain `spending`."""

    def judge(request: Request) -> Authorisation:
        return authorise(
            request, JudgementTime.of(spending, request), policies=policies, people=people, price_of=price_of
        )

    return judge


def leeway_of(
    spending: Spending, *, policies: PolicyHistory, price_of: PriceOf
) -> Callable[[Request], MatchTerms] | None:
    """By how much payments may differ from their requests, as the policy in force when each was last approved says;
    where a price leaves several policies, the strictest of them. None if no policy gives any leeway.
    """
    if not policies.has_leeway:
        return None

    def terms(request: Request) -> MatchTerms:
        approved = [act.at for act in request.acts if act.kind is ActKind.APPROVE and not act.refused]
        version = policies.versions[policies.index_at(max(approved, default=spending.broadcast_at))]
        price, _ = _find_price(request, policies, price_of, deducting=True)
        intent = request.intent
        given = [p.terms(intent, price) for p in candidates(version.policies, intent, spending.wallets, price)]
        return MatchTerms(
            min(t.tolerance for t in given), min(t.max_deduction for t in given), min(t.parts for t in given)
        )

    known: dict[str, MatchTerms] = {}
    return lambda request: known.get(request.id) or known.setdefault(request.id, terms(request))


def authorise(
    request: Request, moment: JudgementTime, *, policies: PolicyHistory, people: People, price_of: PriceOf
) -> Authorisation:
    """Which acts on `request` count for a payment at `moment`, which do not and why, and whether they suffice.

    The first policy that fits is asked; where a missing price or wallet leaves several, all of them must be met, and if
    only some are, the answer is undetermined. Of several versions of the policies an approval counts under the one in
    force when it was given.
    """
    price, no_price = _find_price(request, policies, price_of)
    approvals = [act for act in request.acts if act.kind is ActKind.APPROVE]
    answers = [
        _ask(request, moment, policies.versions[n].policies, acts, people, price, no_price)
        for n, acts in _by_version(approvals, policies, moment.broadcast_at)
    ]
    answer = max(reversed(answers), key=lambda a: a.rank)
    decision = answer.decision
    withdrawn, others = _read_withdrawals(request, moment, decision.policy, people)
    flaws = [*others, *_own_flaw(request)]
    met = answer.rank == 2 and withdrawn is None and not request.requested.refused
    return Authorisation(
        request=request,
        met=met,
        policy=decision.policy.name,
        policy_digest=decision.policy.digest,
        quorum=decision.policy.quorum,
        counted=decision.counted,
        refused=(*decision.refused, *flaws),
        missing=decision.missing,
        withdrawn=withdrawn,
        undetermined="" if met or withdrawn or request.requested.refused else answer.doubt,
        explanation=tuple(_explain(request, decision, flaws, withdrawn, answer.doubt, met=met)),
        signed=request.requested.signed and all(act.signed for act in decision.counted),
    )


def _find_price(
    request: Request, policies: PolicyHistory, price_of: PriceOf, *, deducting: bool = False
) -> tuple[Price | None, str]:
    every = [policy for version in policies.versions for policy in version.policies]
    if not any(policy.needs_price or (deducting and policy.deducts_by_value) for policy in every):
        return None, ""
    try:
        return price_of(request.intent.asset), ""
    except Unknown as reason:
        return None, str(reason)


@dataclass(frozen=True, slots=True)
class _Given:
    """Approvals up to the end of one version of the policies; `fresh` are those given while it was in force."""

    acts: tuple[Act, ...]
    fresh: tuple[Act, ...]


def _by_version(
    approvals: Sequence[Act], policies: PolicyHistory, broadcast_at: datetime
) -> Iterator[tuple[int, _Given]]:
    """Each version in which somebody approved; the one in force at the broadcast, if nobody did."""
    dated = [(policies.index_at(act.at), act) for act in approvals]
    for n in sorted({index for index, _ in dated} or {policies.index_at(broadcast_at)}):
        yield n, _Given(tuple(a for index, a in dated if index <= n), tuple(a for index, a in dated if index == n))


def _ask(
    request: Request,
    moment: JudgementTime,
    policies: tuple[Policy, ...],
    given: _Given,
    people: People,
    price: Price | None,
    no_price: str,
) -> _Answer:
    chosen = candidates(policies, request.intent, moment.wallets, price)
    decisions = [_decide(policy, request, moment, given, people) for policy in chosen]
    open_ones = [decision for decision in decisions if decision.missing]
    if not open_ones or len(open_ones) == len(decisions):
        return _Answer(decisions[0], "")
    if not no_price and moment.wallets:
        return _Answer(open_ones[0], "")  # several wallets paid: the strictest of their policies counts
    names = ", ".join(repr(policy.name) for policy in chosen)
    why = no_price or "the paying wallet is not known"
    return _Answer(open_ones[0], f"which of the policies {names} applies is not known: {why}")


def _decide(policy: Policy, request: Request, moment: JudgementTime, given: _Given, people: People) -> _PolicyDecision:
    counted: dict[str, Act] = {}
    refused: list[RefusedAct] = []
    for act in given.acts:
        refusal = _why_not(act, policy, request, moment, people)
        if refusal is not None:
            refused.append(refusal)
        else:
            counted.setdefault(act.actor, act)
    missing = list(_missing(policy, tuple(counted.values()), people))
    # Without this a forged act dated into a later, laxer version would bring that version into force.
    if not missing and all(any(r.act is act for r in refused) for act in given.fresh):
        missing.append("an approval that counts under the policies in force when it was given")
    return _PolicyDecision(policy, tuple(counted.values()), tuple(refused), tuple(missing))


def _missing(policy: Policy, counted: Sequence[Act], people: People) -> Iterator[str]:
    """Which parts of the quorum are open. One person in two groups counts for both."""
    if len(counted) < policy.quorum:
        yield f"{policy.quorum - len(counted)} more of {policy.quorum} persons"
    persons = [person for act in counted if (person := people.by_id(act.actor)) is not None]
    for group in policy.groups:
        inside = sum(group.fits(person) for person in persons)
        if inside < group.min:
            yield f"{group} ({inside} so far)"


def _why_not(act: Act, policy: Policy, request: Request, moment: JudgementTime, people: People) -> RefusedAct | None:
    """Why an approval does not count, the gravest reason first; None if it does."""
    if act.refused:
        return RefusedAct(act, act.refused, act.reason)
    person = people.by_id(act.actor)
    if person is None or not policy.may_approve(person):
        roles = ", ".join(person.roles) if person else "not known"
        return RefusedAct(act, "approver_not_authorised", f"{act.actor} may not approve ({roles or 'no role'})")
    if act.actor == request.requested.actor and not policy.requester_may_approve:
        return RefusedAct(act, "self_approval", f"{act.actor} asked for the payment and may not approve it")
    return _wrong_content(act, request) or _too_early(act, request) or _wrong_time(act, policy, request, moment)


def _too_early(act: Act, request: Request) -> RefusedAct | None:
    if act.at >= request.requested.at:
        return None
    words = f"dated {format_utc(act.at)}, before the request it approves ({format_utc(request.requested.at)})"
    return RefusedAct(act, "approval_too_fast", words)


def _wrong_content(act: Act, request: Request) -> RefusedAct | None:
    if act.intent_hash != request.intent.hash:
        words = f"the act is over other content ({act.intent_hash}) than the request ({request.intent.hash})"
        return RefusedAct(act, "content_mismatch", words)
    if act.shown_hash and act.shown_hash != act.intent_hash:
        words = f"the screen showed other content ({act.shown_hash}) than was signed ({act.intent_hash})"
        return RefusedAct(act, "content_mismatch", words)
    return None


def _wrong_time(act: Act, policy: Policy, request: Request, moment: JudgementTime) -> RefusedAct | None:
    if act.at > moment.approve_by:
        words = f"approved at {format_utc(act.at)}, after the broadcast ({format_utc(moment.approve_by)} at the latest)"
        return RefusedAct(act, "approved_after_broadcast", words)
    expires = request.intent.expires_at
    if expires is not None and moment.broadcast_at > expires:
        words = f"the request expired at {format_utc(expires)}, before the broadcast"
        return RefusedAct(act, "approval_expired", words)
    age, delay = moment.broadcast_at - act.at, act.at - request.requested.at
    if policy.max_age is not None and age > policy.max_age:
        return RefusedAct(act, "approval_expired", f"{age} old at the broadcast, at most {policy.max_age} is allowed")
    if policy.min_delay is not None and delay < policy.min_delay:
        words = f"approved {delay.total_seconds():.0f} s after the request, sooner than {policy.min_delay}"
        return RefusedAct(act, "approval_too_fast", words)
    closed = "" if policy.hours is None else _closed(policy.hours, act.at)
    if closed:
        return RefusedAct(act, "approver_not_authorised", f"{act.actor} may not approve at that hour: {closed}")
    return None


def _closed(hours: BusinessHours, at: datetime) -> str:
    try:
        return hours.closed_because(at)
    except Unknown as why:
        return str(why)


def _may_not_withdraw(act: Act, policy: Policy, people: People) -> RefusedAct | None:
    """Reject and cancel count from requesters and approvers: a person without a role could stop every payment."""
    person = people.by_id(act.actor)
    if person is not None and (REQUESTER in person.roles or policy.may_approve(person)):
        return None
    roles = ", ".join(person.roles) if person else "not known"
    return RefusedAct(act, "approver_not_authorised", f"{act.actor} may not {act.kind} ({roles or 'no role'})")


def _read_withdrawals(
    request: Request, moment: JudgementTime, policy: Policy, people: People
) -> tuple[Act | None, list[RefusedAct]]:
    """The reject or cancel that ended the request before the broadcast, and every other act that does not count."""
    withdrawn: Act | None = None
    refused: list[RefusedAct] = []
    for act in request.acts:
        if act.kind is ActKind.APPROVE or act is request.requested:
            continue
        flaw = RefusedAct(act, act.refused, act.reason) if act.refused else None
        if act.kind in {ActKind.REJECT, ActKind.CANCEL}:
            flaw = flaw or _may_not_withdraw(act, policy, people) or _wrong_content(act, request)
            if flaw is None and withdrawn is None and act.at <= moment.broadcast_at:
                withdrawn = act
        if flaw is not None:
            refused.append(flaw)
    return withdrawn, refused


def _own_flaw(request: Request) -> list[RefusedAct]:
    act = request.requested
    return [RefusedAct(act, act.refused, act.reason)] if act.refused else []


def _explain(
    request: Request,
    decision: _PolicyDecision,
    flaws: Sequence[RefusedAct],
    withdrawn: Act | None,
    doubt: str,
    *,
    met: bool,
) -> Iterator[str]:
    intent, policy = request.intent, decision.policy
    yield (
        f"request {request.id} by {request.requested.actor} at {format_utc(request.requested.at)}: "
        f"{intent.amount} base units of {intent.asset} to {intent.destination}"
    )
    asks = "; ".join([f"{policy.quorum} person{'s' if policy.quorum > 1 else ''}", *map(str, policy.groups)])
    if policy.hours is not None:
        asks += f"; given {policy.hours}"
    yield f"policy {policy.name!r} asks for {asks}" if policy.name else "no policy fits: one approver is asked for"
    for act in decision.counted:
        late = ", dated while its feed was not read" if act.read_late else ""
        yield f"{act.kind} by {act.actor} at {format_utc(act.at)} counts{late}"
    for refused in (*decision.refused, *flaws):
        act = refused.act
        yield f"{act.kind} by {act.actor} at {format_utc(act.at)} does not count ({refused.rule}): {refused.reason}"
    if withdrawn is not None:
        yield f"{withdrawn.kind} by {withdrawn.actor} at {format_utc(withdrawn.at)} ended the request"
    if doubt and not met:
        yield doubt
    yield "approved" if met else f"not approved; missing: {', '.join(decision.missing) or 'nothing'}"
