"""Cases to trace: the DMM Bitcoin theft (the theft itself is real, what follows is told as such), and a winding one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chains.model import Address, AssetId, BlockRef, ChainId, Outpoint, TxInput, TxOutput, UtxoTransaction
from chains.registry import parse_address
from walletwatch.domain.cases import Case, CaseState, Seed, TraceOptions
from walletwatch.domain.labels import Label
from walletwatch.tracing.flows import LabelLookup
from walletwatch.tracing.tracer import Tracer

DATA = Path(__file__).parents[1] / "data" / "tracing"
BITCOIN = ChainId.parse("bip122:000000000019d6689c085ae165831e93")
BTC = AssetId(BITCOIN, "slip44", "0")
SYMBOLS = {BTC: ("BTC", 8)}
THEFT = datetime(2024, 5, 31, 4, 26, 14, tzinfo=UTC)
THIEF = "1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P"
TEN_WALLETS = (
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


def at(text: str) -> Address:
    return parse_address(BITCOIN, text)


def script(name: str) -> Address:
    """An address of nobody's: a witness program from a name."""
    return Address(b"\x00\x14" + hashlib.sha256(name.encode()).digest()[:20], f"bc1q{name}")


def block(height: int) -> BlockRef:
    return BlockRef(height, hashlib.sha256(str(height).encode()).digest())


def read_esplora(value: dict[str, Any], index: int = 1) -> UtxoTransaction:
    """A transaction as an Esplora server tells it."""

    def address_of(out: dict[str, Any]) -> Address:
        key = bytes.fromhex(out["scriptpubkey"])
        return Address(key, out.get("scriptpubkey_address") or f"script:{key.hex()}")

    inputs = tuple(
        TxInput(
            Outpoint(bytes.fromhex(i["txid"]), i["vout"]),
            i["prevout"]["value"],
            address_of(i["prevout"]),
            i["sequence"],
        )
        for i in value["vin"]
    )
    outputs = tuple(TxOutput(n, o["value"], address_of(o)) for n, o in enumerate(value["vout"]))
    vsize = -(-int(value.get("weight", 800)) // 4)
    return UtxoTransaction(bytes.fromhex(value["txid"]), index, inputs, outputs, value["fee"], vsize)


def load_esplora(name: str) -> UtxoTransaction:
    value = json.loads((DATA / name).read_bytes())
    return read_esplora(value)


def dmm_theft() -> UtxoTransaction:
    found: list[dict[str, Any]] = json.loads((DATA / "esplora_bitcoin_845752_dmm_theft.json").read_bytes())
    return next(read_esplora(tx) for tx in found if tx["txid"].startswith("975ec405"))


def pay(
    coins: Sequence[tuple[UtxoTransaction, int]],
    outputs: Iterable[tuple[Address, int]],
    index: int = 0,
    extra: Sequence[tuple[str, int]] = (),
) -> UtxoTransaction:
    """A transaction that spends outputs of others, and coins of strangers (name, value); the rest is the fee."""
    inputs = [TxInput(Outpoint(t.txid, v), t.outputs[v].value, t.outputs[v].address) for t, v in coins]
    for name, value in extra:
        inputs.append(TxInput(Outpoint(hashlib.sha256(name.encode()).digest(), 0), value, script(name)))
    made = tuple(TxOutput(n, value, address) for n, (address, value) in enumerate(outputs))
    fee = sum(i.value or 0 for i in inputs) - sum(o.value for o in made)
    assert fee >= 0
    txid = hashlib.sha256(repr((inputs, made, index)).encode()).digest()
    return UtxoTransaction(txid, index, tuple(inputs), made, fee, 200)


def case_of(*seeds: tuple[UtxoTransaction, int], height: int = 845752, name: str = "theft", **options: Any) -> Case:
    made = tuple(Seed(t.txid, v, t.outputs[v].address, BTC, t.outputs[v].value, height) for t, v in seeds)
    options.setdefault("max_hops", 20)
    return Case("case_1", name, BITCOIN, made, CaseState.OPEN, THEFT, "treasury-1", height, TraceOptions(**options))


def known(labels: dict[str, tuple[str, str]]) -> LabelLookup:
    """A lookup of {address text: (label, category)}."""

    def lookup(chain: ChainId, address: Address, _moment: datetime) -> tuple[Label, ...]:
        found = labels.get(address.text)
        return (Label(str(chain), address.text, found[0], found[1], "test", 900),) if found else ()

    return lookup


def trace(case: Case, labels: dict[str, tuple[str, str]], *blocks: Sequence[UtxoTransaction]) -> Tracer:
    """Fold blocks, ten minutes apart, from the case's start."""
    tracer = Tracer(case, known(labels), BTC)
    for n, txs in enumerate(blocks):
        tracer.step(block(case.start_height + n), THEFT + timedelta(minutes=10 * n), txs)
    return tracer


def dmm_tracer() -> Tracer:
    """The theft, and the spread to ten wallets (amounts of the spread are made up, the addresses are not)."""
    theft = dmm_theft()
    share = 45_028_990_000
    spread = [
        pay(
            [(theft, 0)],
            [*((at(a), share) for a in TEN_WALLETS[:5]), (at(THIEF), 450_290_000_000 - 5 * share - 10_000)],
        )
    ]
    spread.append(pay([(spread[0], 5)], [*((at(a), share) for a in TEN_WALLETS[5:])], index=1))
    labels = {"3P8MfdM4pULv7ozdQvfwAqNF29zAjmnUYD": ("DMM Bitcoin", "exchange")}
    return trace(case_of((theft, 0), name="DMM Bitcoin, 31 May 2024"), labels, [theft], spread)


def winding_tracer(**options: Any) -> Tracer:
    """A theft that peels, meets strangers' money, an exchange, a mixer, a sanctioned address and a bridge."""
    theft = pay(
        [], [(script("thief"), 120_000_000), (script("thief2"), 30_000_000)], extra=[("hot wallet", 150_010_000)]
    )
    peel = pay([(theft, 0)], [(script("deposit"), 20_000_000), (script("peel1"), 99_990_000)])
    peel2 = pay([(peel, 1)], [(script("deposit"), 15_000_000), (script("peel2"), 84_980_000)])
    mix = pay([(theft, 1)], [(script("tumbler"), 29_000_000), (script("thief2"), 990_000)], index=1)
    memo = b"=:ETH.ETH:0x1Db92e2EeBC8E0c075a02BeA49a2935BcD2dFCF4:0/1/0"
    op_return = Address(b"\x6a" + bytes([len(memo)]) + memo, "script:6a")
    bridge = pay([(peel2, 1)], [(script("vault"), 60_000_000), (op_return, 0), (script("peel2"), 24_970_000)])
    joint = pay([(bridge, 2)], [(script("ofac"), 15_000_000), (script("rest"), 29_960_000)], extra=[("s", 20_000_000)])
    labels = {
        script("deposit").text: ("Kraken deposit", "exchange"),
        script("tumbler").text: ("Blender.io", "mixer"),
        script("ofac").text: ("OFAC SDN", "sanctioned"),
        script("hot wallet").text: ("Our hot wallet", "exchange"),
    }
    case = case_of((theft, 0), (theft, 1), name="Hot wallet theft", **options)
    return trace(case, labels, [theft], [peel, mix], [peel2], [bridge], [joint])
