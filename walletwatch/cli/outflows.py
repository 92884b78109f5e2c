"""`outflows`: what left the perimeter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from walletwatch.cli.filters import (
    ChainOption,
    FormatOption,
    LimitOption,
    SinceOption,
    StateOption,
    TxOption,
    TzOption,
    UntilOption,
    WalletOption,
    read_choice,
)
from walletwatch.cli.sessions import (
    STATES,
    Session,
    labels_of,
    make_filter,
    not_found,
    session_of,
    show_object,
    show_rows,
)
from walletwatch.domain.objects import outflow_object
from walletwatch.domain.withdrawals import FIRST_TRANSFER
from walletwatch.output.tables import (
    Column,
    Format,
    Listing,
    Row,
    amount_column,
    hash_column,
    short_hash,
    text_column,
    time_column,
)

if TYPE_CHECKING:
    from chains.model import ChainId
    from walletwatch.domain.outflows import Outflow
    from walletwatch.store import UnitOfWork

app = typer.Typer()

_AT_ONCE = 500

FIELDS = (
    *("id", "chain", "chain_id", "tx", "state", "wallet", "asset", "symbol", "decimals", "amount", "destinations"),
    *("fee", "height", "block_hash", "block_time", "first_seen", "requests", "findings"),
)


def _destinations(row: Row) -> str:
    return ", ".join(d.get("label") or d["address"] for d in row["destinations"])


def _short_destinations(row: Row) -> str:
    """The first destination, cut short, and how many more there are."""
    first, *more = [d.get("label") or short_hash(d["address"]) for d in row["destinations"]] or [""]
    return f"{first} +{len(more)}" if more else first


def outflows_listing(zone: ZoneInfo) -> Listing:
    """How outflows are listed."""
    columns = (
        time_column("first seen", "first_seen", zone),
        text_column("wallet", "wallet"),
        text_column("state", "state"),
        amount_column(),
        Column("to", _destinations, _short_destinations),
        hash_column("tx", "tx"),
        Column("requests", lambda row: ", ".join(row["requests"]) or "none"),
        Column(
            "findings", lambda row: ", ".join(row["findings"]), lambda row: str(len(row["findings"]) or ""), right=True
        ),
    )
    return Listing(FIELDS, columns, "no outflows")


@app.command("list", epilog="Example: walletwatch outflows list --since 2026-11-21 --wallet btc-hot")
def list_outflows(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    tz: TzOption = None,
    tx: TxOption = None,
    chain: ChainOption = None,
    wallet: WalletOption = None,
    state: StateOption = None,
    asset: Annotated[str | None, typer.Option(help="Only this asset, by its CAIP-19 id.")] = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List what left the perimeter. Oldest first, with state, matched requests and findings."""
    session = session_of(context)
    read_choice(state, STATES["outflows"], "--state")
    wanted = make_filter(
        session,
        since=since,
        until=until,
        tz=tz,
        tx=tx,
        chain=chain,
        wallet=wallet,
        state=state,
        asset=asset,
        limit=limit,
    )
    with session.reading() as unit:
        show_rows(outflow_rows(session, unit, unit.outflows.find(wanted)), outflows_listing(session.zone(tz)), form)


@app.command("show", epilog="Example: walletwatch outflows show out_0f3c… --format json")
def show_outflow(context: typer.Context, outflow_id: str, form: FormatOption = Format.TABLE) -> None:
    """Show one outflow, whole."""
    session = session_of(context)
    with session.reading() as unit:
        outflow = unit.outflows.get(outflow_id)
        if outflow is None:
            raise not_found("outflow", outflow_id, "outflows list")
        show_object(next(outflow_rows(session, unit, iter([outflow]))), form)


def outflow_rows(session: Session, unit: UnitOfWork, outflows: Iterator[Outflow]) -> Iterator[dict[str, Any]]:
    """The *outflow* objects, with what the store knows about each: a few queries for each 500, not for each."""
    while some := list(islice(outflows, _AT_ONCE)):
        allocated = unit.approvals.allocated_by(list({o.tx for o in some}))
        findings = unit.findings.of_outflows([o.id for o in some])
        names = {chain: session.names(_labels(unit, chain, some)) for chain in {o.chain for o in some}}
        for outflow in some:
            own = {p.ordinal for p in outflow.payments}
            used = allocated.get((outflow.chain, outflow.tx), [])
            requests = dict.fromkeys(
                a.request_id
                for a in used
                if a.asset == outflow.asset and (a.ordinal in own or a.ordinal >= FIRST_TRANSFER)
            )
            known = findings.get(outflow.id, [])
            yield outflow_object(outflow, names[outflow.chain], requests=list(requests), findings=known)


def _labels(unit: UnitOfWork, chain: ChainId, outflows: Iterable[Outflow]) -> dict[str, str]:
    paid = ((chain, p.address.text) for o in outflows if o.chain == chain for p in o.payments)
    return labels_of(unit, paid, unit.now)
