"""Examples of the rules: one that fires, the nearest that does not, one that cannot be judged. The same table is run as
a test and printed into docs/rules.md. Every `rules_examples_*.py` beside this file adds its `EXAMPLES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from chains.model import Address, Asset, AssetId, ChainId, SigningFacts, TxInput, UtxoTransaction, parse_units
from chains.model import Outpoint as Coin
from chains.registry import parse_address
from unit.rules_facts import World
from walletwatch.domain.findings import VerdictKind
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.prices import Price
from walletwatch.domain.withdrawals import Payment
from walletwatch.rules.facts import Event
from walletwatch.settings.amounts import AmountReader

BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
ETHEREUM = ChainId.parse("eip155:1")
BTC = Asset(AssetId.parse(f"{BITCOIN}/slip44:0"), "BTC", 8)
ETH = Asset(AssetId.parse("eip155:1/slip44:60"), "ETH", 18)
USDT = Asset(AssetId.parse("eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"), "USDT", 6)
USDC = Asset(AssetId.parse("eip155:1/erc20:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"), "USDC", 6)
ASSETS = (BTC, ETH, USDT, USDC)
NAMES = AmountReader({"bitcoin": BITCOIN, "ethereum": ETHEREUM}, ASSETS)

DMM_PAYEE = parse_address(BITCOIN, "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")
DMM_THIEF = parse_address(BITCOIN, "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
CUSTOMER = parse_address(BITCOIN, "3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD")
SAFE = parse_address(ETHEREUM, "0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4")
SPENDER = parse_address(ETHEREUM, "0x0fa09C3A328792253f8dee7116848723b72a6d2e")

NOON = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
"""Friday 2026-11-20, 12:00 in Tokyo."""


@dataclass(frozen=True)
class Example:
    """What `[[rule]]` with these keys says of `subject` in `world`; `says` tells the case to a reader."""

    rule: str
    outcome: VerdictKind
    says: str
    table: Mapping[str, Any]
    subject: Outflow | Event
    world: World


def fires(rule: str, says: str, table: Mapping[str, Any], subject: Outflow | Event, world: World) -> Example:
    return Example(rule, VerdictKind.VIOLATION, says, table, subject, world)


def passes(rule: str, says: str, table: Mapping[str, Any], subject: Outflow | Event, world: World) -> Example:
    return Example(rule, VerdictKind.PASS, says, table, subject, world)


def unknown(rule: str, says: str, table: Mapping[str, Any], subject: Outflow | Event, world: World) -> Example:
    return Example(rule, VerdictKind.UNDETERMINED, says, table, subject, world)


def txid(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def ago(secs: int) -> datetime:
    return NOON - timedelta(seconds=secs)


def out(
    text: str = "1 BTC",
    to: Address | None = CUSTOMER,
    *,
    at: datetime = NOON,
    name: str = "now",
    wallet: str = "hot",
    fee: int = 0,
    state: OutflowState = OutflowState.SEEN,
) -> Outflow:
    """`text` (an amount) left `wallet` for `to` (None: nobody known)."""
    number, _, symbol = text.partition(" ")
    asset = next(a for a in ASSETS if a.symbol == symbol)
    units, tx = parse_units(number, asset.decimals), txid(name)
    payments = () if to is None else (Payment(0, to, units),)
    return Outflow(
        id=f"out_{name}_{symbol}_{wallet}",
        chain=asset.id.chain,
        tx=tx,
        state=state,
        wallet=wallet,
        asset=asset.id,
        amount=units,
        payments=payments,
        fee=fee,
        first_seen=at,
        family=tx,
    )


def world(past: Iterable[Outflow] = (), held: str = "", **known: Any) -> World:
    """A world in which wallet `hot` has role hot, holds `held` before the judged transaction, and paid `past`."""
    balances = {}
    if held:
        number, _, symbol = held.partition(" ")
        asset = next(a for a in ASSETS if a.symbol == symbol)
        balances["hot", asset.id] = parse_units(number, asset.decimals)
    return World(
        natives={BITCOIN: BTC.id, ETHEREUM: ETH.id},
        symbols={a.id: (a.symbol, a.decimals) for a in ASSETS},
        outflows=list(past),
        balances=balances,
        **{"roles": {"hot": "hot"}, **known},
    )


def usd(symbol: str, dollars: str) -> Price:
    asset = next(a for a in ASSETS if a.symbol == symbol)
    return Price(asset.id, parse_units(dollars, 8), asset.decimals, "fixed")


def utxo_tx(name: str = "now", *, fee: int = 1_000, vsize: int = 200, signing: SigningFacts | None = None) -> Any:
    coin = TxInput(Coin(txid("coin of " + name), 0), None, None)
    return UtxoTransaction(txid(name), -1, (coin,), (), fee, vsize, signing=signing)


def all_examples() -> list[Example]:
    """Every example there is, in the order of the files."""
    files = sorted(Path(__file__).parent.glob("rules_examples_*.py"))
    return [example for file in files for example in import_module(f"unit.{file.stem}").EXAMPLES]
