"""What became of each transaction, and what a daemon that was sometimes away has seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from oracle.worlds import ACCOUNT, COIN, AccountTx, Move, Step, Tx, World, conflicts

LIVING = ("waiting", "included")


@dataclass
class Life:
    """`state` is `waiting`, `included`, `failed`, `replaced`, `orphaned` or `dropped`. `seen`: the first sight in a
    mempool; `block_time`: of the block that holds it now; `former`: times of blocks that held it and were orphaned;
    `met`: when the daemon first knew of it, by whatever way.
    """

    tx: Tx
    state: str = "dropped"
    seen: int | None = None
    block_time: int | None = None
    former: list[int] = field(default_factory=list)
    met: int | None = None

    @property
    def lives(self) -> bool:
        return self.state in LIVING

    @property
    def ran(self) -> bool:
        """Whether the chain holds it, so that what it moved is what it did and not what it was expected to do."""
        return self.state in ("included", "failed")

    @property
    def did_otherwise(self) -> bool:
        """Whether it ran once, did other than it had shown, and was orphaned: which of both counts is not said."""
        ran_before = bool(self.former) and not self.ran
        return ran_before and isinstance(self.tx, AccountTx) and (self.tx.shown is not None or not self.tx.ok)

    def moves(self) -> tuple[Move, ...]:
        """Of an account chain's transaction, as far as is known."""
        assert isinstance(self.tx, AccountTx)
        if self.ran:
            return self.tx.moves if self.tx.ok else ()
        return self.tx.moves if self.tx.shown is None else self.tx.shown


@dataclass
class _Node:
    """The chain as it stands: blocks of (time, names), and who waits."""

    blocks: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def lives_of(world: World, until: int | None = None) -> dict[str, Life]:
    """The life of every transaction the daemon has met, up to `until` (by default the end)."""
    end = world.end if until is None else until
    nodes = {COIN: _Node(), ACCOUNT: _Node()}
    lives = {tx.name: Life(tx) for tx in world.txs}
    moments = [(step.at, 0, step) for step in world.steps] + [(back, 1, None) for _, back in world.downs]
    for at, _, step in sorted(moments, key=lambda m: m[:2]):
        if at > end:
            break
        if step is not None:
            _apply(world, nodes[step.chain], step)
        if world.is_up(at):
            _look(nodes, lives, at)
    _settle(world, nodes, lives)
    return {name: life for name, life in lives.items() if life.met is not None}


def _apply(world: World, node: _Node, step: Step) -> None:
    if step.kind == "relay":
        node.waiting = [n for n in node.waiting if not _rivals(world, n, step.txs)] + list(step.txs)
    elif step.kind == "drop":
        node.waiting = [n for n in node.waiting if n not in step.txs]
    elif step.kind == "mine":
        _mine(world, node, step.at, step.txs)
    else:
        del node.blocks[len(node.blocks) - step.depth :]
        for names in step.blocks:
            _mine(world, node, step.at, names)
        mined = {n for _, names in node.blocks for n in names}
        node.waiting += [n for n in step.txs if n not in mined and not _rivals(world, n, mined)]


def _mine(world: World, node: _Node, at: int, names: tuple[str, ...]) -> None:
    node.blocks.append((at, names))
    node.waiting = [n for n in node.waiting if n not in names and not _rivals(world, n, names)]


def _rivals(world: World, name: str, others: tuple[str, ...] | set[str]) -> bool:
    return any(conflicts(world.tx(name), world.tx(other)) for other in others)


def _look(nodes: dict[str, _Node], lives: dict[str, Life], at: int) -> None:
    for node in nodes.values():
        mined = {name: time for time, names in node.blocks for name in names}
        for name, life in lives.items():
            if life.block_time is not None and life.tx.chain == _chain_of(nodes, node) and name not in mined:
                life.former.append(life.block_time)
                life.block_time = None
        for name, time in mined.items():
            life = lives[name]
            life.former += [life.block_time] if life.block_time not in (None, time) else []
            life.block_time = time
            life.met = at if life.met is None else life.met
        for name in node.waiting:
            life = lives[name]
            life.seen = at if life.seen is None else life.seen
            life.met = at if life.met is None else life.met


def _chain_of(nodes: dict[str, _Node], node: _Node) -> str:
    return next(chain for chain, other in nodes.items() if other is node)


def _settle(world: World, nodes: dict[str, _Node], lives: dict[str, Life]) -> None:
    """The state in which each ends.

    "`state`: `seen | included | final | orphaned | replaced` (orphaned until included again; replaced when a
    conflicting transaction is in the chain or the mempool)."
    """
    present = {n for node in nodes.values() for _, names in node.blocks for n in names}
    waiting = {n for node in nodes.values() for n in node.waiting}
    for name, life in lives.items():
        if name in present:
            failed = isinstance(life.tx, AccountTx) and not life.tx.ok
            life.state = "failed" if failed else "included"
        elif name in waiting:
            life.state = "waiting"
        elif _rivals(world, name, present | waiting):
            life.state = "replaced"
        else:
            life.state = "orphaned" if life.former else "dropped"
