"""The acts on a withdrawal: told as they should be, or with a twist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oracle.worlds import HOUR, Act, Intent

if TYPE_CHECKING:
    from oracle.generating import Plan, Withdrawal

MINUTE = 60
KEYS = {"stranger": "stranger-key"}


def act(w: Withdrawal, kind: str, actor: str, at: int, *, late: int = 0, kid: str = "", **more: Any) -> Act:
    """An act done at `at` and written `late` seconds later."""
    return Act(kind, w.request, actor, kid or f"{actor}-key", at, at + late, **more)


def ask(plan: Plan, w: Withdrawal) -> None:
    """The request and what people do with it."""
    chance = plan.chance
    asker = chance.choice(("desk", "desk", "robot", "lead"))
    twist = chance.choice((_fine, _fine, _fine, *TWISTS))
    plan.tell(f"{w.request} {twist.__name__.strip('_')} ({asker} asks)")
    plan.acts += twist(plan, w, asker)
    if chance.random() < 0.25:
        extra = chance.choice(EXTRAS)
        plan.tell(f"{w.request} {extra.__name__.strip('_')}")
        plan.acts += extra(plan, w, asker)


def _request(w: Withdrawal, asker: str, *, late: int = 0, expires_at: int | None = None, forged: bool = False) -> Act:
    intent = replace(w.intent, expires_at=expires_at)
    return act(w, "request", asker, w.asked, late=late, intent=intent, forged=forged)


def _approvals(plan: Plan, w: Withdrawal, *who: str, late: int = 0, **more: Any) -> list[Act]:
    people = who or ("tre", "com")
    first = w.asked + plan.chance.randint(3, 8) * MINUTE
    return [act(w, "approve", p, first + n * MINUTE, late=late, **more) for n, p in enumerate(people)]


Twist = Callable[["Plan", "Withdrawal", str], list[Act]]


def _fine(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w)]


def _unasked(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return _approvals(plan, w) if plan.chance.random() < 0.5 else []


def _unapproved(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker)]


def _one_approval(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w, plan.chance.choice(("tre", "com", "lead")))]


def _two_of_treasury(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w, "tre", "tre-2")]


def _approved_by_the_asker(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, "lead"), *_approvals(plan, w, "lead", *plan.chance.choice(((), ("com",))))]


def _asked_by_an_approver(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, "tre"), *_approvals(plan, w, "com", "tre-2")]


def _forged(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w, "tre"), *_approvals(plan, w, "com", forged=True)]


def _forged_request(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker, forged=True), *_approvals(plan, w)]


def _unknown_key(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w, "tre"), *_approvals(plan, w, "com", kid="stranger-key")]


def _borrowed_key(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w, "tre"), *_approvals(plan, w, "com", kid="tre-key")]


def _viewer(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), *_approvals(plan, w, "tre", "viewer")]


def _leaver(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    """Whose key ends within the world; the line may also come late."""
    late = plan.chance.choice((0, 40 * MINUTE))
    return [_request(w, asker), *_approvals(plan, w, "tre"), *_approvals(plan, w, "leaver", late=late)]


def _other_content(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    flaw = plan.chance.choice(("other", "shown_other"))
    return [_request(w, asker), *_approvals(plan, w, "tre"), *_approvals(plan, w, "com", **{flaw: True})]


def _approved_afterwards(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    after = w.out + plan.chance.choice((15, 40, 150, 200)) * MINUTE + 30
    return [_request(w, asker), *_approvals(plan, w, "tre"), act(w, "approve", "com", after)]


def _asked_afterwards(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    after = replace(w, asked=w.out + plan.chance.choice((30, 200)) * MINUTE + 30)
    return [_request(after, asker), *_approvals(plan, after)]


def _approved_before_asked(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    early = w.asked - plan.chance.choice((5, 30)) * MINUTE
    return [_request(w, asker), *_approvals(plan, w, "tre"), act(w, "approve", "com", early)]


def _too_fast(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [_request(w, asker), act(w, "approve", "tre", w.asked + 20), act(w, "approve", "com", w.asked + 40)]


def _expired(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    expires = w.out + plan.chance.choice((-10, -5, 120)) * MINUTE
    return [_request(w, asker, expires_at=expires), *_approvals(plan, w)]


def _late_feed(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    """All of it arrives after the payment, and soon enough."""
    late = plan.chance.randint(20, 55) * MINUTE
    return [_request(w, asker, late=late), *_approvals(plan, w, late=late)]


def _backdated(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    """Dated before the payment, written hours later."""
    late = plan.chance.randint(70, 200) * MINUTE
    if plan.chance.random() < 0.5:
        return [_request(w, asker, late=late), *_approvals(plan, w, late=late)]
    return [_request(w, asker), *_approvals(plan, w, "tre"), *_approvals(plan, w, "com", late=late)]


def _second_content(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    """The same id again, for somebody else; all approved what came first."""
    other = replace(w.intent, destination=w.intent.destination + "-b")
    again = act(w, "request", asker, w.asked + MINUTE, intent=other)
    return [_request(w, asker), again, *_approvals(plan, w)]


TWISTS: tuple[Twist, ...] = (
    _unasked,
    _unapproved,
    _one_approval,
    _two_of_treasury,
    _approved_by_the_asker,
    _asked_by_an_approver,
    _forged,
    _forged_request,
    _unknown_key,
    _borrowed_key,
    _viewer,
    _leaver,
    _other_content,
    _approved_afterwards,
    _asked_afterwards,
    _approved_before_asked,
    _too_fast,
    _expired,
    _late_feed,
    _late_feed,
    _backdated,
    _backdated,
    _second_content,
)


def _cancelled(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    at = w.out - plan.chance.choice((5, -15)) * MINUTE + 30
    return [act(w, "cancel", asker, at, late=plan.chance.choice((0, 30 * MINUTE)))]


def _cancelled_late(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [act(w, "cancel", asker, w.out - 5 * MINUTE + 30, late=plan.chance.randint(70, 120) * MINUTE)]


def _rejected(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [act(w, "reject", plan.chance.choice(("com", "tre-2")), w.out - 3 * MINUTE + 30)]


def _rejected_by_a_viewer(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    who = plan.chance.choice(("viewer", "runner"))
    return [act(w, plan.chance.choice(("reject", "cancel")), who, w.out - 3 * MINUTE + 30)]


def _cancel_forged(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return [act(w, "cancel", asker, w.out - 3 * MINUTE + 30, forged=True)]


def _broadcast(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    who = plan.chance.choice((asker, "runner", "viewer"))
    at = w.out + plan.chance.choice((-2, -2, 3)) * MINUTE + 30
    return [act(w, "broadcast", who, at, tx=f"t{w.number}")]


def _broadcast_backdated(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    who = plan.chance.choice((asker, "runner", "viewer"))
    return [act(w, "broadcast", who, w.asked + MINUTE, late=plan.chance.choice((50, 100)) * MINUTE, tx=f"t{w.number}")]


def _approved_twice(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    return _approvals(plan, w, "tre")


def _bad_approval_beside(plan: Plan, w: Withdrawal, asker: str) -> list[Act]:
    if plan.chance.random() < 0.5:
        return _approvals(plan, w, "viewer")
    return _approvals(plan, w, "tre-2", forged=True)


EXTRAS: tuple[Twist, ...] = (
    _cancelled,
    _cancelled,
    _cancelled_late,
    _rejected,
    _rejected_by_a_viewer,
    _cancel_forged,
    _broadcast,
    _broadcast_backdated,
    _approved_twice,
    _bad_approval_beside,
)


def decoys(plan: Plan, w: Withdrawal) -> list[Act]:
    """Two requests of the same amount to other payees, asked for after the payment and approved by nobody."""
    plan.tell(f"{w.request} has decoys")
    found = []
    for n in range(2):
        intent = replace(w.intent, destination=f"{w.intent.destination}-d{n}")
        at = w.out + (7 + 20 * n) * MINUTE + 30
        found.append(Act("request", f"D-{w.number}-{n}", "desk", "desk-key", at, at, intent))
    return found


def elsewhere(intent: Intent) -> str:
    """Another payee of the same chain."""
    return f"{intent.destination}-else"


__all__ = ["HOUR", "ask", "elsewhere"]
