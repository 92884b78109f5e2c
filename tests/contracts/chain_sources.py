"""What every ChainSource must do. A family subclasses `ChainSourceContract` and gives it a `Scene` on a real node, and
another on a capture of that node made by `ask_everything`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta

import pytest

from chains.errors import BlockGone, Unsupported, WrongChain
from chains.model import Address, BlockRef, ChainTransaction, TxId, UtxoTransaction
from chains.source import ChainSource, WatchSet

UNKNOWN_TXID = b"\xee" * 32


@dataclass
class Scene:
    """A chain on which a watched address was paid in one block and spent in a later one, both below the tip's height
    by `confirmations` or more, and a source that looks at it.
    """

    source: ChainSource
    wrong: ChainSource
    """Looks at the same node and takes it for another chain."""
    watched: Address
    paid_at: int
    paid_txid: TxId
    spent_at: int
    spent_txid: TxId
    confirmations: int

    def watch(self) -> WatchSet:
        return WatchSet({self.watched.key})


def ask_everything(scene: Scene) -> None:
    """Ask all that the contract asks, so that a capture can answer it."""
    source = scene.source
    source.identify()
    tip = source.tip()
    source.final_height()
    for height in (tip.height, scene.paid_at, scene.paid_at - 1, scene.spent_at, scene.spent_at - 1):
        source.ref_at(height)
    for ask in (source.ref_at, lambda height: source.block(height, WatchSet())):
        with pytest.raises(BlockGone):
            ask(tip.height + 1)
    for height in (scene.paid_at, scene.spent_at):
        source.block(height, scene.watch())
        source.block(height, WatchSet())
        source.transaction(scene.paid_txid, source.ref_at(scene.paid_at))
    source.transaction(scene.spent_txid, source.ref_at(scene.spent_at))
    source.transaction(UNKNOWN_TXID)
    source.pending(scene.watch())
    _funds(source, scene)
    _balance(source, scene.watched, tip)


def _funds(source: ChainSource, scene: Scene) -> int | None:
    try:
        return sum(output.value for output in source.unspent({scene.watched}).outputs.values())
    except Unsupported:
        return None


def _balance(source: ChainSource, address: Address, at: BlockRef) -> int | None:
    try:
        return source.balance(address, source.native.id, at)
    except Unsupported:
        return None


def touches(tx: ChainTransaction, key: bytes) -> bool:
    if isinstance(tx, UtxoTransaction):
        spent = any(i.address is not None and i.address.key == key for i in tx.inputs)
        return spent or any(o.address.key == key for o in tx.outputs)
    places = {p.key for t in tx.transfers for p in (t.sender, t.receiver)} | {tx.sender.key}
    return key in places


class ChainSourceContract:
    """Subclass as `TestXxx`, and give a fixture `scene`."""

    def test_it_fulfils_the_port(self, scene: Scene) -> None:
        assert isinstance(scene.source, ChainSource)
        assert str(scene.source.native.id.chain) == str(scene.source.chain)

    def test_it_identifies_its_chain(self, scene: Scene) -> None:
        scene.source.identify()
        assert {h.state for h in scene.source.health()} == {"ok"}

    def test_it_refuses_another_chain_and_shows_it(self, scene: Scene) -> None:
        with pytest.raises(WrongChain):
            scene.wrong.identify()
        with pytest.raises(WrongChain):
            scene.wrong.tip()
        assert {h.state for h in scene.wrong.health()} == {"wrong-chain"}

    def test_the_tip_is_on_the_best_chain(self, scene: Scene) -> None:
        tip = scene.source.tip()
        assert len(tip.hash) == 32
        assert scene.source.ref_at(tip.height) == tip
        assert scene.source.health()[0].height == tip.height

    def test_above_the_tip_is_gone(self, scene: Scene) -> None:
        above = scene.source.tip().height + 1
        with pytest.raises(BlockGone):
            scene.source.ref_at(above)
        with pytest.raises(BlockGone):
            scene.source.block(above, WatchSet())

    def test_final_is_below_the_tip_by_the_confirmations(self, scene: Scene) -> None:
        assert scene.source.final_height() == scene.source.tip().height - scene.confirmations + 1

    def test_a_block_is_the_one_asked_for_and_names_its_parent(self, scene: Scene) -> None:
        for height in (scene.paid_at, scene.spent_at):
            facts = scene.source.block(height, scene.watch())
            assert facts.ref == scene.source.ref_at(height)
            assert facts.parent_hash == scene.source.ref_at(height - 1).hash
            assert facts.chain == scene.source.chain
            assert facts.time.utcoffset() == timedelta(0)
            assert facts.time.tzinfo is UTC

    def test_a_block_tells_what_touches_the_watch_set(self, scene: Scene) -> None:
        paid = scene.source.block(scene.paid_at, scene.watch())
        spent = scene.source.block(scene.spent_at, scene.watch())
        assert scene.paid_txid in [tx.txid for tx in paid.transactions]
        assert scene.spent_txid in [tx.txid for tx in spent.transactions]
        for tx in (*paid.transactions, *spent.transactions):
            assert touches(tx, scene.watched.key)

    def test_transactions_stand_in_block_order(self, scene: Scene) -> None:
        indexes = [tx.index for tx in scene.source.block(scene.paid_at, scene.watch()).transactions]
        assert indexes == sorted(set(indexes))

    def test_an_empty_watch_set_is_touched_by_nothing(self, scene: Scene) -> None:
        assert scene.source.block(scene.paid_at, WatchSet()).transactions == ()

    def test_a_transaction_asked_for_is_the_one_in_the_block(self, scene: Scene) -> None:
        facts = scene.source.block(scene.spent_at, scene.watch())
        in_block = next(tx for tx in facts.transactions if tx.txid == scene.spent_txid)
        alone = scene.source.transaction(scene.spent_txid, facts.ref)
        assert alone is not None
        assert alone.txid == in_block.txid
        assert (alone.index, alone.fee, alone.spend_keys) == (in_block.index, in_block.fee, in_block.spend_keys)

    def test_an_unknown_transaction_is_none(self, scene: Scene) -> None:
        assert scene.source.transaction(UNKNOWN_TXID) is None

    def test_pending_is_of_now_and_this_chain(self, scene: Scene) -> None:
        pending = scene.source.pending(scene.watch())
        assert pending.chain == scene.source.chain
        assert pending.looked_at.tzinfo is UTC
        assert {tx.index for tx in pending.transactions} <= {-1}

    def test_balance_and_unspent_agree_where_the_chain_has_both(self, scene: Scene) -> None:
        funds = _funds(scene.source, scene)
        balance = _balance(scene.source, scene.watched, scene.source.tip())
        assert balance is not None
        assert funds in (None, balance)

    def test_addresses_are_read_and_refused(self, scene: Scene) -> None:
        assert scene.source.parse_address(scene.watched.text) == scene.watched
        for junk in ("", "not an address", scene.watched.text[:-1], "\x00", "1" * 10_000):
            with pytest.raises(ValueError, match=r"."):
                scene.source.parse_address(junk)

    def test_waiting_ends(self, scene: Scene) -> None:
        scene.source.wait(0.0)

    def test_health_names_every_endpoint(self, scene: Scene) -> None:
        assert [h.name for h in scene.source.health()] == ["node"]

    def test_closing_twice_is_nothing(self, scene: Scene) -> None:
        scene.source.close()
        scene.source.close()
        scene.source.wait(60.0)  # ends at once: a closed source waits for nobody
