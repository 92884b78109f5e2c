"""The coin models against a reference that counts single units, and what must always hold of a coin trace."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tracing_graphs import (
    BITCOIN,
    BTC,
    Block,
    CoinChain,
    grow_coin_chain,
    label_some,
    make_case,
    spread_by_unit,
)

from chains.model import ChainTransaction, Outpoint, UtxoTransaction
from walletwatch.domain.cases import CONSERVING_MODELS, TaintModel
from walletwatch.tracing import coin_fold as folds_utxo
from walletwatch.tracing.flows import LabelLookup
from walletwatch.tracing.models import Spans, spread
from walletwatch.tracing.tracer import Tracer, settle

pytestmark = pytest.mark.long

RANDOM = st.randoms(use_true_random=False)
MODELS = st.sampled_from(list(TaintModel))
coin = st.lists(st.booleans(), min_size=0, max_size=12)


def to_spans(units: list[bool]) -> Spans:
    edges = [n for n in range(len(units) + 1) if (n > 0 and units[n - 1]) != (n < len(units) and units[n])]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def to_units(spans: Spans, size: int) -> list[bool]:
    return [any(start <= n < end for start, end in spans) for n in range(size)]


@given(MODELS, st.lists(coin, min_size=1, max_size=5), st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_a_transaction_spreads_taint_as_the_count_of_single_units_does(
    model: TaintModel, inputs: list[list[bool]], wanted: list[int]
) -> None:
    total = sum(map(len, inputs))
    sizes: list[int] = []
    for size in wanted:
        sizes.append(min(size, total - sum(sizes)))
    if model not in (TaintModel.FIFO, TaintModel.LIFO):  # these keep no order inside a coin: tainted units first
        inputs = [sorted(units, reverse=True) for units in inputs]
    parts = [(len(units), to_spans(units)) for units in inputs]
    every = [*sizes, total - sum(sizes)]
    expected = spread_by_unit(model, inputs, every)
    assert [to_units(s, n) for s, n in zip(spread(model, parts, sizes), every, strict=True)] == expected


def fold(chain: CoinChain, blocks: list[Block], labels: LabelLookup | None = None, **options: object) -> Tracer:
    tracer = Tracer(make_case(BITCOIN, chain.seeds, **options), labels or label_some(), BTC)
    for ref, time, txs in blocks:
        tracer.step(ref, time, txs)
    return tracer


def reference(chain: CoinChain, model: TaintModel) -> dict[Outpoint, int]:
    """Tainted units by unspent output, one boolean a unit, nothing stopped."""
    coins: dict[Outpoint, list[bool]] = {}
    seeds = {(s.tx, s.ordinal) for s in chain.seeds}
    for tx in (tx for _, _, txs in chain.blocks for tx in txs):
        assert isinstance(tx, UtxoTransaction)
        inputs = [coins.pop(i.outpoint, [False] * (i.value or 0)) for i in tx.inputs]
        outs = spread_by_unit(model, inputs, [*(o.value for o in tx.outputs), tx.fee or 0])
        for output, units in zip(tx.outputs, outs, strict=False):
            stolen = (tx.txid, output.vout) in seeds
            coins[Outpoint(tx.txid, output.vout)] = [True] * output.value if stolen else units
    return {outpoint: sum(units) for outpoint, units in coins.items() if any(units)}


@settings(max_examples=200, deadline=None)
@given(RANDOM, st.sampled_from(CONSERVING_MODELS))
def test_a_chain_is_folded_as_the_count_of_single_units_does(random: Random, model: TaintModel) -> None:
    chain = grow_coin_chain(random)
    tracer = fold(chain, chain.blocks, max_hops=99, through_coinjoin=True)
    found = {outpoint: coin.tainted for outpoint, coin in tracer._fold.books[model].coins.items()}
    assert found == reference(chain, model)


def limits(random: Random) -> dict[str, object]:
    return {"max_hops": random.randint(1, 8), "min_value": ((BTC, random.randint(1, 8)),)}


@settings(max_examples=200, deadline=None)
@given(RANDOM)
def test_totals_add_up_to_what_was_stolen_whatever_stops_the_trace(random: Random) -> None:
    chain = grow_coin_chain(random, transactions=20)
    labels = label_some(("a0", "exchange"), ("a1", "mixer"), ("a2", "scam"))
    trace = fold(chain, chain.blocks, labels, **limits(random)).result()
    for model in CONSERVING_MODELS:
        totals = trace.totals[model]
        assert totals.at_services + totals.holding + totals.fees + totals.below_threshold == totals.stolen
    assert sum(node.holding for node in trace.nodes) == trace.totals[trace.model].holding


@settings(max_examples=100, deadline=None)
@given(RANDOM, MODELS)
def test_a_rollback_and_another_branch_give_what_the_last_chain_alone_gives(random: Random, model: TaintModel) -> None:
    chain = grow_coin_chain(random, transactions=16)
    fork = random.randrange(1, len(chain.blocks) + 1)
    options = {**limits(random), "model": model}
    kept: list[Block] = []
    first = Tracer(make_case(BITCOIN, chain.seeds, **options), label_some(), BTC)
    for ref, time, txs in chain.blocks:
        kept.append((ref, time, first.step(ref, time, txs).relevant))
    again = fold(chain, kept[:fork], **options)
    for ref, time, txs in chain.blocks[fork:]:
        again.step(ref, time, txs)
    assert again.results() == first.results()
    assert again.watch() == first.watch()


@settings(max_examples=100, deadline=None)
@given(RANDOM)
def test_searching_only_for_what_is_watched_finds_the_whole_trace(random: Random) -> None:
    chain = grow_coin_chain(random, transactions=16)
    whole = fold(chain, chain.blocks)
    searched = Tracer(whole.case, label_some(), BTC)
    for ref, time, txs in chain.blocks:

        def search(
            addresses: AbstractSet[bytes], outpoints: AbstractSet[Outpoint], txs: tuple[ChainTransaction, ...] = txs
        ) -> list[ChainTransaction]:
            return [
                tx
                for tx in txs
                if any(o.address.key in addresses for o in tx.outputs)
                or any(i.outpoint in outpoints for i in tx.inputs)
            ]

        settle(searched, ref, time, search)
    assert searched.results() == whole.results()


@pytest.mark.parametrize("model", list(TaintModel))
def test_outputs_worth_more_than_inputs_are_refused(model: TaintModel) -> None:
    with pytest.raises(ValueError, match="1 base units more"):
        spread(model, [(1, ((0, 1),))], [2])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=RANDOM, model=st.sampled_from(CONSERVING_MODELS))
def test_behind_coinjoins_the_models_amount_lies_within_its_interval(
    random: Random, model: TaintModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds_utxo, "recognise", lambda tx: "JoinMarket" if tx.txid[0] % 3 == 0 else "")
    chain = grow_coin_chain(random, transactions=16)
    trace = fold(chain, chain.blocks, max_hops=99, through_coinjoin=True, model=model).result()
    for edge in trace.edges:
        if edge.bounds is not None:
            assert 0 <= edge.bounds.low <= edge.bounds.high
            together = sum(e.tainted for e in trace.edges if (e.tx, e.target) == (edge.tx, edge.target))
            assert edge.tainted <= edge.bounds.high
            assert edge.bounds.low <= together
    for node in trace.nodes:
        if node.holding_bounds is not None:
            assert node.holding_bounds.low <= node.holding <= node.holding_bounds.high
