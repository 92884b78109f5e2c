"""Bridge deposits: a memo is recognised whole, and only what the vault got is bridged."""

from __future__ import annotations

import pytest
from tracing_samples import BTC, THEFT, block, case_of, pay, script, trace, winding_tracer

from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    ChainId,
    SigningFacts,
    Transfer,
    TransferKind,
)
from walletwatch.domain.cases import Case, CaseState, Seed, TraceOptions
from walletwatch.tracing.coinjoins import find_deposit, parse_memo, read_op_return
from walletwatch.tracing.tracer import Tracer

BITCOIN = "bip122:000000000019d6689c085ae165831e93"
THOR = "thor188cm7ttvfpkxahageez4fufgk003cx2vw9nzdc"
BYBIT_SWAP = "=:BTC.BTC:19qs8FPxK6VfkqHL7TPZDhw3r2rJPU6yhE:0/10/0"


@pytest.mark.parametrize(
    ("memo", "chain", "address"),
    [
        (BYBIT_SWAP, BITCOIN, "19qs8FPxK6VfkqHL7TPZDhw3r2rJPU6yhE"),
        ("=:b:bc1qx6jpnnfjrfcx9ehhdmj7qqyzpyd8pek00trrq7", BITCOIN, "bc1qx6jpnnfjrfcx9ehhdmj7qqyzpyd8pek00trrq7"),
        ("SWAP:ETH.ETH:0x1Db92e2E:12345:t:30", "eip155:1", "0x1Db92e2E"),
        ("swap:ETH.USDT-0XDAC17F958D2EE523A2206206994597C13D831EC7:0x1Db92e2E:1e8", "eip155:1", "0x1Db92e2E"),
        (f"s:AVAX/USDC-A6E:{THOR}::t:30", "eip155:43114", THOR),
        ("=:ETH.ETH:0xaa/0xbb:100/1/0:a/b:10/20", "eip155:1", "0xaa"),
        ("=:r:shapeshift", "cosmos:thorchain-1", "shapeshift"),
    ],
)  # fmt: skip
def test_a_whole_swap_memo_says_where_the_money_goes(memo: str, chain: str, address: str) -> None:
    onward = parse_memo(memo)
    assert onward is not None
    assert (onward.chain, onward.address, onward.memo) == (chain, address, memo)


@pytest.mark.parametrize(
    "memo",
    [
        "",
        "s",
        "sale of 3 chairs: thanks",
        "=",
        "=:",
        "=:BTC.BTC",
        "=:BTC.BTC:",
        "=:XXXX.YYY:19qs8FPxK6VfkqHL7TPZDhw3r2rJPU6yhE",
        "=:q:19qs8FPxK6VfkqHL7TPZDhw3r2rJPU6yhE",
        "=:BTC.BTC:19qs8FPx K6V",
        "=:BTC.BTC:19qs8FPxK6V:many",
        "REFUND:2FBB63E2",
        "+:BTC.BTC:thor1abc",
        BYBIT_SWAP + "\n",
        "=:BTC.BTC:" + "a" * 600,
    ],
)
def test_what_only_begins_like_a_swap_is_none(memo: str) -> None:
    """A public monitor went by the memo's first letter and took every `s…` text for a swap."""
    assert parse_memo(memo) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x6a\x03=:b", "=:b"),
        (b"\x6a\x4c\x03abc", "abc"),
        (b"\x6a\x4d\x03\x00abc", "abc"),
        (b"\x6a\x02ab\x01c", "abc"),
        (b"\x6a", None),
        (b"\x6a\x05ab", None),
        (b"\x6a\x4c", None),
        (b"\x6a\x02\xff\xfe", None),
        (b"\x76\xa9\x14", None),
        (b"\x6a\x51", None),
    ],
)
def test_an_op_return_is_read_by_its_pushes(raw: bytes, text: str | None) -> None:
    assert read_op_return(raw) == text


def test_change_is_not_bridged_and_is_followed_on() -> None:
    """A public monitor took the transaction's whole input for the bridged amount."""
    found = winding_tracer().result()
    vault = next(stop for stop in found.stops if stop.reason == "bridge")
    assert (vault.tainted, vault.address, vault.label) == (60_000_000, script("vault").text, "THORChain vault")
    assert vault.onward is not None
    assert vault.onward.chain == "eip155:1"
    assert any(edge.source == script("peel2").text and edge.tainted == 9_970_000 for edge in found.edges)


def test_a_memo_whose_first_output_is_change_is_no_deposit() -> None:
    memo = BYBIT_SWAP.encode()
    op_return = Address(b"\x6a" + bytes([len(memo)]) + memo, "script")
    theft = pay([], [(script("thief"), 1_000_000)], extra=[("hot", 1_000_500)])
    back = pay([(theft, 0)], [(script("thief"), 500_000), (script("x"), 499_000), (op_return, 0)])
    assert find_deposit(back) is None
    twice = pay([(theft, 0)], [(script("v"), 500_000), (op_return, 0), (op_return, 0)])
    assert find_deposit(twice) is None
    tracer = trace(case_of((theft, 0)), {}, [theft], [back])
    assert tracer.result().stops == ()
    assert tracer.result().asset == BTC


def test_on_account_chains_the_memo_stands_in_the_call() -> None:
    chain = ChainId.parse("eip155:1")
    ether = AssetId(chain, "slip44", "60")
    thief, vault, robbed = (Address(bytes([n]) * 20, f"0x{n}") for n in (1, 2, 3))
    stolen = Transfer(ether, robbed, thief, 50, TransferKind.NATIVE, 0)
    sent = Transfer(ether, thief, vault, 40, TransferKind.NATIVE, 0)
    theft = AccountTransaction(b"\x01" * 32, 0, robbed, thief, 0, True, 1, (stolen,), True)
    swap = AccountTransaction(
        b"\x02" * 32, 0, thief, vault, 0, True, 2, (sent,), True, SigningFacts(features=(("memo", BYBIT_SWAP),))
    )
    seed = Seed(theft.txid, 0, thief, ether, 50, 7)
    case = Case("c", "n", chain, (seed,), CaseState.OPEN, THEFT, "me", 7, TraceOptions())
    tracer = Tracer(case, lambda *_: (), ether, lambda *_: 0)
    tracer.step(block(7), THEFT, [theft])
    tracer.step(block(8), THEFT, [swap])
    (stop,) = tracer.result().stops
    assert (stop.reason, stop.address, stop.tainted) == ("bridge", "0x2", 40)
    assert stop.onward is not None
    assert stop.onward.address == "19qs8FPxK6VfkqHL7TPZDhw3r2rJPU6yhE"
    totals = tracer.result().totals[tracer.case.options.model]
    assert (totals.at_services, totals.holding, totals.fees) == (40, 8, 2)
