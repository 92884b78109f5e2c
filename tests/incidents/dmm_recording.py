"""Makes the recording that `walletwatch demo` plays, the same bytes each time: `python -m incidents.dmm_recording`.

A capture of a node's answers (what a bitcoind with these blocks would say), the approval log, and the timetable by
which the one is shown and the other grows.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from chains.bitcoin.blocks import HEADER_BYTES, parse_header
from chains.bitcoin.decode import RawTransaction
from chains.bitcoin.params import MAINNET
from chains.model import format_units
from chains.rpc.recorded import FORMAT
from incidents.dmm_approvals import PEOPLE, kid, public_jwk, write_acts
from incidents.dmm_days import HOT, RESERVE, VAULT, Days, Event
from incidents.dmm_transactions import Coin, Spend, build_block, build_coinbase
from walletwatch.domain.times import format_utc

HOME = Path(__file__).parents[2] / "walletwatch" / "demo" / "data"

BLOCK_SECS, MEMPOOL_SECS = 3, 2
"""After how long the watcher's node knows a block, and a transaction."""

Line = dict[str, Any]


class Recording:
    """The days as a node, an approval log and a timetable."""

    def __init__(self) -> None:
        self.days = Days()
        self.blocks: list[tuple[int, bytes, bytes]] = []
        """(height, hash, bytes)."""
        self._inside: dict[int, list[Event]] = defaultdict(list)
        for event in self.days.events:
            self._inside[self.days.first_height + bisect_right(self.days.times, event.at)].append(event)
        parent = bytes.fromhex("00" * 12 + "5ca1ab1e" * 5)
        for place, time in enumerate(self.days.times):
            height = self.days.first_height + place
            spends = [event.spend.tx for event in self._inside[height]]
            parent, raw = build_block(parent, int(time.timestamp()), [build_coinbase(height), *spends])
            self.blocks.append((height, parent, raw))

    def files(self) -> dict[str, bytes]:
        """Contents by file name; packed ones are named `.gz` and hold no time."""
        capture = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in self._capture())
        acts = b"".join(line for _, line in write_acts(self.days))
        return {
            "node.jsonl.gz": capture,
            "approvals.jsonl.gz": acts,
            "timetable.json": _rows(self._timetable()),
            "people.toml": "".join(_person(name) for name in PEOPLE).encode(),
        }

    # --- the timetable ------------------------------------------------------------------------------------------------

    def _timetable(self) -> Iterator[list[Any]]:
        """[moment, height of the tip, whether the mempool is to be looked at], in order."""
        for (height, _, _), time in zip(self.blocks, self.days.times, strict=True):
            for event in self._inside[height]:
                if event.seen:
                    yield [format_utc(event.at + timedelta(seconds=MEMPOOL_SECS)), height - 1, True]
            yield [format_utc(time + timedelta(seconds=BLOCK_SECS)), height, False]

    # --- the node -----------------------------------------------------------------------------------------------------

    def _capture(self) -> Iterator[Line]:
        yield {"format": FORMAT}
        yield _answer("getblockhash", [0], MAINNET.genesis.hex())
        height, tip, _ = self.blocks[-1]
        info = {"chain": "main", "blocks": height, "headers": height, "bestblockhash": tip.hex()}
        yield _answer("getblockchaininfo", [], info | {"initialblockdownload": False})
        yield from self._scans()
        for place in range(len(self.blocks)):
            yield from self._block(place)
        yield _answer("getrawmempool", [], [])

    def _block(self, place: int) -> Iterator[Line]:
        height, block_hash, raw = self.blocks[place]
        spends = [event.spend for event in self._inside[height]]
        waiting: list[str] = []
        for event in self._inside[height]:
            if event.seen:
                waiting.append(event.spend.txid)
                yield _answer("getrawmempool", [], list(waiting))
                yield _answer("getrawtransaction", [event.spend.txid, 0], event.spend.tx.raw.hex())
                for spent in event.spend.coins:
                    asked = [spent.outpoint.txid.hex(), spent.outpoint.vout, False]
                    yield _answer("gettxout", asked, _output(spent))
        yield _answer("getblockhash", [height], block_hash.hex())
        yield _answer("getblock", [block_hash.hex(), 0], raw.hex())
        yield _answer("getblock", [block_hash.hex(), 3], self._detail(place, spends))
        if spends:
            txids = [build_coinbase(height).txid.hex(), *(spend.txid for spend in spends)]
            yield _answer("getblock", [block_hash.hex(), 1], {"hash": block_hash.hex(), "height": height, "tx": txids})
        for spend in spends:
            told = _transaction(spend.tx, spend.coins)
            yield _answer("getrawtransaction", [spend.txid, 2, block_hash.hex()], {"in_active_chain": True, **told})
            yield _answer("getrawtransaction", [spend.txid, 2], {**told, "blockhash": block_hash.hex()})

    def _detail(self, place: int, spends: list[Spend]) -> Line:
        height, block_hash, raw = self.blocks[place]
        header = parse_header(raw[:HEADER_BYTES])
        return {
            "hash": block_hash.hex(),
            "confirmations": len(self.blocks) - place,
            "height": height,
            "version": int.from_bytes(raw[:4], "little"),
            "merkleroot": header.merkle_root.hex(),
            "time": int(header.time.timestamp()),
            "nonce": int.from_bytes(raw[76:80], "little"),
            "bits": raw[72:76][::-1].hex(),
            "previousblockhash": header.parent.hex(),
            "tx": [_transaction(build_coinbase(height), ()), *(_transaction(s.tx, s.coins) for s in spends)],
        }

    def _scans(self) -> Iterator[Line]:
        """What `scantxoutset` says of our addresses at the first block, and at the last."""
        scripts = sorted(a.key for a in (VAULT, RESERVE, *HOT))
        params = ["start", [f"raw({script.hex()})" for script in scripts]]
        after = [*self.days.vault.coins, *self.days.hot.coins, *self.days.reserve.coins]
        for coins, (height, block_hash, _) in ((self.days.opening, self.blocks[0]), (after, self.blocks[-1])):
            unspents = [
                {
                    "txid": c.outpoint.txid.hex(),
                    "vout": c.outpoint.vout,
                    "scriptPubKey": c.address.key.hex(),
                    "amount": _btc(c.value),
                }
                for c in coins
            ]
            found = {"success": True, "height": height, "bestblock": block_hash.hex(), "unspents": unspents}
            yield _answer("scantxoutset", params, found)


def _answer(method: str, params: list[Any], result: Any) -> Line:
    return {"method": method, "params": params, "result": result}


def _rows(rows: Iterator[list[Any]]) -> bytes:
    """A JSON array, one row a line."""
    return ("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n").encode()


def _btc(sats: int) -> str:
    """As a node writes amounts, and as a capture keeps them: exact text."""
    return format_units(sats, 8).replace(",", "")


def _output(spent: Coin) -> Line:
    script = {"hex": spent.address.key.hex(), "address": spent.address.text}
    return {"value": _btc(spent.value), "scriptPubKey": script}


def _transaction(tx: RawTransaction, coins: tuple[Coin, ...]) -> Line:
    vin: list[Line] = [{"coinbase": tx.inputs[0].script.hex()}] if tx.is_coinbase else []
    for spent in coins:
        place = {"txid": spent.outpoint.txid.hex(), "vout": spent.outpoint.vout}
        vin.append({**place, "prevout": _output(spent)})
    return {"txid": tx.txid.hex(), "hex": tx.raw.hex(), "vin": vin}


def _person(name: str) -> str:
    department, roles = PEOPLE[name]
    jwk = ", ".join(f'{key} = "{text}"' for key, text in public_jwk(name).items())
    return (
        f'[[person]]\nid = "{name}"\ndepartment = "{department}"\nroles = {json.dumps(list(roles))}\n'
        f'keys = [{{ kid = "{kid(name)}", jwk = {{ {jwk} }} }}]\n\n'
    )


def pack(name: str, content: bytes) -> bytes:
    """As the file is kept."""
    return gzip.compress(content, 9, mtime=0) if name.endswith(".gz") else content


def unpack(name: str, kept: bytes) -> bytes:
    """As it was made: packed bytes may differ between versions of zlib."""
    return gzip.decompress(kept) if name.endswith(".gz") else kept


def main() -> None:
    """Write every file beside the demonstration's code."""
    for name, content in Recording().files().items():
        (HOME / name).write_bytes(pack(name, content))


if __name__ == "__main__":
    main()
