"""An anvil of one's own: instant mining or none, unlocked accounts, compiled contracts to deploy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from nodes import rpc
from nodes.locations import find_anvil
from nodes.processes import NodeProcess

CHAIN_ID = 31337

_LISTENING = re.compile(r"Listening on 127\.0\.0\.1:([0-9]+)")


class Anvil:
    """One development node. It is empty again after stop() or kill() unless `options` name a state file.

    url       its JSON-RPC endpoint; known when it has started, the same after a restart
    ws_url    the same over WebSocket
    accounts  its ten unlocked accounts of 10,000 ETH each, EIP-55
    """

    def __init__(self, folder: Path, *, automine: bool = True, options: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._options = ["--host", "127.0.0.1", "--chain-id", str(CHAIN_ID), *options]
        if not automine:
            self._options.append("--no-mining")
        self._log = folder / "node.log"
        self._port = 0
        self.process = self._prepare()
        self.accounts: list[str] = []

    @property
    def url(self) -> str:
        """Where it takes JSON-RPC."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        """Where it takes JSON-RPC over WebSocket."""
        return f"ws://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers; the first time on a port that the kernel chooses. Raises NodeDied."""
        self._log.write_bytes(b"")
        self.process = self._prepare()
        self.process.start(self._answers)
        self.accounts = [to_checksum_address(account) for account in self.rpc("eth_accounts")]

    def stop(self) -> None:
        """End it in order."""
        self.process.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()

    def rpc(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Call one method. Raises nodes.rpc.RpcRefused with the node's code."""
        return rpc.call(self.url, method, params)

    def automine(self, *, on: bool) -> None:
        """Mine each transaction at once, or none until mine()."""
        self.rpc("evm_setAutomine", [on])

    def mine(self, blocks: int = 1) -> int:
        """Mine `blocks`; the height of the last."""
        self.rpc("anvil_mine", [hex(blocks)])
        return int(self.rpc("eth_blockNumber"), 16)

    def reorg(self, depth: int, transactions: Sequence[tuple[dict[str, Any], int]] = ()) -> None:
        """Replace the last `depth` blocks by as many others; each transaction goes into the block of its index."""
        self.rpc("anvil_reorg", [depth, [list(pair) for pair in transactions]])

    def send(self, sender: str, to: str | None, *, value: int = 0, data: bytes = b"", **more: Any) -> str:
        """Send a transaction from an unlocked account; its hash. `value` in wei; `more` are further fields."""
        fields = {"from": sender, "value": hex(value), "data": "0x" + data.hex()} | more
        tx: str = self.rpc("eth_sendTransaction", [fields | ({"to": to} if to else {})])
        return tx

    def receipt(self, tx: str) -> dict[str, Any]:
        """The receipt of a mined transaction. Raises LookupError if it is not in a block."""
        receipt = self.rpc("eth_getTransactionReceipt", [tx])
        if receipt is None:
            raise LookupError(f"{tx} is not in a block")
        return dict(receipt)

    def _prepare(self) -> NodeProcess:
        return NodeProcess([str(find_anvil()), *self._options, "--port", str(self._port)], self._log)

    def _answers(self) -> bool:
        listening = _LISTENING.search(self._log.read_text(errors="replace"))
        if listening is None:
            return False
        self._port = int(listening[1])
        return int(self.rpc("eth_chainId"), 16) == CHAIN_ID
