"""A proxy before an EVM node: lies about blocks, receipts, logs, traces and the chain itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lying_proxies import Call, LyingProxy

from chains.errors import ChainError
from data.ethereum.samples import RealNode

TRACING = frozenset({"trace_block", "trace_transaction", "debug_traceBlockByNumber", "debug_traceTransaction"})


@dataclass
class EvmProxy(LyingProxy):
    """Its own faults, each of one call of a batch: `null` (no result), `refuse` (no such method), `empty` (an empty
    list), `other-chain`, `other-height` (what the node says of the block before), `hide` (a list without its last
    entry), `forge-receipts` (each last log of one unit more), `other-question` (another id).
    """

    def distort(self, fault: str, call: Call, said: bytes, authorization: str) -> bytes:
        answers = json.loads(said)
        rows = answers if isinstance(answers, list) else [answers]
        (row,) = [r for r in rows if r["id"] == call["id"]]
        if fault == "refuse":
            row.pop("result", None)
            row["error"] = {"code": -32601, "message": f"the method {call['method']} does not exist/is not available"}
        elif fault == "other-question":
            row["id"] = -1
        elif fault == "other-height":
            row["result"] = self._of_the_block_before(call, authorization)
        else:
            row["result"] = _lie(fault, call["method"], row["result"])
        return json.dumps(answers).encode()

    def _of_the_block_before(self, call: Call, authorization: str) -> Any:
        first = call["params"][0]
        asked = next(first[k] for k in ("fromBlock", "blockHash") if k in first) if isinstance(first, dict) else first
        number = asked
        if len(asked) == 66:
            look = {"jsonrpc": "2.0", "id": 0, "method": "eth_getBlockByHash", "params": [asked, False]}
            number = json.loads(self.ask_node(json.dumps(look).encode(), authorization)[1])["result"]["number"]
            first.pop("blockHash")
            first |= {"fromBlock": number, "toBlock": number}
        text = json.dumps(call["params"]).replace(f'"{number}"', f'"{hex(int(number, 16) - 1)}"')
        other = json.dumps(call | {"params": json.loads(text)})
        return json.loads(self.ask_node(other.encode(), authorization)[1])["result"]


def _lie(fault: str, method: str, result: Any) -> Any:
    lies: dict[str, Callable[[], Any]] = {
        "null": lambda: None,
        "empty": list,
        "other-chain": lambda: "0x1",
        "hide": lambda: _without_last(method, result),
        "forge-receipts": lambda: [
            row | {"logs": [*row["logs"][:-1], *map(_forged, row["logs"][-1:])]} for row in result
        ],
    }
    return lies[fault]()


def _without_last(method: str, result: Any) -> Any:
    if method == "eth_getBlockByNumber":
        return result | {"transactions": result["transactions"][:-1]}
    return result[:-1]


def _forged(log: dict[str, Any]) -> dict[str, Any]:
    """The same event of one unit more."""
    return log | {"data": "0x" + (int(log["data"], 16) + 1).to_bytes(32, "big").hex()}


def untraced(call: Call, _number: int) -> str:
    """A node that was started without its trace modules."""
    return "refuse" if call["method"] in TRACING else "pass"


@dataclass
class ServedNode(EvmProxy):
    """A node of recorded blocks, over HTTP; it can lie like any other."""

    upstream: str = field(init=False, default="")
    node: RealNode = field(kw_only=True)

    def ask_node(self, body: bytes, authorization: str) -> tuple[int, bytes]:
        asked = json.loads(body)
        rows = asked if isinstance(asked, list) else [asked]
        said = [self._row(call) for call in rows]
        return 200, json.dumps(said if isinstance(asked, list) else said[0]).encode()

    def _row(self, call: Call) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": call["id"]}
        (answer,) = self.node.batch([(call["method"], call["params"])])
        if isinstance(answer, ChainError):
            return head | {"error": {"code": -32601, "message": str(answer)}}
        return head | {"result": answer}
