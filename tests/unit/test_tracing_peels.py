"""A real peel chain: 25 transactions of block 550,000, each spending the one before it."""

from __future__ import annotations

import csv
from collections.abc import Set as AbstractSet

from tracing_samples import BITCOIN, BTC, DATA, THEFT, block, case_of, known, script

from chains.model import ChainTransaction, Outpoint, TxInput, TxOutput, UtxoTransaction
from walletwatch.domain.cases import CONSERVING_MODELS
from walletwatch.tracing.tracer import Tracer, settle


def load_peels() -> list[UtxoTransaction]:
    """Outputs as they were; what a first input was worth is not told, and taken as what the outputs need."""
    with (DATA / "peels_bitcoin_550000_25_spends_in_one_block.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    txs: list[UtxoTransaction] = []
    for index, row in enumerate(rows):
        values = [int(row["out0_value"]), int(row["out1_value"])]
        names = [row["out0_addr"] or f"other{index}-0", row["out1_addr"] or f"other{index}-1"]
        outputs = tuple(TxOutput(n, v, script(names[n])) for n, v in enumerate(values))
        worth = int(row["in_value_if_known"] or sum(values))
        spent = Outpoint(bytes.fromhex(row["in_txid"]), int(row["in_vout"]))
        source = txs[-1].outputs[spent.vout].address if txs else script("before")
        txid = bytes.fromhex(row["txid"])
        txs.append(UtxoTransaction(txid, index, (TxInput(spent, worth, source),), outputs, worth - sum(values), 200))
    return txs


def test_a_chain_of_spends_inside_one_block_is_followed_to_its_end() -> None:
    txs = load_peels()
    assert len(txs) == 25
    start = next(i.outpoint.vout for i in txs[1].inputs)
    searches: list[int] = []

    def search(addresses: AbstractSet[bytes], outpoints: AbstractSet[Outpoint]) -> list[ChainTransaction]:
        found = [
            tx
            for tx in txs
            if any(i.outpoint in outpoints for i in tx.inputs) or any(o.address.key in addresses for o in tx.outputs)
        ]
        searches.append(len(found))
        return list(found)

    tracer = Tracer(case_of((txs[0], start), max_hops=40), known({}), BTC)
    result = settle(tracer, block(550000), THEFT, search)
    assert result.relevant == tuple(txs)
    assert searches[-1] == 25
    found = tracer.result()
    assert len({edge.tx for edge in found.edges}) == 25
    for model in CONSERVING_MODELS:
        totals = found.totals[model]
        assert totals.stolen == txs[0].outputs[start].value == totals.holding + totals.fees
    assert found.case.chain == BITCOIN


def test_a_peeler_that_keeps_its_address_stays_at_its_hop() -> None:
    """Counted by transactions the chain is 25 long, and a bound of 20 hops would lose it; the address never changes."""
    txs = load_peels()
    start = next(i.outpoint.vout for i in txs[1].inputs)
    tracer = Tracer(case_of((txs[0], start), max_hops=3), known({}), BTC)
    tracer.step(block(550000), THEFT, txs)
    found = tracer.result()
    assert {node.hop for node in found.nodes if node.hop} == {1, 2}
    assert found.stops == ()
    assert len(found.nodes) == 1 + 1 + 24
