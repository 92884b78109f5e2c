"""An exchange with a hot and a cold wallet on a bitcoind of its own, watched by its daemon through descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exchanges import BTC, REGTEST, Exchange, wait_for, watching

from chains.model import ChainId, format_units
from nodes.bitcoinds import Bitcoind, BitcoinWallet
from slack_server import SlackServer
from walletwatch.domain.alerts import Alert
from walletwatch.domain.findings import Finding
from walletwatch.domain.outflows import Outflow
from walletwatch.service.application import Application
from walletwatch.store.statements import Filter

CHAIN = ChainId.parse(REGTEST)


@dataclass
class Watch:
    """What the daemon's database says now."""

    app: Application
    node: Bitcoind

    def outflows(self) -> dict[str, Outflow]:
        """By txid; there is one wallet that pays."""
        with self.app.store.reading() as unit:
            return {o.tx.hex(): o for o in unit.outflows.find(Filter())}

    def state(self, txid: str) -> str:
        """Of the outflow of `txid`, empty if there is none."""
        found = self.outflows().get(txid)
        return "" if found is None else str(found.state)

    def findings(self, txid: str) -> list[Finding]:
        with self.app.store.reading() as unit:
            return list(unit.findings.find(Filter(tx=bytes.fromhex(txid))))

    def alerts(self) -> list[Alert]:
        with self.app.store.reading() as unit:
            return list(unit.alerts.find(Filter()))

    def requests_of(self, txid: str) -> set[str]:
        with self.app.store.reading() as unit:
            return {a.request_id for a in unit.approvals.allocations_of(CHAIN, bytes.fromhex(txid))}

    def stored(self, txid: str) -> bool:
        with self.app.store.reading() as unit:
            return unit.ledger.transaction(CHAIN, bytes.fromhex(txid)) is not None

    def at_tip(self) -> bool:
        with self.app.store.reading() as unit:
            cursor = unit.chain_state.cursor(CHAIN)
        return cursor is not None and cursor.ref.hash.hex() == self.node.tip()[1]

    def until(self, txid: str, state: str) -> Outflow:
        """Wait for the outflow of `txid` to be in `state`."""
        wait_for(lambda: self.state(txid) == state, f"{txid} is {state}")
        return self.outflows()[txid]

    def mine(self, blocks: int = 1) -> None:
        """Mine, and wait for the daemon to have read it all."""
        self.node.mine(blocks)
        wait_for(self.at_tip, "the daemon is at the tip")


@dataclass
class BitcoinExchange:
    """The deployment: `hot` has ten coins of 10 BTC."""

    exchange: Exchange
    node: Bitcoind
    hot: BitcoinWallet
    cold: BitcoinWallet
    strangers: BitcoinWallet

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        with watching(self.exchange) as app:
            watch = Watch(app, self.node)
            wait_for(watch.at_tip, "the chain is watched")
            yield watch

    def approve(self, sats: int, address: str) -> str:
        return self.exchange.approve(REGTEST, BTC, sats, address)

    def pay(self, sats: int, address: str, **options: object) -> str:
        """A payment of the hot wallet; `options` as of bitcoind's `send`."""
        rate = options.pop("fee_rate", 5)
        made = self.hot.cli("send", {address: format_units(sats, 8)}, None, "unset", rate, options)
        return str(made["txid"])


def descriptors_of(wallet: BitcoinWallet) -> list[str]:
    """Every descriptor of the wallet as its node exports it: public keys, with checksums."""
    return [row["desc"] for row in wallet.cli("listdescriptors")["descriptors"]]


def wallet_toml(name: str, role: str, descriptors: list[str]) -> str:
    listed = ", ".join(f'"{text}"' for text in descriptors)
    return (
        f'[[wallet]]\nname = "{name}"\nrole = "{role}"\nchain = "bitcoin"\ndescriptors = [{listed}]\ngap_limit = 200\n'
    )


def chain_toml(node: Bitcoind, *urls: str, more: str = "") -> str:
    """The chain, by `urls` in place of the node's own if there are any."""
    listed = ", ".join(
        f'{{ url = "{url}", cookie = "{node.cookie}", zmq = "{node.zmq_address}" }}' for url in urls or (node.url,)
    )
    return (
        f'[[chain]]\nname = "bitcoin"\nid = "{REGTEST}"\nendpoints = [{listed}]\nconfirmations = 3\npoll = "1s"\n{more}'
    )


def open_exchange(folder: Path, node: Bitcoind, slack: SlackServer, *urls: str, rules: str = "") -> BitcoinExchange:
    """Fund the wallets and write the configuration."""
    hot, cold, strangers = (node.wallet(name) for name in ("hot", "cold", "strangers"))
    node.mine(110)
    node.wallet("miner").pay({hot.address(): "10" for _ in range(10)})
    node.mine()
    wallets = wallet_toml("btc-hot", "hot", descriptors_of(hot)) + wallet_toml("btc-cold", "cold", descriptors_of(cold))
    exchange = Exchange(folder / "exchange", chain_toml(node, *urls) + wallets, slack=slack, rules=rules)
    return BitcoinExchange(exchange, node, hot, cold, strangers)
