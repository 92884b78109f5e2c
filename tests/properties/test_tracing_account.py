"""The account models against a reference that counts single units, and what must always hold of an account trace."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tracing_graphs import (
    ETH,
    ETHEREUM,
    TOKEN,
    AccountChain,
    Block,
    grow_account_chain,
    label_some,
    make_case,
)

from chains.model import AccountTransaction, AssetId, ChainTransaction, Outpoint
from walletwatch.domain.cases import CONSERVING_MODELS, Opening, TaintModel
from walletwatch.tracing.flows import LabelLookup
from walletwatch.tracing.models import Purse
from walletwatch.tracing.tracer import Tracer, settle

RANDOM = st.randoms(use_true_random=False)
MODELS = st.sampled_from(list(TaintModel))
EVERYTHING = {"max_hops": 999}


def take_units(model: TaintModel, line: list[bool], amount: int) -> tuple[list[bool], list[bool]]:
    """(taken, kept) of a queue with one boolean a unit, oldest first."""
    if model is TaintModel.FIFO:
        return line[:amount], line[amount:]
    if model is TaintModel.LIFO:
        return line[len(line) - amount :], line[: len(line) - amount]
    if model is TaintModel.POISON:
        return line[:amount], line[amount:]
    share = sum(line) * amount // len(line) if model is TaintModel.HAIRCUT and line else min(amount, sum(line))
    taken = [True] * share + [False] * (amount - share)
    left = sum(line) - share
    return taken, [True] * left + [False] * (len(line) - amount - left)


def reference(chain: AccountChain, model: TaintModel) -> dict[tuple[AssetId, bytes], int]:
    """Tainted units by asset and address: everybody's whole balance is counted unit by unit from the start."""
    first = min(height for _, _, height in chain.balances)
    lines = {(a, k): [False] * n for (a, k, height), n in chain.balances.items() if height == first}
    seeds = {(s.tx, s.ordinal) for s in chain.seeds}
    for tx in (tx for _, _, txs in chain.blocks for tx in txs):
        assert isinstance(tx, AccountTransaction)
        for t in tx.transfers:
            taken, lines[t.asset, t.sender.key] = take_units(model, lines[t.asset, t.sender.key], t.amount)
            arrived = [True] * t.amount if (tx.txid, t.ordinal) in seeds else taken
            lines[t.asset, t.receiver.key] = lines[t.asset, t.receiver.key] + arrived
        _, lines[ETH, tx.sender.key] = take_units(model, lines[ETH, tx.sender.key], tx.fee)
    return {spot: sum(line) for spot, line in lines.items() if any(line)}


def fold(chain: AccountChain, blocks: list[Block], labels: LabelLookup | None = None, **options: object) -> Tracer:
    case = make_case(ETHEREUM, chain.seeds, **options)
    tracer = Tracer(case, labels or label_some(), ETH, chain.opening)
    for ref, time, txs in blocks:
        tracer.step(ref, time, txs)
    return tracer


@settings(max_examples=300, deadline=None)
@given(RANDOM, st.sampled_from(CONSERVING_MODELS))
def test_a_chain_is_folded_as_the_count_of_single_units_does(random: Random, model: TaintModel) -> None:
    chain = grow_account_chain(random)
    tracer = fold(chain, chain.blocks, max_hops=999)
    purses = tracer._fold.books[model].purses
    assert {spot: purse.tainted for spot, purse in purses.items() if purse.tainted} == reference(chain, model)


@settings(max_examples=300, deadline=None)
@given(RANDOM)
def test_totals_add_up_to_what_was_stolen_whatever_stops_the_trace(random: Random) -> None:
    chain = grow_account_chain(random, transactions=20)
    labels = label_some(("a0", "exchange"), ("a1", "scam")) if random.random() < 0.5 else label_some()
    limits = ((ETH, random.randint(1, 6)), (TOKEN, random.randint(1, 6)))
    tracer = fold(chain, chain.blocks, labels, max_hops=random.randint(1, 6), min_value=limits)
    for trace in tracer.results() if chain.seeds else ():
        for model in CONSERVING_MODELS:
            totals = trace.totals[model]
            assert totals.at_services + totals.holding + totals.fees + totals.below_threshold == totals.stolen
        assert sum(node.holding for node in trace.nodes) == trace.totals[trace.model].holding


@settings(max_examples=400, deadline=None)
@given(RANDOM, MODELS)
def test_what_is_kept_of_a_step_folds_to_the_same_trace_without_asking_for_a_balance(
    random: Random, model: TaintModel
) -> None:
    """The last transaction of a block once dated what rested in it, relevant or not: another trace after a restart."""
    chain = grow_account_chain(random, transactions=16)
    fork = random.randrange(len(chain.blocks) + 1)
    case = make_case(ETHEREUM, chain.seeds, model=model, max_hops=random.randint(2, 9))
    first = Tracer(case, label_some(), ETH, chain.opening)
    kept: list[Block] = []
    told: list[Opening] = []
    for ref, time, txs in chain.blocks:
        result = first.step(ref, time, txs)
        kept.append((ref, time, result.relevant))
        told.extend(result.openings)

    def nobody_may_ask(*_args: object) -> int:
        raise AssertionError("an opening balance was asked for again")

    again = Tracer(case, label_some(), ETH, nobody_may_ask, told)
    for ref, time, txs in kept[:fork]:
        again.step(ref, time, txs)
    for ref, time, txs in chain.blocks[fork:]:
        again.step(ref, time, txs)
    assert again.watch() == first.watch()
    if chain.seeds:
        assert again.results() == first.results()


@settings(max_examples=150, deadline=None)
@given(RANDOM)
def test_searching_only_for_what_is_watched_finds_the_whole_trace(random: Random) -> None:
    chain = grow_account_chain(random, transactions=16, names=9)
    whole = fold(chain, chain.blocks, max_hops=5)
    searched = Tracer(whole.case, label_some(), ETH, chain.opening)
    for ref, time, txs in chain.blocks:

        def search(
            addresses: AbstractSet[bytes], _outpoints: AbstractSet[Outpoint], txs: tuple[ChainTransaction, ...] = txs
        ) -> list[ChainTransaction]:
            found = [tx for tx in txs if isinstance(tx, AccountTransaction) and names(tx) & addresses]
            return list(found)

        settle(searched, ref, time, search)
    if chain.seeds:
        assert searched.results() == whole.results()


def names(tx: AccountTransaction) -> set[bytes]:
    return {tx.sender.key} | {key for t in tx.transfers for key in (t.sender.key, t.receiver.key)}


@given(MODELS, st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6), st.integers(0, 60))
def test_a_purse_gives_what_is_asked_and_keeps_the_rest(
    model: TaintModel, lots: list[tuple[int, bool]], amount: int
) -> None:
    purse = Purse(model)
    for lot in lots:
        purse = purse.put((lot,))
    taken, kept = purse.take(amount)
    assert sum(n for n, _ in taken) == amount
    assert kept.balance == max(0, purse.balance - amount)
    if model is not TaintModel.POISON:
        assert sum(n for n, tainted in taken if tainted) + kept.tainted == purse.tainted
