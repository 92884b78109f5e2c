"""Cases of one chain: opened by a finding or a person, read from the past until they meet the chain, then live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from chains.errors import BlockGone, Unsupported
from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    BlockFacts,
    BlockRef,
    ChainTransaction,
    Outpoint,
    TxOutput,
    UtxoTransaction,
)
from chains.registry import family_of, format_hash
from chains.source import ChainSource, WatchSet
from walletwatch.deployment import Deployment, WatchedChain
from walletwatch.domain.cases import Case, CaseState, Seed, TraceOptions, case_id
from walletwatch.domain.findings import Finding, Mode, Severity, VerdictKind
from walletwatch.domain.prices import Unknown
from walletwatch.domain.wallets import Perimeter
from walletwatch.store import UnitOfWork
from walletwatch.store.cases import CaseTransaction, StoredCase
from walletwatch.tracing.tracer import StepResult, Tracer
from walletwatch.watch.findings import finding_of
from walletwatch.watch.judging import Judge

_MAX_SEARCHES = 1_000
"""A block holds no longer chain of spends: each search of it follows the taint at least one transaction further."""


@dataclass(slots=True)
class _FollowedCase:
    """A case in memory."""

    stored: StoredCase
    tracer: Tracer
    outputs: dict[Outpoint, TxOutput]


class CaseFollower:
    """Follows the open cases of one chain. Owned by the chain's worker thread."""

    def __init__(self, watched: WatchedChain, deployment: Deployment, judge: Judge, source: ChainSource) -> None:
        self._watched = watched
        self._deployment = deployment
        self._judge = judge
        self._source = source
        self._followed: dict[str, _FollowedCase] = {}
        self._results: dict[str, StepResult] = {}

    # --- memory -------------------------------------------------------------------------------------------------------

    def load(self, unit: UnitOfWork) -> None:
        """Fold every open case anew from what is kept of it."""
        self._results.clear()
        self._followed = {s.case.id: self._fold(unit, s) for s in self._open_cases(unit)}

    def is_current(self, unit: UnitOfWork) -> bool:
        """Whether memory is what the store says: another process may open, extend or stop a case."""
        known = {i: f.stored.cursor for i, f in self._followed.items()}
        return {s.case.id: s.cursor for s in self._open_cases(unit)} == known

    def _open_cases(self, unit: UnitOfWork) -> list[StoredCase]:
        return unit.cases.find(self._watched.chain, CaseState.OPEN)

    def _fold(self, unit: UnitOfWork, stored: StoredCase) -> _FollowedCase:
        case = stored.case
        openings = unit.cases.openings(case.id)
        tracer = Tracer(case, self._deployment.labels, self._watched.native.id, self._opening, openings)
        kept = unit.cases.transactions(case.id)
        for _height, group in groupby(kept, key=lambda one: one.block.height):
            same_block = list(group)
            tracer.step(same_block[0].block, same_block[0].time, [one.tx for one in same_block])
        return _FollowedCase(stored, tracer, _outputs_of(one.tx for one in kept))

    def _opening(self, address: Address, asset: AssetId, height: int) -> int | None:
        """What an account held before the block at `height`; None where the node keeps no such state."""
        try:
            return self._source.balance(address, asset, self._source.ref_at(height - 1))
        except Unsupported:
            return None

    def extend_watch(self, watch: WatchSet) -> None:
        """Watch the suspects of live cases in the next block."""
        for followed in self._live():
            _add(watch, *followed.tracer.watch(), followed.outputs)

    @property
    def is_following(self) -> bool:
        """Whether a case is live."""
        return bool(self._live())

    def _live(self) -> list[_FollowedCase]:
        return [f for f in self._followed.values() if f.stored.live]

    # --- one block ----------------------------------------------------------------------------------------------------

    def search(self, facts: BlockFacts, watch: WatchSet) -> BlockFacts:
        """Fold `facts` into every live case, searching the block again while a case names new suspects in it."""
        live = self._live()
        for _ in range(_MAX_SEARCHES if live else 0):
            self._results = {f.stored.case.id: f.tracer.step(facts.ref, facts.time, facts.transactions) for f in live}
            if all(result.complete for result in self._results.values()):
                break
            for followed in live:
                result = self._results[followed.stored.case.id]
                followed.outputs.update(_outputs_of(result.relevant))
                _add(watch, result.new_addresses, result.new_outpoints, followed.outputs)
            again = self._source.block(facts.ref.height, watch)
            if again.ref != facts.ref:
                raise BlockGone(f"block {facts.ref} was replaced while it was searched")
            facts = again
        return facts

    def extend(self, unit: UnitOfWork, facts: BlockFacts) -> None:
        """Keep what `search` found, in the block's transaction, and raise its alerts."""
        for followed in self._live():
            case, cursor = followed.stored.case, followed.stored.cursor
            result = self._results.get(case.id, StepResult())
            unit.cases.advance(case.id, cursor, facts.ref, live=True)
            self._keep(unit, case, facts, result)

    def committed(self, facts: BlockFacts) -> None:
        """The block's transaction is durable."""
        for followed in self._live():
            followed.stored = replace(followed.stored, cursor=facts.ref)
            result = self._results.get(followed.stored.case.id, StepResult())
            followed.outputs.update(_outputs_of(result.relevant))
        self._results.clear()

    def _keep(self, unit: UnitOfWork, case: Case, facts: BlockFacts, result: StepResult) -> None:
        kept = [CaseTransaction(facts.ref, facts.time, tx) for tx in result.relevant]
        unit.cases.extend(case.id, kept, result.openings)
        for event in result.events:
            finding = finding_of(event, self._deployment, unit.now)
            self._judge.findings.keep(unit, (finding,), f"case/{case.id}")

    # --- opening ------------------------------------------------------------------------------------------------------

    def open_for(self, unit: UnitOfWork, facts: BlockFacts) -> None:
        """Open a case for each transaction of the block that has a finding as loud as `[trace] auto_open`."""
        loud = self._deployment.trace.auto_open
        if loud is None:
            return
        for tx in facts.transactions:
            findings = unit.findings.of_tx(facts.chain, tx.txid)
            if any(_opens_case(f, loud) for f in findings):
                seeds = seeds_of(tx, facts.ref, self._watched.perimeter, self._watched.native.id)
                if seeds:
                    open_case(unit, self._watched, seeds, default_options(self._deployment, seeds), by="system")

    # --- reading the past ---------------------------------------------------------------------------------------------

    def next_behind(self) -> StoredCase | None:
        """The case that has most to read before it is live."""
        behind = [f.stored for f in self._followed.values() if not f.stored.live]
        return min(behind, key=lambda s: s.cursor.height, default=None)

    def read_history(self, stored: StoredCase) -> tuple[BlockFacts, StepResult]:
        """The next block of a case that is behind, folded; nothing is kept yet."""
        followed = self._followed[stored.case.id]
        height = stored.cursor.height + 1
        watched = followed.tracer.watch()
        addresses, outpoints = set(watched[0]), set(watched[1])
        while True:
            watch = WatchSet(complete=family_of(self._watched.chain).keeps_coins)
            _add(watch, addresses, outpoints, followed.outputs)
            facts = self._past_block(height, watch, stored.case)
            result = followed.tracer.step(facts.ref, facts.time, facts.transactions)
            followed.outputs.update(_outputs_of(result.relevant))
            if result.complete:
                return facts, result
            addresses |= result.new_addresses
            outpoints |= result.new_outpoints

    def _past_block(self, height: int, watch: WatchSet, case: Case) -> BlockFacts:
        return self._source.past_block(height, watch, {seed.tx for seed in case.seeds if seed.height == height})

    def keep_history(self, unit: UnitOfWork, stored: StoredCase, facts: BlockFacts, result: StepResult) -> bool:
        """Keep one block of the past. True once the case stands where the chain does, and is live."""
        cursor = unit.chain_state.cursor(self._watched.chain, lock=True)
        live = cursor is not None and cursor.ref == facts.ref
        unit.cases.advance(stored.case.id, stored.cursor, facts.ref, live=live)
        self._keep(unit, stored.case, facts, result)
        return live

    def moved(self, stored: StoredCase, cursor: BlockRef, *, live: bool) -> None:
        """A block of the past was committed."""
        followed = self._followed[stored.case.id]
        followed.stored = StoredCase(stored.case, cursor, live)


def open_case(
    unit: UnitOfWork, watched: WatchedChain, seeds: Sequence[Seed], options: TraceOptions, *, by: str, name: str = ""
) -> Case:
    """Open a case on these seeds, or find the one that is already open on them. Its cursor stands before the seeds."""
    identity = case_id(watched.chain, tuple(seeds))
    known = unit.cases.get(identity)
    if known is not None:
        return known.case
    start = min(seed.height for seed in seeds)
    case = Case(
        id=identity,
        name=name or f"{watched.name}-{seeds[0].tx.hex()[:12]}",
        chain=watched.chain,
        seeds=tuple(seeds),
        state=CaseState.OPEN,
        opened_at=unit.now,
        opened_by=by,
        start_height=start,
        options=options,
    )
    unit.cases.save(StoredCase(case, BlockRef(start - 1, bytes(32)), live=False))
    payload = {
        "case": case.id,
        "name": case.name,
        "chain": str(case.chain),
        "seeds": [
            [format_hash(case.chain, s.tx), s.ordinal, s.address.text, str(s.asset), str(s.amount)] for s in case.seeds
        ],
        "model": str(options.model),
    }
    unit.audit.append(by, "case.opened", case.id, payload)
    return case


def seeds_of(tx: ChainTransaction, block: BlockRef, perimeter: Perimeter, native: AssetId) -> tuple[Seed, ...]:
    """Every output or transfer of `tx` from the perimeter to outside it."""
    if isinstance(tx, UtxoTransaction):
        outside = [o for o in tx.outputs if o.value and perimeter.wallet_of(o.address) is None]
        return tuple(Seed(tx.txid, o.vout, o.address, native, o.value, block.height) for o in outside)
    return _account_seeds(tx, block, perimeter)


def _account_seeds(tx: AccountTransaction, block: BlockRef, perimeter: Perimeter) -> tuple[Seed, ...]:
    return tuple(
        Seed(tx.txid, t.ordinal, t.receiver, t.asset, t.amount, block.height, t.log_index)
        for t in tx.transfers
        if t.amount and perimeter.wallet_of(t.sender) is not None and perimeter.wallet_of(t.receiver) is None
    )


def default_options(deployment: Deployment, seeds: Iterable[Seed]) -> TraceOptions:
    """How `[trace]` says a case is followed; a fiat threshold becomes base units at the price of today."""
    trace = deployment.trace
    min_value: list[tuple[AssetId, int]] = []
    for asset in sorted({seed.asset for seed in seeds}):
        units = dict(trace.min_units).get(asset) or _units_worth(deployment, asset, trace.min_usd_e8)
        if units:
            min_value.append((asset, units))
    return TraceOptions(trace.model, tuple(min_value), trace.max_hops)


def _units_worth(deployment: Deployment, asset: AssetId, usd_e8: int) -> int:
    """Base units worth `usd_e8`, rounded up; 0 (follow everything) where there is no price."""
    if not usd_e8:
        return 0
    try:
        price = deployment.prices.price(asset, deployment.clock())
    except Unknown:
        return 0
    scale: int = 10**price.decimals
    return -(-usd_e8 * scale // price.usd_e8) if price.usd_e8 else 0


def _opens_case(finding: Finding, loud: Severity) -> bool:
    enforced = finding.mode is Mode.ENFORCE and finding.verdict is VerdictKind.VIOLATION
    return enforced and finding.outflow is not None and finding.severity.rank <= loud.rank


def _outputs_of(txs: Iterable[ChainTransaction]) -> dict[Outpoint, TxOutput]:
    return {Outpoint(tx.txid, o.vout): o for tx in txs if isinstance(tx, UtxoTransaction) for o in tx.outputs}


def _add(
    watch: WatchSet, addresses: Iterable[bytes], outpoints: Iterable[Outpoint], known: dict[Outpoint, TxOutput]
) -> None:
    watch.addresses.update(addresses)
    for outpoint in outpoints:
        watch.outpoints[outpoint] = known[outpoint]
