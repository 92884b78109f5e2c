"""What a node says of a waiting transaction, and the words a person reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from alerts_samples import THEFT, make_outflow, make_view
from chains.bitcoin.client import Client
from chains.bitcoin.mempool import MAX_RANKED, TARGETS, ask_outlook
from chains.errors import ChainError, LyingNode, RpcError, Unreachable
from chains.model import MempoolOutlook, Replacement
from walletwatch.alerts.rendering import make_page, make_text
from walletwatch.domain.outflows import OutflowState


def entry(fee: str = "0.00001000", vsize: int = 200, **more: Any) -> dict[str, Any]:
    """`getmempoolentry` of a transaction that stands alone, 5 sat/vB."""
    alone = {"vsize": vsize, "ancestorsize": vsize, "descendantsize": vsize, "bip125-replaceable": True}
    return {**alone, "fees": {"base": fee, "ancestor": fee, "descendant": fee}, **more}


@dataclass
class Node:
    """Answers by method; `estimatesmartfee` by target."""

    name: str = "node"
    answers: dict[str, Any] = field(default_factory=dict)
    estimates: dict[int, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        self.asked.append(method)
        if method == "estimatesmartfee":
            rate = self.estimates.get(params[0])
            return (
                {"errors": ["Insufficient data"], "blocks": 0}
                if rate is None
                else {"feerate": rate, "blocks": params[0]}
            )
        answer = self.answers[method]
        if isinstance(answer, ChainError):
            raise answer
        return answer

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        answers: list[Any] = []
        for method, params in calls:
            try:
                answers.append(self.call(method, params))
            except RpcError as error:
                answers.append(error)
        return answers

    def raw(self, path: str) -> bytes:
        raise AssertionError(path)

    def close(self) -> None:
        raise AssertionError


INFO = {"size": 3, "incrementalrelayfee": "0.00001000", "fullrbf": True}


def outlook(said: dict[str, Any] | None = None, estimates: dict[int, str] | None = None, **answers: Any) -> Any:
    node = Node(answers={"getmempoolentry": said or entry(), "getmempoolinfo": INFO, "getrawmempool": {}, **answers})
    node.estimates = estimates or {}
    return ask_outlook(Client(node), b"\x11" * 32)


def test_a_replacement_pays_for_what_it_evicts_and_for_its_relay() -> None:
    """BIP 125, rules 3 and 4: 1,000 sat, and 200 vbytes at 1 sat/vB; with a child of 3,000 sat, for that as well."""
    assert outlook().replace_feerate_milli == 6_000
    child = entry(fees={"base": "0.00001000", "ancestor": "0.00001000", "descendant": "0.00004000"}, descendantsize=500)
    assert outlook(child).replace_feerate_milli == 21_000
    odd = entry("0.00001001", 201)
    assert outlook(odd).replace_feerate_milli == -(-1202 * 1000 // 201)


def test_who_takes_a_replacement_is_told_apart() -> None:
    assert outlook().replacement is Replacement.SIGNALLED
    quiet = entry(**{"bip125-replaceable": False})
    assert outlook(quiet).replacement is Replacement.FULL_RBF
    assert outlook(quiet, getmempoolinfo={**INFO, "fullrbf": False}).replacement is Replacement.NO
    without = {name: value for name, value in INFO.items() if name != "fullrbf"}  # Bitcoin Core before 24, and some day
    assert outlook(quiet, getmempoolinfo=without).replacement is Replacement.FULL_RBF


@pytest.mark.parametrize(
    ("estimates", "blocks"),
    [
        ({2: "0.00005000", 3: "0.00004999"}, 2),
        ({2: "0.00005001", 3: "0.00005000", 6: "0.00001000"}, 3),
        ({2: "0.00050000", 1008: "0.00001000"}, 1008),
        ({2: "0.00050000", 1008: "0.00005001"}, 1009),
    ],
)
def test_the_time_to_the_first_block_is_the_nodes_estimate(estimates: dict[int, str], blocks: int) -> None:
    assert set(estimates) <= set(TARGETS)
    assert outlook(estimates=estimates).confirm_blocks == blocks


def test_a_rich_child_pulls_and_a_poor_parent_holds_back() -> None:
    estimates = {2: "0.00020000", 144: "0.00001000"}
    pulled = entry(
        fees={"base": "0.00001000", "ancestor": "0.00001000", "descendant": "0.00020000"}, descendantsize=400
    )
    assert outlook(pulled, estimates).confirm_blocks == 2
    held = entry("0.00010000", fees={"base": "0.00010000", "ancestor": "0.00010000", "descendant": "0.00010000"})
    held |= {"ancestorsize": 9_000, "descendantsize": 200}
    assert outlook(held | {"descendantsize": 9_000}, estimates).confirm_blocks == 144


def test_without_estimates_the_rank_in_the_mempool_is_counted() -> None:
    waiting = {f"{n:064x}": entry("0.01000000", 99_000) for n in range(25)}
    assert outlook(getrawmempool=waiting).confirm_blocks == 25 * 99_000 // 990_000 + 1
    assert outlook(getrawmempool=dict.fromkeys(waiting, entry())).confirm_blocks == 1


def test_what_the_node_cannot_tell_is_not_known() -> None:
    crowded = outlook(getmempoolinfo={**INFO, "size": MAX_RANKED + 1})
    assert crowded.confirm_blocks is None
    refused = outlook(getrawmempool=RpcError("Method not found", code=-32601))
    assert refused.confirm_blocks is None
    assert outlook(getmempoolentry=RpcError("Transaction not in mempool", code=-5)) is None
    assert outlook(getmempoolinfo=RpcError("Method not found", code=-32601)) is None


@pytest.mark.parametrize(
    "lie",
    [
        {"getmempoolentry": {}},
        {"getmempoolentry": []},
        {"getmempoolentry": entry(vsize=0)},
        {"getmempoolentry": entry("-1")},
        {"getmempoolentry": entry(descendantsize=0)},
        {"getmempoolinfo": {"size": 1}},
        {"getmempoolinfo": {**INFO, "incrementalrelayfee": "99999999999"}},
        {"getrawmempool": {"x": 1}},
    ],
    ids=range(8),
)
def test_an_answer_of_another_shape_is_a_lie(lie: dict[str, Any]) -> None:
    with pytest.raises(LyingNode):
        outlook(**lie)


def test_what_is_worth_another_try_is_raised() -> None:
    with pytest.raises(Unreachable):
        outlook(getmempoolentry=Unreachable("connection refused"))


# --- in words ---------------------------------------------------------------------------------------------------------


def facts_of(seen: MempoolOutlook | None, state: OutflowState = OutflowState.SEEN) -> dict[str, str]:
    view = make_view(outflows=(make_outflow(state),), outlooks={} if seen is None else {THEFT: seen})
    return dict(make_page(view).facts)


def test_the_alert_says_whether_when_and_at_what_price() -> None:
    said = facts_of(MempoolOutlook(Replacement.SIGNALLED, 12_345, 3))
    assert said["Replacement"] == "possible (it signals so, BIP 125), from 12.345 sat/vB"
    assert said["First block"] == "in about 3 blocks (30 minutes)"
    said = facts_of(MempoolOutlook(Replacement.FULL_RBF, 6_000, None))
    assert said["Replacement"] == "possible at nodes with full RBF (no BIP 125 signal), from 6 sat/vB"
    assert said["First block"] == "not known"
    assert facts_of(MempoolOutlook(Replacement.NO, 6_000, 1))["Replacement"] == "not at our node"


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (1, "in about 1 block (10 minutes)"),
        (12, "in about 12 blocks (2 hours)"),
        (504, "in about 504 blocks (3 days)"),
        (1009, "in more than 1,008 blocks (a week), if ever"),
    ],
)
def test_blocks_are_told_as_time_too(blocks: int, words: str) -> None:
    assert facts_of(MempoolOutlook(Replacement.NO, 1, blocks))["First block"] == words


@pytest.mark.parametrize("state", [s for s in OutflowState if s is not OutflowState.SEEN])
def test_what_no_longer_waits_is_not_spoken_of_as_waiting(state: OutflowState) -> None:
    said = facts_of(MempoolOutlook(Replacement.SIGNALLED, 12_345, 3), state)
    assert "Replacement" not in said
    assert "First block" not in said


def test_a_page_shows_no_more_facts_than_slack_has_room_for() -> None:
    view = make_view(outflows=(make_outflow(),), outlooks={THEFT: MempoolOutlook(Replacement.NO, 1, 1)})
    assert len(make_page(view).facts) + 1 <= 10
    assert "First block:" in make_text(view)
