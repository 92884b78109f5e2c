"""Following one case: blocks in, addresses and outpoints to watch and events out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from chains.model import (
    AccountTransaction,
    Address,
    AssetId,
    BlockRef,
    ChainTransaction,
    Outpoint,
    TxId,
    UtxoTransaction,
)
from chains.registry import family_of
from walletwatch.domain.cases import Case, CaseEvent, CaseEventKind, Opening, TaintModel, case_event_id
from walletwatch.tracing.account_fold import AccountFold, OpeningLookup
from walletwatch.tracing.coin_fold import CoinFold
from walletwatch.tracing.flows import (
    COINJOIN,
    HOPS,
    THRESHOLD,
    ChainMoment,
    Flow,
    LabelLookup,
    Ledger,
    LedgerMark,
    Rest,
)
from walletwatch.tracing.results import build_trace, holdings_of
from walletwatch.tracing.traces import Trace

_KINDS = {COINJOIN: CaseEventKind.COINJOIN, THRESHOLD: CaseEventKind.THRESHOLD, HOPS: CaseEventKind.HOPS}


def events_of(case: Case, flows: Sequence[Flow], rests: Sequence[Rest]) -> tuple[CaseEvent, ...]:
    """One `moved` per transaction and asset, one event per transaction, stop and asset; in chain order."""
    events = [*_moves(case, flows), *_arrivals(case, rests)]
    order = {flow.moment.tx: n for n, flow in enumerate(flows)} | {rest.moment.tx: rest.moment.index for rest in rests}
    return tuple(sorted(events, key=lambda e: (order[e.tx], list(CaseEventKind).index(e.kind), e.id)))


def _moves(case: Case, flows: Iterable[Flow]) -> list[CaseEvent]:
    """The `moved` events. Seeds (hop 1) are the theft itself and give none."""
    groups: dict[tuple[TxId, AssetId], list[Flow]] = {}
    for flow in flows:
        if flow.hop > 1 and flow.source.id != flow.target.id:
            groups.setdefault((flow.moment.tx, flow.asset), []).append(flow)
    return [_move(case, tx, asset, group) for (tx, asset), group in groups.items()]


def _move(case: Case, tx: TxId, asset: AssetId, group: Sequence[Flow]) -> CaseEvent:
    """A payment through a router is one event: from the first payers to the last receivers, without the router."""
    sent: dict[Address, int] = {}
    got: dict[Address, int] = {}
    for flow in group:
        if flow.source.address is not None:
            sent[flow.source.address] = sent.get(flow.source.address, 0) + flow.tainted
        if flow.target.address is not None:
            got[flow.target.address] = got.get(flow.target.address, 0) + flow.tainted
    payer = max(sent, key=lambda a: (sent[a] - got.get(a, 0), a.key), default=None)
    ends = sorted((a for a in got if got[a] > sent.get(a, 0)), key=lambda a: (-got[a], a.key))
    net = sum(max(0, sent[a] - got.get(a, 0)) for a in sent) + sum(f.tainted for f in group if f.source.address is None)
    amount = net or max(flow.tainted for flow in group)
    kind, moment = CaseEventKind.MOVED, group[0].moment
    identity = case_event_id(case.id, kind, tx, asset, b"")
    return CaseEvent(identity, case.id, kind, tx, moment.block, moment.time, asset, amount, payer, tuple(ends))


def _arrivals(case: Case, rests: Iterable[Rest]) -> list[CaseEvent]:
    """The events of stops: one for each service, and one for all parts below the threshold."""
    groups: dict[tuple[TxId, AssetId, str, str], list[Rest]] = {}
    for rest in rests:
        place = "" if rest.stop.reason == THRESHOLD else rest.place.id
        groups.setdefault((rest.moment.tx, rest.asset, rest.stop.reason, place), []).append(rest)
    return [_arrival(case, group) for group in groups.values()]


def _arrival(case: Case, group: Sequence[Rest]) -> CaseEvent:
    rest = group[0]
    kind = _KINDS.get(rest.stop.reason, CaseEventKind.ARRIVED)
    address = rest.place.address if kind is not CaseEventKind.THRESHOLD or len(group) == 1 else None
    key = address.key if address is not None else b""
    return CaseEvent(
        id=case_event_id(case.id, kind, rest.moment.tx, rest.asset, key),
        case=case.id,
        kind=kind,
        tx=rest.moment.tx,
        block=rest.moment.block,
        at=rest.moment.time,
        asset=rest.asset,
        amount=sum(r.tainted for r in group),
        address=address,
        label=rest.stop.label,
        category=rest.stop.category,
        onward=rest.stop.onward,
    )


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one block. `relevant` are the transactions, in block order, that must be kept to fold again.

    `new_addresses` and `new_outpoints` must be searched for *in the same block* too: while there are any, search the
    block for them as well and call `step` again with all that was found (as `settle` does). The last result counts.
    """

    relevant: tuple[ChainTransaction, ...] = ()
    events: tuple[CaseEvent, ...] = ()
    openings: tuple[Opening, ...] = ()
    new_addresses: frozenset[bytes] = frozenset()
    new_outpoints: frozenset[Outpoint] = frozenset()

    @property
    def complete(self) -> bool:
        """Whether the block need not be searched again."""
        return not self.new_addresses and not self.new_outpoints


class Tracer:
    """Folds confirmed blocks, in order, into the state of `case`.

    `labels` returns an address's labels at a moment; `opening` its balance of an asset before a height (None: unknown,
    which the trace reports as a gap). Results of `opening` are in `StepResult.openings`; pass them as `openings` when
    folding again, so that they are not looked up twice. `native` is the coin in which gas is paid.
    """

    def __init__(
        self,
        case: Case,
        labels: LabelLookup,
        native: AssetId,
        opening: OpeningLookup | None = None,
        openings: Iterable[Opening] = (),
    ) -> None:
        self.case = case
        self.labels = labels
        self.block: BlockRef | None = None
        self._fold: CoinFold | AccountFold
        if family_of(case.chain).keeps_coins:
            self._fold = CoinFold(case, labels, native)
        else:
            known = {(o.asset, o.address.key, o.height): o for o in openings}
            self._fold = AccountFold(case, labels, opening or (lambda *_: None), native, known)
        self._named_addresses: set[bytes] = set()
        self._named_outpoints: set[Outpoint] = set()
        self._foreign: dict[TxId, str] = {}
        """The foreign source of each transaction that is not from our own node."""

    def watch(self) -> tuple[AbstractSet[bytes], AbstractSet[Outpoint]]:
        """Address keys and outpoints that the next block must be searched for. On coin chains these are outpoints, and
        addresses only until the seeds have been seen.
        """
        unseen = {s.address.key for s in self.case.seeds if s.tx not in self._fold.seen_seeds}
        if isinstance(self._fold, CoinFold):
            return unseen, self._fold.watched.keys()
        return unseen | {key for _, key in self._fold.spots}, frozenset()

    def step(self, block: BlockRef, time: datetime, txs: Sequence[ChainTransaction]) -> StepResult:
        """Fold the transactions found in the confirmed `block`; a second call with the same block replaces the first.

        Raises ValueError for a block that is not above the last one, TypeError for a transaction of another kind of
        chain.
        """
        if block == self.block:
            self._fold.undo()
        elif self.block is not None and block.height <= self.block.height:
            raise ValueError(
                f"block {block.height} does not follow block {self.block.height}: fold again from the case"
            )
        else:
            self.block = block
            self._fold.begin()
            self._named_addresses, self._named_outpoints = set(), set()
        if not txs:
            return StepResult()
        fold = self._fold
        mark = fold.books[self.case.options.model].ledger.mark()
        ordered = sorted({tx.txid: tx for tx in txs}.values(), key=lambda tx: tx.index)
        if isinstance(fold, CoinFold):
            return self._step_coins(fold, block, time, ordered, mark)
        return self._step_accounts(fold, block, time, ordered, mark)

    def _step_coins(
        self, fold: CoinFold, block: BlockRef, time: datetime, txs: Sequence[ChainTransaction], mark: LedgerMark
    ) -> StepResult:
        relevant: list[ChainTransaction] = []
        made: set[Outpoint] = set()
        for tx in coins_only(txs):
            if fold.concerns(tx):
                fold.advance(tx, ChainMoment(block, time, tx.txid, tx.index))
                relevant.append(tx)
                if tx.evidence:
                    self._foreign[tx.txid] = tx.evidence
                made.update(o for o in (Outpoint(tx.txid, out.vout) for out in tx.outputs) if o in fold.watched)
        new = made - self._named_outpoints
        self._named_outpoints |= new
        return StepResult(tuple(relevant), self._events(mark), (), frozenset(), frozenset(new))

    def _step_accounts(
        self, fold: AccountFold, block: BlockRef, time: datetime, txs: Sequence[ChainTransaction], mark: LedgerMark
    ) -> StepResult:
        accounts = accounts_only(txs)
        for tx in accounts:
            fold.advance(tx, ChainMoment(block, time, tx.txid, tx.index))
        relevant = tuple(tx for tx in accounts if fold.concerns(tx))
        fold.leave_clean()
        openings = tuple(fold.openings[key] for key in fold.used_openings)
        new = {key for _, key, _ in fold.used_openings} - self._named_addresses
        self._named_addresses |= new
        return StepResult(relevant, self._events(mark), openings, frozenset(new), frozenset())

    def _events(self, mark: LedgerMark) -> tuple[CaseEvent, ...]:
        ledger = self._fold.books[self.case.options.model].ledger
        return events_of(self.case, ledger.flows[mark.flows :], ledger.rests[mark.rests :])

    def result(self, model: TaintModel | None = None, asset: AssetId | None = None) -> Trace:
        """The trace by `model` (the case's own by default) of `asset` (the first stolen one by default)."""
        model = model or self.case.options.model
        asset = asset or self.case.assets[0]
        ledgers: dict[TaintModel, Ledger] = {m: book.ledger for m, book in self._fold.books.items()}
        held = {m: holdings_of(book, asset) for m, book in self._fold.books.items()}
        return build_trace(self.case, model, asset, ledgers, held, self.labels, tuple(self._fold.gaps), self._foreign)

    def results(self, model: TaintModel | None = None) -> tuple[Trace, ...]:
        """One trace for each stolen asset."""
        return tuple(self.result(model, asset) for asset in self.case.assets)


def settle(
    tracer: Tracer,
    block: BlockRef,
    time: datetime,
    search: Callable[[AbstractSet[bytes], AbstractSet[Outpoint]], Sequence[ChainTransaction]],
) -> StepResult:
    """Fold one block completely: search, step, and search again for new addresses and outpoints, until there are none.

    `search` returns the block's transactions that touch these address keys or spend these outpoints.
    """
    watched = tracer.watch()
    addresses, outpoints = set(watched[0]), set(watched[1])
    while True:
        result = tracer.step(block, time, search(addresses, outpoints))
        if result.complete:
            return result
        addresses |= result.new_addresses
        outpoints |= result.new_outpoints


def coins_only(txs: Iterable[ChainTransaction]) -> list[UtxoTransaction]:
    """The transactions, which must be of a coin chain. Raises TypeError otherwise."""
    coins = [tx for tx in txs if isinstance(tx, UtxoTransaction)]
    other = next((tx for tx in txs if not isinstance(tx, UtxoTransaction)), None)
    if other is not None:
        raise TypeError(f"the case is on a coin chain, {other.txid.hex()} is of an account chain")
    return coins


def accounts_only(txs: Iterable[ChainTransaction]) -> list[AccountTransaction]:
    """The transactions, which must be of an account chain. Raises TypeError otherwise."""
    accounts = [tx for tx in txs if isinstance(tx, AccountTransaction)]
    other = next((tx for tx in txs if not isinstance(tx, AccountTransaction)), None)
    if other is not None:
        raise TypeError(f"the case is on an account chain, {other.txid.hex()} is of a coin chain")
    return accounts
