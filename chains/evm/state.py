"""What the chain stores now: storage slots, code and balances, read at one block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak

from chains.errors import BlockGone, ChainError, RpcError, Unsupported, WrongChain
from chains.evm import requests as questions
from chains.evm.blocks import read_ref
from chains.evm.fields import data_of, parse_address, quantity_of
from chains.evm.params import native_id, network_of
from chains.evm.requests import raised
from chains.model import Address, AssetId, BlockRef
from chains.rpc.endpoints import open_transport
from chains.rpc.jsonrpc import Call, Json, Transport
from chains.source import SourceSpec

SENTINEL = (1).to_bytes(20, "big")
"""The Safe's linked lists begin and end here."""
MAX_LIST = 256
STATES_KEPT = 64
"""Every full node keeps the state of more blocks than these (geth: 128)."""

_OWNERS_SLOT, _MODULES_SLOT = 2, 1


def read_states(transport: Transport, calls: Sequence[Call], at: BlockRef) -> list[Json | ChainError]:
    """Answers of state methods after block `at`; each call lacks its last parameter, which names the block.

    Asked by block hash (EIP-1898), so that a reorg cannot answer for another block; a node that does not take that is
    asked by height, between two looks at the hash there. Raises BlockGone.
    """
    if not calls:
        return []
    by_hash = {"blockHash": questions.text(at.hash), "requireCanonical": True}
    answers = transport.batch([(method, (*params, by_hash)) for method, params in calls])
    if any(isinstance(a, BlockGone) for a in answers):
        return _pruned(transport, answers, at)
    if not any(isinstance(a, RpcError) for a in answers):
        return answers
    look = questions.header(at.height)
    by_height = [(method, (*params, questions.tag(at.height))) for method, params in calls]
    before, *answers, after = transport.batch([look, *by_height, look])
    for seen in (raised(before), raised(after)):
        if seen is None or read_ref(seen) != at:
            raise BlockGone(f"block {at} is not on the best chain", endpoint=transport.name)
    return answers


def _pruned(transport: Transport, answers: list[Json | ChainError], at: BlockRef) -> list[Json | ChainError]:
    """A node may call a block gone whose state alone it has dropped (anvil: "block height is 10002 but requested was
    2"): then it still has its header, far below its tip.
    """
    (there, latest) = transport.batch([questions.header(at.height), questions.header("latest")])
    if isinstance(there, ChainError) or isinstance(latest, ChainError) or there is None or latest is None:
        return answers
    if read_ref(there) != at or read_ref(latest).height - at.height < STATES_KEPT:
        return answers
    why = Unsupported(f"the node keeps no state of block {at.height}", endpoint=transport.name)
    return [why if isinstance(a, BlockGone) else a for a in answers]


def storage_call(account: bytes, slot: int) -> Call:
    """One storage slot."""
    return ("eth_getStorageAt", (questions.text(account), hex(slot)))


def code_call(account: bytes) -> Call:
    """An account's code."""
    return ("eth_getCode", (questions.text(account),))


def eth_call(contract: bytes, calldata: bytes) -> Call:
    """A contract's answer to a call."""
    return ("eth_call", ({"to": questions.text(contract), "data": questions.text(calldata)},))


_DECIMALS = bytes.fromhex("313ce567")
"""The selector of `decimals()`, optional in ERC-20."""
_WORD = 32


def read_token_decimals(spec: SourceSpec, token: AssetId) -> int | None:
    """The decimals that a token's own contract states after the node's latest block, None if it states none. Raises
    ChainError.
    """
    number = network_of(spec.chain).number

    def identify(transport: Transport) -> None:
        found = quantity_of(transport.call("eth_chainId"), "eth_chainId")
        if found != number:
            raise WrongChain(f"the node is of eip155:{found}, not eip155:{number}", endpoint=transport.name)

    method, params = eth_call(parse_address(spec.chain, token.reference).key, _DECIMALS)
    pool = open_transport(spec, identify)
    try:
        (answer,) = pool.ask(lambda transport: transport.batch([(method, (*params, "latest"))]))
        word = data_of(raised(answer), "eth_call")
    except RpcError:
        return None
    finally:
        pool.close()
    return int.from_bytes(word, "big") if len(word) == _WORD else None


def slot_of(label: str) -> int:
    """A named slot: the hash of its label."""
    return int.from_bytes(keccak(text=label), "big")


def mapping_slot(key: bytes, base: int) -> int:
    """Where Solidity keeps `mapping[key]` of the mapping at slot `base`."""
    return int.from_bytes(keccak(key.rjust(32, b"\0") + base.to_bytes(32, "big")), "big")


ACCOUNT_SLOTS = {
    "singleton": 0,
    "guard": slot_of("guard_manager.guard.address"),
    "module_guard": slot_of("module_manager.module_guard.address"),
    "fallback_handler": slot_of("fallback_manager.handler.address"),
    # EIP-1967 takes one off, so that no key of a mapping can have the hash.
    "implementation": slot_of("eip1967.proxy.implementation") - 1,
    "beacon": slot_of("eip1967.proxy.beacon") - 1,
    "admin": slot_of("eip1967.proxy.admin") - 1,
}
"""Slots that hold an account: the Safe's own (0 is the singleton that its proxy delegates to) and EIP-1967's."""
_THRESHOLD_SLOT, _NONCE_SLOT = 4, 5


@dataclass(frozen=True, slots=True)
class WalletState:
    """Who controls a contract wallet. `accounts` by the names of ACCOUNT_SLOTS, as 32-byte words."""

    accounts: dict[str, bytes]
    threshold: int
    nonce: int
    owners: tuple[bytes, ...]
    modules: tuple[bytes, ...]


def unchanged(transport: Transport, wallets: Iterable[bytes], before: BlockRef, after: BlockRef) -> set[bytes]:
    """The wallets whose storage root (EIP-1186) is the same at both blocks; none where the node gives no proofs."""
    asked = sorted(wallets)
    calls: list[Call] = [("eth_getProof", (questions.text(w), [])) for w in asked]
    pairs = zip(read_states(transport, calls, before), read_states(transport, calls, after), strict=True)
    return {w for w, (a, b) in zip(asked, pairs, strict=True) if _root(a) is not None and _root(a) == _root(b)}


def _root(proof: Json | ChainError) -> str | None:
    root = proof.get("storageHash") if isinstance(proof, dict) else None
    return root if isinstance(root, str) else None


def read_wallets(transport: Transport, wallets: Sequence[bytes], at: BlockRef) -> dict[bytes, WalletState]:
    """The control of each wallet after block `at`. Raises Unsupported where the node keeps no such state."""
    slots = [*ACCOUNT_SLOTS.values(), _THRESHOLD_SLOT, _NONCE_SLOT]
    answers = read_states(transport, [storage_call(w, s) for w in wallets for s in slots], at)
    words = [_word(a) for a in answers]
    lists = _walk(transport, [(w, base) for w in wallets for base in (_OWNERS_SLOT, _MODULES_SLOT)], at)
    states = {}
    for n, wallet in enumerate(wallets):
        row = words[n * len(slots) : (n + 1) * len(slots)]
        states[wallet] = WalletState(
            accounts=dict(zip(ACCOUNT_SLOTS, row, strict=False)),
            threshold=int.from_bytes(row[-2], "big"),
            nonce=int.from_bytes(row[-1], "big"),
            owners=tuple(lists[wallet, _OWNERS_SLOT]),
            modules=tuple(lists[wallet, _MODULES_SLOT]),
        )
    return states


def _word(answer: Json | ChainError) -> bytes:
    return quantity_of(raised(answer), "eth_getStorageAt").to_bytes(32, "big")


def _walk(transport: Transport, lists: list[tuple[bytes, int]], at: BlockRef) -> dict[tuple[bytes, int], list[bytes]]:
    """Linked lists in storage, from the sentinel to the sentinel; all of them in one batch a step."""
    found: dict[tuple[bytes, int], list[bytes]] = {key: [] for key in lists}
    cursors = dict.fromkeys(lists, SENTINEL)
    for _ in range(MAX_LIST):
        calls = [storage_call(wallet, mapping_slot(at_key, base)) for (wallet, base), at_key in cursors.items()]
        answers = read_states(transport, calls, at)
        for key, answer in zip(list(cursors), answers, strict=True):
            entry = _word(answer)[12:]
            if entry in (SENTINEL, bytes(20)) or entry in found[key]:
                del cursors[key]
            else:
                found[key].append(entry)
                cursors[key] = entry
        if not cursors:
            break
    return found


def read_codes(transport: Transport, accounts: Sequence[bytes], at: BlockRef) -> dict[bytes, bytes]:
    """The code of each account after block `at`."""
    answers = read_states(transport, [code_call(a) for a in accounts], at)
    return {a: data_of(raised(answer), "eth_getCode") for a, answer in zip(accounts, answers, strict=True)}


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
    if asset == native_id(asset.chain):
        return [quantity_of(answer, "eth_getBalance") for answer in answers]
    return [_token_units(answer, asset, address) for answer, address in zip(answers, addresses, strict=True)]


def _call(address: Address, asset: AssetId) -> Call:
    if asset == native_id(asset.chain):
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
