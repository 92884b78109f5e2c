"""The exchange of the plays: its wallets, how it builds transactions, and who asks for and approves withdrawals.

Everything here is invented. Transactions have the shape, fees and signing habits that the chain families report of real
ones; hashes are digests, signatures are not made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from chains.bitcoin.addresses import address_of
from chains.bitcoin.params import MAINNET
from chains.evm.fields import to_address
from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    ChainId,
    ChainTransaction,
    ControlChange,
    Outpoint,
    SigningFacts,
    Transfer,
    TransferKind,
    TxInput,
    TxOutput,
    UtxoTransaction,
)
from incidents.played_chains import digest

JST = timezone(timedelta(hours=9))
BITCOIN = MAINNET.chain
ETHEREUM = ChainId("eip155", "1")
BTC = AssetId(BITCOIN, "slip44", "0")
ETH = AssetId(ETHEREUM, "slip44", "60")
USDT = AssetId(ETHEREUM, "erc20", "0xdac17f958d2ee523a2206206994597c13d831ec7")
SATS, WEI, USDT_UNITS = 10**8, 10**18, 10**6
USD_OF = {BTC: (95_000, SATS), ETH: (3_500, WEI), USDT: (1, USDT_UNITS)}
"""(USD a whole unit, base units of one) as the plays' `[[price]]` tables say."""

_SCRIPTS = {
    "p2wpkh": lambda h: b"\x00\x14" + h[:20],
    "p2pkh": lambda h: b"\x76\xa9\x14" + h[:20] + b"\x88\xac",
    "p2sh": lambda h: b"\xa9\x14" + h[:20] + b"\x87",
    "p2tr": lambda h: b"\x51\x20" + h,
    "p2wsh": lambda h: b"\x00\x20" + h,
}


def btc_address(seed: str, kind: str = "p2wpkh") -> Address:
    """An address nobody holds a key of."""
    return address_of(MAINNET, _SCRIPTS[kind](digest("address", seed)))


def eth_address(seed: str) -> Address:
    """The same on Ethereum."""
    return to_address(digest("account", seed)[:20])


BTC_HOT = (btc_address("hot 1"), btc_address("hot 2"))
BTC_COLD = btc_address("cold", "p2wsh")
BTC_DEPOSITS = tuple(btc_address(f"deposit {n}") for n in range(60))
ETH_HOT = eth_address("hot")
ETH_COLD = eth_address("cold safe")
ETH_DEPOSITS = tuple(eth_address(f"deposit {n}") for n in range(40))
SAFE_OPERATOR = eth_address("operator who executes what the owners signed")
DISPERSER = eth_address("disperse contract")
WALLETS: dict[str, tuple[str, str, Sequence[Address]]] = {
    "btc-hot": ("hot", "bitcoin", BTC_HOT),
    "btc-cold": ("cold", "bitcoin", (BTC_COLD,)),
    "btc-deposit": ("deposit", "bitcoin", BTC_DEPOSITS),
    "eth-hot": ("hot", "ethereum", (ETH_HOT,)),
    "eth-cold": ("cold", "ethereum", (ETH_COLD,)),
    "eth-deposit": ("deposit", "ethereum", ETH_DEPOSITS),
}
"""Name: role, chain, addresses. `eth-cold` is a Safe."""


@dataclass(frozen=True)
class Withdrawal:
    """What somebody is to be paid: one request. `wallet` may be left open."""

    request_id: str
    asset: AssetId
    amount: int
    destination: Address
    customer: str = ""
    wallet: str = ""

    @property
    def usd(self) -> int:
        """Its value, rounded down."""
        price, one = USD_OF[self.asset]
        return self.amount * price // one


@dataclass(frozen=True)
class ActLine:
    """One line of the approval log, before it is signed. `at` is when the person acted."""

    act: str
    withdrawal: Withdrawal
    actor: str
    at: datetime
    txid: bytes = b""


@dataclass(frozen=True)
class Event:
    """Something happens at `at`: a transaction is relayed, a block is mined, lines reach the approval log, the node
    goes away or returns, or the people on duty silence what a maintenance will say, until `silence_until`.
    """

    at: datetime
    chain: ChainId = BITCOIN
    relayed: tuple[ChainTransaction, ...] = ()
    mined: tuple[ChainTransaction, ...] | None = None
    changes: tuple[ControlChange, ...] = ()
    acts: tuple[ActLine, ...] = ()
    node_away: bool | None = None
    silence_until: datetime | None = None


@dataclass
class Purse:
    """The coins of one Bitcoin wallet, oldest first."""

    coins: list[tuple[Outpoint, TxOutput]] = field(default_factory=list)

    @property
    def value(self) -> int:
        return sum(coin.value for _, coin in self.coins)

    def take(self, amount: int) -> list[tuple[Outpoint, TxOutput]]:
        """The oldest coins that make up `amount`."""
        taken: list[tuple[Outpoint, TxOutput]] = []
        total = 0
        while total < amount:
            taken.append(self.coins.pop(0))
            total += taken[-1][1].value
        return taken


def utxo_tx(
    name: str,
    coins: Sequence[tuple[Outpoint, TxOutput]],
    outputs: Sequence[tuple[int, Address]],
    *,
    height: int,
    own: Sequence[int] = (),
    signers: Sequence[str] = ("hot-key",),
    version: int = 2,
    locktime: int | None = None,
    sequence: int = 0xFFFFFFFD,
) -> UtxoTransaction:
    """A transaction that spends `coins`; what its outputs leave is the fee. `own`: which outputs pay us back."""
    inputs = tuple(TxInput(outpoint, coin.value, coin.address, sequence) for outpoint, coin in coins)
    outs = tuple(TxOutput(n, value, address) for n, (value, address) in enumerate(outputs))
    fee = sum(coin.value for _, coin in coins) - sum(value for value, _ in outputs)
    vsize = vsize_of(len(inputs), len(outs))
    lock = height if locktime is None else locktime
    features: dict[str, int | str] = {
        "feerate_milli": fee * 1000 // vsize,
        "input_types": ",".join(sorted({_kind(c.address) for _, c in coins})),
        "inputs": len(inputs),
        "inputs_sorted": int(len(inputs) == 1),
        "locktime": lock,
        "locktime_kind": "height" if lock else "none",
        "low_r": len(inputs),
        "output_types": ",".join(sorted({_kind(a) for _, a in outputs})),
        "outputs": len(outs),
        "outputs_sorted": int(list(outputs) == sorted(outputs, key=lambda o: (o[0], o[1].key))),
        "own_outputs": ",".join(map(str, own)),
        "rbf": int(sequence < 0xFFFFFFFE),
        "sequence": f"{sequence:08x}",
        "sighash": "all",
        "signatures": len(inputs) * len(signers),
        "version": version,
    }
    signing = SigningFacts(tuple(sorted(signers)), tuple(sorted(features.items())))
    txid = digest("tx", name, *(o.txid + bytes([o.vout]) for o, _ in coins), *((v, a.key) for v, a in outputs))
    return UtxoTransaction(txid, -1, inputs, outs, fee, vsize, version, lock, signing)


def vsize_of(inputs: int, outputs: int) -> int:
    """Virtual bytes of a transaction of witness inputs."""
    return 11 + 68 * inputs + 32 * outputs


def _kind(address: Address) -> str:
    return next(kind for kind, script in _SCRIPTS.items() if len(script(bytes(32))) == len(address.key))


def account_tx(
    name: str,
    sender: Address,
    nonce: int,
    transfers: Sequence[tuple[AssetId, Address, Address, int]],
    *,
    gwei: int,
    gas_limit: int,
    to: Address | None = None,
    selector: str = "",
    calldata_bytes: int = 0,
    tip_wei: int = 1_500_000_000,
    ok: bool = True,
    signers: Sequence[str] = (),
) -> AccountTransaction:
    """A transaction of an account; a transfer by somebody else than `sender` is an inner call."""
    moved = tuple(
        Transfer(asset, source, target, amount, _transfer_kind(asset, source, sender), n)
        for n, (asset, source, target, amount) in enumerate(transfers)
    )
    gas_used = gas_limit * 4 // 5 if selector else 21_000
    features: tuple[tuple[str, int | str], ...] = (
        ("type", 2),
        ("nonce", nonce),
        ("gas_limit", gas_limit),
        ("gas_used", gas_used),
        ("selector", selector),
        ("calldata_bytes", calldata_bytes),
        ("max_fee_wei", 2 * gwei * 10**9 + tip_wei),
        ("max_priority_fee_wei", tip_wei),
    )
    return AccountTransaction(
        txid=digest("account tx", name, nonce, sender.key),
        index=-1,
        sender=sender,
        receiver=to or (moved[0].receiver if moved else DISPERSER),
        nonce=nonce,
        ok=ok,
        fee=gas_used * gwei * 10**9,
        transfers=moved if ok else (),
        traced=True,
        signing=SigningFacts(tuple(signers) or (sender.text,), features),
    )


def _transfer_kind(asset: AssetId, source: Address, sender: Address) -> TransferKind:
    if asset != ETH:
        return TransferKind.TOKEN
    return TransferKind.NATIVE if source == sender else TransferKind.INTERNAL
