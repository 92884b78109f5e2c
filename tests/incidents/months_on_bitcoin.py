"""The Bitcoin side of an ordinary month: batches, replacements, deposits, sweeps, top-ups, consolidations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from chains.model import Address, Outpoint, TxOutput, UtxoTransaction
from incidents.months_under_way import MonthUnderWay
from incidents.played_chains import digest
from incidents.played_exchanges import (
    BITCOIN,
    BTC,
    BTC_COLD,
    BTC_DEPOSITS,
    BTC_HOT,
    SATS,
    Event,
    Withdrawal,
    btc_address,
    utxo_tx,
    vsize_of,
)

_COLD_KEYS = ("cold-key-a", "cold-key-b", "cold-key-c")


class BitcoinMonth(MonthUnderWay):
    """Each method is something that happens `at` a time."""

    def height(self, at: datetime) -> int:
        return 912_000 + bisect_right(self.block_times, at.astimezone(UTC))

    def _next_block(self, at: datetime) -> datetime:
        place = bisect_right(self.block_times, at.astimezone(UTC) + timedelta(seconds=30))
        later = 0 if self.rng.random() < 0.85 else 1
        return self.block_times[place + later]

    def _send(self, at: datetime, tx: UtxoTransaction, *, relayed: bool = True, own: str = "") -> None:
        """Relay and mine `tx`; what it pays back is ours from now on."""
        if relayed:
            self.events.append(Event(at, BITCOIN, relayed=(tx,)))
        self.waiting.setdefault(self._next_block(at), []).append(tx)
        self.keep(tx)

    def keep(self, tx: UtxoTransaction) -> None:
        homes = {BTC_HOT[0].key: "btc-hot", BTC_HOT[1].key: "btc-hot", BTC_COLD.key: "btc-cold"}
        homes |= {address.key: "btc-deposit" for address in BTC_DEPOSITS}
        for output in tx.outputs:
            if output.address.key in homes:
                coin = (Outpoint(tx.txid, output.vout), output)
                self.purses[homes[output.address.key]].coins.append(coin)

    def pay_batch(self, at: datetime) -> None:
        paid = [self.draw_withdrawal(BTC) for _ in range(6 + self.rng.randrange(21))]
        if self.purses["btc-hot"].value < 60 * SATS:
            self._top_up_btc(at - timedelta(minutes=5), 100 * SATS)
        coins = self.purses["btc-hot"].take(sum(w.amount for w in paid) + SATS // 50)
        place = self.rng.randrange(len(paid) + 1)
        rate = self.fee_rate(at)
        replaced = self.rng.random() < 0.02
        tx = self._batch(f"batch {at}", paid, coins, place, max(1, rate // 2) if replaced else rate, at)
        if replaced:
            self.events.append(Event(at, BITCOIN, relayed=(tx,)))
            first, at = tx, self._next_block(at) + timedelta(minutes=1)
            tx = self._batch(f"batch {at}", paid, coins, place, 2 * rate, at)
            self.approve(paid, at - timedelta(minutes=30), first.txid)
        else:
            self.approve(paid, at, tx.txid, late=self.is_late())
        self._send(at, tx)

    def _batch(
        self,
        name: str,
        paid: Sequence[Withdrawal],
        coins: Sequence[tuple[Outpoint, TxOutput]],
        place: int,
        rate: int,
        at: datetime,
    ) -> UtxoTransaction:
        outputs = [(w.amount, w.destination) for w in paid]
        fee = rate * vsize_of(len(coins), len(outputs) + 1)
        change = sum(coin.value for _, coin in coins) - sum(w.amount for w in paid) - fee
        outputs.insert(place, (change, BTC_HOT[1]))
        return utxo_tx(name, coins, outputs, height=self.height(at), own=(place,))

    def receive_btc(self, at: datetime) -> None:
        amount = int(self.rng.lognormvariate(14.0, 1.0)) * 130
        target = self.rng.choice(BTC_DEPOSITS)
        giver = btc_address(f"giver {at}")
        coin = (Outpoint(digest("given", at), 0), TxOutput(0, amount + 60_000, giver))
        tx = utxo_tx(f"deposit {at}", [coin], [(amount, target), (50_000, giver)], height=self.height(at))
        self._send(at, tx, relayed=False)

    def _move_btc(self, at: datetime, source: str, amount: int, target: Address, change: Address) -> UtxoTransaction:
        purse = self.purses[source]
        coins = purse.take(amount + SATS // 100)
        fee = self.fee_rate(at) * vsize_of(len(coins), 2)
        rest = sum(coin.value for _, coin in coins) - amount - fee
        signers = _COLD_KEYS[:2] if source == "btc-cold" else ("hot-key",)
        outputs, name = [(amount, target), (rest, change)], f"move {source} {at}"
        return utxo_tx(name, coins, outputs, height=self.height(at), own=(0, 1), signers=signers)

    def sweep_btc(self, at: datetime) -> None:
        """Every deposit to the hot wallet, in one transaction."""
        coins, self.purses["btc-deposit"].coins = self.purses["btc-deposit"].coins, []
        if not coins:
            return
        fee = self.fee_rate(at) * vsize_of(len(coins), 1)
        total = sum(coin.value for _, coin in coins) - fee
        self._send(at, utxo_tx(f"sweep {at}", coins, [(total, BTC_HOT[0])], height=self.height(at), own=(0,)))

    def consolidate(self, at: datetime) -> None:
        coins = self.purses["btc-hot"].take(self.purses["btc-hot"].value // 3)
        fee = self.fee_rate(at) * vsize_of(len(coins), 1)
        total = sum(coin.value for _, coin in coins) - fee
        self._send(at, utxo_tx(f"consolidation {at}", coins, [(total, BTC_HOT[0])], height=self.height(at), own=(0,)))

    def balance_btc(self, at: datetime) -> None:
        """Keep the hot wallet between 220 and 260 BTC: from cold storage with approval, back without."""
        held = self.purses["btc-hot"].value
        if held < 220 * SATS:
            self._top_up_btc(at, 250 * SATS - held)
        elif held > 260 * SATS:
            self._send(at, self._move_btc(at, "btc-hot", held - 230 * SATS, BTC_COLD, BTC_HOT[1]))

    def _top_up_btc(self, at: datetime, amount: int) -> None:
        tx = self._move_btc(at, "btc-cold", amount, BTC_HOT[0], BTC_COLD)
        self.approve_move(BTC, amount, BTC_HOT[0], "btc-cold", at, tx.txid)
        self._send(at, tx)

    def mine_btc(self) -> Iterator[Event]:
        """The blocks with something of ours, and so many of the others that the chain never seems to stand still."""
        last = self.block_times[0]
        for time in self.block_times:
            if time in self.waiting or time - last > timedelta(minutes=40):
                last = time
                yield Event(time, BITCOIN, mined=tuple(self.waiting.get(time, ())))
