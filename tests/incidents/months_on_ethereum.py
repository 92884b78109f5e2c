"""The Ethereum side of an ordinary month: single payments, disperse batches, deposits, sweeps, a Safe's top-ups."""

from __future__ import annotations

from datetime import datetime, timedelta

from chains.model import AccountTransaction, Address, AssetId
from incidents.months_under_way import MonthUnderWay
from incidents.played_exchanges import (
    DISPERSER,
    ETH,
    ETH_COLD,
    ETH_DEPOSITS,
    ETH_HOT,
    ETHEREUM,
    SAFE_OPERATOR,
    USDT,
    USDT_UNITS,
    WEI,
    Event,
    account_tx,
    eth_address,
)

_OWNERS = ("owner-1", "owner-2", "owner-3")


class EthereumMonth(MonthUnderWay):
    """Each method is something that happens `at` a time."""

    def nonce(self, account: Address) -> int:
        nonce = self.nonces.get(account.key, 0)
        self.nonces[account.key] = nonce + 1
        return nonce

    def _mine_eth(self, at: datetime, *txs: AccountTransaction) -> None:
        for tx in txs:
            self._move(ETH, tx.sender, -tx.fee)
            for transfer in tx.transfers:
                self._move(transfer.asset, transfer.sender, -transfer.amount)
                self._move(transfer.asset, transfer.receiver, transfer.amount)
        self.events.append(Event(at, ETHEREUM, mined=txs))

    def _move(self, asset: AssetId, account: Address, change: int) -> None:
        key = (asset, account.key)
        self.balances[key] = self.balances.get(key, 0) + change

    def pay_single(self, at: datetime) -> None:
        asset = USDT if self.rng.random() < 0.5 else ETH
        w = self.draw_withdrawal(asset, "eth-hot" if self.rng.random() < 0.5 else "")
        self._ensure(at, asset, w.amount)
        gas = {} if asset == ETH else {"selector": "0xa9059cbb", "calldata_bytes": 68}
        tx = account_tx(
            f"single {at}",
            ETH_HOT,
            self.nonce(ETH_HOT),
            [(asset, ETH_HOT, w.destination, w.amount)],
            gwei=self.gwei(at),
            gas_limit=21_000 if asset == ETH else 63_197 + 12 * self.rng.randrange(3),
            to=w.destination,
            **gas,
        )
        self.approve([w], at, tx.txid, late=self.is_late())
        self._mine_eth(at, tx)

    def disperse(self, at: datetime) -> None:
        paid = [self.draw_withdrawal(ETH) for _ in range(18 + self.rng.randrange(31))]
        by_place = {w.destination.key: w for w in paid}
        paid = list(by_place.values())
        self._ensure(at, ETH, sum(w.amount for w in paid))
        transfers = [(ETH, ETH_HOT, DISPERSER, sum(w.amount for w in paid))]
        transfers += [(ETH, DISPERSER, w.destination, w.amount) for w in paid]
        tx = account_tx(
            f"disperse {at}",
            ETH_HOT,
            self.nonce(ETH_HOT),
            transfers,
            gwei=self.gwei(at),
            gas_limit=30_000 + 34_117 * len(paid),
            to=DISPERSER,
            selector="0xe63d38ed",
            calldata_bytes=68 + 64 * len(paid),
        )
        self.approve(paid, at, tx.txid, late=self.is_late())
        self._mine_eth(at, tx)

    def _ensure(self, at: datetime, asset: AssetId, amount: int) -> None:
        """The desk sees what is queued, and has the cold wallet top up before it pays."""
        if self.balances[asset, ETH_HOT.key] < 3 * amount:
            self._top_up_eth(at - timedelta(minutes=5), asset)

    def balance_eth(self, at: datetime) -> None:
        for asset, low in ((ETH, 700 * WEI), (USDT, 1_500_000 * USDT_UNITS)):
            if self.balances[asset, ETH_HOT.key] < low:
                self._top_up_eth(at, asset)

    def _top_up_eth(self, at: datetime, asset: AssetId) -> None:
        amount = 900 * WEI if asset == ETH else 2_500_000 * USDT_UNITS
        tx = account_tx(
            f"safe {asset} {at}",
            SAFE_OPERATOR,
            self.nonce(SAFE_OPERATOR),
            [(asset, ETH_COLD, ETH_HOT, amount)],
            gwei=self.gwei(at),
            gas_limit=96_000,
            to=ETH_COLD,
            selector="0x6a761202",
            calldata_bytes=484,
            signers=_OWNERS,
        )
        self.approve_move(asset, amount, ETH_HOT, "eth-cold", at, tx.txid)
        self._mine_eth(at, tx)

    def receive_eth(self, at: datetime) -> None:
        asset = ETH if self.rng.random() < 0.7 else USDT
        giver, target = eth_address(f"giver {at}"), self.rng.choice(ETH_DEPOSITS)
        amount = self.rng.randrange(1, 40) * WEI if asset == ETH else self.rng.randrange(100, 60_000) * USDT_UNITS
        tx = account_tx(
            f"deposit {at}", giver, 7, [(asset, giver, target, amount)], gwei=self.gwei(at), gas_limit=21_000
        )
        self._mine_eth(at, tx)

    def sweep_eth(self, at: datetime) -> None:
        """Deposits to the hot wallet; where tokens wait without ether, the hot wallet gives gas first."""
        gwei = self.gwei(at)
        txs: list[AccountTransaction] = []
        for place in ETH_DEPOSITS:
            tokens = self.balances.get((USDT, place.key), 0)
            if tokens:
                gas = (ETH, ETH_HOT, place, 100_000 * gwei * 10**9)
                name = f"gas {at} {place}"
                txs.append(account_tx(name, ETH_HOT, self.nonce(ETH_HOT), [gas], gwei=gwei, gas_limit=21_000))
                move = (USDT, place, ETH_HOT, tokens)
                more = {"selector": "0xa9059cbb", "calldata_bytes": 68}
                nonce = self.nonce(place)
                txs.append(account_tx(f"sweep {at}", place, nonce, [move], gwei=gwei, gas_limit=63_197, **more))
        for place in ETH_DEPOSITS:
            ether = self.balances.get((ETH, place.key), 0) - 21_000 * gwei * 10**9
            if ether > WEI // 10 and not any(tx.sender == place for tx in txs):
                move = (ETH, place, ETH_HOT, ether)
                nonce = self.nonce(place)
                txs.append(account_tx(f"sweep {at}", place, nonce, [move], gwei=gwei, gas_limit=21_000))
        if txs:
            self._mine_eth(at, *txs)

    def run_out_of_gas(self, at: datetime) -> None:
        """A token transfer that failed; it is paid again later as another request's payment would be."""
        self._mine_eth(
            at,
            account_tx(
                f"failed {at}",
                ETH_HOT,
                self.nonce(ETH_HOT),
                [(USDT, ETH_HOT, eth_address("contract that refuses"), USDT_UNITS)],
                gwei=self.gwei(at),
                gas_limit=63_197,
                selector="0xa9059cbb",
                calldata_bytes=68,
                ok=False,
            ),
        )
