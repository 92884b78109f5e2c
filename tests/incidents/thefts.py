"""Four thefts, played to an exchange after its ordinary days. Each says what of it is real and what is reconstructed.

Chains, wallets, keys and the exchange around them are those of the play, in every case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chains.bitcoin.addresses import parse_address
from chains.evm.fields import parse_address as parse_account
from chains.model import ChainTransaction, ControlChange, ControlKind
from incidents.normal_months import Month
from incidents.played_exchanges import (
    BITCOIN,
    BTC,
    BTC_HOT,
    ETH,
    ETH_COLD,
    ETH_HOT,
    ETHEREUM,
    SAFE_OPERATOR,
    SATS,
    USDT,
    WEI,
    ActLine,
    Event,
    Withdrawal,
    account_tx,
    eth_address,
    utxo_tx,
    vsize_of,
)

DMM_PAYEE = parse_address(BITCOIN, "1B6rJ6ZKfZmkqMyBGe5KR27oWkEbQdNM7P")
DMM_THIEF = parse_address(BITCOIN, "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
BYBIT_OLD_SINGLETON = "0x34CfAC646f301356fAa8B21e94227e3583Fe3F5F"
BYBIT_NEW_SINGLETON = "0xbDd077f651EBe7f7b3cE16fe5F2b025BE2969516"
BYBIT_DELEGATE = "0x96221423681A6d52E184D440a8eFCEbB105C7242"
BYBIT_THIEF = parse_account(ETHEREUM, "0x47666Fab8bd0Ac7003bce3f5C3585383F09486E2")


@dataclass(frozen=True)
class Theft:
    """`first` is the transaction that has to be told of; `loss` the one that took (most of) the money, at `loss_at`.
    `before` are ordinary transactions of the play that belong to the story and must not be told of.
    """

    name: str
    real: str
    reconstructed: str
    events: tuple[Event, ...]
    first: bytes
    first_at: datetime
    loss: bytes
    loss_at: datetime
    before: tuple[bytes, ...] = ()


def play_dmm(month: Month, begin: datetime) -> Theft:
    """A settlement was asked for and approved; what went out went to a look-alike of the payee, and took everything."""
    at = begin + timedelta(hours=13, minutes=26)
    height = month.height(at)
    coins = month.purses["btc-cold"].coins
    total = sum(coin.value for _, coin in coins)
    settled, fee = total - vsize_of(len(coins), 1) * 7_704, vsize_of(len(coins), 1) * 7_704
    earlier = Withdrawal("S-1", BTC, 3 * SATS, DMM_PAYEE)
    hot = month.purses["btc-hot"].take(4 * SATS)
    rest = sum(coin.value for _, coin in hot) - 3 * SATS - 9 * vsize_of(len(hot), 2)
    paid_before = utxo_tx("settlement", hot, [(3 * SATS, DMM_PAYEE), (rest, BTC_HOT[1])], height=height - 20, own=(1,))
    month.keep(paid_before)
    meant = Withdrawal("S-2", BTC, settled, DMM_PAYEE, wallet="btc-cold")
    theft = utxo_tx(
        "dmm",
        coins,
        [(total - fee, DMM_THIEF)],
        height=height,
        signers=("cold-key-a", "cold-key-b"),
        version=1,
        locktime=0,
        sequence=0xFFFFFFFF,
    )
    early = at - timedelta(hours=3)
    acts = (*_asked(earlier, early - timedelta(minutes=40)), *_asked(meant, at - timedelta(minutes=44)))
    blocks = ((early, paid_before), (at, theft))
    events = [Event(line.at, acts=(line,)) for line in acts] + _through_mempool(blocks)
    return Theft(
        "DMM Bitcoin, 2024-05-31",
        "both addresses, one output and no change, version 1, sequence ffffffff, lock time 0, 7,704 sat/vB, 13:26",
        "the coins and the sum, the request and its approvals, an earlier payment to the real payee",
        tuple(events),
        theft.txid,
        at,
        theft.txid,
        at + timedelta(seconds=79),
        (paid_before.txid,),
    )


def play_coincheck(month: Month, begin: datetime) -> Theft:
    """A test payment at 00:02, six payments until 00:10, of all that the hot wallet had."""
    at = begin + timedelta(minutes=2)
    thief, purse = parse_address(BITCOIN, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"), month.purses["btc-hot"]
    holding = purse.take(purse.value)
    left = sum(coin.value for _, coin in holding)
    amounts = [10 * left // 520_000_010] + [left * share // 526 for share in (100, 100, 100, 100, 100, 20)]
    txs = []
    for n, (minute, amount) in enumerate(zip((0, 2, 4, 5, 6, 7, 8), amounts, strict=True)):
        fee = 12 * vsize_of(len(holding), 2)
        outputs = [(amount, thief), (sum(coin.value for _, coin in holding) - amount - fee, BTC_HOT[1])]
        tx = utxo_tx(f"coincheck {n}", holding, outputs, height=month.height(at), own=(1,))
        month.keep(tx)
        holding = purse.take(1)
        txs.append((at + timedelta(minutes=minute), tx))
    return Theft(
        "Coincheck, 2018-01-26",
        "10 of 520 million first, at 00:02; the rest in six transactions until 00:10; no request for any of it",
        "it was NEM, which is not watched: here it is Bitcoin, in the proportions of the real amounts; how the 520 "
        "million were spread over the six",
        tuple(_through_mempool(txs, mined_after=timedelta(minutes=20))),
        txs[0][1].txid,
        at,
        txs[1][1].txid,
        txs[1][0],
    )


def play_bitget(month: Month, begin: datetime) -> Theft:
    """0.84 ETH to a new address, and 28 minutes later everything."""
    at = begin + timedelta(hours=4, minutes=11)
    thief = eth_address("thief of the hot wallet")
    later = at + timedelta(minutes=28)

    def pay(name: str, gas_limit: int, asset: object, amount: int) -> ChainTransaction:
        token = {"selector": "0xa9059cbb", "calldata_bytes": 68} if asset == USDT else {}
        moved = [(USDT if asset == USDT else ETH, ETH_HOT, thief, amount)]
        return account_tx(name, ETH_HOT, month.nonce(ETH_HOT), moved, gwei=9, gas_limit=gas_limit, **token)  # type: ignore[arg-type]

    test = pay("bitget test", 100_000, ETH, 84 * WEI // 100)
    tokens = pay("bitget tokens", 200_000, USDT, month.balances[USDT, ETH_HOT.key])
    ether = pay("bitget ether", 100_000, ETH, month.balances[ETH, ETH_HOT.key] - 2 * WEI)
    return Theft(
        "Bitget, 2026-09-24",
        "a test payment of 0.84 ETH, 28 minutes, gas limits of 100,000 and 200,000",
        "the exchange's own gas limits (21,000 and about 63,200), two assets instead of many, the time of day",
        (Event(at, ETHEREUM, mined=(test,)), Event(later, ETHEREUM, mined=(tokens, ether))),
        test.txid,
        at,
        ether.txid,
        later,
    )


def play_bybit(month: Month, begin: datetime) -> Theft:
    """The Safe's program is exchanged by a delegated call; 13 blocks later an inner call takes the ether."""
    at = begin + timedelta(hours=23, minutes=13, seconds=35)
    later = at + timedelta(seconds=156)

    def execute(name: str, moved: Sequence[tuple[object, ...]]) -> ChainTransaction:
        nonce = month.nonce(SAFE_OPERATOR)
        more = {"to": ETH_COLD, "selector": "0x6a761202", "calldata_bytes": 484}
        return account_tx(name, SAFE_OPERATOR, nonce, moved, gwei=3, gas_limit=96_000, **more)  # type: ignore[arg-type]

    takeover = execute("bybit takeover", [])
    drain = execute("bybit drain", [(ETH, ETH_COLD, BYBIT_THIEF, month.balances[ETH, ETH_COLD.key])])
    singleton = ControlChange(takeover.txid, ETH_COLD, ControlKind.SINGLETON, BYBIT_OLD_SINGLETON, BYBIT_NEW_SINGLETON)
    detail = {"to": BYBIT_DELEGATE, "operation": 1}
    call = ControlChange(takeover.txid, ETH_COLD, ControlKind.DELEGATECALL, "", BYBIT_DELEGATE, detail)
    return Theft(
        "Bybit, 2025-02-21",
        "old and new program of the Safe, the delegated call's target, 156 seconds, the thief's address, an inner call",
        "the Safe and what it held; the real transaction itself is decoded and judged in test_evm_bybit.py",
        (
            Event(at, ETHEREUM, mined=(takeover,), changes=(singleton, call)),
            Event(later, ETHEREUM, mined=(drain,)),
        ),
        takeover.txid,
        at,
        drain.txid,
        later,
    )


def play_all(month: Month) -> dict[str, Theft]:
    """All four after the month, two days apart, so that none is told of because of another; Coincheck's empties the hot
    wallet out of which DMM's earlier settlement is paid.
    """
    dmm = play_dmm(month, month.end + timedelta(days=1))
    coincheck = play_coincheck(month, month.end + timedelta(days=3))
    bitget = play_bitget(month, month.end + timedelta(days=5))
    bybit = play_bybit(month, month.end + timedelta(days=7))
    return {"dmm": dmm, "coincheck": coincheck, "bitget": bitget, "bybit": bybit}


def _asked(withdrawal: Withdrawal, at: datetime) -> tuple[ActLine, ...]:
    """Asked for, and approved by two."""
    return (
        ActLine("request", withdrawal, "withdrawal-desk", at),
        ActLine("approve", withdrawal, "treasury-2", at + timedelta(minutes=9)),
        ActLine("approve", withdrawal, "compliance-1", at + timedelta(minutes=17)),
    )


def _through_mempool(
    txs: Sequence[tuple[datetime, ChainTransaction]], mined_after: timedelta = timedelta(seconds=79)
) -> list[Event]:
    relayed = [Event(at, BITCOIN, relayed=(tx,)) for at, tx in txs]
    return relayed + [Event(at + mined_after, BITCOIN, mined=(tx,)) for at, tx in txs]
