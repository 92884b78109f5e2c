"""`trace`: thefts that are being followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import (
    ByOption,
    ChainOption,
    FormatOption,
    LimitOption,
    ReasonOption,
    StateOption,
    TzOption,
    read_chain,
    read_choice,
    read_tx,
)
from walletwatch.cli.sessions import Session, not_found, session_of, show_rows
from walletwatch.domain.cases import CaseState, TaintModel
from walletwatch.domain.times import format_utc
from walletwatch.output.tables import (
    Format,
    Listing,
    amount_column,
    amount_text,
    dump_json,
    hash_column,
    render,
    text_column,
    time_column,
)

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from chains.model import AssetId
    from walletwatch.labels.label_book import LabelBook
    from walletwatch.store import UnitOfWork
    from walletwatch.store.cases import StoredCase
    from walletwatch.tracing.tracer import Tracer
    from walletwatch.tracing.traces import Trace

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
        amount_column("stolen", "stolen"),
        text_column("read up to", "cursor", right=True),
        text_column("live", "live"),
        time_column("opened", "opened_at", zone),
        text_column("by", "opened_by"),
    )
    return Listing(FIELDS, columns, "no cases")


@app.command("start", epilog="Example: walletwatch trace start --chain bitcoin --tx 975ec405… --case dmm")
def start_case(
    context: typer.Context,
    chain: Annotated[str, typer.Option(help="The chain: its name, or its CAIP-2 id.")],
    tx: Annotated[str, typer.Option(help="The transaction that stole.")],
    vout: Annotated[list[int] | None, typer.Option(help="Only these outputs of it (coin chains).")] = None,
    log_index: Annotated[list[int] | None, typer.Option(help="Only these token logs of it (account chains).")] = None,
    address: Annotated[list[str] | None, typer.Option(help="Only what these addresses got.")] = None,
    case: Annotated[str, typer.Option(help="What to call the case.")] = "",
    height: Annotated[int | None, typer.Option(min=0, help="Its block, if it was never seen here.")] = None,
    by: ByOption = "operator",
) -> None:
    """Open a case and trace from it. Up to the cursor, with a progress bar; the daemon goes on from there."""
    from walletwatch.cli.trace_starts import Theft, start

    txid = read_tx(tx)
    if txid is None:
        raise UsageProblem("which transaction stole?", where="--tx")
    theft = Theft(txid, frozenset(vout or ()), frozenset(log_index or ()), tuple(address or ()), height)
    start(session_of(context).load(need_secrets=True), chain, theft, name=case, by=by)


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
    found = trace_object(session, fold(session, case, model))
    if form is Format.JSON:
        typer.echo(dump_json(found), nl=False)
        return
    typer.echo(trace_text(found, form), nl=False)


@app.command("export", epilog="Example: walletwatch trace export bitcoin-975ec405ac9d --as html,json -o case/")
def export_case(
    context: typer.Context,
    case: Annotated[str, typer.Argument(help="A case's id or name.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write into.")],
    formats: Annotated[str, typer.Option("--as", help="html, svg, png, csv, graphml, stix, json: by commas.")] = "html",
    model: ModelOption = None,
) -> None:
    """Hand on a case as files. Picture, tables, graph, indicators."""
    from walletwatch.tracing.exports.files import FORMATS, export_files

    session = session_of(context)
    wanted = list(dict.fromkeys(part.strip() for part in formats.split(",")))
    for one in wanted:
        read_choice(one, tuple(FORMATS), "--as")
    folded = fold(session, case, model)
    as_of = f"block {folded.stored.cursor}"
    files = export_files(folded.traces, wanted, symbols_of(session), as_of)
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (output / name).write_bytes(content)
        typer.echo(f"wrote {output / name}")


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


# --- the trace as an object and as tables -----------------------------------------------------------------------------


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
    from chains.registry import family_of
    from walletwatch.tracing.tracer import Tracer

    case = stored.case
    native, openings = family_of(case.chain).native_id(case.chain), unit.cases.openings(case.id)
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
        amount_column("tainted", "tainted"),
        amount_column("still there", "holding"),
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
        amount_column("tainted", "tainted"),
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
    columns += [amount_column(name.replace("_", " "), name) for name in names if name != "model"]
    head = f"{found['name']} ({found['case']}), {found['state']}: {amount_text(found, 'stolen')} stolen\n\n"
    stops = [stop | unit for stop in found["stops"]]
    parts = (
        render(nodes, NODES, form),
        render(stops, STOPS, form),
        render(totals, Listing(names, tuple(columns)), form),
    )
    return head + "\n".join(parts)
