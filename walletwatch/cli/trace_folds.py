"""A case folded again from what is kept of it: its traces as of its cursor. No node is asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from walletwatch.cli.queries import not_found
from walletwatch.cli.sessions import Session
from walletwatch.domain.cases import TaintModel

if TYPE_CHECKING:
    from chains.model import AssetId
    from walletwatch.labels.books import LabelBook
    from walletwatch.store import UnitOfWork
    from walletwatch.store.cases import StoredCase
    from walletwatch.tracing.tracers import Tracer
    from walletwatch.tracing.traces import Trace


@dataclass(frozen=True, slots=True)
class Folded:
    """A case's traces, one a stolen asset, by one model."""

    stored: StoredCase
    traces: tuple[Trace, ...]


def fold(session: Session, case: str, model: TaintModel | None) -> Folded:
    """The case of this id or name. Raises UsageProblem if there is none."""
    from walletwatch.service.labelling import load_labels

    with session.store() as store:
        labels = load_labels(session.settings, store)
        with store.reading() as unit:
            stored = unit.cases.get(case)
            if stored is None:
                raise not_found("case", case, "trace list")
            return Folded(stored, fold_case(unit, stored, labels).results(model))


def symbols_of(session: Session) -> dict[AssetId, tuple[str, int]]:
    """Symbol and decimals of every configured asset."""
    return {asset.id: (asset.symbol, asset.decimals) for asset in session.settings.asset_index.values()}


def trace_object(session: Session, folded: Folded) -> dict[str, Any]:
    """The *trace* object."""
    from walletwatch.tracing.traces import trace_as_json

    chain = session.names().chain(str(folded.stored.case.chain))
    return {"chain": chain, **trace_as_json(folded.traces, symbols_of(session))}


def fold_case(unit: UnitOfWork, stored: StoredCase, labels: LabelBook) -> Tracer:
    """The tracer of a case as of its cursor."""
    from chains.registry import native_asset
    from walletwatch.tracing.tracers import Tracer

    case = stored.case
    native, openings = native_asset(case.chain).id, unit.cases.openings(case.id)
    tracer = Tracer(case, lambda chain, address, at: labels.lookup(chain, address.text, at), native, None, openings)
    for _height, group in groupby(unit.cases.transactions(case.id), key=lambda one: one.block.height):
        block = list(group)
        tracer.step(block[0].block, block[0].time, [one.tx for one in block])
    return tracer
