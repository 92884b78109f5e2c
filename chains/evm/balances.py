"""What an account holds after a block: ether, EIP-20 units, EIP-721 and EIP-1155 items."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from chains.errors import Unsupported
from chains.evm import questions
from chains.evm.fields import data_of, quantity_of
from chains.evm.params import native_asset
from chains.evm.questions import raised
from chains.evm.states import read_states
from chains.model import Address, AssetId, BlockRef
from chains.rpc.transport import Call, Json, Transport


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


_BALANCE_OF = _selector("balanceOf(address)")
_BALANCE_OF_ITEM = _selector("balanceOf(address,uint256)")
_OWNER_OF = _selector("ownerOf(uint256)")


def read_balances(transport: Transport, addresses: Sequence[Address], asset: AssetId, at: BlockRef) -> list[int]:
    """Base units of `asset` held by each address after block `at`.

    Raises BlockGone, or Unsupported where the node has no such contract or keeps no such state.
    """
    answers = [raised(a) for a in read_states(transport, [_call(address, asset) for address in addresses], at)]
    if asset == native_asset(asset.chain).id:
        return [quantity_of(answer, "eth_getBalance") for answer in answers]
    return [_token_units(answer, asset, address) for answer, address in zip(answers, addresses, strict=True)]


def _call(address: Address, asset: AssetId) -> Call:
    if asset == native_asset(asset.chain).id:
        return ("eth_getBalance", (questions.text(address.key),))
    contract, _, item = asset.reference.partition("%2f")
    who = address.key.rjust(32, b"\0")
    number = _item_word(item)
    calldata = {
        "erc20": _BALANCE_OF + who,
        "erc721": _OWNER_OF + number,
        "erc1155": _BALANCE_OF_ITEM + who + number,
    }.get(asset.namespace)
    if calldata is None or (asset.namespace != "erc20" and not number):
        raise Unsupported(f"no way is known to read a balance of {asset}")
    return ("eth_call", ({"to": contract, "data": questions.text(calldata)},))


def _item_word(text: str) -> bytes:
    """The number of an item as a word; nothing for a plain token or what is no number of 256 bits."""
    if not text.isascii() or not text.isdigit() or len(text) > 78 or int(text) >= 2**256:
        return b""
    return int(text).to_bytes(32, "big")


def _token_units(answer: Json, asset: AssetId, address: Address) -> int:
    raw = data_of(answer, "eth_call")
    if not raw:
        raise Unsupported(f"no contract answers for {asset} at that block")
    if len(raw) < 32:
        # The contract's own doing, which says nothing about the node.
        raise Unsupported(f"the contract of {asset} answers {len(raw)} bytes instead of 32")
    if asset.namespace == "erc721":
        return int(raw[12:32] == address.key)
    return int.from_bytes(raw[:32], "big")
