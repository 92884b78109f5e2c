"""From what a block added to a ledger to what people are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chains.model import Address, AssetId, TxId
from walletwatch.domain.cases import Case, CaseEvent, CaseEventKind, case_event_id
from walletwatch.tracing.flows import COINJOIN, HOPS, THRESHOLD, Flow, Rest

_KINDS = {COINJOIN: CaseEventKind.COINJOIN, THRESHOLD: CaseEventKind.THRESHOLD, HOPS: CaseEventKind.HOPS}


def events_of(case: Case, flows: Sequence[Flow], rests: Sequence[Rest]) -> tuple[CaseEvent, ...]:
    """One `moved` a transaction and asset, one event a transaction, stop and asset; in the order of the chain."""
    events = [*_moves(case, flows), *_arrivals(case, rests)]
    order = {flow.moment.tx: n for n, flow in enumerate(flows)} | {rest.moment.tx: rest.moment.index for rest in rests}
    return tuple(sorted(events, key=lambda e: (order[e.tx], list(CaseEventKind).index(e.kind), e.id)))


def _moves(case: Case, flows: Iterable[Flow]) -> list[CaseEvent]:
    """Seeds are the theft itself and move nothing further (hop 1)."""
    groups: dict[tuple[TxId, AssetId], list[Flow]] = {}
    for flow in flows:
        if flow.hop > 1 and flow.source.id != flow.target.id:
            groups.setdefault((flow.moment.tx, flow.asset), []).append(flow)
    return [_move(case, tx, asset, group) for (tx, asset), group in groups.items()]


def _move(case: Case, tx: TxId, asset: AssetId, group: Sequence[Flow]) -> CaseEvent:
    """A payment through a router is one move: what the first payers sent, to where it went last."""
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
    """Small change is summed over the transaction; a service is named each for itself."""
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
