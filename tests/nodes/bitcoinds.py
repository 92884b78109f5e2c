"""A bitcoind of one's own in regtest: transaction index, REST, ZMQ, wallets, blocks on demand."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes import rpc
from nodes.locations import find_bitcoind
from nodes.processes import NodeProcess, reserve_port

_WARMING_UP = -28
_WALLET_EXISTS = -4
_WALLET_NOT_LOADED = -18

# Unknown keys in a file are only warned about, so that one file serves Bitcoin Core and Knots. Knots stops at a date of
# its own making, and relays less than Core unless told.
_CONFIG = """\
regtest=1
softwareexpiry=0
[regtest]
server=1
listen=0
dnsseed=0
txindex=1
rest=1
fallbackfee=0.0001
corepolicy=1
dbcache=32
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
rpcport={rpc_port}
zmqpubhashblock={zmq}
zmqpubhashtx={zmq}
"""


class Bitcoind:
    """One regtest node below `folder`; its chain survives stop(), kill() and start(), its ports stay the same.

    url          its JSON-RPC endpoint, without credentials (see `cookie`)
    cookie       the file of its credentials, which it writes anew at each start
    zmq_address  where it publishes hashblock and hashtx
    """

    def __init__(self, folder: Path, *, options: Sequence[str] = ()) -> None:
        self.folder = folder
        port = reserve_port()
        self.url = f"http://127.0.0.1:{port}"
        self.zmq_address = f"tcp://127.0.0.1:{reserve_port()}"
        self.cookie = folder / "regtest" / ".cookie"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bitcoin.conf").write_text(_CONFIG.format(rpc_port=port, zmq=self.zmq_address))
        command = [str(find_bitcoind()), f"-datadir={folder}", "-printtoconsole=1", "-debuglogfile=0", *options]
        self.process = NodeProcess(command, folder / "node.log")

    def start(self) -> None:
        """Start it and wait until it answers. Raises NodeDied."""
        self.cookie.unlink(missing_ok=True)
        self.process.start(self._answers)

    def stop(self) -> None:
        """End it in order."""
        self.process.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()

    def cli(self, method: str, *params: Any) -> Any:
        """Call one method of the node. Raises nodes.rpc.RpcRefused with bitcoind's code."""
        return self._call("/", method, params)

    def wallet(self, name: str) -> BitcoinWallet:
        """The node's wallet of that name, created or loaded as needed."""
        try:
            self.cli("createwallet", name)
        except rpc.RpcRefused as refused:
            if refused.code != _WALLET_EXISTS:
                raise
            if name not in self.cli("listwallets"):
                self.cli("loadwallet", name)
        return BitcoinWallet(self, name)

    def mine(self, blocks: int = 1, address: str | None = None) -> list[str]:
        """Mine `blocks` to `address` (else to the wallet `miner`); their hashes, oldest first."""
        to = address or self.wallet("miner").address()
        hashes: list[str] = self.cli("generatetoaddress", blocks, to)
        return hashes

    def tip(self) -> tuple[int, str]:
        """Height and hash of the best block."""
        info = self.cli("getblockchaininfo")
        return info["blocks"], info["bestblockhash"]

    def _call(self, path: str, method: str, params: Sequence[Any]) -> Any:
        credentials = base64.b64encode(self.cookie.read_bytes()).decode()
        return rpc.call(self.url + path, method, params, authorization=f"Basic {credentials}")

    def _answers(self) -> bool:
        try:
            self.cli("getblockchaininfo")
        except (OSError, rpc.RpcRefused) as error:
            if isinstance(error, rpc.RpcRefused) and error.code != _WARMING_UP:
                raise
            return False
        return True


@dataclass(frozen=True)
class BitcoinWallet:
    """A wallet inside a Bitcoind. Amounts go in as decimal text or Decimal of BTC, and come out as Decimal."""

    node: Bitcoind
    name: str

    def cli(self, method: str, *params: Any) -> Any:
        """Call one method of the wallet. Raises nodes.rpc.RpcRefused with bitcoind's code."""
        return self.node._call(f"/wallet/{self.name}", method, params)

    def address(self, kind: str = "bech32") -> str:
        """A fresh address; `kind` is legacy, p2sh-segwit, bech32 or bech32m."""
        address: str = self.cli("getnewaddress", "", kind)
        return address

    def pay(self, payments: dict[str, str]) -> str:
        """Pay decimal amounts of BTC to addresses in one transaction; its id."""
        txid: str = self.cli("sendmany", "", payments)
        return txid
