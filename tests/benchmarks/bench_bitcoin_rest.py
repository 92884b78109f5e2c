"""A block from a real bitcoind beside us to its facts: by REST as bytes, and by RPC as hexadecimal.

    python tests/benchmarks/bench_bitcoin_rest.py [--outputs 30000] [--runs 15]

A regtest node mines a block of payouts with so many outputs (30,000 make 1 MB). Each run reads it by both ways in turn;
printed are medians and minima in milliseconds, of the question alone and of all until the facts are proved.
"""
# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chains.bitcoin.addresses import address_of
from chains.bitcoin.client import Client, RestTransport
from chains.bitcoin.params import REGTEST
from chains.bitcoin.readers import read_block
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import loads_exact
from chains.source import Endpoint, WatchSet
from nodes.bitcoinds import Bitcoind

PAYEES = 2_500
"""Outputs of one transaction: a standard one has at most 100,000 virtual bytes."""


def fill_block(node: Bitcoind, outputs: int) -> tuple[int, int]:
    """Mine a block of payouts. Its height and size."""
    wallet = node.wallet("payer")
    node.mine(101 + outputs // PAYEES, wallet.address())
    payees = {address_of(REGTEST, b"\x00\x14" + n.to_bytes(20, "big")).text: "0.0001" for n in range(PAYEES)}
    for _ in range(outputs // PAYEES):
        wallet.cli("send", payees, None, "unset", 5)
    node.mine()
    height, block_hash = node.tip()
    return height, node.cli("getblock", block_hash)["size"]


def took_ms(work: Callable[[], object]) -> float:
    """Wall time of one run, in milliseconds."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def measure(node: Bitcoind, height: int, runs: int) -> dict[str, list[float]]:
    """Milliseconds of every run, the ways by turns."""
    by_rpc = HttpTransport(Endpoint("node", node.url, node.cookie), loads=loads_exact)
    by_rest = RestTransport(by_rpc)
    block_hash = Client(by_rpc).block_hash(height)
    ways = {"RPC, hexadecimal": by_rpc, "REST, bytes": by_rest}
    times: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, transport in ways.items():
            client, watch = Client(transport), WatchSet({b"\x51"}, complete=True)
            asked = took_ms(lambda client=client: client.raw_block(block_hash))  # type: ignore[misc]
            read = took_ms(lambda client=client, watch=watch: read_block(REGTEST, client, height, watch))  # type: ignore[misc]
            times.setdefault(f"{name}, the bytes", []).append(asked)
            times.setdefault(f"{name}, to facts", []).append(read)
    by_rest.close()
    return times


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=int, default=30_000)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="walletwatch-rest-") as place:
        node = Bitcoind(Path(place) / "node")
        node.start()
        try:
            height, size = fill_block(node, options.outputs)
            print(f"a block of {size / 1e6:.2f} MB and {options.outputs} outputs")
            for name, took in sorted(measure(node, height, options.runs).items()):
                print(f"{name:32} {statistics.median(took):7.2f} ms, at least {min(took):.2f}")
        finally:
            node.stop()


if __name__ == "__main__":
    main()
