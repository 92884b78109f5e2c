"""Catching up after an outage, and a million own addresses: through the configuration and the whole pipeline.

    python tests/benchmarks/bench_bitcoin_catchup.py [--blocks 1000] [--addresses 1000 1000000]

A regtest bitcoind holds the blocks, one in ten with a payment of ours that nobody approved. For each number of own
addresses (an `addresses_file`) a process of its own loads the configuration, asks the node for what they hold, and
reads the blocks in order into SQLite: proof, rules, alert, audit log, one durable commit a block. Printed: seconds to
load, blocks a second by `getblock` 3 (nothing known of the coins, as when past blocks are judged) and by bytes alone
(their coins known, as after an outage), peak resident memory.
"""
# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from bitcoin_exchanges import CHAIN
from exchanges import Exchange

from chains.bitcoin.addresses import address_of
from chains.bitcoin.params import REGTEST
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from walletwatch.pipeline.workers import ChainWorker, Tick
from walletwatch.service.applications import Application
from walletwatch.service.deploying import check_rule
from walletwatch.settings import load

EVERY = 10


def strangers(count: int) -> Iterator[str]:
    """Addresses of four kinds that nobody pays."""
    for n in range(count):
        digest = hashlib.sha256(n.to_bytes(4, "big")).digest()
        scripts = (
            b"\x00\x14" + digest[:20],
            b"\x76\xa9\x14" + digest[:20] + b"\x88\xac",
            b"\xa9\x14" + digest[:20] + b"\x87",
            b"\x51\x20" + digest,
        )
        yield address_of(REGTEST, scripts[n % 4]).text


def pay(node: Bitcoind, hot: BitcoinWallet, own: str, blocks: int) -> None:
    """Mine so many, a payment in each tenth, its change to our one address."""
    to = node.wallet("miner").address()
    for n in range(blocks // EVERY):
        hot.cli("send", {to: f"0.0{n + 1:04d}"}, None, "unset", 5, {"change_address": own})
        node.mine(EVERY, to)


def write_deployment(folder: Path, node: Bitcoind, own: str, count: int, start: str) -> Path:
    """The configuration, with `own` and so many strangers as the hot wallet."""
    folder.mkdir(parents=True)
    (folder / "hot.txt").write_text(f"{own}\n")
    exchange = Exchange(
        folder,
        f'[[chain]]\nname = "bitcoin"\nid = "{CHAIN}"\nconfirmations = 6\nstart = {start}\n'
        f'endpoints = [{{ url = "{node.url}", cookie = "{node.cookie}" }}]\n'
        '[[wallet]]\nname = "hot"\nrole = "hot"\nchain = "bitcoin"\naddresses_file = "hot.txt"\n',
    )
    with (folder / "hot.txt").open("a") as lines:
        lines.writelines(f"{text}\n" for text in strangers(count - 1))
    return exchange.config


def follow(config: Path) -> None:
    """In a process of its own: load, catch up, and print what it took."""
    began = time.perf_counter()
    settings = load(config, rule_check=check_rule)
    loaded = time.perf_counter() - began
    with Application.open(settings) as app:
        worker = app.worker(settings.chains[0])
        count, secs = catch_up(worker)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = f"{count / secs:,.0f} blocks/s ({count} blocks)" if count else "stands at the tip"
    print(f"  loaded in {loaded:.1f} s; {rate}; peak {peak:,.0f} MB", flush=True)


def catch_up(worker: ChainWorker) -> tuple[int, float]:
    """Blocks ingested, and the seconds they took."""
    count, secs = 0, 0.0
    while not worker.synced:
        began = time.perf_counter()
        done = worker.tick()
        if done is Tick.FAILED:
            raise SystemExit(worker.last_error)
        if done is Tick.INGESTED:
            count, secs = count + 1, secs + time.perf_counter() - began
    return count, secs


def apart(config: Path) -> None:
    """Run `follow` where its memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=follow, args=(config,))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument("--addresses", type=int, nargs="+", default=[1000, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="walletwatch-catchup-") as place:
        node = Bitcoind(Path(place) / "node")
        node.start()
        try:
            hot = node.wallet("hot")
            own = hot.address()
            node.mine(101, own)
            live = {
                count: write_deployment(Path(place) / f"live-{count}", node, own, count, '"tip"')
                for count in options.addresses
            }
            for count, config in live.items():
                print(f"{count:,} addresses, first contact:")
                apart(config)
            first = node.tip()[0] + 1
            pay(node, hot, own, options.blocks)
            for count, config in live.items():
                print(f"{count:,} addresses, after an outage of {options.blocks} blocks, coins known:")
                apart(config)
                print(f"{count:,} addresses, {options.blocks} past blocks, coins unknown:")
                apart(write_deployment(Path(place) / f"past-{count}", node, own, count, str(first)))
        finally:
            node.stop()


if __name__ == "__main__":
    main()
