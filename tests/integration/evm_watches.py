"""The real pipeline on an anvil: configuration, store, rules and one chain's worker, ticked by the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak
from exchanges import ANVIL, ETH, Exchange

from chains.evm.source import EvmSource, open_source
from chains.rpc.endpoints import QUARANTINE_SECS
from nodes.anvils import Anvil
from nodes.contracts import Compiled, Contract, deploy
from walletwatch.domain.alerts import Alert
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter
from walletwatch.watch.worker import ChainWorker, Tick

DATA = Path(__file__).parents[1] / "data" / "ethereum"
ETHER = 10**18


@dataclass(frozen=True)
class OwnWallet:
    """`[[wallet]]`."""

    name: str
    addresses: Sequence[str]
    role: str = "hot"
    kind: str = ""

    def as_toml(self) -> str:
        listed = ", ".join(f'"{a}"' for a in self.addresses)
        kind = f'kind = "{self.kind}"\n' if self.kind else ""
        return (
            f'[[wallet]]\nname = "{self.name}"\nrole = "{self.role}"\nchain = "anvil"\naddresses = [{listed}]\n{kind}'
        )


@dataclass
class Deployed:
    """What to watch and by which rules. `urls` are the endpoints; `more` is TOML for the `[[chain]]` table."""

    folder: Path
    urls: Sequence[str]
    wallets: Sequence[OwnWallet]
    tokens: Sequence[tuple[str, str]] = ()
    """(symbol, address), 18 decimals."""
    rules: Sequence[str] = ("unexplained_balance",)
    more: str = 'finality = 1\ncheck_balances = "1ms"'
    timeout_secs: float = 20.0

    def exchange(self) -> Exchange:
        """Write it down; over an earlier one in the same folder, whose database goes on."""
        (self.folder / "audit.key").unlink(missing_ok=True)
        endpoints = ", ".join(f'"{url}"' for url in self.urls)
        chain = f'[[chain]]\nname = "anvil"\nid = "{ANVIL}"\nendpoints = [{endpoints}]\n{self.more}\n'
        assets = "".join(
            f'[[asset]]\nid = "{erc20(address)}"\nsymbol = "{symbol}"\ndecimals = 18\n'
            for symbol, address in self.tokens
        )
        rules = "".join(f'[[rule]]\nid = "{r}"\ntype = "{r}"\n' for r in self.rules)
        toml = chain + "".join(w.as_toml() for w in self.wallets) + assets
        return Exchange(self.folder, toml, rules=rules)


def erc20(address: str) -> str:
    """The CAIP-19 id of a token."""
    return f"{ANVIL}/erc20:{address.lower()}"


@dataclass
class SteppedClock:
    """For the quarantine of nodes that lied: passes it on demand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_quarantine(self) -> None:
        self.now += QUARANTINE_SECS + 1


@dataclass
class Watch:
    """One worker and the views of its store that tests compare."""

    exchange: Exchange
    app: Application
    worker: ChainWorker
    source: EvmSource
    clock: SteppedClock
    shown: list[dict[str, Any]] = field(default_factory=list)
    """The worker's report, as `status` shows it, after each tick that failed."""

    def settle(self, most: int = 2_000) -> None:
        """Tick until the cursor is at the tip and everything that hangs on it was done."""
        for _ in range(most):
            if self.worker.tick() is Tick.FAILED:
                self.shown.append(self.report())
                self.clock.pass_quarantine()
            elif self.worker.synced:
                return
            assert not self.worker.halted, self.worker.halted
        raise AssertionError(f"never synced: {self.worker.last_error}")

    def report(self) -> dict[str, Any]:
        with self.app.store.reading() as unit:
            return unit.chain_state.reports()[ANVIL][0]

    def outflows(self, tx: str = "") -> list[Outflow]:
        with self.app.store.reading() as unit:
            return list(unit.outflows.find(_about(tx)))

    def losses(self, tx: str = "") -> Counter[tuple[str, str, int]]:
        """(wallet, asset, amount) of outflows."""
        return Counter((o.wallet, str(o.asset), o.amount) for o in self.outflows(tx))

    def findings(self, rule: str = "", tx: str = "") -> list[Finding]:
        with self.app.store.reading() as unit:
            return [f for f in unit.findings.find(_about(tx)) if rule in ("", f.rule)]

    def alerts(self) -> list[Alert]:
        with self.app.store.reading() as unit:
            return list(unit.alerts.find(Filter()))

    def end_state(self) -> dict[str, Any]:
        """Nothing that depends on when somebody looked."""
        with self.app.store.reading() as unit:
            outflows = [o for o in unit.outflows.find(Filter()) if o.state in ("included", "final")]
            txids = {o.tx for o in outflows}
            found = [f for f in unit.findings.find(Filter()) if f.tx in txids]
            cursor = unit.chain_state.cursor(self.worker.watched.chain)
            moved = [(w, a, h, m) for _, w, a, h, m in unit.ledger.movements()]
        return {
            "cursor": None if cursor is None else (cursor.ref, cursor.final_height),
            "outflows": {(o.id, o.state, o.amount, o.fee, o.payments, o.block, o.block_time) for o in outflows},
            "findings": {(f.id, f.rule, f.verdict, f.severity, f.outflow, f.summary) for f in found},
            "movements": sorted(moved, key=str),
        }


def _about(tx: str) -> Filter:
    return Filter(tx=bytes.fromhex(tx[2:])) if tx else Filter()


@contextmanager
def watch(deployed: Deployed) -> Iterator[Watch]:
    """The deployment, synced with its node."""
    exchange = deployed.exchange()
    settings = exchange.settings()
    clock = SteppedClock()
    with Application.open(settings) as app:
        spec = replace(settings.source_spec(settings.chains[0]), timeout_secs=deployed.timeout_secs)
        source = open_source(spec, clock)
        try:
            yield Watch(exchange, app, app.worker(settings.chains[0], source), source, clock)
        finally:
            source.close()


# --- contracts and transactions ---------------------------------------------------------------------------------------


def made_for_tests(name: str) -> Compiled:
    """One of the small contracts beside the test data, without interface."""
    return Compiled([], bytes.fromhex((DATA / f"contract_{name}.hex").read_text().strip()[2:]))


def crooked_token(node: Anvil, holder: str, amount: int, fee_percent: int = 0) -> Contract:
    """A token that says one thing and does another."""
    code = made_for_tests("crooked_token").bytecode + words(holder, amount, fee_percent)
    return deploy(node, Compiled([], code))


def words(*values: int | str) -> bytes:
    """Numbers and accounts as 32-byte words."""
    return b"".join((int(v, 16) if isinstance(v, str) else v).to_bytes(32, "big") for v in values)


def calldata(signature: str, *values: int | str) -> bytes:
    """A call by its signature."""
    return keccak(text=signature)[:4] + words(*values)


def settled(node: Anvil, tx: str) -> int:
    """The height of a transaction's block. Anvil answers `eth_sendTransaction` a moment before the block is there."""
    while node.rpc("eth_getTransactionReceipt", [tx]) is None:
        pass
    return int(node.receipt(tx)["blockNumber"], 16)


__all__ = ["ANVIL", "DATA", "ETH", "ETHER", "Deployed", "OwnWallet", "Watch", "crooked_token", "watch"]
