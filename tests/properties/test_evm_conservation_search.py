"""Narrowing a difference: whatever was seen, unseen or not kept, what is told adds up and blames no other block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import hypothesis.strategies as st
from hypothesis import given

from chains.errors import Unsupported
from chains.model import Address, Asset, AssetId, BlockRef, ChainId
from walletwatch.deployment import WatchedChain
from walletwatch.domain.wallets import Perimeter, Wallet
from walletwatch.store.ledger import Balance
from walletwatch.watch.conservation import MAX_DIFFERENCES, Conservation, WalletBook

CHAIN = ChainId("eip155", "31337")
ETH = Asset(AssetId(CHAIN, "slip44", "60"), "ETH", 18)
OWN = Address(b"\x01" * 20, "0x" + "01" * 20)
OPENING = 10**30


def ref(height: int) -> BlockRef:
    return BlockRef(height, height.to_bytes(32, "big"))


class Past:
    """A node that knows the account's balance after each block, of those it still keeps."""

    def __init__(self, changes: Sequence[int], kept_from: int) -> None:
        self.held = [OPENING]
        for change in changes:
            self.held.append(self.held[-1] + change)
        self.kept_from = kept_from

    def ref_at(self, height: int) -> BlockRef:
        return ref(height)

    def balance(self, _address: Address, _asset: AssetId, at: BlockRef) -> int:
        if at.height < self.kept_from:
            raise Unsupported("missing trie node")
        return self.held[at.height]

    def balances(self, addresses: Sequence[Address], asset: AssetId, at: BlockRef) -> list[int]:
        return [self.balance(address, asset, at) for address in addresses]

    def second_balances(self, _addresses: Sequence[Address], _asset: AssetId, _at: BlockRef) -> list[int]:
        raise Unsupported("there is one node")


moved = st.integers(-(10**20), 10**20)
blocks = st.lists(st.tuples(moved, st.one_of(st.just(0), st.just(0), moved)), min_size=1, max_size=80)


def search(history: Sequence[tuple[int, int]], kept_from: int) -> list[Any]:
    """What is told of (seen, unseen) moves by block."""
    source = Past([seen + unseen for seen, unseen in history], kept_from)
    perimeter = Perimeter(CHAIN)
    perimeter.add(Wallet("hot", "hot", CHAIN), [OWN])
    watched = WatchedChain(CHAIN, "anvil", ETH, perimeter)
    moves = [(n, max(0, seen), max(0, -seen), 0) for n, (seen, _) in enumerate(history, 1)]
    book = WalletBook(("hot", ETH.id), Balance("hot", ETH.id, ref(0), OPENING), moves)
    desk = Conservation(watched, cast(Any, source), cast(Any, None), cast(Any, None))
    return desk._differences(book, ref(len(history)), source.held[-1])


@given(blocks)
def test_of_a_past_that_is_kept_every_unseen_block_that_counts_is_named(history: list[tuple[int, int]]) -> None:
    told = search(history, 0)
    assert sum(d.amount for d in told) == sum(unseen for _, unseen in history)
    for difference in told[: MAX_DIFFERENCES - 1]:
        assert difference.is_of_one_block
        assert difference.amount == history[difference.at.height - 1][1] != 0
    for difference in told:
        expected = difference.opening + difference.received - difference.sent - difference.fees
        assert expected + difference.amount == difference.accounts[0][2]


@given(blocks, st.integers(1, 80))
def test_of_a_past_that_is_not_kept_the_interval_holds_what_is_missing(
    history: list[tuple[int, int]], kept_from: int
) -> None:
    kept_from = min(kept_from, len(history))
    told = search(history, kept_from)
    assert sum(d.amount for d in told) == sum(unseen for _, unseen in history)
    for difference in told[: MAX_DIFFERENCES - 1]:
        unseen = [u for _, u in history[difference.above : difference.at.height]]
        assert difference.amount == sum(unseen)


@given(st.lists(moved, min_size=1, max_size=60))
def test_books_that_balance_are_silent(seen: list[int]) -> None:
    assert search([(n, 0) for n in seen], 0) == []
