"""From a block's bytes to facts: ours against python-bitcoinlib, getblock 3 with orjson, and the floor.

    python tests/benchmarks/bench_bitcoin_blocks.py [--blocks FOLDER] [--addresses 100000] [--matches 20] [--runs 7]

FOLDER holds blocks as `*.bin.gz`; without it the one in tests/data serves. Medians of one run, in milliseconds, and how
many times faster than python-bitcoinlib. `floor`: decode the answer and hash it once; `proved`: facts of the matches,
all txids and the merkle root; `unproved`: the same without, for history of one's own node; `library`:
CBlock.deserialize and txids; `getblock3`: orjson on such a body. Then the largest block with a thousand to a million
watched addresses, each by turns.
"""
# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import argparse
import gzip
import hashlib
import random
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
from bitcoin.core import CBlock

from chains.bitcoin.addresses import address_of
from chains.bitcoin.blocks import scan_block, wire_keys
from chains.bitcoin.decode import parse_transaction, transaction_facts
from chains.bitcoin.params import MAINNET
from chains.bitcoin.signing import signing_facts
from chains.model import Outpoint, TxOutput, UtxoTransaction
from chains.rpc.jsonrpc import loads_exact
from chains.source import WatchSet

WATCHED = (1_000, 100_000, 1_000_000)
DATA = Path(__file__).parent.parent / "data" / "bitcoin"


def median_ms(work: Callable[[], object], runs: int) -> float:
    """Median wall time of `runs` runs, in milliseconds."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def watch_for(block: CBlock, addresses: int, matches: int, rng: random.Random) -> WatchSet:
    """Strangers with a coin each, and payees of some transactions of the block, all whose inputs are known."""
    watch = WatchSet({rng.randbytes(25) for _ in range(addresses)}, complete=True)
    stranger = address_of(MAINNET, b"\x51")
    for n in range(addresses):
        watch.outpoints[Outpoint(rng.randbytes(32), n & 7)] = TxOutput(0, 1, stranger)
    payees = Counter(bytes(out.scriptPubKey) for tx in block.vtx for out in tx.vout)
    lonely = [tx for tx in block.vtx[1:] if payees[bytes(tx.vout[0].scriptPubKey)] == 1]
    chosen = rng.sample(lonely, min(matches, len(lonely)))
    for tx in chosen:
        watch.addresses.add(bytes(tx.vout[0].scriptPubKey))
        for vin in tx.vin:
            coin = TxOutput(vin.prevout.n, 21 * 10**14, stranger)
            watch.outpoints[Outpoint(vin.prevout.hash[::-1], vin.prevout.n)] = coin
    return watch


def facts_of(raw: bytes, watch: WatchSet, *, prove: bool) -> list[UtxoTransaction]:
    """What a source does with the bytes of a block."""
    scan = scan_block(raw, watch.addresses, wire_keys(watch.outpoints), prove=prove)
    facts = []
    for match in scan.matches:
        tx = parse_transaction(raw[match.start : match.end])
        prevouts = {i.outpoint: watch.outpoints[i.outpoint] for i in tx.inputs if i.outpoint in watch.outpoints}
        signing = signing_facts(tx, prevouts, watch.addresses)
        facts.append(transaction_facts(MAINNET, tx, match.index, prevouts, signing))
    return facts


def as_getblock_3(block: CBlock) -> bytes:
    """A body as large as bitcoind's answer to `getblock` 3, from the block's own transactions."""
    transactions = []
    for tx in block.vtx:
        vin = [
            {
                "txid": i.prevout.hash[::-1].hex(),
                "vout": i.prevout.n,
                "scriptSig": {"asm": bytes(i.scriptSig).hex(), "hex": bytes(i.scriptSig).hex()},
                "prevout": {"generated": False, "height": 1, "value": 0.1, "scriptPubKey": _script(b"\x00" * 25)},
                "sequence": i.nSequence,
            }
            for i in tx.vin
        ]
        vout = [
            {"value": o.nValue / 1e8, "n": n, "scriptPubKey": _script(bytes(o.scriptPubKey))}
            for n, o in enumerate(tx.vout)
        ]
        head = {"txid": tx.GetTxid()[::-1].hex(), "hash": tx.GetHash()[::-1].hex(), "hex": tx.serialize().hex()}
        transactions.append({**head, "vin": vin, "vout": vout})
    return orjson.dumps({"id": 1, "result": {"tx": transactions}})


def _script(script: bytes) -> dict[str, str]:
    text = "1" * 34
    return {"asm": script.hex(), "desc": f"addr({text})#12345678", "hex": script.hex(), "address": text, "type": "x"}


def by_library(raw: bytes) -> None:
    """What a reader with python-bitcoinlib does before it looks at anything."""
    for tx in CBlock.deserialize(raw).vtx:
        tx.GetTxid()


def measure(raw: bytes, addresses: int, matches: int, runs: int) -> dict[str, float]:
    """The rows of one block."""
    rng = random.Random(len(raw))  # noqa: S311 - the same watch set each time
    block = CBlock.deserialize(raw)
    watch = watch_for(block, addresses, matches, rng)
    body, detail = orjson.dumps({"id": 1, "result": raw.hex()}), as_getblock_3(block)
    found = len(facts_of(raw, watch, prove=True))
    return {
        "matches": found,
        "floor": median_ms(lambda: hashlib.sha256(bytes.fromhex(loads_exact(body)["result"])).digest(), runs),
        "proved": median_ms(lambda: facts_of(raw, watch, prove=True), runs),
        "unproved": median_ms(lambda: facts_of(raw, watch, prove=False), runs),
        "library": median_ms(lambda: by_library(raw), max(3, runs // 2)),
        "getblock3": median_ms(lambda: orjson.loads(detail), max(3, runs // 2)),
    }


def grow(raw: bytes, runs: int) -> None:
    """The time of one block against the number of watched addresses: in turns, so that a disturbance meets all alike,
    and with the processor's caches emptied before each, as ten minutes of other work do.
    """
    block = CBlock.deserialize(raw)
    before = _rss_mb()
    watches = {n: watch_for(block, n, 20, random.Random(1)) for n in WATCHED}  # noqa: S311 - the same each time
    held = _rss_mb() - before
    other_work = bytearray(96 << 20)
    for prove in (True, False):
        times: dict[int, list[float]] = {n: [] for n in WATCHED}
        for _ in range(3 * runs):
            for n, watch in watches.items():
                other_work[::64] = bytes(len(other_work) // 64)
                times[n].append(median_ms(lambda watch=watch: facts_of(raw, watch, prove=prove), 1))  # type: ignore[misc]  # noqa: B023 - called at once
        least = min(times[WATCHED[0]])
        for n, took in times.items():
            print(
                f"{n:>9} addresses, as many outpoints, {'proved' if prove else 'unproved':>8}: "
                f"{statistics.median(took):6.2f} ms, at least {min(took):.2f} ms, {min(took) / least:.2f} times"
            )
    print(f"memory of all these addresses and outpoints: {held:.0f} MB; of the whole process at its peak: ", end="")
    print(f"{_rss_mb():.0f} MB, of which other work {len(other_work) >> 20} MB")


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=Path, default=DATA)
    parser.add_argument("--addresses", type=int, default=100_000)
    parser.add_argument("--matches", type=int, default=20)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    blocks = {path.name.split(".")[0]: gzip.decompress(path.read_bytes()) for path in options.blocks.glob("*.bin.gz")}
    if not blocks:
        sys.exit(f"no *.bin.gz in {options.blocks}")
    rows = {
        name: measure(raw, options.addresses, options.matches, options.runs) for name, raw in sorted(blocks.items())
    }
    print(
        f"{'block':34}{'MB':>6}"
        + "".join(f"{column:>11}" for column in next(iter(rows.values())))
        + "   x proved  x not"
    )
    for name, row in rows.items():
        _print_row(name, len(blocks[name]) / 1e6, row)
    mean = {column: statistics.mean(row[column] for row in rows.values()) for column in next(iter(rows.values()))}
    _print_row("mean", statistics.mean(len(raw) for raw in blocks.values()) / 1e6, mean)
    grow(max(blocks.values(), key=len), options.runs)


def _print_row(name: str, megabytes: float, row: dict[str, float]) -> None:
    ratios = f"{row['library'] / row['proved']:10.1f}{row['library'] / row['unproved']:8.1f}"
    print(f"{name:34}{megabytes:6.2f}" + "".join(f"{value:11.2f}" for value in row.values()) + ratios)


if __name__ == "__main__":
    main()
