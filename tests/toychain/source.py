"""The toy chain's source. Its node is no server: an endpoint's url names the network whose blocks it has."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from threading import Event

from chains.errors import BlockGone, WrongChain
from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainTransaction,
    PendingFacts,
    Transfer,
    TransferKind,
    TxId,
)
from chains.source import ChainSource, EndpointHealth, SourceSpec, WatchSet
from toychain.family import address_of, native_asset, parse_address

TIP = 12
GENESIS_TIME = datetime(2026, 1, 1, tzinfo=UTC)
FAUCET, ALICE, BOB = (address_of(bytes([n]) * 4) for n in (1, 2, 3))
PAYMENTS = {3: (FAUCET, ALICE, 10_000), 6: (ALICE, BOB, 4_000)}
"""By height: sender, receiver, amount. Each costs its sender a fee."""
FEE = 5


def digest(*parts: object) -> bytes:
    """32 bytes that depend on all parts."""
    return hashlib.sha256(repr(parts).encode()).digest()


class ToySource(ChainSource):
    """See `chains.source.ChainSource`."""

    def __init__(self, spec: SourceSpec) -> None:
        self.chain, self.native = spec.chain, native_asset(spec.chain)
        self._confirmations = spec.confirmations
        (self._endpoint,) = spec.endpoints
        self._height: int | None = None
        self._state = "ok"
        self._closed = Event()

    def identify(self) -> None:
        network = self._endpoint.url.rpartition("/")[2]
        if network != self.chain.reference:
            self._state = "wrong-chain"
            raise WrongChain(f"the node is of toy:{network}, not {self.chain}", endpoint=self._endpoint.name)

    def tip(self) -> BlockRef:
        ref = self.ref_at(TIP)
        self._height = TIP
        return ref

    def ref_at(self, height: int) -> BlockRef:
        self.identify()
        if not 0 <= height <= TIP:
            raise BlockGone(f"no block at {height}")
        return BlockRef(height, digest(self.chain, height))

    def final_height(self) -> int:
        return self.tip().height - self._confirmations + 1

    def block(self, height: int, watch: WatchSet) -> BlockFacts:
        ref = self.ref_at(height)
        parent = self.ref_at(height - 1).hash if height else bytes(32)
        concerned = tuple(tx for tx in self._transactions(height) if _touches(tx, watch.addresses))
        return BlockFacts(self.chain, ref, parent, GENESIS_TIME + timedelta(minutes=height), concerned)

    def pending(self, watch: WatchSet) -> PendingFacts:
        return PendingFacts(self.chain, datetime.now(UTC), ())

    def transaction(self, txid: TxId, block: BlockRef | None = None) -> ChainTransaction | None:
        heights = range(TIP + 1) if block is None else (block.height,)
        return next((tx for height in heights for tx in self._transactions(height) if tx.txid == txid), None)

    def balance(self, address: Address, asset: AssetId, at: BlockRef) -> int:
        held: dict[bytes, int] = defaultdict(int, {FAUCET.key: 1_000_000})
        for height in range(at.height + 1):
            for tx in self._transactions(height):
                held[tx.sender.key] -= tx.fee
                for transfer in tx.transfers:
                    held[transfer.sender.key] -= transfer.amount
                    held[transfer.receiver.key] += transfer.amount
        return held[address.key] if asset == self.native.id else 0

    def parse_address(self, text: str) -> Address:
        return parse_address(self.chain, text)

    def wait(self, timeout_secs: float) -> None:
        self._closed.wait(timeout_secs)

    def health(self) -> tuple[EndpointHealth, ...]:
        return (EndpointHealth(self._endpoint.name, self._state, self._height),)

    def close(self) -> None:
        self._closed.set()

    def _transactions(self, height: int) -> tuple[AccountTransaction, ...]:
        if height not in PAYMENTS:
            return ()
        sender, receiver, amount = PAYMENTS[height]
        move = Transfer(self.native.id, sender, receiver, amount, TransferKind.NATIVE, 0)
        txid = digest(self.chain, height, "payment")
        return (AccountTransaction(txid, 0, sender, receiver, 0, True, FEE, (move,), traced=True),)


def _touches(tx: AccountTransaction, watched: set[bytes]) -> bool:
    parties = {tx.sender.key} | {a.key for t in tx.transfers for a in (t.sender, t.receiver)}
    return bool(parties & watched)
