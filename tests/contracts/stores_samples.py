"""Rows to keep in a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chains.model import (
    MAX_AMOUNT,
    AccountTransaction,
    Address,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainId,
    Outpoint,
    SigningFacts,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.withdrawals import Payment

CHAIN = ChainId.parse("eip155:1")
ETH = AssetId.parse("eip155:1/slip44:60")
NOW = datetime(2026, 11, 22, 1, 2, 3, 456789, tzinfo=UTC)
THEM = Address(b"\x22" * 20, "0xThem")
US = Address(b"\x11" * 20, "0xUs")
AMOUNTS = [0, 1, 10**18 + 1, 2**63 - 1, 2**63, 2**64 + 7, 10**77, MAX_AMOUNT]


def make_outflow(number: int = 1, **changes: Any) -> Outflow:
    base = Outflow(
        id=f"out_{number}",
        chain=CHAIN,
        tx=number.to_bytes(32, "big"),
        state=OutflowState.INCLUDED,
        wallet="hot",
        asset=ETH,
        amount=5,
        payments=(Payment(0, THEM, 5),),
        fee=2,
        first_seen=NOW + timedelta(seconds=number),
        block=BlockRef(100 + number, b"\x0a" * 32),
        block_time=NOW + timedelta(seconds=number),
        family=number.to_bytes(32, "big"),
    )
    return replace(base, **changes)


def make_finding(number: int = 1, **changes: Any) -> Finding:
    base = Finding(
        id=f"fnd_{number}",
        rule="unapproved",
        rule_id="unapproved",
        verdict=VerdictKind.VIOLATION,
        severity=Severity.CRITICAL,
        mode=Mode.ENFORCE,
        chain=str(CHAIN),
        tx=number.to_bytes(32, "big"),
        wallet="hot",
        asset=str(ETH),
        outflow=f"out_{number}",
        summary="nobody approved it",
        evidence={"amount": str(MAX_AMOUNT), "deep": [{"é": True}, None]},
        rules_digest="sha256:00",
        found_at=NOW,
    )
    return replace(base, **changes)


UTXO_TX = UtxoTransaction(
    b"\x01" * 32,
    4,
    (TxInput(Outpoint(b"\x02" * 32, 1), None, None, 7), TxInput(Outpoint(b"\x03" * 32, 0), MAX_AMOUNT, US)),
    (TxOutput(0, 2**63, THEM),),
    None,
    141,
    2,
    800_000,
    SigningFacts(("02aa",), (("low_r", 1), ("type", "p2wpkh"), ("wei", 2**70))),
)
ACCOUNT_TX = AccountTransaction(
    b"\x04" * 32,
    0,
    US,
    None,
    2**63,
    True,
    2**200,
    (Transfer(ETH, US, THEM, MAX_AMOUNT, TransferKind.INTERNAL, 2, None),),
    True,
    None,
)


def make_block(height: int, parent: BlockRef) -> BlockFacts:
    return BlockFacts(CHAIN, BlockRef(height, height.to_bytes(32, "big")), parent.hash, NOW, ())
