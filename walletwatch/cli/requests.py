"""`requests`: what the exchange meant to send."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from walletwatch.cli.filters import (
    ChainOption,
    FormatOption,
    LimitOption,
    SinceOption,
    StateOption,
    TzOption,
    UntilOption,
    WalletOption,
    read_choice,
)
from walletwatch.cli.sessions import Session, make_filter, not_found, session_of, show_object, show_rows
from walletwatch.domain.objects import request_object
from walletwatch.domain.withdrawals import ActKind
from walletwatch.output.tables import Format, Listing, amount_column, hash_column, text_column, time_column

if TYPE_CHECKING:
    from datetime import datetime

    from walletwatch.domain.withdrawals import Request
    from walletwatch.store import UnitOfWork
    from walletwatch.store.statements import Filter

app = typer.Typer()

STATES = ("open", "paid", "cancelled", "rejected", "expired")
FIELDS = (
    *("id", "state", "chain", "chain_id", "asset", "symbol", "decimals", "amount", "destination", "wallet", "memo"),
    *("customer", "expires_at", "intent_hash", "requested_by", "requested_at", "tx", "acts"),
)


def _listing(zone: ZoneInfo) -> Listing:
    columns = (
        text_column("request", "id"),
        text_column("state", "state"),
        amount_column(),
        hash_column("to", "destination"),
        text_column("by", "requested_by"),
        time_column("requested", "requested_at", zone),
        hash_column("paid by tx", "tx"),
    )
    return Listing(FIELDS, columns, "no requests")


@app.command("list", epilog="Example: walletwatch requests list --state open")
def list_requests(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    tz: TzOption = None,
    chain: ChainOption = None,
    wallet: WalletOption = None,
    state: StateOption = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List withdrawal requests. Oldest first, and whether they were paid."""
    session = session_of(context)
    read_choice(state, STATES, "--state")
    wanted = make_filter(session, since=since, until=until, tz=tz, chain=chain, wallet=wallet)
    with session.reading() as unit:
        rows = (row for row in request_rows(session, unit, wanted) if state in (None, row["state"]))
        show_rows(islice(rows, limit), _listing(session.zone(tz)), form)


@app.command("show", epilog="Example: walletwatch requests show W-1042")
def show_request(context: typer.Context, request_id: str, form: FormatOption = Format.TABLE) -> None:
    """Show one request with every act on it. Counted or refused."""
    session = session_of(context)
    with session.reading() as unit:
        wanted = make_filter(session, request_id=request_id)
        row = next(request_rows(session, unit, wanted), None)
    if row is None:
        raise not_found("request", request_id, "requests list")
    show_object(row, form)


def request_rows(session: Session, unit: UnitOfWork, wanted: Filter) -> Iterator[dict[str, Any]]:
    """The request objects that fit, by when they were made."""
    from walletwatch.approvals.request_book import RequestBook

    if wanted.request_id is not None:
        acts = unit.approvals.acts_of([wanted.request_id])
    else:
        acts = [act for _, act in unit.approvals.acts_after(0)]
    book, spent, names = RequestBook(session.settings.people(), acts), unit.approvals.spent(), session.names()
    for request in sorted(book, key=lambda r: (r.requested.at, r.id)):
        if _fits(request, wanted):
            paid = spent.get(request.id)
            state = _state(request, paid is not None, unit.now)
            yield request_object(request, names, state=state, tx=None if paid is None else paid.tx)


def _fits(request: Request, wanted: Filter) -> bool:
    at, intent = request.requested.at, request.intent
    return (
        (wanted.since is None or at >= wanted.since)
        and (wanted.until is None or at < wanted.until)
        and wanted.chain in (None, str(intent.chain))
        and wanted.wallet in (None, intent.wallet)
    )


def _state(request: Request, paid: bool, now: datetime) -> str:
    """The state of a request. Whether its approvals suffice depends on when it is paid: see its findings."""
    if paid:
        return "paid"
    ended = [act.kind for act in request.acts if act.kind in (ActKind.CANCEL, ActKind.REJECT) and not act.refused]
    if ended:
        return "cancelled" if ended[0] is ActKind.CANCEL else "rejected"
    expires = request.intent.expires_at
    return "expired" if expires is not None and expires <= now else "open"
