"""The state of a month that is being drawn: what is held, who the customers are, what fees cost, who approved what."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chains.model import Address, AssetId, ChainTransaction, Outpoint, TxOutput
from incidents.played_chains import digest
from incidents.played_exchanges import (
    BTC,
    BTC_COLD,
    BTC_HOT,
    ETH,
    ETH_COLD,
    ETH_HOT,
    JST,
    SAFE_OPERATOR,
    SATS,
    USDT,
    USDT_UNITS,
    WEI,
    ActLine,
    Event,
    Purse,
    Withdrawal,
    btc_address,
    eth_address,
)

FIRST_DAY = datetime(2026, 9, 1, tzinfo=JST)
"""A Tuesday; 21 to 23 September are public holidays in Japan."""


class MonthUnderWay:
    """What has happened so far and what is held: `events`, `purses`, `balances`, `nonces`; `opening_coins` and
    `opening_balances` were there before.
    """

    def __init__(self, seed: int = 2026, days: int = 30) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a drawn month must be the same each time
        self.days = days
        self.events: list[Event] = []
        self.withdrawals = 0
        self.late: list[datetime] = []
        self.purses = {"btc-hot": Purse(), "btc-cold": Purse(), "btc-deposit": Purse()}
        self.balances = {(ETH, ETH_HOT.key): 1_500 * WEI, (ETH, ETH_COLD.key): 40_000 * WEI}
        self.balances |= {(USDT, ETH_HOT.key): 4_000_000 * USDT_UNITS, (USDT, ETH_COLD.key): 90_000_000 * USDT_UNITS}
        self.nonces: dict[bytes, int] = {ETH_HOT.key: 81_204, SAFE_OPERATOR.key: 311}
        self._open_purses()
        self.opening_coins = [coin for purse in self.purses.values() for coin in purse.coins]
        self.opening_balances = dict(self.balances)
        self.block_times = self._draw_blocks()
        self.waiting: dict[datetime, list[ChainTransaction]] = {}
        self._customers: list[tuple[str, Address, Address]] = []
        self._popular = [(btc_address(f"popular {n}"), eth_address(f"popular {n}")) for n in range(40)]
        self.away: list[tuple[datetime, datetime]] = []

    def _open_purses(self) -> None:
        holdings = (("btc-hot", BTC_HOT[0], 20, 12), ("btc-cold", BTC_COLD, 60, 150))
        for wallet, address, count, size in holdings:
            for n in range(count):
                value = size * SATS + self.rng.randrange(SATS)
                self.purses[wallet].coins.append((Outpoint(digest("coin", wallet, n), 0), TxOutput(0, value, address)))

    def _draw_blocks(self) -> list[datetime]:
        times = [FIRST_DAY.astimezone(UTC)]
        end = self.end.astimezone(UTC) + timedelta(hours=6)
        while times[-1] < end:
            gap = min(6_000, max(20, int(self.rng.expovariate(1 / 600))))
            times.append(times[-1] + timedelta(seconds=gap))
        return times

    @property
    def end(self) -> datetime:
        """The midnight after the last day."""
        return FIRST_DAY + timedelta(days=self.days)

    # --- fees and customers -------------------------------------------------------------------------------------------

    def fee_rate(self, at: datetime) -> int:
        """Satoshi per virtual byte: a slow wave, and a crowd now and then that makes it eight times dearer."""
        hours = (at - FIRST_DAY).total_seconds() / 3_600
        calm = 8 + 5 * math.sin(hours / 19) + 2 * math.sin(hours / 3.1)
        crowd = 8 ** max(0.0, math.sin(hours / 61) - 0.75) ** 0.5 if math.sin(hours / 61) > 0.75 else 1.0
        return max(2, int(calm * crowd * (0.9 + 0.2 * self.rng.random())))

    def gwei(self, at: datetime) -> int:
        return max(2, self.fee_rate(at) * 2)

    def _draw_customer(self) -> tuple[str, Address, Address]:
        if self._customers and self.rng.random() < 0.55:
            return self.rng.choice(self._customers)
        number = len(self._customers)
        kind = self.rng.choices(("p2wpkh", "p2pkh", "p2sh", "p2tr"), (60, 12, 12, 16))[0]
        customer = (f"c-{100_000 + number}", btc_address(f"customer {number}", kind), eth_address(f"customer {number}"))
        self._customers.append(customer)
        return customer

    def draw_withdrawal(self, asset: AssetId, wallet: str = "") -> Withdrawal:
        customer, on_bitcoin, on_ethereum = self._draw_customer()
        if self.rng.random() < 0.01:
            on_bitcoin, on_ethereum = self.rng.choice(self._popular)
        self.withdrawals += 1
        destination = on_bitcoin if asset == BTC else on_ethereum
        amount = self._draw_amount(asset)
        return Withdrawal(f"W-{self.withdrawals:06}", asset, amount, destination, customer, wallet)

    def _draw_amount(self, asset: AssetId) -> int:
        """Most small, some large; in about a third round, as people ask for them."""
        large = self.rng.random() < 0.004
        micro = int(self.rng.lognormvariate(*{BTC: (10.8, 1.3), ETH: (13.0, 1.2), USDT: (21.0, 1.1)}[asset]))
        if large:
            micro = self.rng.randrange(*{BTC: (1_200_000, 6_000_000), ETH: (32, 120)}.get(asset, (110_000, 400_000)))
            micro *= 1 if asset == BTC else 10**6
        micro = min(max(micro, 800), {BTC: 6_000_000, ETH: 120_000_000}.get(asset, 400_000_000_000))
        if self.rng.random() < 0.35:
            step = 10 ** (len(str(micro)) - 1)
            micro = max(step, micro // step * step)
        one = {BTC: SATS, ETH: WEI}.get(asset, USDT_UNITS)
        return micro * one // 10**6 + (self.rng.randrange(10) if self.rng.random() < 0.2 else 0)

    # --- acts ---------------------------------------------------------------------------------------------------------

    def approve(self, paid: Sequence[Withdrawal], at: datetime, txid: bytes, *, late: bool = False) -> None:
        """Requests and approvals as people made them before `at`; they reach the log at once, or late all together."""
        written: list[tuple[datetime, ActLine]] = []
        for withdrawal in paid:
            asked = at - timedelta(minutes=25 + self.rng.randrange(55), seconds=self.rng.randrange(60))
            approvers = ["treasury-2"] if withdrawal.usd < 100_000 else ["treasury-2", "compliance-1"]
            if withdrawal.usd < 100_000 and self.rng.random() < 0.2:
                approvers = ["compliance-1"]
            written.append((asked, ActLine("request", withdrawal, "withdrawal-desk", asked)))
            for n, actor in enumerate(approvers):
                moment = asked + timedelta(minutes=3 + 6 * n, seconds=self.rng.randrange(300))
                written.append((moment, ActLine("approve", withdrawal, actor, moment)))
        wait = timedelta(minutes=2 + self.rng.randrange(10))
        if late:
            self.late.append(at)
            self.events.append(Event(at + wait, acts=tuple(line for _, line in written)))
        else:
            self.events += [Event(moment, acts=(line,)) for moment, line in written]
        if self.rng.random() < 0.15:
            told = at + timedelta(minutes=1 + self.rng.randrange(6))
            lines = (ActLine("broadcast", withdrawal, "withdrawal-desk", told, txid) for withdrawal in paid)
            self.events.append(Event(max(told, at + wait) if late else told, acts=tuple(lines)))

    def is_late(self) -> bool:
        return self.rng.random() < 0.0025

    def approve_move(
        self, asset: AssetId, amount: int, target: Address, wallet: str, at: datetime, txid: bytes
    ) -> None:
        """Ask for and approve a move out of a cold wallet."""
        name = f"T-{at.astimezone(JST):%m%d-%H%M%S}-{wallet}-{asset.namespace}"
        self.approve([Withdrawal(name, asset, amount, target, wallet=wallet)], at, txid)
