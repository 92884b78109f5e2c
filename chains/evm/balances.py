"""What an account holds after a block: ether, EIP-20 units, EIP-721 and EIP-1155 items."""

from __future__ import annotations

from eth_utils.crypto import keccak

from chains.errors import BlockGone, LyingNode, RpcError, Unsupported
from chains.evm import questions
from chains.evm.blocks import read_ref
from chains.evm.fields import data_of, quantity_of
from chains.evm.params import native_asset
from chains.evm.questions import raised
from chains.model import Address, AssetId, BlockRef
from chains.rpc.transport import Call, Json, Transport


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


_BALANCE_OF = _selector("balanceOf(address)")
_BALANCE_OF_ITEM = _selector("balanceOf(address,uint256)")
_OWNER_OF = _selector("ownerOf(uint256)")


def read_balance(transport: Transport, address: Address, asset: AssetId, at: BlockRef) -> int:
    """Base units of `asset` held by `address` after block `at`.

    Asked by block hash (EIP-1898), so that a reorg cannot answer for another block; a node that does not take that is
    asked by height, between two looks at the hash there. Raises BlockGone, Unsupported (no such contract or state).
    """
    try:
        answer = transport.call(
            *_call(address, asset, {"blockHash": questions.text(at.hash), "requireCanonical": True})
        )
    except RpcError:
        answer = _by_height(transport, address, asset, at)
    if asset == native_asset(asset.chain).id:
        return quantity_of(answer, "eth_getBalance")
    return _token_units(answer, asset, address)


def _call(address: Address, asset: AssetId, at: Json) -> Call:
    if asset == native_asset(asset.chain).id:
        return ("eth_getBalance", (questions.text(address.key), at))
    contract, _, item = asset.reference.partition("%2f")
    who = address.key.rjust(32, b"\0")
    number = int(item).to_bytes(32, "big") if item.isascii() and item.isdigit() and len(item) <= 78 else b""
    calldata = {
        "erc20": _BALANCE_OF + who,
        "erc721": _OWNER_OF + number,
        "erc1155": _BALANCE_OF_ITEM + who + number,
    }.get(asset.namespace)
    if calldata is None:
        raise Unsupported(f"no way is known to read a balance of {asset}")
    return ("eth_call", ({"to": contract, "data": questions.text(calldata)}, at))


def _by_height(transport: Transport, address: Address, asset: AssetId, at: BlockRef) -> Json:
    look = questions.header(at.height)
    before, answer, after = transport.batch([look, _call(address, asset, questions.tag(at.height)), look])
    for seen in (raised(before), raised(after)):
        if seen is None or read_ref(seen) != at:
            raise BlockGone(f"block {at} is not on the best chain", endpoint=transport.name)
    return raised(answer)


def _token_units(answer: Json, asset: AssetId, address: Address) -> int:
    raw = data_of(answer, "eth_call")
    if not raw:
        raise Unsupported(f"no contract answers for {asset} at that block")
    if len(raw) < 32:
        raise LyingNode(f"eth_call for {asset} returned {len(raw)} bytes instead of 32")
    if asset.namespace == "erc721":
        return int(raw[12:32] == address.key)
    return int.from_bytes(raw[:32], "big")
