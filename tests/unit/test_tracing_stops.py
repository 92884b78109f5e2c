"""Where a trace ends and how its totals are made up: CONTRACT §5, sentence by sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tracing_samples import (
    BITCOIN,
    BTC,
    THEFT,
    THIEF,
    block,
    case_of,
    dmm_tracer,
    known,
    pay,
    script,
    trace,
    winding_tracer,
)

from chains.model import UtxoTransaction
from walletwatch.domain.cases import CaseEventKind, TaintModel
from walletwatch.domain.labels import CATEGORIES, STOP_CATEGORIES, Label
from walletwatch.tracing.flows import pick_label, stop_at_label
from walletwatch.tracing.results import Standing, rank_places
from walletwatch.tracing.tracer import Tracer
from walletwatch.tracing.traces import trace_as_json


def theft_of(*amounts: int) -> UtxoTransaction:
    outputs = [(script(f"thief{n}"), amount) for n, amount in enumerate(amounts)]
    return pay([], outputs, extra=[("hot", sum(amounts) + 100)])


@pytest.mark.parametrize("category", sorted(CATEGORIES))
def test_a_label_stops_the_trace_by_its_category_alone(category: str) -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("there"), 1000)])
    found = trace(case_of((theft, 0)), {script("there").text: ("them", category)}, [theft], [move]).result()
    if category in STOP_CATEGORIES:
        assert [(s.reason, s.category, s.label, s.tainted) for s in found.stops] == [(category, category, "them", 1000)]
        assert found.totals[TaintModel.FIFO].at_services == 1000
    else:
        assert found.stops == ()
        assert found.totals[TaintModel.FIFO].holding == 1000


def test_of_contradicting_labels_one_that_stops_comes_first_then_the_surest() -> None:
    def label(category: str, confidence: int) -> Label:
        return Label(str(BITCOIN), "a", category, category, confidence_milli=confidence)

    assert pick_label((label("scam", 900), label("service", 100))) == label("service", 100)
    assert pick_label((label("exchange", 300), label("mixer", 800))) == label("mixer", 800)
    assert pick_label((label("exchange", 300), label("sanctioned", 300))) == label("sanctioned", 300)
    assert pick_label(()) is None
    assert stop_at_label((label("defi", 900),), None) is None


def test_a_label_counts_as_it_stood_when_the_money_arrived() -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("late"), 1000)])
    expired = Label(str(BITCOIN), script("late").text, "gone", "exchange", expires_at=datetime(2024, 1, 1, tzinfo=UTC))

    tracer = Tracer(case_of((theft, 0)), lambda _c, a, m: (expired,) if expired.valid_at(m) and a else (), BTC)
    tracer.step(block(845752), THEFT, [theft])
    tracer.step(block(845753), THEFT, [move])
    assert tracer.result().stops == ()


def test_the_threshold_stops_what_is_less_and_not_what_equals_it() -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("small"), 99), (script("equal"), 100), (script("rest"), 801)])
    found = trace(case_of((theft, 0), min_value=((BTC, 100),)), {}, [theft], [move]).result()
    assert [(s.reason, s.address, s.tainted) for s in found.stops] == [("threshold", script("small").text, 99)]
    totals = found.totals[TaintModel.FIFO]
    assert (totals.below_threshold, totals.holding, totals.at_services) == (99, 901, 0)


def test_the_last_hop_is_shown_and_not_followed_and_counts_as_held() -> None:
    theft = theft_of(1000)
    one = pay([(theft, 0)], [(script("hop2"), 1000)])
    two = pay([(one, 0)], [(script("hop3"), 1000)])
    tracer = trace(case_of((theft, 0), max_hops=2), {}, [theft], [one])
    found = tracer.result()
    assert [(s.reason, s.address, s.tainted) for s in found.stops] == [("hops", script("hop2").text, 1000)]
    assert found.totals[TaintModel.FIFO].holding == 1000
    assert found.node(script("hop2").text).holding == 1000
    assert tracer.watch() == (set(), set())
    assert tracer.step(block(845760), THEFT, [two]).relevant == ()
    assert [place.standing for place in rank_places(found)] == [Standing.LOST_SIGHT]


def test_change_back_to_the_same_address_is_no_hop() -> None:
    theft = theft_of(1000)
    one = pay([(theft, 0)], [(script("a"), 100), (script("thief0"), 900)])
    two = pay([(one, 1)], [(script("b"), 100), (script("thief0"), 800)])
    found = trace(case_of((theft, 0)), {}, [theft], [one], [two]).result()
    assert {node.address: node.hop for node in found.nodes} == {
        script("hot").text: 0,
        script("thief0").text: 1,
        script("a").text: 2,
        script("b").text: 2,
    }
    assert found.node(script("thief0").text).tainted == 1000


def test_a_second_seed_downstream_of_the_first_is_counted_once() -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("next"), 1500)], extra=[("clean", 600)])
    found = trace(case_of((theft, 0), (move, 0)), {}, [theft], [move]).result()
    totals = found.totals[TaintModel.FIFO]
    assert totals.holding == 1500
    assert totals.stolen == totals.holding + totals.fees


def test_coin_chains_follow_outputs_and_not_other_coins_of_an_address() -> None:
    theft = theft_of(1000)
    own = pay([], [(script("thief0"), 5000)], extra=[("salary", 5000)])
    tracer = trace(case_of((theft, 0)), {}, [theft])
    assert tracer.step(block(845753), THEFT, [own]).relevant == ()
    assert tracer.result().totals[TaintModel.POISON].holding == 1000


def test_until_a_seed_is_seen_its_address_is_searched_for() -> None:
    theft = theft_of(1000)
    tracer = Tracer(case_of((theft, 0)), known({}), BTC)
    assert tracer.watch() == ({script("thief0").key}, set())
    tracer.step(block(845752), THEFT, [theft])
    addresses, outpoints = tracer.watch()
    assert (addresses, len(outpoints)) == (set(), 1)


def test_blocks_come_in_order_and_a_second_call_replaces_the_first() -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("next"), 1000)], index=1)
    tracer = trace(case_of((theft, 0)), {})
    assert not tracer.step(block(845752), THEFT, [theft]).complete
    assert len(tracer.step(block(845752), THEFT, [move, theft]).relevant) == 2
    assert tracer.step(block(845752), THEFT, [theft, move]).complete
    assert tracer.result().totals[TaintModel.FIFO].stolen == 1000
    with pytest.raises(ValueError, match="does not follow"):
        tracer.step(block(845751), THEFT, [])


def test_a_node_that_tells_no_input_values_is_said_to_have_told_none() -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("a"), 700), (script("b"), 1200)], extra=[("stranger", 1000)])
    blind = replace(move, inputs=tuple(replace(i, value=None) for i in move.inputs))
    found = trace(case_of((theft, 0)), {}, [theft], [blind]).result()
    told = trace(case_of((theft, 0)), {}, [theft], [move]).result()
    assert found.totals == told.totals
    assert "did not give the values" in found.gaps[0]
    assert told.gaps == ()


def test_events_tell_of_movement_and_arrival_with_stable_ids() -> None:
    theft = theft_of(1000)
    move = pay([(theft, 0)], [(script("kraken"), 600), (script("next"), 399)])
    tracer = trace(case_of((theft, 0), min_value=((BTC, 2),)), {script("kraken").text: ("Kraken", "exchange")}, [theft])
    events = tracer.step(block(845753), THEFT, [move]).events
    assert [(e.kind, e.amount) for e in events] == [(CaseEventKind.MOVED, 999), (CaseEventKind.ARRIVED, 600)]
    moved, arrived = events
    assert moved.address == script("thief0")
    assert moved.to == (script("kraken"), script("next"))
    assert (arrived.address, arrived.label, arrived.category) == (script("kraken"), "Kraken", "exchange")
    again = tracer.step(block(845753), THEFT, [move]).events
    assert [e.id for e in again] == [e.id for e in events]


def test_the_ranking_puts_services_first_by_amount() -> None:
    places = rank_places(winding_tracer().result())
    assert [(p.standing, p.tainted) for p in places] == [
        (Standing.FREEZABLE, 35_000_000),
        (Standing.BRIDGED, 60_000_000),
        (Standing.REPORTABLE, 15_000_000),
        (Standing.HELD, 9_970_000),
        (Standing.HELD, 990_000),
        (Standing.HIDDEN, 29_000_000),
    ]
    assert places[1].advice == "follow on eip155:1 to 0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4"
    assert sum(p.tainted for p in places) == 149_960_000


def test_the_json_object_is_contracts() -> None:
    body = trace_as_json(dmm_tracer().results())
    assert body["stolen"] == "450290000000"
    assert body["asset"] == "bip122:000000000019d6689c085ae165831e93/slip44:0"
    assert body["seeds"][0]["tx"] == "975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7"
    assert (body["seeds"][0]["vout"], body["seeds"][0]["address"]) == (0, THIEF)
    assert {"case", "state", "seeds", "asset", "stolen", "nodes", "edges", "stops", "totals"} <= body.keys()
    node = body["nodes"][2]
    assert {"id", "chain", "address", "hop", "tainted", "holding", "first_seen", "last_seen"} <= node.keys()
    assert (node["tainted"], node["holding"], node["hop"]) == ("45028990000", "45028990000", 2)
    assert {"from", "to", "tx", "asset", "amount", "tainted", "height", "time"} <= body["edges"][0].keys()
    assert body["edges"][0]["time"] == "2024-05-31T04:26:14.000000Z"
    assert set(body["totals"]) == {"poison", "haircut", "fifo", "lifo", "tiho"}
    assert body["totals"]["fifo"] == {
        "stolen": "450290000000",
        "at_services": "0",
        "holding": "450289900000",
        "fees": "100000",
        "below_threshold": "0",
    }
