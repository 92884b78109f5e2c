"""`trace`: thefts that are being followed."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walletwatch.cli.cells import amount_text, hash_column, time_column
from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import read_chain, read_choice
from walletwatch.cli.options import (
    ByOption,
    ChainOption,
    FormatOption,
    LimitOption,
    ReasonOption,
    StateOption,
    TzOption,
)
from walletwatch.cli.output import Column, Format, Listing, dump_json, render, text_column
from walletwatch.cli.queries import not_found, show_rows
from walletwatch.cli.sessions import Session, session_of
from walletwatch.domain.cases import CaseState, TaintModel
from walletwatch.domain.times import format_utc

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from walletwatch.labels.books import LabelBook
    from walletwatch.store import UnitOfWork
    from walletwatch.store.cases import StoredCase
    from walletwatch.tracing.tracers import Tracer

app = typer.Typer()

ModelOption = Annotated[TaintModel | None, typer.Option(help="The taint model; default: the case's own.")]
FIELDS = (
    *("case", "name", "chain", "chain_id", "state", "opened_at", "opened_by", "start_height", "cursor", "live"),
    *("seeds", "asset", "symbol", "decimals", "stolen", "model"),
)


def _listing(zone: ZoneInfo) -> Listing:
    columns = (
        text_column("case", "case"),
        text_column("name", "name"),
        text_column("state", "state"),
        Column("stolen", lambda row: amount_text(row, "stolen"), right=True),
        text_column("read up to", "cursor", right=True),
        text_column("live", "live"),
        time_column("opened", "opened_at", zone),
        text_column("by", "opened_by"),
    )
    return Listing(FIELDS, columns, "no cases")


@app.command("list", epilog="Example: walletwatch trace list --state open")
def list_cases(
    context: typer.Context,
    chain: ChainOption = None,
    state: StateOption = None,
    tz: TzOption = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List cases. Oldest first: what was stolen, and how far each has been read."""
    session = session_of(context)
    read_choice(state, tuple(CaseState), "--state")
    wanted = read_chain(chain, session.chain_ids())
    with session.reading() as unit:
        found = (s for s in unit.cases.find() if wanted in (None, str(s.case.chain)) and state in (None, s.case.state))
        show_rows((_case_row(session, s) for s in islice(found, limit)), _listing(session.zone(tz)), form)


def _case_row(session: Session, stored: StoredCase) -> dict[str, Any]:
    case, names = stored.case, session.names()
    asset = case.assets[0]
    return {
        "case": case.id,
        "name": case.name,
        "chain": names.chain(str(case.chain)),
        "chain_id": str(case.chain),
        "state": str(case.state),
        "opened_at": format_utc(case.opened_at),
        "opened_by": case.opened_by,
        "start_height": case.start_height,
        "cursor": stored.cursor.height,
        "live": stored.live,
        "seeds": len(case.seeds),
        **names.unit(asset),
        "stolen": str(sum(seed.amount for seed in case.seeds if seed.asset == asset)),
        "model": str(case.options.model),
    }


@app.command("show", epilog="Example: walletwatch trace show bitcoin-975ec405ac9d --model fifo --format json")
def show_case(
    context: typer.Context,
    case: Annotated[str, typer.Argument(help="A case's id or name.")],
    model: ModelOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show where stolen funds are now. Addresses, stops, totals by every model."""
    session = session_of(context)
    found = trace_object(session, case, model)
    if form is Format.JSON:
        typer.echo(dump_json(found), nl=False)
        return
    typer.echo(_trace_text(found, form), nl=False)


def trace_object(session: Session, case: str, model: TaintModel | None) -> dict[str, Any]:
    """The *trace* object of a case, folded from what is kept of it; no node is asked."""
    from walletwatch.service.labelling import load_labels  # noqa: PLC0415 - `--help` does without
    from walletwatch.tracing.traces import trace_as_json  # noqa: PLC0415 - likewise

    with session.store() as store:
        labels = load_labels(session.settings, store)
        with store.reading() as unit:
            stored = unit.cases.get(case)
            if stored is None:
                raise not_found("case", case, "trace list")
            tracer = fold_case(unit, stored, labels)
    symbols = {asset.id: (asset.symbol, asset.decimals) for asset in session.settings.asset_index.values()}
    chain = session.names().chain(str(stored.case.chain))
    return {"chain": chain, **trace_as_json(tracer.results(model), symbols)}


def fold_case(unit: UnitOfWork, stored: StoredCase, labels: LabelBook) -> Tracer:
    """The tracer of a case as of its cursor."""
    from chains.registry import native_asset  # noqa: PLC0415 - `--help` does without
    from walletwatch.tracing.tracers import Tracer  # noqa: PLC0415 - likewise

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


def _trace_text(found: dict[str, Any], form: Format) -> str:
    """Addresses by hop, stops and totals; CSV holds the addresses only, as a table has one header."""
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


@app.command(
    "stop", epilog='Example: walletwatch trace stop bitcoin-975ec405ac9d --by compliance-1 --reason "recovered"'
)
def stop_case(
    context: typer.Context,
    case: Annotated[str, typer.Argument(help="A case's id or name.")],
    by: ByOption,
    reason: ReasonOption,
) -> None:
    """Stop following a case. It is kept and shown."""
    with session_of(context).writing() as unit:
        stored = unit.cases.get(case)
        if stored is None:
            raise not_found("case", case, "trace list")
        if stored.case.state is CaseState.STOPPED:
            raise UsageProblem(f"case {stored.case.id} is stopped already")
        unit.cases.save(replace(stored, case=replace(stored.case, state=CaseState.STOPPED)))
        unit.audit.append(by, "case.stopped", stored.case.id, {"name": stored.case.name, "reason": reason})
    typer.echo(f"{stored.case.id} is stopped")
