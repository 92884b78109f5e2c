"""A case read from the store and folded, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from walletwatch.cli.output import Column, Format, Listing, amount_text, hash_column, render, text_column
from walletwatch.cli.sessions import Session, not_found
from walletwatch.domain.cases import TaintModel

if TYPE_CHECKING:
    from chains.model import AssetId
    from walletwatch.labels.label_book import LabelBook
    from walletwatch.store import UnitOfWork
    from walletwatch.store.cases import StoredCase
    from walletwatch.tracing.tracer import Tracer
    from walletwatch.tracing.traces import Trace


@dataclass(frozen=True, slots=True)
class Folded:
    """A case's traces, one a stolen asset, by one model."""

    stored: StoredCase
    traces: tuple[Trace, ...]


def fold(session: Session, case: str, model: TaintModel | None) -> Folded:
    """The case of this id or name. Raises UsageProblem if there is none."""
    from walletwatch.service.deployment import load_labels

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
    from walletwatch.tracing.tracer import Tracer

    case = stored.case
    native, openings = native_asset(case.chain).id, unit.cases.openings(case.id)
    tracer = Tracer(case, lambda chain, address, at: labels.lookup(chain, address.text, at), native, None, openings)
    for _height, group in groupby(unit.cases.transactions(case.id), key=lambda one: one.block.height):
        block = list(group)
        tracer.step(block[0].block, block[0].time, [one.tx for one in block])
    return tracer


NODES = Listing(
    ("id", "chain", "address", "label", "category", "hop", "tainted", "holding", "first_seen", "last_seen"),
    (
        text_column("hop", "hop", right=True),
        hash_column("address", "address"),
        text_column("label", "label"),
        Column("tainted", lambda row: amount_text(row, "tainted"), right=True),
        Column("still there", lambda row: amount_text(row, "holding"), right=True),
        text_column("last seen", "last_seen"),
    ),
    "no address yet",
)
STOPS = Listing(
    ("address", "chain", "label", "category", "reason", "tainted", "txs", "onward"),
    (
        text_column("reason", "reason"),
        text_column("label", "label"),
        hash_column("address", "address"),
        Column("tainted", lambda row: amount_text(row, "tainted"), right=True),
    ),
    "no stop yet",
)


def trace_text(found: dict[str, Any], form: Format) -> str:
    """The *trace* object for a person; CSV holds the addresses only, as one table has one header."""
    unit = {key: found.get(key) for key in ("asset", "symbol", "decimals")}
    nodes = [node | unit for node in sorted(found["nodes"], key=lambda n: (n["hop"], n["first_seen"]))]
    if form is Format.CSV:
        return render(nodes, NODES, form)
    totals = [{"model": model, **unit, **sums} for model, sums in found["totals"].items()]
    names = tuple(key for key in totals[0] if key not in unit) if totals else ()
    columns = [text_column("model", "model")]
    columns += [Column(name.replace("_", " "), _total_reader(name), right=True) for name in names if name != "model"]
    head = f"{found['name']} ({found['case']}), {found['state']}: {amount_text(found, 'stolen')} stolen\n\n"
    stops = [stop | unit for stop in found["stops"]]
    parts = (
        render(nodes, NODES, form),
        render(stops, STOPS, form),
        render(totals, Listing(names, tuple(columns)), form),
    )
    return head + "\n".join(parts)


def _total_reader(name: str) -> Any:
    return lambda row: amount_text(row, name)
