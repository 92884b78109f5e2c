"""Deposits into bridges, and the memos that say where the money goes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chains.model import AccountTransaction, Address, ChainTransaction, UtxoTransaction
from walletwatch.domain.cases import Onward

MAX_MEMO_BYTES = 512

_CHAINS = {
    "AVAX": "eip155:43114",
    "BASE": "eip155:8453",
    "BCH": "bip122:000000000000000000651ef99cb9fcbe",
    "BSC": "eip155:56",
    "BTC": "bip122:000000000019d6689c085ae165831e93",
    "DOGE": "bip122:1a91e3dace36e2be3bf030a65679fe82",
    "ETH": "eip155:1",
    "GAIA": "cosmos:cosmoshub-4",
    "LTC": "bip122:12a765e31ffd4059bada1e25190f6e98",
    "THOR": "cosmos:thorchain-1",
    "XRP": "xrpl:0",
    "ARB": "eip155:42161",
    "DASH": "bip122:00000ffd590b1485b3caadc19b22e637",
    "KUJI": "cosmos:kaiyo-1",
    "MAYA": "cosmos:mayachain-mainnet-v1",
    "ZEC": "bip122:00040fe8ec8471911baa1db1266ea15d",
}
"""The networks' names in memos, as CAIP-2."""

_SHORT = {"a": "AVAX", "b": "BTC", "c": "BCH", "d": "DOGE", "e": "ETH", "f": "BASE"} | {
    "g": "GAIA",
    "l": "LTC",
    "r": "THOR",
    "s": "BSC",
    "x": "XRP",
}
"""One letter for a network's own coin, to fit a memo in 80 bytes of OP_RETURN."""

_SWAP = re.compile(
    r"(?:SWAP|s|=)"
    r":(?:(?P<chain>[A-Z]{2,5})[./~](?P<symbol>[A-Z0-9]{1,20}(?:-[A-Z0-9]{1,64})?)|(?P<short>[a-z]))"
    r":(?P<address>[A-Z0-9][A-Z0-9_+-]{0,127})(?:/[A-Z0-9]{1,128})?"
    r"(?::[0-9]{0,40}(?:E[0-9]{1,2})?(?:/[0-9]{0,10}){0,2}"  # limit/interval/quantity
    r"(?::[A-Z0-9/_+-]{0,128}(?::[0-9/]{0,32}"  # affiliates and their shares
    r"(?::[A-Z0-9.|+-]{0,128}){0,4})?)?)?\Z",  # an aggregator's contract, asset and minimum
    re.IGNORECASE,
)


def parse_memo(text: str) -> Onward | None:
    """Where a swap memo sends the money, None if `text` is no whole swap memo of a known network."""
    if len(text) > MAX_MEMO_BYTES:
        return None
    match = _SWAP.match(text)
    if match is None:
        return None
    name = _SHORT.get((match["short"] or "").lower()) if match["short"] else match["chain"].upper()
    chain = _CHAINS.get(name or "")
    if chain is None:
        return None
    return Onward(chain=chain, address=match["address"], memo=text)


def read_op_return(script: bytes) -> str | None:
    """The text pushed by an OP_RETURN script; None if it is none, is cut short, or is no printable ASCII."""
    if script[:1] != b"\x6a":
        return None
    pushed = _read_pushes(script[1 : MAX_MEMO_BYTES + 16])
    if not pushed or not all(32 <= byte < 127 for byte in pushed):
        return None
    return pushed.decode("ascii")


def _read_pushes(script: bytes) -> bytes | None:
    out, at = b"", 0
    while at < len(script):
        opcode, at = script[at], at + 1
        width = {0x4C: 1, 0x4D: 2}.get(opcode, 0)
        if opcode > 0x4B and not width:
            return None
        size = int.from_bytes(script[at : at + width], "little") if width else opcode
        at += width
        if at + size > len(script):
            return None
        out, at = out + script[at : at + size], at + size
    return out


@dataclass(frozen=True, slots=True)
class Deposit:
    """`vault` got the money to bridge, by output or transfer `ordinal` alone: change is not bridged."""

    ordinal: int
    vault: Address
    onward: Onward


def find_deposit(tx: ChainTransaction) -> Deposit | None:
    """The bridge deposit that `tx` makes, None if it makes none."""
    return _find_in_outputs(tx) if isinstance(tx, UtxoTransaction) else _find_in_call(tx)


def _find_in_outputs(tx: UtxoTransaction) -> Deposit | None:
    """THORChain's rule for coin chains: the vault is the first output, change goes back to the first input's address,
    and the memo is an OP_RETURN.
    """
    memos = [text for output in tx.outputs if (text := read_op_return(output.address.key)) is not None]
    onward = parse_memo(memos[0]) if len(memos) == 1 else None
    first = next((o for o in tx.outputs if o.value and o.address.key[:1] != b"\x6a"), None)
    if onward is None or first is None:
        return None
    if any(i.address is not None and i.address.key == first.address.key for i in tx.inputs):
        return None
    return Deposit(first.vout, first.address, onward)


def _find_in_call(tx: AccountTransaction) -> Deposit | None:
    """By the call's memo, where the family reads it (feature `memo`): the sender's last payment in the transaction, or
    what the router it called passed on last.
    """
    memo = tx.signing.as_dict().get("memo") if tx.signing is not None else None
    onward = parse_memo(memo) if isinstance(memo, str) else None
    if onward is None or not tx.transfers:
        return None
    last = max(tx.transfers, key=lambda t: t.ordinal)
    return Deposit(last.ordinal, last.receiver, onward)
