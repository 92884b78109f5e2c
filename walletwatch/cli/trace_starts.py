"""Opening a case by hand, and reading the chain from the theft to where the watch stands."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chains.errors import Unsupported
from chains.model import BlockRef, ChainTransaction, TxId
from chains.registry import format_hash
from chains.source import ChainSource, WatchSet
from walletwatch.cli.errors import UsageProblem
from walletwatch.domain.cases import Case, Seed
from walletwatch.service.application import Application
from walletwatch.settings import Settings
from walletwatch.settings.chains import ChainSettings
from walletwatch.store.chain_state import CursorMoved
from walletwatch.watch.case_follower import CaseFollower, default_options, open_case, seeds_of


@dataclass(frozen=True, slots=True)
class Theft:
    """The transaction that stole, and which parts of it: all that left the perimeter if none is named."""

    tx: TxId
    vouts: frozenset[int] = frozenset()
    log_indexes: frozenset[int] = frozenset()
    addresses: tuple[str, ...] = ()
    height: int | None = None


def start(settings: Settings, chain_name: str, theft: Theft, *, name: str, by: str) -> None:
    """Open the case (or find it, if it is open) and read it up to the cursor."""
    chain = settings.chain(chain_name)
    with Application.open(settings) as application:
        worker = application.worker(chain)
        worker.source.identify()
        block = _block_of(application, chain, theft)
        ref = worker.source.ref_at(block)
        found = _find(worker.source, theft.tx, ref)
        if found is None:
            text = format_hash(chain.id, theft.tx)
            raise UsageProblem(f"the node does not know {text} in block {block}", where="--tx, --height")
        seeds = _seeds(application, chain, theft, found, ref)
        with application.store.transaction() as unit:
            options = default_options(application.deployment, seeds)
            case = open_case(unit, worker.watched, seeds, options, by=by, name=name)
        typer.echo(f"case {case.name} ({case.id}): {len(case.seeds)} seeds from block {case.start_height}")
        _read_up(application, worker.cases, case, worker.source.tip().height)


def _find(source: ChainSource, tx: TxId, ref: BlockRef) -> ChainTransaction | None:
    """The transaction in the block `ref`, from the chain's history source where our node has pruned it."""
    try:
        return source.transaction(tx, ref)
    except Unsupported:
        facts = source.past_block(ref.height, WatchSet(complete=True), {tx})
        for found in facts.transactions:
            if found.txid == tx:
                return found
        raise


def _block_of(application: Application, chain: ChainSettings, theft: Theft) -> int:
    """The height of the theft: as given, or of its outflow."""
    if theft.height is not None:
        return theft.height
    with application.store.reading() as unit:
        outflows = unit.outflows.of_tx(chain.id, theft.tx)
    heights = [outflow.block.height for outflow in outflows if outflow.block is not None]
    if not heights:
        text = format_hash(chain.id, theft.tx)
        raise UsageProblem(f"{text} was not seen by the watch", where="--tx", hint="add --height, the block it is in")
    return heights[0]


def _seeds(
    application: Application, chain: ChainSettings, theft: Theft, found: ChainTransaction, ref: BlockRef
) -> list[Seed]:
    watched = application.deployment.chains[chain.id]
    wanted = {application.settings.reader.addresses(text, [chain.id])[0][1].key for text in theft.addresses}
    outside = seeds_of(found, ref, watched.perimeter, watched.native.id)
    seeds = [
        seed
        for seed in outside
        if (not theft.vouts or (seed.log_index is None and seed.ordinal in theft.vouts))
        and (not theft.log_indexes or seed.log_index in theft.log_indexes)
        and (not wanted or seed.address.key in wanted)
    ]
    if not seeds:
        hint = f"{len(outside)} outputs or transfers of it leave the perimeter" if outside else "no wallet of ours lost"
        raise UsageProblem("nothing of this transaction fits", where="--tx, --vout, --log-index, --address", hint=hint)
    return seeds


def _read_up(application: Application, cases: CaseFollower, case: Case, tip: int) -> None:
    """Read block by block, each in its own transaction, until the case is live, or has met the tip where nobody
    watches yet. A daemon may do the same meanwhile: the second to commit takes over from the store.
    """
    columns = (TextColumn("reading blocks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task("", total=max(0, tip - case.start_height + 1))
        _load(application, cases)
        while (height := _read_block(application, cases, case, tip)) is not None:
            progress.update(bar, completed=height - case.start_height + 1)


def _load(application: Application, cases: CaseFollower) -> None:
    with application.store.reading() as unit:
        cases.load(unit)


def _read_block(application: Application, cases: CaseFollower, case: Case, tip: int) -> int | None:
    """Read one block of the case; None if there is nothing more to read."""
    with application.store.reading() as unit:
        stored = unit.cases.get(case.id)
        current = cases.is_current(unit)
    if stored is None or stored.live or stored.cursor.height >= tip:
        return None
    if not current:
        _load(application, cases)
    try:
        facts, result = cases.read_history(stored)
        with application.store.transaction() as unit:
            live = cases.keep_history(unit, stored, facts, result)
    except CursorMoved:
        _load(application, cases)
        return stored.cursor.height
    cases.moved(stored, facts.ref, live=live)
    return facts.ref.height
