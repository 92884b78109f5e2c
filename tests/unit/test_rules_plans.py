"""The plan of a set of rules asks just those that are about a subject."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import rfc8785

from unit.rules_examples import NAMES, out
from walletwatch.rules.engine import Plan, fits, is_plain, plan_of
from walletwatch.rules.registry import RuleConfig, configure


def rule(name: str, **more: Any) -> RuleConfig:
    return configure({"type": "sweep", "id": name, **more}, amounts=NAMES)


def test_rules_stand_in_their_order_and_others_wallets_assets_and_subjects_are_left_out() -> None:
    subject = out()
    configs = (
        rule("mine", wallets=[subject.wallet]),
        rule("theirs", wallets=["somebody-else"]),
        rule("all"),
        rule("other-asset", assets=["ETH"]),
        rule("role", roles=["hot"]),
        configure({"type": "wallet_control_changed", "id": "control"}, amounts=NAMES),
    )
    assert [p.config.id for p in Plan(configs).about(subject)] == ["mine", "all", "role"]


def test_a_plan_is_kept_for_a_tuple_and_never_confused_with_that_of_another() -> None:
    one, two = (rule("one"),), (rule("two"),)
    assert plan_of(one) is plan_of(one)
    assert plan_of(one) is not plan_of(two)
    assert plan_of([rule("one")]) is not plan_of([rule("one")])


def test_many_assets_do_not_make_a_plan_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make a token; each would be a kind of subject of its own."""
    monkeypatch.setattr("walletwatch.rules.engine._MOST_KINDS", 3)
    plan = Plan((rule("all"),))
    for n in range(50):
        assert len(plan.about(out(wallet=f"wallet-{n}"))) == 1
    assert len(plan._kinds) <= 3


class Colour(Enum):
    RED = "red"


NOT_JSON = (float("nan"), Colour.RED, UUID(int=1), Decimal(1), 2**53, {1: "a"}, b"raw", {"a": object()}, "\ud800")


@pytest.mark.parametrize("value", NOT_JSON)
def test_what_is_no_json_is_never_plain(value: object) -> None:
    assert not is_plain({"value": value})
    with pytest.raises((rfc8785.CanonicalizationError, ValueError, TypeError)):
        rfc8785.dumps({"value": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("value", ["text", "é", 1, True, None, ["a", {"b": [2**53 - 1]}]])
def test_what_is_plain_has_canonical_bytes(value: Any) -> None:
    assert is_plain({"value": value})
    assert rfc8785.dumps({"value": value})


def test_selectors_that_are_not_given_let_all_through() -> None:
    assert fits(out(), rule("all").selectors)
