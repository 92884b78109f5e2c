"""Catching up after an outage: blocks a second through the whole pipeline on a real node, and whether memory stays.

Usage: python tests/benchmarks/bench_evm_catchup.py [BLOCKS [LATE_BLOCKS]]

An anvil holds 10,000 blocks (one in 25 with transactions, a payment of ours and a token pulled); the worker reads them
in order into SQLite: questions, proofs, rules, audit log. First one by one: each block asked for when its turn comes
and kept by a commit of its own. Then in stretches, fetched ahead. The last 200 once more both ways from a node whose
answers come 50 ms late. Resident memory is read at each tenth of the way: the second half may not take more than 10 %
above what the first took. Each way must end with the same outflows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from evm_watches import Deployed, OwnWallet, Watch, watch
from late_proxies import late

from nodes.anvils import Anvil
from nodes.contracts import deploy_erc20
from walletwatch.watch import block_batches as catchups
from walletwatch.watch.worker import Tick

EVERY = 25
MAX_GROWTH = 1.10
LATE_MS = 50
WAYS = ("one by one", "in stretches")
FRESH = catchups.LOOK_AGAIN


def fill(node: Anvil, blocks: int) -> str:
    """Mine; the token's address."""
    hot, stranger, payee = node.accounts[0], node.accounts[5], "0x" + "7e" * 20
    token = deploy_erc20(node, "TKN", 10**24, hot)
    token.send(hot, "approve", stranger, 10**23)
    node.automine(on=False)
    for n in range(blocks // EVERY):
        node.send(hot, payee, value=n + 1)
        token.send(stranger, "transferFrom", hot, payee, n + 1)
        node.mine(EVERY)
    return token.address


def resident_mb() -> float:
    """This process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def pace(desk: Watch, way: str) -> None:
    """One by one: nothing fetched ahead, a look at the tip and a commit for every block."""
    catchups.LOOK_AGAIN = FRESH if way == WAYS[1] else timedelta(seconds=-1)  # type: ignore[misc]
    if way == WAYS[0]:
        desk.source._ahead.close()
        desk.worker.reader.most = 1


def catch_up(desk: Watch, blocks: int) -> tuple[float, list[float]]:
    """Seconds to the tip, and the resident memory after each tenth."""
    memory, due, started = [], 0, time.perf_counter()
    while not desk.worker.synced:
        tick = desk.worker.tick()
        if tick is Tick.FAILED:
            raise SystemExit(desk.worker.last_error)
        place = desk.worker.position
        if tick is Tick.INGESTED and place is not None and place.height >= due:
            due = place.height + max(1, blocks // 10)
            memory.append(resident_mb())
    return time.perf_counter() - started, memory


def measure(folder: Path, node: Anvil, token: str, blocks: int, way: str, late_ms: int) -> tuple[bool, set[str]]:
    """Print one way's figures. Whether memory stayed and the balances add up; and the ids of the outflows."""
    tip = int(node.rpc("eth_blockNumber"), 16)
    start = 3 if not late_ms else tip - blocks + 1
    with late(node.url, late_ms) if late_ms else nullcontext(node.url) as url:
        deployed = Deployed(
            folder / f"{way[:3]}-{late_ms}",
            [url],
            [OwnWallet("eth-hot", [node.accounts[0]])],
            tokens=[("TKN", token)],
            more=f"finality = 1\nstart = {start}",
        )
        with watch(deployed) as desk:
            pace(desk, way)
            secs, memory = catch_up(desk, blocks)
            outflows, unexplained = desk.outflows(), desk.findings("unexplained_balance")
    half = len(memory) // 2
    growth = max(memory[half:]) / max(memory[:half])
    shown = ", ".join(f"{mb:.0f}" for mb in memory)
    sys.stdout.write(
        f"{blocks} blocks {way}, answers {late_ms} ms late, in {secs:.1f} s: "
        f"{blocks / secs:.0f} blocks/s, {1000 * secs / blocks:.2f} ms a block\n"
        f"  {len(outflows)} outflows, {len(unexplained)} unexplained balances\n"
        f"  resident memory at each tenth, MB: {shown}; second half / first {growth:.3f} (at most {MAX_GROWTH})\n"
    )
    sys.stdout.flush()
    return growth <= MAX_GROWTH and not unexplained, {o.id for o in outflows}


def main(blocks: int, late_blocks: int) -> int:
    """Print the figures; 1 if memory grew, or if the ways do not agree."""
    fine = True
    with tempfile.TemporaryDirectory(prefix="walletwatch-catchup-") as folder:
        node = Anvil(Path(folder) / "node")
        node.start()
        try:
            token = fill(node, blocks)
            for count, late_ms in ((blocks, 0), (late_blocks, LATE_MS)):
                ends = [measure(Path(folder), node, token, count, way, late_ms) for way in WAYS]
                fine = fine and all(well for well, _ in ends) and ends[0][1] == ends[1][1]
                fine = fine and len(ends[0][1]) == 2 * (count // EVERY)
        finally:
            node.stop()
    return int(not fine)


if __name__ == "__main__":
    raise SystemExit(main(*(int(n) for n in (sys.argv[1:] + ["10000", "200"][len(sys.argv) - 1 :]))))
