"""How long a real block takes from question to facts: ours, the floor, and web3.py, in one run.

Usage: python tests/benchmarks/bench_evm_blocks.py [ROUNDS]

A server in another process gives recorded answers of four real blocks (of the largest no logs are at hand: ours asks
for them twice, as it would of a node that is late). Ours watches 100,000 accounts, of which some are in block
18,000,000. The floor is the same questions over the same transport and orjson.loads; http.client's time stands beside
it. Medians; only ratios are compared.
"""

from __future__ import annotations

import http.client
import multiprocessing
import random
import socket
import statistics
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import orjson
from web3 import HTTPProvider, Web3

from chains.evm.receipts import ASKED_TEXT
from chains.evm.source import EvmSource, open_source
from chains.model import BlockFacts, ChainId
from chains.rpc.http import HttpTransport
from chains.source import Endpoint, SourceSpec, WatchSet
from data.ethereum.samples import exchange_accounts, raw_sample, sample

MAX_OF_FLOOR, MIN_OF_WEB3, WATCHED = 2.0, 18.0, 100_000
WITH_RECEIPTS = 18_000_000
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
LOGS = "logs_ethereum_16000000_to_16000003_transfers"
NAMES = (
    "block_ethereum_16000000_exchange_payouts",
    "block_ethereum_16000001_after_merge",
    "block_ethereum_18000000_withdrawals",
    "block_ethereum_13217637_many_transactions",
)


def recorded() -> dict[bytes, bytes]:
    """(method, first parameter) -> the JSON of its result, ready to send."""
    answers: dict[bytes, Any] = {b"eth_chainId": "0x1"}
    receipts = sample("receipts_ethereum_18000000_whole_block")
    logs = sample(LOGS) + [
        log for r in receipts for log in r["logs"] if log["topics"] and log["topics"][0] in ASKED_TEXT
    ]
    for name in NAMES:
        block = sample(name)
        number = block["number"]
        answers[f"eth_getBlockByNumber {number}".encode()] = block
        answers[f"eth_getLogs {block['hash']}".encode()] = []
        answers[f"eth_getLogs {number}".encode()] = [log for log in logs if log["blockNumber"] == number]
    for receipt in receipts:
        answers[f"eth_getTransactionReceipt {receipt['transactionHash']}".encode()] = receipt
    return {key: orjson.dumps(value) for key, value in answers.items()}


def key_of(asked: dict[str, Any]) -> bytes:
    first = next(iter(asked.get("params") or []), "")
    subject = first.get("fromBlock") or first["blockHash"] if isinstance(first, dict) else first
    return f"{asked['method']} {subject}".strip().encode()


class Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: dict[bytes, bytes]

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        asked = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        rows = [self.answer(a) for a in (asked if isinstance(asked, list) else [asked])]
        body = b"[" + b",".join(rows) + b"]" if isinstance(asked, list) else rows[0]
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def answer(self, asked: dict[str, Any]) -> bytes:
        result = self.answers.get(key_of(asked))
        frame = b'{"jsonrpc":"2.0","id":' + orjson.dumps(asked["id"])
        if result is None:
            return frame + b',"error":{"code":-32601,"message":"method not found"}}'
        return frame + b',"result":' + result + b"}"


def serve(port_to: Connection) -> None:
    Node.answers = recorded()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    port_to.send(server.server_address[1])
    server.serve_forever()


def watch_set() -> WatchSet:
    """100,000 accounts; among them those of exchanges that are in none of the blocks but 18,000,000."""
    chance = random.Random(7)  # noqa: S311 - the same accounts in every run
    elsewhere = raw_sample(NAMES[0]) + raw_sample(NAMES[1]) + raw_sample(NAMES[3]) + raw_sample(LOGS)
    known = {a for a in exchange_accounts() if a.hex().encode() not in elsewhere}
    return WatchSet(known | {chance.randbytes(20) for _ in range(WATCHED - len(known))})


Batch = Callable[[list[tuple[str, list[Any]]]], object]


def by_http_client(port: int) -> Batch:
    """The standard library's client: the least a transfer can cost here."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def batch(calls: list[tuple[str, list[Any]]]) -> object:
        asked = [{"jsonrpc": "2.0", "id": n, "method": m, "params": p} for n, (m, p) in enumerate(calls)]
        connection.request("POST", "/", orjson.dumps(asked), {"content-type": "application/json"})
        return orjson.loads(connection.getresponse().read())

    return batch


def by_our_transport(port: int) -> Batch:
    """The transport every source uses, with its limits on time and size."""
    return HttpTransport(Endpoint("n", f"http://127.0.0.1:{port}"), 20.0).batch


def floor(batch: Batch, concerned: list[str]) -> Callable[[int], object]:
    """Everything we ask for, receipts of `concerned` included, transferred and parsed, and nothing done with it."""

    def ask(height: int) -> object:
        number = hex(height)
        answers = batch([("eth_getBlockByNumber", [number, True]), ("eth_getLogs", [{"fromBlock": number}])])
        if height == WITH_RECEIPTS:
            return answers, batch([("eth_getTransactionReceipt", [tx]) for tx in concerned])
        return answers

    return ask


def ours(port: int) -> tuple[EvmSource, Callable[[int], BlockFacts]]:
    source = open_source(SourceSpec("bench", ChainId("eip155", "1"), (Endpoint("n", f"http://127.0.0.1:{port}"),)))
    watch = watch_set()
    return source, lambda height: source.block(height, watch)


def web3py(port: int) -> Callable[[int], object]:
    w3 = Web3(HTTPProvider(f"http://127.0.0.1:{port}"))

    def ask(height: int) -> object:
        logs = w3.eth.get_logs({"fromBlock": hex(height), "toBlock": hex(height), "topics": [TRANSFER]})  # type: ignore[typeddict-item]
        return w3.eth.get_block(height, full_transactions=True), logs

    return ask


def medians_ms(asks: dict[str, Callable[[int], object]], heights: list[int], rounds: int) -> dict[str, float]:
    """The mean over the blocks of each one's median. The ways take turns: what else runs here hits them alike."""
    times: dict[tuple[str, int], list[float]] = {(name, h): [] for name in asks for h in heights}
    for number in range(rounds + 1):
        for (name, height), taken in times.items():
            started = time.perf_counter()
            asks[name](height)
            if number:
                taken.append(time.perf_counter() - started)
    return {name: 1000 * statistics.mean(statistics.median(times[name, h]) for h in heights) for name in asks}


def main(rounds: int) -> int:
    """Print the figures; 1 if a bound is missed."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    process.start()
    port: int = here.recv()
    heights = [int(sample(name)["number"], 16) for name in NAMES]
    transactions = statistics.mean(len(sample(name)["transactions"]) for name in NAMES)
    source, ask_ours = ours(port)
    seen = ask_ours(WITH_RECEIPTS).transactions
    hashes = ["0x" + tx.txid.hex() for tx in seen]
    asks = {
        "http.client + orjson.loads": floor(by_http_client(port), hashes),
        "floor (our transport + orjson.loads)": floor(by_our_transport(port), hashes),
        "ours (facts for 100,000 accounts)": ask_ours,
    }
    figures = medians_ms(asks, heights, rounds)
    figures |= medians_ms({"web3.py get_block(full) + get_logs": web3py(port)}, heights, rounds // 8)
    source.close()
    process.terminate()
    process.join()
    least, low, mine, web3 = figures.values()
    lines = [f"{len(heights)} real blocks, mean {transactions:.0f} transactions, {len(seen)} of ours in one of them"]
    lines += [f"  {name:38} {value:8.2f} ms" for name, value in figures.items()]
    lines.append(f"  ours / floor   {mine / low:6.2f} (at most {MAX_OF_FLOOR})")
    lines.append(f"  ours / http.client {mine / least:4.2f}")
    lines.append(f"  web3.py / ours {web3 / mine:6.2f} (at least {MIN_OF_WEB3})")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(mine > MAX_OF_FLOOR * low or web3 < MIN_OF_WEB3 * mine)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
