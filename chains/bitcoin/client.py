"""Questions to bitcoind, over JSON-RPC and its REST interface."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chains.bitcoin.blocks import Header, parse_header
from chains.bitcoin.decode import bytes_of, hash_of, member, uint_of
from chains.bitcoin.params import Network
from chains.errors import BlockGone, ChainError, LyingNode, PermanentError, RpcError, Unsupported, WrongChain
from chains.model import BlockRef, Outpoint
from chains.rpc.http import HttpTransport
from chains.rpc.jsonrpc import Call, Json, Transport
from chains.rpc.prefetch import Fetched

_NOT_FOUND = -5
"""RPC_INVALID_ADDRESS_OR_KEY: bitcoind's code for a transaction it does not know."""


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """`getblockchaininfo`: the tip, the best header's height, and whether the node is in initial download."""

    tip: BlockRef
    headers: int
    downloading: bool
    tip_time: int | None


class Client:
    """Asks one transport."""

    def __init__(self, transport: Transport) -> None:
        self.name = transport.name
        self._transport = transport

    def block_hash(self, height: int) -> bytes:
        """Hash of the block at `height` on the best chain. Raises BlockGone if there is none."""
        if height < 0:
            raise BlockGone(f"no block at height {height}")
        return hash_of(self._transport.call("getblockhash", [height]))

    def proven_hash(self, height: int) -> bytes:
        """As `block_hash`, held to the 80 bytes of that block's header: a node that answers with any other 32 bytes
        is found, and no reorg is believed of it. Raises LyingNode.
        """
        wanted = self.block_hash(height)
        try:
            self._header(wanted)
        except Unsupported:
            return wanted  # a capture from before this was asked
        return wanted

    def header(self, height: int) -> Header:
        """The header of the block at `height` on the best chain, which a node keeps of blocks that it pruned."""
        return self._header(self.block_hash(height))

    def _header(self, wanted: bytes) -> Header:
        try:
            header = parse_header(bytes_of(self._transport.call("getblockheader", [wanted.hex(), False])))
        except BlockGone:
            raise LyingNode(f"the node does not know its own block {wanted.hex()}") from None
        if header.hash != wanted:
            raise LyingNode(f"asked for the header of block {wanted.hex()}, got another")
        return header

    def chain_info(self) -> ChainInfo:
        """Where the node stands."""
        info = self._transport.call("getblockchaininfo")
        tip = BlockRef(uint_of(member(info, "blocks")), hash_of(member(info, "bestblockhash")))
        time = info.get("time")
        return ChainInfo(
            tip=tip,
            headers=uint_of(member(info, "headers")),
            downloading=info.get("initialblockdownload") is True,
            tip_time=uint_of(time, 40) if time is not None else None,
        )

    def raw_block(self, block_hash: bytes) -> bytes:
        """The block's bytes, as REST brings them, or RPC as hexadecimal."""
        block = self._block(block_hash, 0)
        return block if isinstance(block, bytes) else bytes_of(block)

    def block_detail(self, block_hash: bytes) -> Json:
        """`getblock` 3: transactions with what their inputs spend. Raises BlockGone if the block left the best chain,
        for then bitcoind leaves the previous outputs out.
        """
        detail = self._block(block_hash, 3)
        if member(detail, "confirmations") == -1:
            raise BlockGone(f"block {block_hash.hex()} is no longer on the best chain")
        return detail

    def _block(self, block_hash: bytes, verbosity: int) -> Json:
        """`getblock` of a hash the node named itself. Raises LyingNode if it does not know it after all."""
        try:
            return self._transport.call("getblock", [block_hash.hex(), verbosity])
        except BlockGone:
            raise LyingNode(f"the node does not know its own block {block_hash.hex()}") from None

    def block_txids(self, block_hash: bytes) -> list[bytes]:
        """`getblock` 1: the txids in block order."""
        return _hashes(member(self._transport.call("getblock", [block_hash.hex(), 1]), "tx"))

    def transaction_detail(self, txid: bytes, block_hash: bytes | None = None) -> Json | None:
        """`getrawtransaction` 2, None if the node does not know the transaction (there)."""
        return _unless_unknown(self._ask_one(_detail_call(txid, block_hash)))

    def transaction_details(self, txids: Iterable[bytes], block_hash: bytes) -> list[Json | None]:
        """`getrawtransaction` 2 of transactions of one block: previous outputs and fee without an index."""
        answers = self._transport.batch([_detail_call(txid, block_hash) for txid in txids])
        return [_unless_unknown(answer) for answer in answers]

    def raw_transactions(self, txids: Sequence[bytes]) -> list[bytes | None]:
        """Bytes of transactions in the mempool (or anywhere, with txindex), None where the node does not know one."""
        answers = self._transport.batch([("getrawtransaction", [txid.hex(), 0]) for txid in txids])
        known = [_unless_unknown(answer) for answer in answers]
        return [bytes_of(answer) if answer is not None else None for answer in known]

    def mempool_txids(self) -> set[bytes]:
        """What is in the mempool now."""
        return set(_hashes(self._transport.call("getrawmempool")))

    def mempool_outlook(self, txid: bytes, targets: Sequence[int]) -> list[Json | ChainError]:
        """`getmempoolentry` of `txid`, `getmempoolinfo`, and `estimatesmartfee` for each of `targets`, in one batch."""
        calls: list[Call] = [("getmempoolentry", [txid.hex()]), ("getmempoolinfo", [])]
        return self._transport.batch(calls + [("estimatesmartfee", [target, "economical"]) for target in targets])

    def mempool_entries(self) -> Json | ChainError:
        """`getrawmempool` with everything about each transaction."""
        return self._ask_one(("getrawmempool", [True]))

    def unspent_details(self, outpoints: Sequence[Outpoint]) -> list[Json | None]:
        """`gettxout` of confirmed outputs, blind to the mempool; None for one that is spent or unknown."""
        calls = [("gettxout", [o.txid.hex(), o.vout, False]) for o in outpoints]
        return [_unless_unknown(answer) for answer in self._transport.batch(calls)]

    def scan_unspent(self, scripts: Iterable[bytes]) -> Json:
        """`scantxoutset` for scripts: walks the whole set of unspent outputs, minutes on mainnet."""
        return self._transport.call("scantxoutset", ["start", [f"raw({script.hex()})" for script in scripts]])

    def scan_progress(self) -> int | None:
        """Percent of the node's scan of unspent outputs, None if none is under way."""
        status = self._transport.call("scantxoutset", ["status"])
        return None if status is None else min(100, uint_of(member(status, "progress")))

    def abort_scan(self) -> bool:
        """End the node's scan of unspent outputs, whoever began it. False if none is under way."""
        return self._transport.call("scantxoutset", ["abort"]) is True

    def _ask_one(self, call: tuple[str, list[Json]]) -> Json | ChainError:
        try:
            return self._transport.call(*call)
        except (RpcError, Unsupported) as error:
            return error


def identify(network: Network, transport: Transport) -> None:
    """Raises WrongChain if the node's first block is not the network's."""
    genesis = Client(transport).block_hash(0)
    if genesis != network.genesis:
        raise WrongChain(f"not {network.name}: its first block is {genesis.hex()}", endpoint=transport.name)


def _detail_call(txid: bytes, block_hash: bytes | None) -> tuple[str, list[Json]]:
    params: list[Json] = [txid.hex(), 2]
    return "getrawtransaction", [*params, block_hash.hex()] if block_hash is not None else params


def _unless_unknown(answer: Json | ChainError) -> Json | None:
    """The answer; None for bitcoind's "no such transaction"; any other error is raised."""
    if isinstance(answer, RpcError) and answer.code == _NOT_FOUND:
        return None
    if isinstance(answer, ChainError):
        raise answer
    return answer


def _hashes(value: Json) -> list[bytes]:
    if not isinstance(value, list):
        raise LyingNode("no list of hashes")
    return [hash_of(item) for item in value]


RETRY_SECS: Final = 600.0
"""How long blocks come by RPC after REST did not give one that RPC had."""


@dataclass(slots=True)
class FetchedBlocks:
    """Blocks brought, or why not, in the order they were asked for; `size` in bytes."""

    blocks: Sequence[Json | ChainError]
    size: int

    def answers(self) -> list[Json | ChainError]:
        """The blocks: bytes by REST, hexadecimal by RPC."""
        return list(self.blocks)


@dataclass(slots=True)
class RestTransport:
    """An endpoint whose blocks (`getblock` 0) come from `/rest/block/<hash>.bin`, as bytes and not hexadecimal; all
    else is asked by RPC. What REST does not give is asked by RPC too: a node without `-rest` answers 404 with no word,
    one that pruned the block 404 with words. `note` says so while it lasts.
    """

    inner: HttpTransport
    clock: Callable[[], float] = time.monotonic
    name: str = field(init=False)
    note: str = field(init=False, default="")
    _pause_until: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self.name = self.inner.name

    @property
    def connections(self) -> int:
        """As the inner transport counts them: both ways go by the same ones."""
        return self.inner.connections

    def call(self, method: str, params: Sequence[Json] = ()) -> Json:
        """As `Transport.call`, a block as bytes."""
        if not _is_raw_block((method, params)) or self.clock() < self._pause_until:
            return self.inner.call(method, params)
        try:
            block = self.inner.raw(f"rest/block/{params[0]}.bin")
        except PermanentError as error:
            answer = self.inner.call(method, params)
            self._pause_until = self.clock() + RETRY_SECS
            self.note = f"REST gives no blocks, RPC does ({error})"
            return answer
        self.note = ""
        return block

    def batch(self, calls: Sequence[Call]) -> list[Json | ChainError]:
        """As `Transport.batch`, by RPC."""
        return self.inner.batch(calls)

    def fetch(self, calls: Sequence[Call]) -> Fetched:
        """As `HttpTransport.fetch`; where only blocks are asked for they come one by one by REST."""
        if not calls or not all(map(_is_raw_block, calls)):
            return self.inner.fetch(calls)
        blocks = [self._or_error(call) for call in calls]
        return FetchedBlocks(blocks, sum(len(block) for block in blocks if isinstance(block, (bytes, str))))

    def _or_error(self, call: Call) -> Json | ChainError:
        try:
            return self.call(*call)
        except (BlockGone, PermanentError) as error:
            return error

    def raw(self, path: str) -> bytes:
        """As `Transport.raw`."""
        return self.inner.raw(path)

    def close(self) -> None:
        """Close all connections."""
        self.inner.close()


def _is_raw_block(call: Call) -> bool:
    method, params = call
    return method == "getblock" and len(params) == 2 and params[1] == 0
