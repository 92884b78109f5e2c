"""CoinJoins by their protocols' marks, on real transactions; batch payouts and escrows are none."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tracing_samples import DATA, THEFT, block, case_of, pay, read_esplora, script, trace

from chains.model import BlockRef, UtxoTransaction
from walletwatch.domain.cases import CONSERVING_MODELS, CaseEventKind, TaintModel
from walletwatch.tracing.coinjoins import can_partition, recognise
from walletwatch.tracing.tracer import Tracer

REAL: dict[str, UtxoTransaction] = {
    name: read_esplora(value)
    for name, value in json.loads(
        gzip.decompress((DATA / "transactions_bitcoin_coinjoins_and_payments.json.gz").read_bytes())
    ).items()
}


@pytest.mark.parametrize(
    ("name", "protocol"), [("whirlpool", "Whirlpool"), ("wabisabi", "WabiSabi"), ("joinmarket", "JoinMarket")]
)
def test_a_real_coinjoin_is_recognised(name: str, protocol: str) -> None:
    assert recognise(REAL[name]) == protocol


def test_payments_are_no_coinjoins() -> None:
    ordinary = [name for name in REAL if name not in ("whirlpool", "wabisabi", "joinmarket")]
    assert len(ordinary) == 100
    assert {name: recognise(REAL[name]) for name in ordinary if recognise(REAL[name])} == {}


def test_a_batch_payout_from_few_addresses_in_round_amounts_is_no_coinjoin() -> None:
    """Exchanges' batch payouts look like CoinJoins: many outputs, many of them equal."""
    payees = [(script(f"customer{n}"), 10_000_000) for n in range(60)]
    payout = pay([], [*payees, (script("change"), 5_000_000)], extra=[("hot", 700_000_000)])
    assert recognise(payout) == ""
    many = [(f"deposit{n % 5}", 12_000_000) for n in range(60)]
    assert recognise(pay([], payees, extra=many)) == ""


def test_addresses_that_are_used_again_rule_a_coinjoin_out() -> None:
    whirlpool = REAL["whirlpool"]
    again = tuple(
        replace(o, address=i.address) for o, i in zip(whirlpool.outputs, whirlpool.inputs, strict=True) if i.address
    )
    assert recognise(replace(whirlpool, outputs=again)) == ""


def test_a_whirlpool_of_an_unknown_pool_or_without_a_remixer_is_none() -> None:
    whirlpool = REAL["whirlpool"]
    other = tuple(replace(o, value=5_000_001) for o in whirlpool.outputs)
    assert recognise(replace(whirlpool, outputs=other)) == ""
    fresh = tuple(replace(i, value=5_010_000) for i in whirlpool.inputs)
    assert recognise(replace(whirlpool, inputs=fresh)) == ""


def test_joinmarket_is_found_with_three_parties_and_a_sweeping_taker() -> None:
    makers = [("m1", 80_000_000), ("m2", 30_000_000), ("m2b", 25_000_000)]
    outputs = [(script(f"out{n}"), 50_000_000) for n in range(3)]
    changes = [(script("change1"), 30_005_000), (script("change2"), 5_004_000)]
    joined = pay([], [*outputs, *changes], extra=[*makers, ("taker", 50_020_000)])
    assert recognise(joined) == "JoinMarket"
    assert recognise(pay([], [*outputs, *changes], extra=[("one payer", 185_020_000)])) == ""


def test_the_search_for_owners_ends() -> None:
    assert not can_partition([1_000 + n for n in range(60)], [9_999_999] * 20, 10, 10)
    assert not can_partition(list(range(1, 40)), [100] * 7 + [79], 0, 0)
    assert can_partition([7, 5, 3, 1], [8, 8], 0, 0)
    assert not can_partition([7], [7, 0], 1, 1)


def after(tracer: Tracer) -> tuple[BlockRef, datetime]:
    assert tracer.block is not None
    return block(tracer.block.height + 1), THEFT + timedelta(minutes=10)


def stolen_into_whirlpool() -> tuple[UtxoTransaction, UtxoTransaction]:
    theft = pay([], [(script("thief"), 5_010_000)], extra=[("victim", 5_020_000)])
    real = REAL["whirlpool"]
    tainted = replace(real.inputs[0], outpoint=replace(real.inputs[0].outpoint, txid=theft.txid, vout=0))
    return theft, replace(real, inputs=(tainted, *real.inputs[1:]))


def test_the_trace_stops_in_a_coinjoin_and_says_so() -> None:
    theft, mix = stolen_into_whirlpool()
    tracer = trace(case_of((theft, 0)), {}, [theft])
    result = tracer.step(*after(tracer), [mix])
    found = tracer.result()
    (stop,) = found.stops
    assert (stop.reason, stop.label, stop.tainted, stop.address) == ("coinjoin", "Whirlpool CoinJoin", 5_010_000, "")
    assert stop.txs == (mix.txid,)
    assert {t.at_services for t in found.totals.values()} == {5_010_000}
    assert [event.kind for event in result.events] == [CaseEventKind.MOVED, CaseEventKind.COINJOIN]
    assert tracer.watch() == (set(), set())


def test_going_through_a_coinjoin_gives_intervals() -> None:
    theft, mix = stolen_into_whirlpool()
    tracer = trace(case_of((theft, 0), through_coinjoin=True, model=TaintModel.HAIRCUT), {}, [theft])
    tracer.step(*after(tracer), [mix])
    spend = pay([(mix, 0)], [(script("a"), 3_000_000), (script("b"), 1_999_000)])
    tracer.step(*after(tracer), [spend])
    found = tracer.result()
    into = [edge for edge in found.edges if edge.tx == mix.txid]
    assert {(e.bounds.low, e.bounds.high) for e in into if e.bounds} == {(0, 5_000_000)}
    later = {e.target: e for e in found.edges if e.tx == spend.txid}
    assert all(e.bounds and e.bounds.low <= e.tainted <= e.bounds.high for e in later.values())
    assert later[script("a").text].bounds is not None
    assert found.node(script("a").text).holding_bounds is not None
    for model in CONSERVING_MODELS:
        totals = found.totals[model]
        assert totals.holding + totals.fees == 5_010_000
