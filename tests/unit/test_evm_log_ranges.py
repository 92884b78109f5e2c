"""Logs of many blocks in one answer: as wide as the provider gives, told as if each block had been asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from chains.errors import ChainError, LyingNode, PermanentError, RateLimited, RpcError, Unreachable, Unsupported
from chains.evm import requests as questions
from chains.evm.log_ranges import FIRST_BLOCKS, MOST_BLOCKS, PATIENCE, REST_BLOCKS, LogRange, fetch_logs, is_too_much
from chains.rpc.jsonrpc import Call, Json, from_rpc
from chains.rpc.prefetch import key_of

REFUSALS = {
    "infura, results": (-32005, "query returned more than 10000 results. Try with this block range [0xCB3D, 0x7B737]."),
    "infura, range": (-32602, "range 1000000 exceeds limit of 10000"),
    "alchemy": (
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on…",
    ),
    "alchemy, free": (
        -32600,
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range",
    ),
    "quicknode": (-32614, "eth_getLogs is limited to a 10,000 range"),
    "ankr": (-32600, "block range is too wide"),
    "bnb chain": (-32000, "exceed maximum block range: 5000"),
    "bnb chain, limit": (-32005, "limit exceeded"),
    "publicnode": (-32701, "exceed maximum block range: 50000"),
    "cloudflare": (-32000, "Max range: 800"),
    "drpc": (-32000, "requested too many blocks from 0 to 16777216, maximum is set to 2048"),
    "drpc, free": (35, "ranges over 10000 blocks are not supported on freetier"),
    "chainstack": (-32002, "request timed out"),
    "morph": (-32000, "block range is larger than max block range, block range = 5120, max block range = 5000"),
    "tenderly": (-32602, "range 9009594 is bigger than range limit 2000"),
    "geth": (-32000, "query timeout exceeded"),
    "backend": (-32000, "backend response too large"),
}


@dataclass
class Bodies:
    size: int
    row: Json | ChainError

    def answers(self) -> list[Json | ChainError]:
        return [self.row]


def log(height: int, n: int = 0) -> dict[str, Any]:
    return {"blockNumber": hex(height), "blockHash": "0x" + f"{height:064x}", "logIndex": hex(n)}


@dataclass
class Provider:
    """Gives the logs of at most `widest` blocks at a time, `each` a block; else `refusal`."""

    name: str = "provider"
    widest: int = 10_000
    each: int = 3
    weight: int = 600
    refusal: ChainError = field(default_factory=lambda: RpcError("block range is too wide", code=-32600))
    asked: list[range] = field(default_factory=list)

    def fetch(self, calls: Sequence[Call]) -> Bodies:
        ((method, (asked,)),) = calls
        assert method == "eth_getLogs"
        heights = range(int(asked["fromBlock"], 16), int(asked["toBlock"], 16) + 1)
        self.asked.append(heights)
        if len(heights) > self.widest:
            if isinstance(self.refusal, RpcError):
                return Bodies(100, self.refusal)
            raise self.refusal
        rows = [log(height, n) for height in heights for n in range(self.each)]
        return Bodies(self.weight * len(rows), rows)

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        raise NotImplementedError

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        raise NotImplementedError

    def raw(self, path: str) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def told(node: Provider, heights: range, size: LogRange) -> dict[int, Json]:
    """What is known afterwards of each height, None for nothing."""
    answers = fetch_logs(node, heights, size).read()
    return {height: answers.get(key_of(questions.account_logs(height))) for height in heights}


@pytest.mark.parametrize(("code", "words"), REFUSALS.values(), ids=REFUSALS)
def test_each_providers_refusal_of_a_range_is_known_for_what_it_is(code: int, words: str) -> None:
    assert is_too_much(from_rpc({"code": code, "message": words}, "provider"))


@pytest.mark.parametrize(
    "error",
    [
        RpcError("invalid argument 0: hex string without 0x prefix", code=-32602),
        RateLimited("rate limit exceeded"),
        Unsupported("the method eth_getLogs does not exist/is not available"),
        PermanentError("HTTP 401: the node refuses our credentials or address"),
    ],
)
def test_other_refusals_are_not_about_width(error: ChainError) -> None:
    assert not is_too_much(error)


def test_a_body_too_large_and_a_time_out_are_about_width() -> None:
    assert is_too_much(PermanentError("HTTP 413"))
    assert is_too_much(Unreachable("no answer in time"))


def test_logs_of_a_range_are_told_as_the_logs_of_each_block() -> None:
    node = Provider()
    found = told(node, range(100, 116), LogRange())
    assert node.asked == [range(100, 116)]
    assert found == {height: [log(height, n) for n in range(3)] for height in range(100, 116)}


def test_a_block_without_logs_is_told_to_have_none() -> None:
    assert told(Provider(each=0), range(7, 9), LogRange()) == {7: [], 8: []}


@pytest.mark.parametrize(
    "refusal", [RpcError("block range is too wide", code=-32600), Unreachable("no answer in time")]
)
def test_a_refused_range_is_halved_until_it_is_given_and_nothing_is_left_out(refusal: ChainError) -> None:
    node, size = Provider(widest=5, refusal=refusal), LogRange()
    found = told(node, range(20), size)
    assert [len(heights) for heights in node.asked] == [16, 8, 4, 4, 4, 4, 4]
    assert all(found[height] for height in range(20))
    assert size.blocks == 4


def test_it_grows_at_once_until_the_first_refusal_and_slowly_after() -> None:
    node, size = Provider(widest=100), LogRange()
    low, widths = 0, []
    for _ in range(40):
        heights = size.wanted(low, 10**9)
        assert heights is not None
        told(node, heights, size)
        low = heights.stop
        widths.append(len(node.asked[-1]))
    assert widths[:3] == [FIRST_BLOCKS, 2 * FIRST_BLOCKS, 4 * FIRST_BLOCKS]
    assert max(widths) == 64
    assert sum(len(heights) > 100 for heights in node.asked) <= 1 + 40 // PATIENCE


def test_it_never_grows_beyond_its_bound_nor_where_answers_are_large() -> None:
    quiet, busy = LogRange(), LogRange()
    for _ in range(20):
        quiet.gave(range(quiet.blocks), 100)
        busy.gave(range(busy.blocks), 5 << 20)
    assert (quiet.blocks, busy.blocks) == (MOST_BLOCKS, FIRST_BLOCKS)


def test_a_node_that_gives_no_ranges_is_asked_block_by_block_for_a_while() -> None:
    node, size = Provider(widest=0, refusal=RpcError("eth_getLogs is not for you", code=-32000)), LogRange()
    assert set(told(node, range(16), size).values()) == {None}
    assert node.asked == [range(16)]
    assert size.wanted(16, 10_000) is None
    assert size.wanted(16 + REST_BLOCKS, 10_000) is not None


@pytest.mark.parametrize("error", [RateLimited("slow down", retry_after_secs=7.0), LyingNode("too many bytes")])
def test_what_concerns_the_endpoint_as_a_whole_is_raised(error: ChainError) -> None:
    with pytest.raises(type(error)):
        fetch_logs(Provider(widest=0, refusal=error), range(16), LogRange())


@pytest.mark.parametrize("height", [99, 116])
def test_a_log_of_a_block_not_asked_for_is_a_lie(height: int) -> None:
    class Liar(Provider):
        def fetch(self, calls: Sequence[Call]) -> Bodies:
            return Bodies(100, [log(100), log(height)])

    with pytest.raises(LyingNode, match="asked for were 100 to 115"):
        fetch_logs(Liar(), range(100, 116), LogRange())


@pytest.mark.parametrize("row", [None, 7, "0x1", {}, {"blockNumber": None}, {"blockNumber": "1"}])
def test_a_malformed_log_is_a_lie(row: Json) -> None:
    class Liar(Provider):
        def fetch(self, calls: Sequence[Call]) -> Bodies:
            return Bodies(100, [row])

    with pytest.raises(LyingNode):
        fetch_logs(Liar(), range(100, 116), LogRange())


def test_a_list_of_a_round_number_of_logs_may_be_cut_and_is_not_believed() -> None:
    """ethers.js met a provider that answered the first hundred logs of a range and nothing of there being more."""

    class Cutting(Provider):
        def fetch(self, calls: Sequence[Call]) -> Bodies:
            found = super().fetch(calls)
            return Bodies(found.size, found.row[:100] if isinstance(found.row, list) else found.row)

    node = Cutting(each=30)
    found = told(node, range(16), LogRange())
    assert all(rows is None or len(rows) == 30 for rows in found.values())
    assert [len(rows or ()) for rows in found.values()] == [30] * 16
