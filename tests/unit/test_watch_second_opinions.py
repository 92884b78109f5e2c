"""A second endpoint's word on the transaction of a critical finding: what a block's hash does not prove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from chains.bitcoin.addresses import address_of
from chains.bitcoin.params import REGTEST, native_asset
from chains.errors import ChainError, Unsupported
from chains.model import BlockFacts, BlockRef, Outpoint, TxId, TxInput, TxOutput, UtxoTransaction
from walletwatch.deployment import WatchedChain
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.wallets import Perimeter
from walletwatch.watch.second_opinions import SecondOpinions

AT = datetime(2026, 11, 22, tzinfo=UTC)
REF = BlockRef(7, b"\x07" * 32)
OURS, THEIRS = address_of(REGTEST, b"\x51"), address_of(REGTEST, b"\x52")
TX = UtxoTransaction(
    txid=b"\x01" * 32,
    index=1,
    inputs=(TxInput(Outpoint(b"\x02" * 32, 0), 900, OURS), TxInput(Outpoint(b"\x03" * 32, 1), 200, THEIRS)),
    outputs=(TxOutput(0, 1_000, THEIRS),),
    fee=100,
    vsize=150,
)


@dataclass
class TwoNodes:
    """The second one's answers."""

    ref: BlockRef = REF
    transaction: UtxoTransaction | ChainError | None = TX
    asked: list[TxId] = field(default_factory=list)

    def second_transactions(self, _height: int, txids: Sequence[TxId]) -> tuple[BlockRef, list[UtxoTransaction | None]]:
        self.asked += txids
        if isinstance(self.transaction, ChainError):
            raise self.transaction
        return self.ref, [self.transaction if self.ref == REF else None]

    def second_ref_at(self, _height: int) -> BlockRef:
        if isinstance(self.transaction, ChainError):
            raise self.transaction
        return self.ref


def finding(severity: Severity) -> Finding:
    return Finding(
        id=f"f-{severity}",
        rule="no_approval",
        rule_id="no_approval",
        verdict=VerdictKind.VIOLATION,
        severity=severity,
        mode=Mode.ENFORCE,
        chain=str(REGTEST.chain),
        tx=TX.txid,
        wallet="hot",
        asset="",
        outflow="o-1",
        summary="nobody approved it",
        evidence={},
        rules_digest="",
        found_at=AT,
    )


def told_of(source: TwoNodes, severity: Severity = Severity.CRITICAL) -> list[str]:
    said: list[str] = []
    watched = WatchedChain(REGTEST.chain, "bitcoin", native_asset(REGTEST.chain), Perimeter(REGTEST.chain))
    opinions = SecondOpinions(watched, source, lambda rule, summary, _period: said.append(f"{rule}: {summary}"))  # type: ignore[arg-type]
    opinions.confirm_findings(BlockFacts(REGTEST.chain, REF, b"\x06" * 32, AT, (TX,)), [finding(severity)])
    return said


def changed(**fields: object) -> UtxoTransaction:
    first, second = TX.inputs
    return replace(TX, inputs=(replace(first, **fields), second))  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [changed(value=901), changed(address=THEIRS)])
def test_inputs_that_were_something_else_by_the_other_node_are_told(other: UtxoTransaction) -> None:
    """The first node made a stranger's coin ours, or ours a stranger's: the block's hash proves neither."""
    (said,) = told_of(TwoNodes(transaction=other))
    assert said == f"node_disagreement: bitcoin: the endpoints disagree on what the inputs of {TX.txid.hex()} were"


@pytest.mark.parametrize(
    "other",
    [
        lambda: TX,
        lambda: changed(value=None, address=None),
        lambda: None,
        lambda: Unsupported("no second endpoint"),
    ],
)
def test_a_node_that_agrees_or_does_not_know_is_no_trouble(other: Callable[[], UtxoTransaction | None]) -> None:
    assert told_of(TwoNodes(transaction=other())) == []


def test_only_critical_findings_are_worth_a_question() -> None:
    source = TwoNodes(transaction=changed(value=901))
    assert told_of(source, Severity.HIGH) == []
    assert source.asked == []


def test_another_block_is_told_and_nothing_else() -> None:
    (said,) = told_of(TwoNodes(ref=BlockRef(7, b"\x08" * 32)))
    assert "disagree on block 7" in said
