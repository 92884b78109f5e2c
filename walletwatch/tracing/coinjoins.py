"""Recognising CoinJoins, and deposits into bridges with the memos that name their destinations.

Whirlpool: as many inputs as outputs, all outputs one of the pools' sizes. WabiSabi: a large round with outputs in the
protocol's standard sizes. JoinMarket: equal outputs, and inputs of as many owners, each of whom gets one equal output
and change. Batch payouts also have many outputs, some equal, but they pay from few addresses and pay known ones again
(address reuse of 70 % almost rules a CoinJoin out).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from chains.model import AccountTransaction, Address, ChainTransaction, UtxoTransaction
from walletwatch.domain.cases import Onward

MAX_STEPS = 20_000
"""Steps after which the search is given up (some 20 ms), with the answer no."""


def can_partition(values: Sequence[int], targets: Sequence[int], below: int, above: int) -> bool:
    """Whether the values can be partitioned into one non-empty group for each target, with each group's sum in
    [target - below, target + above].
    """
    order = sorted(values, reverse=True)
    needs = sorted(targets, reverse=True)
    if not needs or len(order) < len(needs):
        return False
    return _PartitionSearch(order, needs, below, above).assign(0)


class _PartitionSearch:
    """Depth-first over the values, largest first; a group never exceeds its target by more than `above`."""

    def __init__(self, values: Sequence[int], targets: Sequence[int], below: int, above: int) -> None:
        self.values, self.targets, self.below, self.above = values, targets, below, above
        self.sums = [0] * len(targets)
        self.steps = 0

    def assign(self, index: int) -> bool:
        """Try to place the values from `index` on."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            return False
        if index == len(self.values):
            return all(s >= t - self.below and s for s, t in zip(self.sums, self.targets, strict=True))
        value = self.values[index]
        tried: set[tuple[int, int]] = set()
        for group, target in enumerate(self.targets):
            state = (self.sums[group], target)
            if self.sums[group] + value > target + self.above or state in tried:
                continue
            tried.add(state)
            self.sums[group] += value
            if self.assign(index + 1):
                return True
            self.sums[group] -= value
        return False


WHIRLPOOL_POOLS_SATS = frozenset({100_000, 1_000_000, 2_500_000, 5_000_000, 50_000_000})
WHIRLPOOL_EXTRA_SATS = 100_000
"""A first-time input includes its miner fee in addition to the pool's size."""
WABISABI_MIN_INPUTS = 50
WABISABI_STANDARD_PERCENT = 80
"""In the real round fb596c9f…, 272 of 279 outputs have a standard size."""
MAX_REUSE_PERCENT = 30
JOINMARKET_MAX_PARTIES = 24
JOINMARKET_MAX_OWNERS = 200
JOINMARKET_MIN_SATS = 27_300
"""JoinMarket's own dust threshold: it makes no smaller outputs."""


def recognise(tx: UtxoTransaction) -> str:
    """`Whirlpool`, `WabiSabi`, `JoinMarket`, or empty for none of them."""
    if tx.is_coinbase or _reuse_percent(tx) > MAX_REUSE_PERCENT:
        return ""
    for name, fits in (("Whirlpool", _is_whirlpool), ("WabiSabi", _is_wabisabi), ("JoinMarket", _is_joinmarket)):
        if fits(tx):
            return name
    return ""


def _reuse_percent(tx: UtxoTransaction) -> int:
    """The percentage of inputs and outputs whose address occurred before in the transaction."""
    keys = [i.address.key for i in tx.inputs if i.address is not None] + [o.address.key for o in tx.outputs]
    return (len(keys) - len(set(keys))) * 100 // len(keys) if keys else 0


def _distinct_inputs(tx: UtxoTransaction) -> int:
    return len({i.address.key for i in tx.inputs if i.address is not None})


def _is_whirlpool(tx: UtxoTransaction) -> bool:
    size = tx.outputs[0].value if tx.outputs else 0
    if size not in WHIRLPOOL_POOLS_SATS or not 5 <= len(tx.outputs) <= 10 or len(tx.inputs) != len(tx.outputs):
        return False
    values = [i.value for i in tx.inputs if i.value is not None]
    return (
        all(o.value == size for o in tx.outputs)
        and len(values) == len(tx.inputs)
        and all(size <= value <= size + WHIRLPOOL_EXTRA_SATS for value in values)
        and any(value == size for value in values)
        and _distinct_inputs(tx) == len(tx.inputs)
    )


def _standard_sizes() -> frozenset[int]:
    """WabiSabi's output sizes in satoshi: 2^n, 3^n, 2·3^n, and 1, 2 or 5 times 10^n."""
    limit = 21_000_000 * 10**8
    sizes: set[int] = set()
    for factor, base in ((1, 2), (1, 3), (2, 3), (1, 10), (2, 10), (5, 10)):
        value = factor
        while value <= limit:
            sizes.add(value)
            value *= base
    return frozenset(size for size in sizes if size >= 5_000)


_STANDARD_SIZES = _standard_sizes()


def _is_wabisabi(tx: UtxoTransaction) -> bool:
    if len(tx.inputs) < WABISABI_MIN_INPUTS or len(tx.outputs) < WABISABI_MIN_INPUTS // 2:
        return False
    standard = sum(o.value in _STANDARD_SIZES for o in tx.outputs)
    return (
        standard * 100 >= WABISABI_STANDARD_PERCENT * len(tx.outputs)
        and _distinct_inputs(tx) * 10 >= 9 * len(tx.inputs)
        and max(Counter(o.value for o in tx.outputs).values()) > 1
    )


def _is_joinmarket(tx: UtxoTransaction) -> bool:
    values = [o.value for o in tx.outputs]
    if not values or any(value == 0 for value in values):
        return False
    size, parties = max(Counter(values).items(), key=lambda item: (item[1], item[0]))
    changes = sorted((value for value in values if value != size), reverse=True)
    if size < JOINMARKET_MIN_SATS:
        return False
    if not 2 <= parties <= JOINMARKET_MAX_PARTIES or not parties - 1 <= len(changes) <= parties:
        return False
    if parties == 2 and len(changes) < 2:
        return False  # two equal payouts and change: an ordinary payment
    owners = _by_owner(tx)
    return (
        owners is not None
        and parties <= len(owners) <= JOINMARKET_MAX_OWNERS
        and _owners_fit(owners, size, parties, changes)
    )


def _by_owner(tx: UtxoTransaction) -> list[int] | None:
    """The input value of each address; None if the node did not give all addresses and values."""
    owners: dict[bytes, int] = {}
    for tx_input in tx.inputs:
        if tx_input.address is None or tx_input.value is None:
            return None
        owners[tx_input.address.key] = owners.get(tx_input.address.key, 0) + tx_input.value
    return list(owners.values())


def _owners_fit(owners: Sequence[int], size: int, parties: int, changes: Sequence[int]) -> bool:
    """Whether the inputs form groups that each pay for one equal output and one change. A maker receives slightly more
    than it put in (its fee), the taker slightly less.
    """
    targets = [size + change for change in changes] + [size] * (parties - len(changes))
    maker_gain = max(size // 100, 1_000)
    fee = sum(owners) - sum(targets)
    return fee >= 0 and can_partition(owners, targets, maker_gain, fee + maker_gain * parties)


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
"""CAIP-2 ids by network name in memos."""

_SHORT = {"a": "AVAX", "b": "BTC", "c": "BCH", "d": "DOGE", "e": "ETH", "f": "BASE"} | {
    "g": "GAIA",
    "l": "LTC",
    "r": "THOR",
    "s": "BSC",
    "x": "XRP",
}
"""One-letter names of networks' coins, which keep a memo within 80 bytes of OP_RETURN."""

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
    """The destination of a swap memo, None if `text` is not a complete swap memo to a known network."""
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
    """The text pushed by an OP_RETURN script; None for other scripts, truncated pushes and non-printable text."""
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
    """The deposit is the output or transfer `ordinal` to `vault`; all else, such as change, is not bridged."""

    ordinal: int
    vault: Address
    onward: Onward


def find_deposit(tx: ChainTransaction) -> Deposit | None:
    """The bridge deposit in `tx`, or None."""
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
    """By the call's memo, if the family reads it (feature `memo`): the last transfer of the transaction, made by the
    sender or by the router that it called.
    """
    memo = tx.signing.as_dict().get("memo") if tx.signing is not None else None
    onward = parse_memo(memo) if isinstance(memo, str) else None
    if onward is None or not tx.transfers:
        return None
    last = max(tx.transfers, key=lambda t: t.ordinal)
    return Deposit(last.ordinal, last.receiver, onward)
