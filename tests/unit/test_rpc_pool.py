"""EndpointPool: who is asked, who is believed, and what `status` can show of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from chains.errors import (
    BlockGone,
    ChainError,
    LyingNode,
    NotReady,
    PermanentError,
    RateLimited,
    RpcError,
    Unreachable,
    Unsupported,
    WrongChain,
)
from chains.rpc.endpoints import COOL_DOWN_SECS, QUARANTINE_SECS, EndpointPool, Retry
from chains.rpc.jsonrpc import Call, Json, Transport


@dataclass
class Node:
    """A scripted transport: `answer` decides; `chain` is what it follows; each call is noted."""

    name: str
    chain: str = "main"
    answer: Callable[[str], Json] = field(default=lambda _method: "fine")
    asked: list[str] = field(default_factory=list)
    connections: int = 1

    def call(self, method: str, _params: Sequence[Json] = ()) -> Json:
        self.asked.append(method)
        return self.chain if method == "chain" else self.answer(method)

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        return [self.call(*call) for call in calls]

    def raw(self, path: str) -> bytes:
        return str(self.call(path)).encode()

    def close(self) -> None:
        self.asked.append("closed")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def fails_with(*errors: ChainError) -> Callable[[str], Json]:
    """An answer that raises each error in turn, and is fine afterwards."""
    left = list(errors)

    def answer(_method: str) -> Json:
        if left:
            raise left.pop(0)
        return "fine"

    return answer


def always(error: ChainError) -> Callable[[str], Json]:
    def answer(_method: str) -> Json:
        raise error

    return answer


def identify(transport: Transport) -> None:
    if (chain := transport.call("chain")) != "main":
        raise WrongChain(f"follows {chain}")


def pool_of(*nodes: Node, attempts: int = 1, clock: Clock | None = None) -> EndpointPool:
    retry = Retry(attempts=attempts, sleep=lambda _secs: None, clock=clock or Clock())
    return EndpointPool(nodes, identify, "btc", retry, clock or Clock())


def states(pool: EndpointPool) -> list[str]:
    return [h.state for h in pool.health()]


def test_the_first_endpoint_is_identified_once_and_then_asked() -> None:
    first, second = Node("a"), Node("b")
    pool = pool_of(first, second)
    assert [pool.call("x"), pool.call("y")] == ["fine", "fine"]
    assert first.asked == ["chain", "x", "y"]
    assert second.asked == []


@pytest.mark.parametrize("error", [Unreachable("gone"), RateLimited("slow"), NotReady("warm"), PermanentError("401")])
def test_a_failing_endpoint_is_passed_over_shown_and_asked_last(error: ChainError) -> None:
    first, second = Node("a", answer=always(error)), Node("b")
    pool = pool_of(first, second)
    assert pool.call("x") == "fine"
    assert pool.health()[0].last_error == str(error)
    assert states(pool)[0] in ("down", "behind")
    first.asked.clear()
    pool.call("y")
    assert first.asked == []


def test_an_endpoint_is_identified_again_after_a_failure() -> None:
    node = Node("a", answer=fails_with(Unreachable("reset")))
    pool = pool_of(node, attempts=2)
    assert pool.call("x") == "fine"
    assert node.asked == ["chain", "x", "chain", "x"]
    assert states(pool) == ["ok"]


def test_an_answer_over_a_new_connection_is_believed_only_after_identification() -> None:
    """A node restarted behind the same address may be of another network; its first answer was believed."""
    node = Node("a")
    pool = pool_of(node)
    pool.call("x")
    node.connections, node.chain = 2, "test"
    with pytest.raises(WrongChain):
        pool.call("y")
    assert states(pool) == ["wrong-chain"]


@pytest.mark.parametrize("error", [BlockGone("height"), RpcError("no tx", code=-5)])
def test_even_a_refusal_over_a_new_connection_needs_identification(error: ChainError) -> None:
    node = Node("a")
    pool = pool_of(node)
    pool.call("x")
    node.connections, node.chain, node.answer = 2, "test", always(error)
    with pytest.raises(WrongChain):
        pool.call("y")


def test_an_endpoint_of_another_chain_is_excluded_and_shown() -> None:
    wrong, right = Node("a", chain="test"), Node("b")
    pool = pool_of(wrong, right)
    assert pool.call("x") == "fine"
    assert wrong.asked == ["chain"]
    assert states(pool) == ["wrong-chain", "ok"]
    pool.call("y")
    assert wrong.asked == ["chain"]


def test_only_endpoints_of_another_chain_is_wrong_chain_each_time() -> None:
    pool = pool_of(Node("a", chain="test"))
    for _ in range(2):
        with pytest.raises(WrongChain):
            pool.call("x")


def test_a_lie_found_by_the_caller_quarantines_who_told_it() -> None:
    clock = Clock()
    liar, honest = Node("liar"), Node("honest")
    pool = pool_of(liar, honest, clock=clock)

    def check(node: Transport) -> str:
        if node.name == "liar":
            raise LyingNode("another block")
        return node.name

    assert pool.ask(check) == "honest"
    assert states(pool) == ["lying", "ok"]
    assert "another block" in pool.health()[0].last_error
    liar.asked.clear()
    clock.now += QUARANTINE_SECS - 1
    pool.call("x")
    assert liar.asked == []
    clock.now += 2
    pool.transports[1].answer = always(Unreachable("gone"))  # type: ignore[attr-defined] - a Node
    assert pool.call("x") == "fine"
    assert liar.asked == ["chain", "x"]


def test_a_lie_is_not_retried_and_the_only_liar_is_not_believed_meanwhile() -> None:
    node = Node("a", answer=fails_with(LyingNode("x")))
    pool = pool_of(node, attempts=5)
    for _ in range(2):
        with pytest.raises(LyingNode):
            pool.call("x")
    assert node.asked == ["chain", "x"]


@pytest.mark.parametrize("error", [BlockGone("above the tip"), RpcError("no such transaction", code=-5)])
def test_an_answer_about_the_chain_is_no_fault_of_the_endpoint(error: ChainError) -> None:
    first, second = Node("a", answer=always(error)), Node("b")
    pool = pool_of(first, second, attempts=3)
    with pytest.raises(type(error)):
        pool.call("x")
    assert states(pool) == ["ok", "ok"]
    assert second.asked == []


def test_what_one_node_does_not_keep_another_is_asked_for() -> None:
    pruned, archive = Node("a", answer=always(Unsupported("pruned data"))), Node("b")
    pool = pool_of(pruned, archive)
    assert pool.call("x") == "fine"
    assert states(pool) == ["ok", "ok"]


def test_when_all_fail_what_may_pass_is_raised() -> None:
    pool = pool_of(Node("a", chain="test"), Node("b", answer=always(Unreachable("gone"))))
    with pytest.raises(Unreachable):
        pool.call("x")


def test_a_failed_endpoint_comes_back_to_its_rank_when_it_answers() -> None:
    clock = Clock()
    first, second = Node("a", answer=fails_with(Unreachable("reset"))), Node("b")
    pool = pool_of(first, second, clock=clock)
    pool.call("x")
    clock.now += COOL_DOWN_SECS + 1
    pool.survey(lambda _node: 100)
    assert states(pool) == ["ok", "ok"]
    pool.call("y")
    assert first.asked[-1] == "y"


def test_an_endpoint_three_blocks_below_the_best_is_behind_and_asked_last() -> None:
    first, second = Node("a"), Node("b")
    pool = pool_of(first, second)
    pool.survey(lambda node: 97 if node.name == "a" else 100)
    assert [(h.state, h.height) for h in pool.health()] == [("behind", 97), ("ok", 100)]
    first.asked.clear()
    pool.call("x")
    assert first.asked == []
    pool.record_height("a", 98)
    assert states(pool) == ["ok", "ok"]


def test_a_lagging_endpoint_says_why() -> None:
    pool = pool_of(Node("a"))
    pool.record_height("a", 5, lag="initial download")
    assert (pool.health()[0].state, pool.health()[0].last_error) == ("behind", "initial download")
    pool.record_height("a", 6)
    assert (pool.health()[0].state, pool.health()[0].last_error) == ("ok", "")


def test_a_second_opinion_comes_from_another_endpoint() -> None:
    pool = pool_of(Node("a"), Node("b"))
    assert pool.ask(lambda node: node.name) == "a"
    assert pool.second_opinion(lambda node: node.name) == "b"
    assert pool.second_opinion(lambda node: node.name) == "a"


def test_one_endpoint_has_no_second_opinion() -> None:
    pool = pool_of(Node("a"))
    pool.call("x")
    with pytest.raises(Unsupported):
        pool.second_opinion(lambda node: node.name)


def test_prove_all_names_a_wrong_chain_even_beside_a_right_one() -> None:
    pool = pool_of(Node("a"), Node("b", chain="test"))
    with pytest.raises(WrongChain):
        pool.prove_all()
    assert states(pool) == ["ok", "wrong-chain"]


def test_prove_all_is_content_with_one_that_answers() -> None:
    dead = Node("b")
    dead.call = always(Unreachable("gone"))  # type: ignore[method-assign,assignment] - a node that is down
    pool = pool_of(Node("a"), dead)
    pool.prove_all()
    assert states(pool) == ["ok", "down"]
    with pytest.raises(Unreachable):
        pool_of(dead).prove_all()


def test_close_closes_all_and_ends_pauses() -> None:
    nodes = [Node("a"), Node("b")]
    pool = EndpointPool(nodes, identify)
    pool.close()
    assert [n.asked for n in nodes] == [["closed"], ["closed"]]
    assert pool.retry.sleep(3600.0) is True


def test_a_pool_is_a_transport_and_needs_an_endpoint() -> None:
    pool: Transport = pool_of(Node("a"))
    assert (pool.batch([("x", ())]), pool.raw("y")) == (["fine"], b"fine")
    with pytest.raises(ValueError, match="at least one"):
        EndpointPool([], identify)


def test_errors_of_a_node_cannot_forge_log_lines() -> None:
    pool = pool_of(Node("a", answer=always(Unreachable("bad\nERROR forged\x1b[31m" + "x" * 9999))))
    with pytest.raises(Unreachable):
        pool.call("x")
    shown: Any = pool.health()[0].last_error
    assert shown.isprintable()
    assert len(shown) <= 300
