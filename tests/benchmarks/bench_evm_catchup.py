"""Catching up after an outage: blocks a second through the whole pipeline on a real node, and whether memory stays.

Usage: python tests/benchmarks/bench_evm_catchup.py [BLOCKS]

An anvil holds 10,000 blocks (one in 25 with transactions, a payment of ours or a token pulled among them); the worker
reads them in order into SQLite: questions, proofs, rules, audit log, one durable commit a block. Resident memory is
read at each tenth of the way: the second half may not take more than 10 % above what the first took.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from evm_pipelines import Deployed, OwnWallet, Watch, watch

from nodes.anvils import Anvil
from nodes.contracts import deploy_erc20
from walletwatch.pipeline.workers import Tick

EVERY = 25
MAX_GROWTH = 1.10


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


def catch_up(desk: Watch, blocks: int) -> tuple[float, list[float]]:
    """Seconds to the tip, and the resident memory after each tenth."""
    memory, done, started = [], 0, time.perf_counter()
    while not desk.worker.synced:
        tick = desk.worker.tick()
        if tick is Tick.FAILED:
            raise SystemExit(desk.worker.last_error)
        if tick is Tick.INGESTED:
            done += 1
            if done % max(1, blocks // 10) == 0:
                memory.append(resident_mb())
    return time.perf_counter() - started, memory


def main(blocks: int) -> int:
    """Print the figures; 1 if memory grew."""
    with tempfile.TemporaryDirectory(prefix="walletwatch-catchup-") as folder:
        node = Anvil(Path(folder) / "node")
        node.start()
        try:
            token = fill(node, blocks)
            deployed = Deployed(
                Path(folder) / "exchange",
                [node.url],
                [OwnWallet("eth-hot", [node.accounts[0]])],
                tokens=[("TKN", token)],
                more="finality = 1\nstart = 3",
            )
            with watch(deployed) as desk:
                secs, memory = catch_up(desk, blocks)
                left, unexplained = len(desk.outflows()), desk.findings("unexplained_balance")
        finally:
            node.stop()
    half = len(memory) // 2
    growth = max(memory[half:]) / max(memory[:half])
    shown = ", ".join(f"{mb:.0f}" for mb in memory)
    sys.stdout.write(
        f"{blocks} blocks in {secs:.1f} s: {blocks / secs:.0f} blocks/s, {1000 * secs / blocks:.2f} ms a block\n"
        f"  {left} outflows, {len(unexplained)} unexplained balances\n"
        f"  resident memory at each tenth, MB: {shown}; second half / first {growth:.3f} (at most {MAX_GROWTH})\n"
    )
    return int(growth > MAX_GROWTH or bool(unexplained) or left != 2 * (blocks // EVERY))


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
