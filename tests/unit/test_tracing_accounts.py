"""Account chains by example: lots, gas, routers, unknown balances; and a real theft whose flows are verified."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tracing_samples import DATA, block, dmm_theft

from chains.model import AccountTransaction, Address, AssetId, BlockRef, ChainId, Transfer, TransferKind
from walletwatch.domain.cases import Case, CaseEventKind, CaseState, Seed, TaintModel, TraceOptions
from walletwatch.domain.labels import Label
from walletwatch.tracing.tracer import Tracer
from walletwatch.tracing.traces import trace_as_json

CHAIN = ChainId.parse("eip155:1")
ETH = AssetId(CHAIN, "slip44", "60")
TOKEN = AssetId(CHAIN, "erc20", "0x" + "22" * 20)
NOW = datetime(2025, 2, 21, 14, 16, 11, tzinfo=UTC)


def who(name: str) -> Address:
    return Address(hashlib.sha256(name.encode()).digest()[:20], f"0x{name}")


def send(*moves: tuple[str, str, int], fee: int = 0, asset: AssetId = ETH, index: int = 0) -> AccountTransaction:
    transfers = tuple(
        Transfer(asset, who(a), who(b), n, TransferKind.NATIVE, k, k if asset == TOKEN else None)
        for k, (a, b, n) in enumerate(moves)
    )
    txid = hashlib.sha256(repr((moves, fee, str(asset), index)).encode()).digest()
    return AccountTransaction(txid, index, who(moves[0][0]), None, 0, True, fee, transfers, True)


def follow(
    theft: AccountTransaction,
    *blocks: list[AccountTransaction],
    held: dict[str, int | None] | None = None,
    labels: dict[str, str] | None = None,
    **options: Any,
) -> Tracer:
    """Fold the theft's first transfer and what follows; `held` is what accounts had before."""
    first = theft.transfers[0]
    seed = Seed(theft.txid, 0, first.receiver, first.asset, first.amount, 100, first.log_index)
    case = Case("case_1", "theft", CHAIN, (seed,), CaseState.OPEN, NOW, "me", 100, TraceOptions(**options))
    balances = {who(name).key: amount for name, amount in (held or {}).items()}
    known = {who(name).key: category for name, category in (labels or {}).items()}

    def lookup(_chain: ChainId, address: Address, _moment: datetime) -> tuple[Label, ...]:
        category = known.get(address.key)
        return (Label("*", address.text, f"a {category}", category),) if category else ()

    tracer = Tracer(case, lookup, ETH, lambda address, _asset, _height: balances.get(address.key, 0))
    for number, txs in enumerate([[theft], *blocks]):
        tracer.step(block(100 + number), NOW, txs)
    return tracer


@pytest.mark.parametrize(
    ("model", "first", "second"),
    [
        (TaintModel.FIFO, 10, 50),  # 40 clean leave first
        (TaintModel.LIFO, 50, 10),
        (TaintModel.HAIRCUT, 30, 30),
        (TaintModel.TIHO, 50, 10),
        (TaintModel.POISON, 50, 50),
    ],
)
def test_which_lot_leaves_first_is_the_models_word(model: TaintModel, first: int, second: int) -> None:
    tracer = follow(
        send(("hot", "thief", 60)),
        [send(("thief", "a", 50))],
        [send(("thief", "b", 50))],
        held={"thief": 40},
        model=model,
    )
    got = {node.address: node.tainted for node in tracer.result().nodes}
    assert (got["0xa"], got["0xb"]) == (first, second)


def test_gas_is_paid_after_the_transfers_of_its_transaction() -> None:
    fifo = follow(send(("hot", "thief", 60)), [send(("thief", "a", 45), fee=5)], held={"thief": 40}).result()
    assert fifo.totals[TaintModel.FIFO].fees == 5
    assert fifo.node("0xa").tainted == 5
    assert fifo.totals[TaintModel.LIFO].fees == 5
    assert fifo.totals[TaintModel.HAIRCUT].fees == 3


def test_gas_is_no_part_of_a_tokens_trace() -> None:
    found = follow(send(("hot", "thief", 60), asset=TOKEN), [send(("thief", "a", 60), asset=TOKEN, fee=9)]).result()
    assert (found.totals[TaintModel.FIFO].fees, found.node("0xa").tainted) == (0, 60)


def test_a_router_that_passes_value_on_within_a_transaction_is_not_watched_after() -> None:
    swap = send(("thief", "router", 60), ("router", "a", 60))
    tracer = follow(send(("hot", "thief", 60)), [swap], held={"router": 1000}, model=TaintModel.LIFO)
    assert who("a").key in tracer.watch()[0]
    found = tracer.result()
    assert found.node("0xa").tainted == 60
    # by FIFO the router's own older money left and the stolen money stayed: that model still watches it
    assert found.totals[TaintModel.FIFO].holding == 60
    empty = follow(send(("hot", "thief", 60)), [swap])
    assert who("router").key not in empty.watch()[0]


def test_what_a_block_brought_before_the_taint_counts_as_clean() -> None:
    gift = send(("friend", "a", 30), index=0)
    move = send(("thief", "a", 60), index=1)
    spend = send(("a", "b", 35), index=2)
    tracer = follow(send(("hot", "thief", 60)), [gift, move, spend], held={"a": 0})
    assert tracer.result().node("0xb").tainted == 5


def test_new_suspects_are_named_for_the_same_block_and_the_last_call_counts() -> None:
    gift, move = send(("friend", "a", 30), index=0), send(("thief", "a", 60), index=1)
    tracer = follow(send(("hot", "thief", 60)))
    first = tracer.step(block(101), NOW, [move])
    assert first.new_addresses == {who("a").key}
    second = tracer.step(block(101), NOW, [gift, move])
    assert second.complete
    assert second.relevant == (gift, move)
    assert [(o.address.text, o.height, o.amount) for o in second.openings] == [("0xa", 101, 0)]


def test_an_unknown_balance_counts_as_none_and_is_said() -> None:
    tracer = follow(send(("hot", "thief", 60)), [send(("thief", "a", 80))], held={"thief": None})
    found = tracer.result()
    assert "unknown" in found.gaps[0]
    assert found.node("0xa").tainted == 60
    assert found.totals[TaintModel.FIFO].holding == 60


def test_value_that_nobody_saw_arrive_is_clean() -> None:
    theft = replace(send(("hot", "thief", 60)), traced=False)
    found = follow(theft, [send(("thief", "a", 100))]).result()
    edge = found.edges[-1]
    assert (edge.amount, edge.tainted) == (100, 60)
    assert "inner calls" in found.gaps[0]


def test_small_parts_rest_and_join_what_is_followed_already() -> None:
    moves = [send(("thief", "dust", 5), index=0), send(("thief", "a", 40), index=1), send(("thief", "a", 5), index=2)]
    found = follow(send(("hot", "thief", 60)), moves, min_value=((ETH, 10),)).result()
    totals = found.totals[TaintModel.FIFO]
    assert (totals.below_threshold, totals.holding) == (5, 55)
    assert found.node("0xa").holding == 45


def test_an_exchange_is_a_stop_and_told() -> None:
    tracer = follow(send(("hot", "thief", 60)), labels={"deposit": "exchange"})
    result = tracer.step(block(101), NOW, [send(("thief", "deposit", 25))])
    assert [event.kind for event in result.events] == [CaseEventKind.MOVED, CaseEventKind.ARRIVED]
    assert result.events[1].amount == 25
    assert tracer.watch()[0] == {who("thief").key}


def test_a_failed_transaction_moves_nothing_and_costs_gas() -> None:
    failed = replace(send(("thief", "a", 10), fee=7), ok=False, transfers=())
    found = follow(send(("hot", "thief", 60)), [failed]).result()
    assert found.totals[TaintModel.FIFO].fees == 7


def test_hashes_and_seeds_of_account_chains_are_told_in_their_form() -> None:
    theft = send(("hot", "thief", 60), asset=TOKEN)
    body = trace_as_json(follow(theft).results())
    assert body["seeds"][0]["tx"] == "0x" + theft.txid.hex()
    assert body["seeds"][0]["log_index"] == 0
    assert body["edges"][0]["from"] == "0xhot"


def test_transactions_of_another_family_are_refused() -> None:
    tracer = follow(send(("hot", "thief", 60)))
    with pytest.raises(TypeError, match="is on an account chain"):
        tracer.step(block(101), NOW, [dmm_theft()])


# --- a real theft -----------------------------------------------------------------------------------------------------

USD_CENTS = AssetId(CHAIN, "erc20", "0x" + "00" * 20)
LIFI_SOURCE = "0x8b3cb6bf982798fba233bca56749e22eec42dcf3"


def lifi_address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]), text)


def load_lifi() -> tuple[list[dict[str, str]], set[str]]:
    with (DATA / "lifi" / "edges_ethereum_20318954_lifi_theft.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (int(row["Block"]), row["Tx_hash"]))
    ends = (DATA / "lifi" / "terminals_ethereum_20318954_lifi_theft.csv").read_text(encoding="utf-8").split()
    return rows, set(ends)


def test_the_verified_flows_of_the_lifi_theft_are_found_as_far_as_time_allows() -> None:
    """Amounts are in US cents as the investigators valued them, the only common unit of their data."""
    rows, ends = load_lifi()
    blocks: dict[int, dict[str, list[Transfer]]] = defaultdict(lambda: defaultdict(list))
    seeds: list[Seed] = []
    for row in rows:
        moves = blocks[int(row["Block"])][row["Tx_hash"]]
        whole, _, part = row["Value_in_USD"].partition(".")
        cents = int(whole) * 100 + int((part + "00")[:2])
        payee = lifi_address(row["To"])
        moves.append(
            Transfer(USD_CENTS, lifi_address(row["From"]), payee, cents, TransferKind.TOKEN, len(moves), len(moves))
        )
        if row["From"] == LIFI_SOURCE:
            seeds.append(Seed(bytes.fromhex(row["Tx_hash"][2:]), len(moves) - 1, payee, USD_CENTS, cents, 0))
    options = TraceOptions(model=TaintModel.HAIRCUT)
    case = Case("lifi", "LI.FI", CHAIN, tuple(seeds), CaseState.OPEN, NOW, "me", 0, options)
    tracer = Tracer(case, lambda *_: (), ETH, lambda *_: 0)
    for height, txs in sorted(blocks.items()):
        facts = [
            AccountTransaction(bytes.fromhex(tx[2:]), n, moves[0].sender, None, 0, True, 0, tuple(moves), True)
            for n, (tx, moves) in enumerate(txs.items())
        ]
        tracer.step(BlockRef(height, height.to_bytes(32, "big")), NOW, facts)
    found = {node.address for node in tracer.result().nodes}
    reachable = {LIFI_SOURCE}
    for row in rows:
        if row["From"] in reachable:
            reachable.add(row["To"])
    assert found == reachable
    assert (len(found), len(found & ends)) == (92, 32)
