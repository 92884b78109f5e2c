"""How much of each limit was used: by the same sums as the rules, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chains.model import Address, Asset, AssetId, ChainId
from walletwatch.domain.findings import Mode, Severity, outflow_id
from walletwatch.domain.outflows import Outflow, OutflowState
from walletwatch.domain.prices import Price, Unknown
from walletwatch.domain.withdrawals import Payment
from walletwatch.reports.daily_limits import LimitUse, use_limits
from walletwatch.rules.limits import CountLimitParams, TransactionLimitParams, WindowLimitParams
from walletwatch.rules.parameters import Limit, Params
from walletwatch.rules.registry import RuleConfig, Selectors
from walletwatch.store import Store, open_store

CHAIN = ChainId("bip122", "000000000019d6689c085ae165831e93")
BTC = Asset(AssetId(CHAIN, "slip44", "0"), "BTC", 8)
NOON = datetime(2024, 5, 31, 3, tzinfo=UTC)
FIFTY = Limit(50 * 10**8, BTC.id, "BTC", 8)
MILLION = Limit(1_000_000 * 10**8, None, "USD", 8)


def outflow(number: int, btc: int, minutes: int, wallet: str = "btc-hot", to: bytes = b"\x01") -> Outflow:
    txid, at = bytes([number]) * 32, NOON + timedelta(minutes=minutes)
    identity = outflow_id(CHAIN, txid, wallet, BTC.id)
    paid = (Payment(0, Address(to, to.hex()), btc * 10**8),)
    return Outflow(identity, CHAIN, txid, OutflowState.FINAL, wallet, BTC.id, btc * 10**8, paid, 1, at, family=txid)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/w.db", lambda: NOON)
    made.upgrade()
    yield made
    made.close()


def price(asset: AssetId, _at: datetime) -> Price:
    return Price(asset, 60_000 * 10**8, 8, "test")


def no_price(asset: AssetId, _at: datetime) -> Price:
    raise Unknown(f"no price is configured for {asset.reference}")


def rule(kind: str, params: Params, **chosen: tuple[str, ...]) -> RuleConfig:
    return RuleConfig(f"a-{kind}", kind, Severity.HIGH, Mode.ENFORCE, Selectors(**chosen), params)  # type: ignore[arg-type]


def used(store: Store, config: RuleConfig, *outflows: Outflow, quote: object = price) -> LimitUse:
    with store.transaction() as unit:
        for one in outflows:
            unit.outflows.save(one)
        roles = {"btc-hot": "hot", "btc-cold": "cold"}
        (use,) = use_limits(unit, [config], outflows, [], quote, roles)  # type: ignore[arg-type]
    return use


def transaction_limit(limit: Limit) -> TransactionLimitParams:
    return TransactionLimitParams.model_construct(max=limit)


def test_of_a_transaction_limit_the_largest_outflow_counts(store: Store) -> None:
    use = used(store, rule("transaction_limit", transaction_limit(FIFTY)), outflow(1, 20, 0), outflow(2, 45, 5))
    assert (use.used, use.percent, use.tx, use.allowed) == (45 * 10**8, "90 %", ("02" * 32), "50 BTC")


def test_a_limit_in_usd_is_used_at_the_price_of_the_broadcast(store: Store) -> None:
    use = used(store, rule("transaction_limit", transaction_limit(MILLION)), outflow(1, 20, 0))
    assert (use.used, use.percent, use.asset) == (1_200_000 * 10**8, "120 %", "USD")


def test_without_a_price_the_use_is_not_known_and_said_to_be(store: Store) -> None:
    use = used(store, rule("transaction_limit", transaction_limit(MILLION)), outflow(1, 20, 0), quote=no_price)
    assert (use.used, use.percent, use.reason) == (None, "", "no price is configured for 0")


def test_a_window_slides_over_the_day_and_its_fullest_moment_counts(store: Store) -> None:
    params = WindowLimitParams.model_construct(max=FIFTY, window=3_600, per="wallet")
    day = (outflow(1, 20, 0), outflow(2, 15, 30), outflow(3, 20, 70), outflow(4, 99, 71, "btc-cold"))
    use = used(store, rule("window_limit", params, wallets=("btc-hot",)), *day)
    assert (use.used, use.at, use.allowed) == (35 * 10**8, NOON + timedelta(minutes=30), "50 BTC in 1 h, per wallet")


def test_a_window_reaches_back_into_the_day_before(store: Store) -> None:
    with store.transaction() as unit:
        unit.outflows.save(outflow(9, 30, -10))
    params = WindowLimitParams.model_construct(max=FIFTY, window=3_600, per="wallet")
    assert used(store, rule("window_limit", params), outflow(1, 10, 0)).used == 40 * 10**8


def test_counts_are_counted_per_destination(store: Store) -> None:
    params = CountLimitParams.model_construct(max=4, window=3_600, per="destination")
    day = (outflow(1, 1, 0, to=b"\x0a"), outflow(2, 1, 1, to=b"\x0b"), outflow(3, 1, 2, to=b"\x0a"))
    use = used(store, rule("count_limit", params), *day)
    assert (use.used, use.percent, use.symbol, use.asset) == (2, "50 %", "", "")


def test_orphaned_outflows_and_other_wallets_use_nothing(store: Store) -> None:
    gone = replace(outflow(1, 20, 0), state=OutflowState.ORPHANED)
    limit = rule("transaction_limit", transaction_limit(FIFTY), roles=("hot",))
    use = used(store, limit, gone, outflow(2, 40, 0, "btc-cold"))
    assert (use.used, use.tx, use.percent) == (0, "", "0 %")
