"""Catching up after an outage, and a million own addresses: through the configuration and the whole pipeline.

    python tests/benchmarks/bench_bitcoin_catchup.py [--blocks 1000] [--addresses 1000 1000000] [--late-blocks 200]

A regtest bitcoind holds the blocks, one in ten with a payment of ours that nobody approved. For each number of own
addresses (an `addresses_file`) a process of its own loads the configuration, asks the node for what they hold, and
reads the blocks in order into SQLite: proof, rules, alert, audit log. Printed: seconds to load, blocks a second by
`getblock` 3 (nothing known of the coins, as when past blocks are judged) and by bytes alone (their coins known, as
after an outage), peak resident memory. Each is done twice: one by one, each block asked for when its turn comes and
kept by a commit of its own; and in stretches, fetched ahead. The same again from a node whose answers come 50 ms late.
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
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from bitcoin_exchanges import CHAIN
from exchanges import Exchange
from late_proxies import late

from chains.bitcoin.addresses import address_of
from chains.bitcoin.params import REGTEST
from chains.bitcoin.source import BitcoinSource
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from walletwatch.service.application import Application
from walletwatch.service.deployment import check_rule
from walletwatch.settings import load
from walletwatch.watch import block_batches as catchups
from walletwatch.watch.worker import ChainWorker, Tick

EVERY = 10
LATE_MS = 50


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


def write_deployment(folder: Path, node: Bitcoind, own: str, count: int, start: str, url: str = "") -> Path:
    """The configuration, with `own` and so many strangers as the hot wallet."""
    folder.mkdir(parents=True)
    (folder / "hot.txt").write_text(f"{own}\n")
    exchange = Exchange(
        folder,
        f'[[chain]]\nname = "bitcoin"\nid = "{CHAIN}"\nconfirmations = 6\nstart = {start}\n'
        f'endpoints = [{{ url = "{url or node.url}", cookie = "{node.cookie}" }}]\n'
        '[[wallet]]\nname = "hot"\nrole = "hot"\nchain = "bitcoin"\naddresses_file = "hot.txt"\n',
    )
    with (folder / "hot.txt").open("a") as lines:
        lines.writelines(f"{text}\n" for text in strangers(count - 1))
    return exchange.config


def one_by_one(worker: ChainWorker) -> None:
    """Nothing fetched ahead, a look at the tip and a commit for every block."""
    assert isinstance(worker.source, BitcoinSource)
    worker.source._ahead.close()
    worker.reader.most = 1
    catchups.LOOK_AGAIN = timedelta(seconds=-1)  # type: ignore[misc]


def follow(config: Path, how: str) -> None:
    """In a process of its own: load, catch up, and print what it took."""
    began = time.perf_counter()
    settings = load(config, rule_check=check_rule)
    loaded = time.perf_counter() - began
    with Application.open(settings) as app:
        worker = app.worker(settings.chains[0])
        if how == "one by one":
            one_by_one(worker)
        count, secs = catch_up(worker)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = f"{count / secs:,.0f} blocks/s ({count} blocks)" if count else "stands at the tip"
    print(f"  {how}: loaded in {loaded:.1f} s; {rate}; peak {peak:,.0f} MB", flush=True)


def catch_up(worker: ChainWorker) -> tuple[int, float]:
    """Blocks ingested, and the seconds they took."""
    count, secs = 0, 0.0
    while not worker.synced:
        began, before = time.perf_counter(), place_of(worker)
        done = worker.tick()
        if done is Tick.FAILED:
            raise SystemExit(worker.last_error)
        if done is Tick.INGESTED:
            count, secs = count + place_of(worker) - before, secs + time.perf_counter() - began
    return count, secs


def place_of(worker: ChainWorker) -> int:
    """The height of the last block judged, as the store says it; 0 before the first contact."""
    with worker.store.reading() as unit:
        cursor = unit.chain_state.cursor(worker.watched.chain)
    return 0 if cursor is None else cursor.ref.height


def apart(config: Path, how: str) -> None:
    """Run `follow` where its memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=follow, args=(config, how))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def measure(place: Path, node: Bitcoind, own: str, options: argparse.Namespace) -> None:
    """Every case, both ways."""
    ways = ("one by one", "in stretches")
    live = [
        (count, how, write_deployment(place / f"live-{count}-{how[:3]}", node, own, count, '"tip"'))
        for count in options.addresses
        for how in ways
    ]
    for count, how, config in live:
        print(f"{count:,} addresses, first contact:")
        apart(config, how)
    first = node.tip()[0] + 1
    pay(node, node.wallet("hot"), own, options.blocks)
    for count, how, config in live:
        print(f"{count:,} addresses, after an outage of {options.blocks} blocks, coins known:")
        apart(config, how)
    cases = [(count, 0, options.blocks) for count in options.addresses]
    cases += [(options.addresses[0], LATE_MS, options.late_blocks)] if options.late_blocks else []
    for count, late_ms, blocks in cases:
        start = str(first + options.blocks - blocks)
        with late(node.url, late_ms) if late_ms else nullcontext(node.url) as url:
            for how in ways:
                print(f"{count:,} addresses, {blocks} past blocks, coins unknown, answers {late_ms} ms late:")
                folder = place / f"past-{count}-{late_ms}-{how[:3]}"
                apart(write_deployment(folder, node, own, count, start, url), how)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument("--late-blocks", type=int, default=200)
    parser.add_argument("--addresses", type=int, nargs="+", default=[1000, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="walletwatch-catchup-") as place:
        node = Bitcoind(Path(place) / "node")
        node.start()
        try:
            own = node.wallet("hot").address()
            node.mine(101, own)
            measure(Path(place), node, own, options)
        finally:
            node.stop()


if __name__ == "__main__":
    main()
