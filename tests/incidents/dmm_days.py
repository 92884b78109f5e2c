"""What happened, and what we let happen around it: 29 to 31 May 2024, every payment with its coins and its time.

Real: the theft, the outputs it spent, the addresses of vault, payee, thief and the ten storage wallets. Everything else
is invented for the demonstration (`PROVENANCE.md` beside the recording says so to its reader).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from chains.model import Address, Outpoint
from incidents.dmm_transactions import (
    Coin,
    Spend,
    build_transaction,
    coin,
    invent_address,
    read_address,
    real_transactions,
)

JST = timezone(timedelta(hours=9))
BTC = 10**8

THEFT_HEIGHT = 845_752
THEFT_TIME = datetime(2024, 5, 31, 4, 26, tzinfo=UTC)
"""DMM Bitcoin: "at approximately 1:26 p.m. on Friday, May 31, 2024, we detected an unauthorized leak"."""
THEFT_SEEN = THEFT_TIME - timedelta(seconds=79)
FIRST_DAY = datetime(2024, 5, 29, tzinfo=JST)
BEGIN = FIRST_DAY + timedelta(hours=8, minutes=50)
BLOCKS_AFTER_THEFT = 12

VAULT = read_address("3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD")
RESERVE = read_address("3Dhk8F6KYvMyqHN1r4kAT8t7SceK7yDjA4")
PAYEE = read_address("1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")
THIEF = read_address("1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
STORAGE = tuple(
    read_address(text)
    for text in (
        "bc1qx6jpnnfjrfcx9ehhdmj7qqyzpyd8pek00trrq7",
        "bc1qrtltlc7zjzj3knde2tqjt7tl2p5l2keh4l2uka",
        "bc1qr4vnu4f4tl3gwfxt6a5hgt6vuusgsd0j2cnz74",
        "bc1qgcv2j80009apvjekph40wagwutfu6l3gcm2fw0",
        "bc1qegcazuxnp5wxxxamdqvjv345fpve6656vpjln4",
        "bc1q7p3atj3v95k4pd7qxnnqlhjwu843ty2hqn9gy0",
        "bc1q3ur23g02rq5w0x6y8vek3xradjgs080nzksfje",
        "bc1q2u9m2eqy8glvrjeqr5sceqngpad6dnxrtyxlf3",
        "bc1q2tu4dxyvnaquar96mj99yqjanfzgg3fv4gzytd",
        "bc1q7pdecv2raf3x84unxlv9ghtpjfpwlam6dx27xd",
    )
)
"""The ten wallets of the second hop, as Beosin reported them."""
HOT = (invent_address("hot 1"), invent_address("hot 2"))
PARTNERS = (PAYEE, invent_address("partner 1"), invent_address("partner 2", "p2tr"), invent_address("partner 3"))


Act = Callable[[datetime], None]


@dataclass(frozen=True)
class Payment:
    """What the exchange meant to send: one request each."""

    request_id: str
    wallet: str
    destination: Address
    amount: int
    memo: str
    customer: str = ""


@dataclass(frozen=True)
class Event:
    """A transaction at the moment it was broadcast. `seen`: the watcher's node showed it in its mempool."""

    at: datetime
    spend: Spend
    payments: tuple[Payment, ...] = ()
    seen: bool = False


@dataclass
class Purse:
    """The coins of one wallet, oldest first."""

    coins: list[Coin] = field(default_factory=list)

    def take(self, amount: int) -> list[Coin]:
        """The oldest coins that make up `amount`."""
        taken: list[Coin] = []
        while sum(c.value for c in taken) < amount:
            taken.append(self.coins.pop(0))
        return taken


class Days:
    """Plays the days in order of time; `events` afterwards holds every transaction."""

    def __init__(self) -> None:
        self.times = block_times()
        self.first_height = THEFT_HEIGHT - self.times.index(THEFT_TIME)
        self.funding, self.theft = real_transactions()
        script_sig = self.theft.coins[0].script_sig
        outputs = [coin(Outpoint(self.funding.tx.txid, n), v, VAULT, script_sig) for n, v in self._funded()]
        self.stolen = Purse(outputs[20:])
        self.vault = Purse(outputs[:20])
        self.hot = Purse([coin(_invent_outpoint(f"hot {n}"), 15 * BTC + n * 1_234_567, HOT[n % 2]) for n in range(8)])
        self.reserve = Purse([coin(Outpoint(self.funding.tx.txid, 0), self.funding.tx.outputs[0][0], RESERVE)])
        self.opening = [*self.reserve.coins, *self.vault.coins, *self.stolen.coins, *self.hot.coins]
        self.events: list[Event] = []
        self._numbers = iter(range(1001, 2000))
        self._turns = iter(range(100))
        self._play()

    def _funded(self) -> Iterator[tuple[int, int]]:
        for vout, (value, script) in enumerate(self.funding.tx.outputs):
            if script == VAULT.key:
                yield vout, value

    def _play(self) -> None:
        plans = [*self._plan_day(0), *self._plan_day(1), *self._plan_day(2)]
        for at, act in sorted(plans, key=lambda plan: plan[0]):
            act(at)
        self.events.append(Event(THEFT_SEEN, self.theft, seen=True))
        self._spread()
        self.events.sort(key=lambda event: event.at)

    def _plan_day(self, day: int) -> list[tuple[datetime, Act]]:
        times = {
            self._settle: ("09:25", "11:00", "12:35", "14:15", "16:30", "18:05"),
            self._pay_customers: ("10:10", "15:20", "19:40"),
            self._receive: ("09:45", "13:30", "21:15"),
            self._top_up: ("17:10",),
            self._consolidate: ("03:30",),
        }
        first, last = (BEGIN, THEFT_SEEN - timedelta(hours=1))
        plans = []
        for act, clocks in times.items():
            for clock in clocks:
                hours, minutes = map(int, clock.split(":"))
                at = FIRST_DAY + timedelta(days=day, hours=hours, minutes=minutes, seconds=_draw(f"{day} {clock}", 50))
                if first < at < last and not (act == self._consolidate and day != 1):
                    plans.append((at, act))
        return plans

    # --- ordinary life ------------------------------------------------------------------------------------------------

    def _settle(self, at: datetime) -> None:
        """A settlement with a trading partner out of the vault: one payee, change back."""
        number = next(self._numbers)
        partner = PARTNERS[next(self._turns) % len(PARTNERS)]
        amount = 4 * BTC + _draw(f"settle {number}", 500) * BTC // 100
        payment = Payment(f"S-{number}", "btc-vault", partner, amount, f"settlement {at.astimezone(JST):%d %B}")
        self._pay(at, self.vault, [payment], VAULT)

    def _pay_customers(self, at: datetime) -> None:
        """Withdrawals of customers, several in one transaction, change back."""
        payments = []
        for _ in range(4 + _draw(f"batch {at}", 3)):
            number = next(self._numbers)
            kind = ("p2wpkh", "p2pkh", "p2wpkh", "p2tr")[_draw(f"kind {number}", 4)]
            amount = (2 + _draw(f"withdrawal {number}", 188)) * BTC // 100 + _draw(f"odd {number}", 10**6)
            customer = f"c-{_draw(f'customer {number}', 90_000) + 10_000}"
            destination = invent_address(f"customer {number}", kind)
            payments.append(Payment(f"W-{number}", "btc-hot", destination, amount, "withdrawal", customer))
        self._pay(at, self.hot, payments, HOT[1])

    def _receive(self, at: datetime) -> None:
        """A customer's deposit: a stranger's coin, most of it to us."""
        giver = invent_address(f"giver {at}")
        amount = (30 + _draw(f"deposit {at}", 220)) * BTC // 100
        given = coin(_invent_outpoint(f"giver {at}"), amount + BTC, giver)
        outputs = [(amount, HOT[0]), (BTC - 3_000, invent_address(f"giver's change {at}"))]
        self._send(at, [given], outputs, seen=False)

    def _top_up(self, at: datetime) -> None:
        """Vault to hot wallet: both are ours, nothing leaves."""
        coins = self.vault.take(21 * BTC)
        fee = 22 * 550
        self._send(at, coins, [(20 * BTC, HOT[0]), (sum(c.value for c in coins) - 20 * BTC - fee, VAULT)])

    def _consolidate(self, at: datetime) -> None:
        """At night, when fees are low, the hot wallet's coins become one."""
        coins = self.hot.take(60 * BTC)
        self._send(at, coins, [(sum(c.value for c in coins) - 9 * 600, HOT[0])])

    def _pay(self, at: datetime, purse: Purse, payments: list[Payment], change: Address) -> None:
        total = sum(p.amount for p in payments)
        coins = purse.take(total + BTC // 100)
        rate = 18 + _draw(f"rate {at}", 27)
        outputs = [(p.amount, p.destination) for p in payments]
        size = build_transaction(coins, [*outputs, (0, change)]).tx.vsize
        rest = sum(c.value for c in coins) - total - rate * size
        self._send(at, coins, [*outputs, (rest, change)], tuple(payments))

    def _send(
        self,
        at: datetime,
        coins: list[Coin],
        outputs: list[tuple[int, Address]],
        payments: tuple[Payment, ...] = (),
        *,
        seen: bool = True,
    ) -> None:
        paid = [(value, address) for value, address in outputs if value]
        spend = build_transaction(coins, paid, locktime=self.first_height + bisect_right(self.times, at) - 1)
        self.events.append(Event(at, spend, payments, seen))
        self._keep(spend)

    def _keep(self, spend: Spend) -> None:
        """Put what came back to us into our purses."""
        purses = {VAULT.key: self.vault, RESERVE.key: self.reserve} | {a.key: self.hot for a in HOT}
        for vout, (value, script) in enumerate(spend.tx.outputs):
            if script in purses:
                address = next(a for a in (VAULT, RESERVE, *HOT) if a.key == script)
                script_sig = self.theft.coins[0].script_sig if address == VAULT else None
                purses[script].coins.append(coin(Outpoint(spend.tx.txid, vout), value, address, script_sig))

    # --- after the theft ----------------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """Ten wallets in three transactions: 500 BTC each, what is left to the tenth; the rest goes back in between."""
        tx, vout, left = self.theft.tx.txid, 0, self.theft.tx.outputs[0][0]
        for minutes, wallets in ((14, STORAGE[:4]), (31, STORAGE[4:8]), (47, STORAGE[8:])):
            held = coin(Outpoint(tx, vout), left, THIEF)
            fee = 20_000
            last = wallets[-1] is STORAGE[-1]
            outputs = [(500 * BTC, wallet) for wallet in (wallets[:-1] if last else wallets)]
            left -= sum(value for value, _ in outputs) + fee
            outputs.append((left, wallets[-1] if last else THIEF))
            spend = build_transaction([held], outputs, version=1, sequence=0xFFFFFFFF)
            self.events.append(Event(THEFT_TIME + timedelta(minutes=minutes), spend))
            tx, vout = spend.tx.txid, len(outputs) - 1


def _draw(seed: str, below: int) -> int:
    """A number from 0 to `below`, always the same for the same seed."""
    return int.from_bytes(hashlib.sha256(f"walletwatch demo {seed}".encode()).digest()[:8], "big") % below


def _invent_outpoint(seed: str) -> Outpoint:
    return Outpoint(hashlib.sha256(f"walletwatch demo coin {seed}".encode()).digest(), 0)


def block_times() -> list[datetime]:
    """A time for each block, from the one before the first to judge to the last; one falls on the theft's."""
    times = [THEFT_TIME]
    while times[0] > BEGIN.astimezone(UTC):
        gap = 430 if len(times) == 1 else 120 + _draw(f"gap {len(times)}", 900)
        times.insert(0, times[0] - timedelta(seconds=gap))
    for n in range(BLOCKS_AFTER_THEFT):
        times.append(times[-1] + timedelta(seconds=240 + _draw(f"gap after {n}", 600)))
    return times
