"""A proxy before a bitcoind: lies about blocks and the chain itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import lying_proxies

from nodes.bitcoinds import Bitcoind

MAINNET_GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


@dataclass
class LyingProxy(lying_proxies.LyingProxy):
    """Its own faults: `other-block`, `other-chain`, `other-question`, `hide` (a transaction left out of a block)."""

    upstream: str = field(init=False)
    node: Bitcoind = field(kw_only=True)

    def __post_init__(self) -> None:
        self.upstream = self.node.url

    def distort(self, fault: str, call: dict[str, Any], said: bytes, authorization: str) -> bytes:
        """The answer to `call` made a lie, by itself or as one of a batch."""
        rows = json.loads(said)
        if not isinstance(rows, list):
            return self._distort_one(fault, call, said, authorization)
        lied = [
            json.loads(self._distort_one(fault, call, json.dumps(row, separators=(",", ":")).encode(), authorization))
            if row["id"] == call["id"]
            else row
            for row in rows
        ]
        return json.dumps(lied).encode()

    def _distort_one(self, fault: str, call: dict[str, Any], said: bytes, authorization: str) -> bytes:
        if fault == "other-question":
            return said.replace(f'"id":{call["id"]}'.encode(), b'"id":0')
        if fault == "other-chain":
            return json.dumps({"id": call["id"], "result": MAINNET_GENESIS, "error": None}).encode()
        if fault == "other-block":
            other = {**call, "params": [self.node.cli("getblockhash", 1), *call["params"][1:]]}
            return self.ask_node(json.dumps(other).encode(), authorization)[1]
        if fault == "hide":
            return self._hide(call, said)
        return super().distort(fault, call, said, authorization)

    def _hide(self, call: dict[str, Any], said: bytes) -> bytes:
        """The block without its last transaction."""
        answer = json.loads(said)
        block_hash, verbosity = call["params"]
        last = self.node.cli("getblock", block_hash, 2)["tx"][-1]["hex"]
        if verbosity == 0:
            raw: str = answer["result"]
            count = int(raw[160:162], 16)
            answer["result"] = raw[:160] + f"{count - 1:02x}" + raw[162:].removesuffix(last)
        else:
            answer["result"]["tx"].pop()
        return json.dumps(answer).encode()
