"""Transactions that wait in a node's pool, with the movements they announce."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from chains.errors import RpcError, Unsupported
from chains.evm.blocks import MAX_TRANSACTIONS
from chains.evm.fields import Fields, fields_of, items_of, to_address
from chains.evm.params import Network, native_id
from chains.evm.safe import DELEGATECALL, operations_of, read_execution
from chains.evm.tokens import announced_moves
from chains.evm.transactions import TransactionFields, read_transaction_fields
from chains.model import AccountTransaction, AssetId, PoolOutlook, Transfer, TransferKind
from chains.rpc.jsonrpc import Json, Transport

MAX_SENDERS = 1_000_000
_CANDIDATES = ("eth_getBlockByNumber", ("pending", True))


@dataclass(slots=True)
class PoolReader:
    """Reads pools of one network; remembers by endpoint which method it has.

    `txpool_content` shows everything that waits; a node without it shows by the `pending` block what it would mine.
    """

    network: Network
    _without_content: set[str] = field(default_factory=set)
    _without_pool: set[str] = field(default_factory=set)

    def shows_whole(self, transport: Transport) -> bool:
        """Whether the last look at this endpoint saw its whole pool, not only what it would mine next."""
        return transport.name not in self._without_content

    def read(self, transport: Transport, watched: AbstractSet[bytes]) -> list[AccountTransaction] | None:
        """Waiting transactions of or to `watched`, or that take its tokens; None if the node shows no pool."""
        waiting = self._waiting(transport)
        if waiting is None:
            return None
        found = {}
        for tx, queued in waiting:
            if _may_concern(tx, watched):
                decoded = decode_pending(read_transaction_fields(tx, "pending"), self.network, queued=queued)
                if _concerns(decoded, watched):
                    found[decoded.txid] = decoded
        return sorted(found.values(), key=lambda tx: (tx.sender.key, tx.nonce, tx.txid))

    def _waiting(self, transport: Transport) -> Iterable[tuple[Fields, bool]] | None:
        if transport.name not in self._without_content:
            try:
                return _pool_transactions(transport.call("txpool_content"))
            except (Unsupported, RpcError):
                self._without_content.add(transport.name)
        if transport.name not in self._without_pool:
            try:
                return [(tx, False) for tx in _candidates(transport.call(*_CANDIDATES))]
            except (Unsupported, RpcError):
                self._without_pool.add(transport.name)
        return None


def _pool_transactions(content: Json) -> Iterator[tuple[Fields, bool]]:
    """`{"pending": {sender: {nonce: transaction}}, "queued": …}`; queued ones wait behind a gap in the nonces."""
    sections = fields_of(content, "txpool")
    for section in ("pending", "queued"):
        by_sender = fields_of(sections.get(section, {}), f"txpool.{section}")
        for by_nonce in by_sender.values():
            for tx in fields_of(by_nonce, f"txpool.{section}").values():
                yield fields_of(tx, "pending"), section == "queued"


def _candidates(block: Json) -> Iterator[Fields]:
    """Transactions of the block the node would mine next; none if it names a mined block instead."""
    fields = fields_of(block or {}, "pending")
    for tx in items_of(fields.get("transactions") or [], "pending.transactions", MAX_TRANSACTIONS):
        if isinstance(tx, dict) and not isinstance(tx.get("blockHash"), str):
            yield tx


def _may_concern(tx: Fields, watched: AbstractSet[bytes]) -> bool:
    """A quick look: sender, receiver, or an account in the arguments of a token call."""
    try:
        receiver, calldata = tx.get("to"), tx.get("input") or ""
        return (
            bytes.fromhex(tx["from"][2:]) in watched
            or (receiver is not None and bytes.fromhex(receiver[2:]) in watched)
            or bytes.fromhex(calldata[34:74]) in watched
            or bytes.fromhex(calldata[98:138]) in watched
        )
    except (KeyError, TypeError, ValueError):
        return False  # one malformed transaction of the pool hides no other


def _concerns(tx: AccountTransaction, watched: AbstractSet[bytes]) -> bool:
    keys = {tx.sender.key} | {a.key for t in tx.transfers for a in (t.sender, t.receiver)}
    return not watched.isdisjoint(keys) or (tx.receiver is not None and tx.receiver.key in watched)


def _announced(
    spoken: TransactionFields, network: Network
) -> Iterator[tuple[TransferKind, AssetId, bytes, bytes, int]]:
    """What the call asks to be moved: by a token, or by a Safe, which then calls as itself."""
    if spoken.receiver is None:
        return
    native, chain = native_id(network.chain), network.chain
    calls = [(spoken.sender, spoken.receiver, spoken.input)]
    execution = read_execution(spoken.input)
    for operation in operations_of(execution) if execution is not None else ():
        if operation.operation != DELEGATECALL:
            calls.append((spoken.receiver, operation.to, operation.data))
            if operation.value_wei:
                yield TransferKind.INTERNAL, native, spoken.receiver, operation.to, operation.value_wei
    for caller, callee, calldata in calls:
        for asset, payer, payee, amount in announced_moves(caller, callee, calldata, chain):
            yield TransferKind.TOKEN, asset, payer, payee, amount


def decode_pending(spoken: TransactionFields, network: Network, *, queued: bool = False) -> AccountTransaction:
    """A transaction that has not run: its value, and what its calldata asks a token or a Safe to move.

    What it will do is the sender's word only: `fee` is 0 (its bound is gas_limit x max_fee_wei in `signing`), inner
    calls are unknown, so `traced` is False.
    """
    native = native_id(network.chain)
    transfers = []
    sender = to_address(spoken.sender)
    receiver = None if spoken.receiver is None else to_address(spoken.receiver)
    if spoken.value_wei and receiver is not None:
        transfers.append(Transfer(native, sender, receiver, spoken.value_wei, TransferKind.NATIVE, 0))
    for kind, asset, payer, payee, amount in _announced(spoken, network):
        transfers.append(Transfer(asset, to_address(payer), to_address(payee), amount, kind, len(transfers)))
    return AccountTransaction(
        txid=spoken.txid,
        index=-1,
        sender=sender,
        receiver=receiver,
        nonce=spoken.nonce,
        ok=True,
        fee=0,
        transfers=tuple(transfers),
        traced=False,
        signing=spoken.signing,
        outlook=PoolOutlook(queued),
    )
