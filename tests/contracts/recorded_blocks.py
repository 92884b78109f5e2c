"""A node made of one real block and the outputs it spends, decoded by python-bitcoinlib alone: what our own reading of
the bytes is held to.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bitcoin.core import CBlock, CTransaction, CTxOut
from bitcoin.core.script import CScript

from chains.bitcoin.params import MAINNET, Network
from chains.errors import BlockGone, ChainError, RpcError, Unsupported
from chains.model import Outpoint
from chains.rpc.jsonrpc import Call

DATA = Path(__file__).parent.parent / "data" / "bitcoin"

_COINBASE = bytes.fromhex(
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4103400d0302ef02062f503253482f"
    "522cfabe6d6dd90d39663d10f8fd25ec88338295d4c6ce1c90d4aeb368d8bdbadcc1da3b635801000000000000000474073e03ffffffff01"
    "3c25cf2d01000000434104b0bd634234abbb1ba1e986e884185c61cf43e001f9137f23c2c409273eb16e6537a576782eba668a7ef8bd3b3c"
    "fb1edb7117ab65129b8a2e681f3c1e0908ef7bac00000000"
)
"""Of block 200,000: pays to a public key."""

Script = bytes
Spent = tuple[int, Script]


def btc(sats: int) -> str:
    """An amount as bitcoind writes it and `loads_exact` keeps it."""
    return f"{sats // 10**8}.{sats % 10**8:08d}"


@dataclass
class RecordedBlock:
    """One block at `height`. `undo` are the outputs its inputs spend, in order, coinbase left out."""

    height: int
    raw: bytes
    undo: bytes
    network: Network = MAINNET

    @classmethod
    def load(cls, name: str, height: int, network: Network = MAINNET, folder: Path = DATA) -> RecordedBlock:
        raw, undo = (gzip.decompress((folder / f"{name}.{kind}.gz").read_bytes()) for kind in ("bin", "undo"))
        return cls(height, raw, undo, network)

    @classmethod
    def of_transactions(cls, name: str, folder: Path = DATA) -> RecordedBlock:
        """Real transactions of many blocks laid into one of our own, behind the real coinbase of block 200,000."""
        rows = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
        spent = [(out["value"], bytes.fromhex(out["script"])) for row in rows for out in row["prevouts"]]
        undo = b"".join(CTxOut(value, CScript(script)).serialize() for value, script in spent)
        transactions = [CTransaction.deserialize(raw) for raw in (_COINBASE, *(bytes.fromhex(r["raw"]) for r in rows))]
        root = CBlock.build_merkle_tree_from_txs(transactions)[-1]
        return cls(200_000, CBlock(1, hashMerkleRoot=root, nTime=1_348_310_759, vtx=transactions).serialize(), undo)

    @cached_property
    def block(self) -> CBlock:
        return CBlock.deserialize(self.raw)

    @cached_property
    def hash(self) -> bytes:
        digest: bytes = self.block.GetHash()[::-1]
        return digest

    @cached_property
    def spent(self) -> dict[Outpoint, Spent]:
        """What every input spends, whether it was made before this block or in it."""
        stream, spent = io.BytesIO(self.undo), {}
        for tx in self.block.vtx[1:]:
            for vin in tx.vin:
                out = CTxOut.stream_deserialize(stream)
                spent[Outpoint(vin.prevout.hash[::-1], vin.prevout.n)] = (out.nValue, bytes(out.scriptPubKey))
        assert not stream.read()
        return spent

    @cached_property
    def txids(self) -> list[bytes]:
        return [tx.GetTxid()[::-1] for tx in self.block.vtx]

    @cached_property
    def details(self) -> list[dict[str, Any]]:
        """Each transaction as `getblock` 3 tells it, as far as we ask."""
        return [self._detail(tx, txid) for tx, txid in zip(self.block.vtx, self.txids, strict=True)]

    def _detail(self, tx: CTransaction, txid: bytes) -> dict[str, Any]:
        if tx.is_coinbase():
            return {"txid": txid.hex(), "hex": tx.serialize().hex(), "vin": [{"coinbase": "00"}]}
        vin = []
        for tx_input in tx.vin:
            value, script = self.spent[Outpoint(tx_input.prevout.hash[::-1], tx_input.prevout.n)]
            prevout = {"value": btc(value), "scriptPubKey": {"hex": script.hex()}}
            vin.append({"txid": tx_input.prevout.hash[::-1].hex(), "vout": tx_input.prevout.n, "prevout": prevout})
        return {"txid": txid.hex(), "hex": tx.serialize().hex(), "vin": vin, "in_active_chain": True}

    @cached_property
    def detail(self) -> dict[str, Any]:
        """The block as `getblock` 3 tells it."""
        return {
            "hash": self.hash.hex(),
            "height": self.height,
            "confirmations": 1,
            "version": self.block.nVersion,
            "previousblockhash": self.block.hashPrevBlock[::-1].hex(),
            "merkleroot": self.block.hashMerkleRoot[::-1].hex(),
            "time": self.block.nTime,
            "bits": f"{self.block.nBits:08x}",
            "nonce": self.block.nNonce,
            "tx": self.details,
        }


class BlockNode:
    """Answers about one block as bitcoind would."""

    name = "block-node"

    def __init__(self, recorded: RecordedBlock) -> None:
        self.recorded = recorded
        self.asked: list[str] = []
        self._by_txid = dict(zip((t.hex() for t in recorded.txids), recorded.details, strict=True))
        self._hex = recorded.raw.hex()

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        self.asked.append(method)
        return getattr(self, f"_{method}")(*params)

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        return [self._or_error(call) for call in calls]

    def raw(self, _path: str) -> bytes:
        raise Unsupported("no REST")

    def close(self) -> None:
        """Nothing is open."""

    def _or_error(self, call: Call) -> Any:
        try:
            return self.call(*call)
        except ChainError as error:
            return error

    def _getblockhash(self, height: int) -> str:
        if height != self.recorded.height:
            raise BlockGone("Block height out of range")
        return self.recorded.hash.hex()

    def _getblock(self, block_hash: str, verbosity: int) -> Any:
        assert block_hash == self.recorded.hash.hex()
        return self._hex if verbosity == 0 else self.recorded.detail

    def _getrawtransaction(self, txid: str, verbosity: int, block_hash: str) -> Any:
        assert (verbosity, block_hash) == (2, self.recorded.hash.hex())
        if txid not in self._by_txid:
            raise RpcError("No such transaction found in the provided block", code=-5)
        return self._by_txid[txid]
