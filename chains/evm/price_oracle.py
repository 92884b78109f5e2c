"""Chainlink price feeds (AggregatorV3Interface), read at one block, by its hash, and held to what a price can be.

A round's number is the aggregator's own in the low 64 bits and its phase above: with each phase another contract
begins to count from 1. `answeredInRound` below the round says that an old answer was carried over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from chains.errors import ChainError, RpcError, Unsupported, WrongChain
from chains.evm import requests as questions
from chains.evm.blocks import read_ref
from chains.evm.contracts import Interface
from chains.evm.fields import data_of, fields_of, quantity, quantity_of
from chains.evm.params import network_of
from chains.evm.requests import raised
from chains.evm.state import eth_call, read_states
from chains.family import PriceRound
from chains.model import Address, BlockRef
from chains.rpc.endpoints import open_transport
from chains.rpc.jsonrpc import Call, Json, Transport
from chains.source import SourceSpec

MOST_DECIMALS: Final = 36
_ROUND_BYTES: Final = 5 * 32
_WORD: Final = 32
_COUNTED: Final = 2**64 - 1
_ROUND: Final = ("uint80", "int256", "uint256", "uint256", "uint80")
_FEED: Final = Interface(
    {
        "latestRoundData": ((), _ROUND),
        "getRoundData": (("uint80",), _ROUND),
        "decimals": ((), ("uint8",)),
        "description": ((), ("string",)),
    }
)
_LATEST_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Words:
    """What a round's answer says, unproved."""

    number: int
    answer: int
    updated_secs: int
    answered_in: int


def open_oracle(spec: SourceSpec, feed: Address) -> OracleReader:
    """The feed at `feed`; asks nothing yet."""
    return OracleReader(spec, feed)


class OracleReader:
    """See `chains.family.PriceFeed`."""

    def __init__(self, spec: SourceSpec, feed: Address) -> None:
        self._number = network_of(spec.chain).number
        self._feed = feed
        self._pool = open_transport(spec, self._identify)
        # Whoever waits for a price may be judging a theft: what fails is asked again at the next look.
        self._pool.retry = replace(self._pool.retry, attempts=1)

    def _identify(self, transport: Transport) -> None:
        number = quantity_of(transport.call("eth_chainId"), "eth_chainId")
        if number != self._number:
            raise WrongChain(f"the node is of eip155:{number}, not eip155:{self._number}", endpoint=transport.name)

    def latest(self) -> PriceRound:
        """By `latestRoundData()` and `decimals()` after one block, of two endpoints where there are two."""
        at, block_secs, answers = self._pool.ask(self._latest)
        self._confirm(at, answers)
        answer, decimals, description = answers
        _check_quote(description)
        return self._round(_words(_answer_bytes(answer)), _decimals(_answer_bytes(decimals)), at, block_secs)

    def _latest(self, transport: Transport) -> tuple[BlockRef, int, list[Json | ChainError]]:
        head = transport.call(*questions.header("latest"))
        at, block_secs = read_ref(head), quantity(fields_of(head, "block"), "timestamp", "block")
        return at, block_secs, read_states(transport, self._questions, at)

    def _confirm(self, at: BlockRef, answers: Sequence[Json | ChainError]) -> None:
        """Ask a second endpoint the same of the same block; one that is away or not there yet says nothing."""
        try:
            others = self._pool.second_opinion(lambda t: read_states(t, self._questions, at))
        except ChainError:
            return
        pairs = ((a, b) for a, b in zip(answers, others, strict=True) if isinstance(a, str) and isinstance(b, str))
        if any(a != b for a, b in pairs):
            raise Unsupported(f"two nodes contradict each other about the feed {self._feed} at block {at}")

    @property
    def _questions(self) -> list[Call]:
        return [self._call(_FEED.call(name)) for name in ("latestRoundData", "decimals", "description")]

    def before(self, later: PriceRound, count: int) -> Sequence[PriceRound]:
        """By `getRoundData`, within the phase of `later`: another phase counts by another contract."""
        counted = later.number & _COUNTED
        numbers = [later.number - back for back in range(1, min(count, counted - 1) + 1)]
        return self._pool.ask(lambda t: self._before(t, numbers, later)) if numbers else ()

    def _before(self, transport: Transport, numbers: Sequence[int], later: PriceRound) -> list[PriceRound]:
        calls = [self._call(_FEED.call("getRoundData", number)) for number in numbers]
        found: list[PriceRound] = []
        for number, answer in zip(numbers, read_states(transport, calls, later.at), strict=True):
            if isinstance(answer, RpcError):
                break  # "No data present": the feed keeps no older rounds
            words = _words(_answer_bytes(answer))
            if words.number != number:
                raise Unsupported(f"the feed {self._feed} answers round {words.number} for round {number}")
            block_secs = int((found[-1] if found else later).updated_at.timestamp())
            found.append(self._round(words, later.decimals, later.at, block_secs))
        return found

    def close(self) -> None:
        """Close connections."""
        self._pool.close()

    def _call(self, data: bytes) -> Call:
        return eth_call(self._feed.key, data)

    def _round(self, words: _Words, decimals: int, at: BlockRef, no_later_than: int) -> PriceRound:
        """A round that can be a price. Raises Unsupported."""
        fault = ""
        if words.answer <= 0:
            fault = f"its answer is {words.answer}"
        elif not words.updated_secs:
            fault = "it is not complete"
        elif words.answered_in < words.number:
            fault = f"its answer was carried over from round {words.answered_in}"
        elif words.updated_secs > no_later_than:
            fault = f"it is of {words.updated_secs}, after {no_later_than}"
        if fault:
            raise Unsupported(f"round {words.number} of the feed {self._feed} is no price: {fault}")
        return PriceRound(words.number, words.answer, decimals, _moment(words.updated_secs), at)


def _answer_bytes(answer: Json | ChainError) -> bytes:
    """The bytes of an answer. A contract that reverts says nothing about the node."""
    if isinstance(answer, RpcError):
        raise Unsupported(f"the feed's contract does not answer: {answer}", endpoint=answer.endpoint)
    return data_of(raised(answer), "eth_call")


def _words(raw: bytes) -> _Words:
    if len(raw) != _ROUND_BYTES:
        raise Unsupported(f"the feed answers {len(raw)} bytes where a round has {_ROUND_BYTES}")
    try:
        number, answer, _, updated, answered_in = _FEED.results("latestRoundData", raw)
    except ValueError:
        raise Unsupported("the feed answers a round number of more than 80 bits") from None
    return _Words(number, answer, updated, answered_in)


def _decimals(raw: bytes) -> int:
    value = int.from_bytes(raw, "big")
    if len(raw) != _WORD or value > MOST_DECIMALS:
        raise Unsupported(f"the feed's decimals are no number up to {MOST_DECIMALS}: 0x{raw.hex()[:80]}")
    return value


def _check_quote(answer: Json | ChainError) -> None:
    """A feed whose description names another quote than dollars (`ETH / BTC`) gives no price in dollars. One that has
    no readable description says nothing.
    """
    if isinstance(answer, RpcError):
        return
    try:
        (text,) = _FEED.results("description", data_of(raised(answer), "eth_call"))
    except ValueError:
        return
    quote = text.rpartition("/")[2].strip()
    if "/" in text and quote.upper() != "USD":
        raise Unsupported(f"the feed is quoted in {quote[:40]!r}, not in USD")


def _moment(secs: int) -> datetime:
    try:
        return datetime.fromtimestamp(secs, UTC)
    except (OverflowError, ValueError, OSError):
        return _LATEST_TIME
