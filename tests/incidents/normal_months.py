"""A month of an exchange in which nothing is wrong: more than 20,000 approved withdrawals, and all that goes with them.

Batches on Bitcoin and through a disperse contract, single payments in ETH and USDT, deposits and their sweeps, gas for
token sweeps, top-ups from cold wallets (asked for and approved) and back, consolidations at night, replacements by fee,
fee markets that double and calm down, nights and weekends, public holidays, transactions that run out of gas, nodes
taken away for maintenance, and approvals that reach the log minutes after the payment was on its way. Drawn from a
seed: the same seed gives the same month.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from incidents.months_on_bitcoin import BitcoinMonth
from incidents.months_on_ethereum import EthereumMonth
from incidents.months_under_way import FIRST_DAY
from incidents.played_exchanges import BITCOIN, ETHEREUM, Event

_HOURS = (3, 2, 1, 1, 1, 2, 3, 5, 8, 10, 11, 11, 10, 11, 11, 11, 10, 10, 10, 10, 9, 8, 7, 5)
"""How busy each hour of a day in Japan is."""
_WEEKEND = 0.6

Act = Callable[[datetime], None]


class Month(BitcoinMonth, EthereumMonth):
    """Plays `days` days; afterwards `events` holds them in order of time, and what is held is what a theft may take."""

    def __init__(self, seed: int = 2026, days: int = 30) -> None:
        super().__init__(seed, days)
        self._play()

    def _play(self) -> None:
        plans = [plan for day in range(self.days) for plan in self._plan_day(day)]
        plans += list(self._plan_maintenance())
        for at, act in sorted(plans, key=lambda plan: plan[0]):
            if not any(low <= at < high for low, high in self.away) or act in (self.receive_btc, self.receive_eth):
                act(at)
        self.events += self.mine_btc()
        self.events.sort(key=lambda event: event.at)

    def _plan_day(self, day: int) -> Iterable[tuple[datetime, Act]]:
        midnight = FIRST_DAY + timedelta(days=day)
        quiet = _WEEKEND if midnight.weekday() >= 5 else 1.0
        rates: tuple[tuple[Act, float], ...] = (
            (self.pay_batch, 29),
            (self.pay_single, 38),
            (self.disperse, 9.5),
            (self.receive_btc, 10),
            (self.receive_eth, 14),
        )
        for act, a_day in rates:
            for hour, busy in enumerate(_HOURS):
                expected = a_day * quiet * busy / sum(_HOURS)
                count = int(expected) + (self.rng.random() < expected % 1)
                for _ in range(count):
                    yield midnight + timedelta(hours=hour, seconds=self.rng.randrange(3_600)), act
        yield midnight + timedelta(hours=4, minutes=self.rng.randrange(60)), self.sweep_btc
        yield midnight + timedelta(hours=5, minutes=self.rng.randrange(50)), self.sweep_eth
        if quiet == 1.0:
            yield midnight + timedelta(hours=10, minutes=15 + self.rng.randrange(90)), self.balance_btc
            yield midnight + timedelta(hours=14, minutes=self.rng.randrange(90)), self.balance_eth
        if day % 7 == 6:
            yield midnight + timedelta(hours=3, minutes=10), self.consolidate
        if day % 13 == 8:
            yield midnight + timedelta(hours=13, minutes=self.rng.randrange(60)), self.run_out_of_gas

    def _plan_maintenance(self) -> Iterable[tuple[datetime, Act]]:
        """Sundays at night: the node of one chain is taken away for two hours, payments rest, alerts are silenced."""
        for day, chain in ((5, BITCOIN), (12, ETHEREUM), (19, BITCOIN), (26, ETHEREUM)):
            if day >= self.days:
                return
            begin = FIRST_DAY + timedelta(days=day, hours=2)
            end = begin + timedelta(hours=2)
            self.away.append((begin - timedelta(minutes=100), end + timedelta(minutes=10)))
            silenced = Event(begin - timedelta(minutes=5), chain, silence_until=end + timedelta(minutes=30))
            self.events += [silenced, Event(begin, chain, node_away=True), Event(end, chain, node_away=False)]
        yield from ()
