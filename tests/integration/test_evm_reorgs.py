"""Reorgs of a real node, tokens moving differently on both branches, and back to the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from chains.errors import BlockGone
from chains.evm.source import EvmSource, open_source
from chains.model import AccountTransaction, BlockFacts, ChainId
from chains.source import Endpoint, SourceSpec, WatchSet
from nodes.anvils import CHAIN_ID, Anvil
from nodes.contracts import Contract, deploy_erc20

pytestmark = pytest.mark.anvil

CHAIN = ChainId("eip155", str(CHAIN_ID))


def open_for(node: Anvil, confirmations: int = 1) -> EvmSource:
    return open_source(SourceSpec("local", CHAIN, (Endpoint("anvil", node.url),), confirmations=confirmations))


def paid(facts: BlockFacts) -> list[int]:
    """Token amounts in a block."""
    found = [t for tx in facts.transactions if isinstance(tx, AccountTransaction) for t in tx.transfers]
    return [t.amount for t in found if t.kind == "token"]


def pay(token: Contract, amount: int) -> tuple[dict[str, str], int]:
    """A transaction for `Anvil.reorg`."""
    data = token.calldata("transfer", "0x" + "77" * 20, amount)
    sender = token.node.accounts[0]
    return {"from": sender, "to": token.address, "data": "0x" + data.hex(), "gas": hex(100_000)}, 0


@pytest.mark.parametrize("depth", [1, 3, 20])
def test_the_other_branch_is_read_as_it_is(fresh_anvil: Anvil, depth: int) -> None:
    holder = fresh_anvil.accounts[0]
    token = deploy_erc20(fresh_anvil, "TKR", 10_000, holder)
    fresh_anvil.automine(on=False)
    for amount in range(100, 100 + depth):
        token.send(holder, "transfer", "0x" + "77" * 20, amount)
        fresh_anvil.mine()
    source, watch = open_for(fresh_anvil), WatchSet({bytes.fromhex(holder[2:])})
    tip = source.tip().height
    before = {h: source.block(h, watch) for h in range(tip - depth, tip + 1)}
    fresh_anvil.reorg(depth, [pay(token, 7)])
    after = {h: source.block(h, watch) for h in range(tip - depth, tip + 1)}
    assert after[tip - depth].ref == before[tip - depth].ref
    assert all(after[h].ref.hash != before[h].ref.hash for h in range(tip - depth + 1, tip + 1))
    assert all(after[h].parent_hash == after[h - 1].ref.hash for h in range(tip - depth + 1, tip + 1))
    assert [n for h in sorted(before)[1:] for n in paid(before[h])] == [*range(100, 100 + depth)]
    assert [n for h in sorted(after)[1:] for n in paid(after[h])] == [7]
    source.close()


def test_a_branch_that_comes_back_is_the_same_again(fresh_anvil: Anvil, tmp_path: Path) -> None:
    """A block that was orphaned and is canonical again must read as it did at first. Anvil cannot go back to a branch,
    so its answers on both are recorded, and replayed as A, B, A.
    """
    holder = fresh_anvil.accounts[0]
    token = deploy_erc20(fresh_anvil, "TKF", 10_000, holder)
    fresh_anvil.automine(on=False)
    watch = WatchSet({bytes.fromhex(holder[2:])})
    token.send(holder, "transfer", "0x" + "77" * 20, 1)
    height = fresh_anvil.mine()
    live = [recorded_block(fresh_anvil, tmp_path / "a", height, watch)]
    fresh_anvil.reorg(1, [pay(token, 2)])
    live.append(recorded_block(fresh_anvil, tmp_path / "b", height, watch))
    a, b = (tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()
    (tmp_path / "aba").write_bytes(a + b + a)
    replay = open_source(SourceSpec("local", CHAIN, (Endpoint("capture", f"recorded:{tmp_path / 'aba'}"),)))
    first, second, third = (replay.block(height, watch) for _ in range(3))
    replay.close()
    assert [first, second] == live
    assert (paid(first), paid(second)) == ([1], [2])
    assert third == first


def recorded_block(node: Anvil, path: Path, height: int, watch: WatchSet) -> BlockFacts:
    source = open_source(SourceSpec("local", CHAIN, (Endpoint("anvil", node.url),), record_to=path))
    facts = source.block(height, watch)
    source.close()
    return facts


def test_heights_above_the_tip_are_gone_and_finality_follows_the_tip(fresh_anvil: Anvil) -> None:
    source = open_for(fresh_anvil, confirmations=4)
    fresh_anvil.mine(9)
    assert source.tip().height == 9
    assert source.final_height() == 6
    assert source.ref_at(9) == source.tip()
    for ask in (lambda: source.block(10, WatchSet()), lambda: source.ref_at(10)):
        with pytest.raises(BlockGone):
            ask()
    source.close()


def test_the_finality_tag_takes_the_place_of_confirmations(fresh_anvil: Anvil) -> None:
    endpoint = Endpoint("anvil", fresh_anvil.url)
    source = open_source(SourceSpec("local", CHAIN, (endpoint,), confirmations=1, finality="finalized"))
    fresh_anvil.mine(70)
    expected = int(fresh_anvil.rpc("eth_getBlockByNumber", ["finalized", False])["number"], 16)
    assert source.final_height() == expected < 70
    source.close()


def test_a_balance_is_of_the_block_asked_for(fresh_anvil: Anvil) -> None:
    source = open_for(fresh_anvil)
    to = source.parse_address("0x" + "78" * 20)
    refs = []
    for _ in range(3):
        fresh_anvil.send(fresh_anvil.accounts[0], to.text, value=5)
        while source.tip().height == len(refs):
            pass
        refs.append(source.tip())
    assert [source.balance(to, source.native.id, ref) for ref in refs] == [5, 10, 15]
    fresh_anvil.reorg(1)
    with pytest.raises(BlockGone):
        source.balance(to, source.native.id, refs[-1])
    source.close()
