"""Transactions a second that a case folds, all five models at once.

Usage: python tests/benchmarks/bench_tracing.py [TRANSACTIONS]; medians of three runs, one block a ten transactions.
Coins: a fan-out, then peels that mix with strangers' money. Accounts: payments among 60 accounts, soon all tainted.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "properties"))

from tracing_graphs import (
    BITCOIN,
    BTC,
    ETH,
    ETHEREUM,
    TOKEN,
    Block,
    address,
    block_ref,
    block_time,
    digest,
    label_some,
    make_case,
)

from chains.model import (
    AccountTransaction,
    ChainTransaction,
    Outpoint,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from walletwatch.domain.cases import Seed
from walletwatch.tracing.exports.pages import render_html
from walletwatch.tracing.tracer import Tracer

ROUNDS = 3
PER_BLOCK = 10


def in_blocks(txs: list[ChainTransaction]) -> list[Block]:
    starts = range(0, len(txs), PER_BLOCK)
    return [(block_ref(n), block_time(n), tuple(txs[at : at + PER_BLOCK])) for n, at in enumerate(starts)]


def coin_payments(count: int) -> tuple[list[Block], tuple[Seed, ...]]:
    draw = random.Random(7)  # noqa: S311 - the same graph every run
    pool: list[tuple[Outpoint, int]] = []
    txs: list[ChainTransaction] = []

    def add(inputs: list[tuple[Outpoint, int]], sizes: list[int]) -> UtxoTransaction:
        txid = digest("bench", len(txs))
        outs = tuple(TxOutput(n, size, address(f"a{len(txs)}-{n}")) for n, size in enumerate(sizes))
        ins = tuple(TxInput(outpoint, value, address(str(outpoint))) for outpoint, value in inputs)
        tx = UtxoTransaction(txid, len(txs) % PER_BLOCK, ins, outs, 0, 200)
        txs.append(tx)
        pool.extend((Outpoint(txid, o.vout), o.value) for o in outs)
        return tx

    theft = add([(Outpoint(digest("hot"), 0), 5_000 * 10**8)], [5_000 * 10**8])
    add([pool.pop()], [10 * 10**8] * 500)
    while len(txs) < count:
        taken = [pool.pop(draw.randrange(len(pool))) for _ in range(draw.randint(1, 2))]
        taken.append((Outpoint(digest("clean", len(txs)), 0), 3 * 10**8))
        total = sum(value for _, value in taken)
        peel = total * draw.randint(1, 99) // 100
        add(taken, [peel, total - peel])
    return in_blocks(txs), (Seed(theft.txid, 0, theft.outputs[0].address, BTC, theft.outputs[0].value, 0),)


def account_payments(count: int) -> tuple[list[Block], tuple[Seed, ...]]:
    draw = random.Random(7)  # noqa: S311 - the same graph every run
    people = [address(f"p{n}") for n in range(60)]
    txs: list[ChainTransaction] = []
    for number in range(count):
        payer, payee = (people[0], people[1]) if not number else draw.sample(people, 2)
        amount = 400_000 * 10**18 if not number else draw.randint(1, 900) * 10**18
        asset = ETH if number % 2 == 0 else TOKEN
        moves = (Transfer(asset, payer, payee, amount, TransferKind.NATIVE, 0),)
        sent = AccountTransaction(
            digest("acc", number), number % PER_BLOCK, payer, payee, number, True, 10**15, moves, True
        )
        txs.append(sent)
    return in_blocks(txs), (Seed(txs[0].txid, 0, people[1], ETH, 400_000 * 10**18, 0),)


def folded(make: Callable[[], Tracer], blocks: list[Block]) -> tuple[float, int, Tracer]:
    """(transactions a second, relevant transactions, the tracer of the last run)."""
    rates: list[float] = []
    for _ in range(ROUNDS):
        tracer, relevant = make(), 0
        begun = time.perf_counter()
        for ref, at, txs in blocks:
            relevant += len(tracer.step(ref, at, txs).relevant)
        rates.append(sum(len(txs) for _, _, txs in blocks) / (time.perf_counter() - begun))
    return statistics.median(rates), relevant, tracer


def report(count: int) -> None:
    labels = label_some()
    coins, coin_seeds = coin_payments(count)
    accounts, account_seeds = account_payments(count)
    coin_case = make_case(BITCOIN, coin_seeds, max_hops=1000, min_value=((BTC, 10**5),))
    account_case = make_case(ETHEREUM, account_seeds, max_hops=1000, min_value=((ETH, 10**17),))
    for name, case, native, blocks in (
        ("coins", coin_case, BTC, coins),
        ("accounts", account_case, ETH, accounts),
    ):
        rate, relevant, tracer = folded(lambda c=case, n=native: Tracer(c, labels, n, lambda *_: 10**21), blocks)  # type: ignore[misc]
        begun = time.perf_counter()
        page = render_html(tracer.results(), {BTC: ("BTC", 8), ETH: ("ETH", 18)})
        took = time.perf_counter() - begun
        print(f"{name:9} {rate:9,.0f} transactions/s, {relevant:,} of {count:,} relevant")  # noqa: T201
        print(f"{'':9} page of {len(page) >> 10} KiB in {took:.2f} s")  # noqa: T201


def test_folding_keeps_a_steady_pace() -> None:
    """Prints; what it holds is that the fold takes in every transaction of the graph."""
    blocks, seeds = coin_payments(2_000)
    case = make_case(BITCOIN, seeds, max_hops=1000)
    rate, relevant, _ = folded(lambda: Tracer(case, label_some(), BTC), blocks)
    print(f"\ncoins {rate:,.0f} transactions/s, {relevant} relevant")  # noqa: T201
    assert relevant > 1_500
    report(5_000)


if __name__ == "__main__":
    report(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
