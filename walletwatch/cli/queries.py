"""From options to what the store is asked, and from rows to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from walletwatch.cli.cells import with_whole_units
from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import read_chain, read_choice, read_tx, read_window
from walletwatch.cli.output import Format, Listing, Row, render, render_one
from walletwatch.cli.sessions import Session
from walletwatch.labels.books import LabelBook

if TYPE_CHECKING:
    from chains.model import ChainId
    from walletwatch.store import UnitOfWork
    from walletwatch.store.filters import Filter

SEVERITIES = ("critical", "high", "medium", "low", "info")
VERDICTS = ("violation", "undetermined")
STATES = {
    "outflows": ("seen", "included", "final", "orphaned", "replaced"),
    "alerts": ("open", "acknowledged", "silenced", "closed"),
}


def make_filter(
    session: Session,
    *,
    since: str | None = None,
    until: str | None = None,
    tz: str | None = None,
    chain: str | None = None,
    tx: str | None = None,
    severity: str | None = None,
    verdict: str | None = None,
    **equal: Any,
) -> Filter:
    """The store's filter for these options; `equal` are taken as they are. Raises UsageProblem."""
    from walletwatch.store.filters import Filter

    start, end = read_window(since, until, session.zone(tz))
    return Filter(
        since=start,
        until=end,
        chain=read_chain(chain, session.chain_ids()),
        tx=read_tx(tx),
        severity=read_choice(severity, SEVERITIES, "--severity"),
        verdict=read_choice(verdict, VERDICTS, "--verdict"),
        **equal,
    )


def show_rows(rows: Iterable[Row], listing: Listing, form: Format) -> None:
    """Write a listing."""
    sys.stdout.write(render(list(rows), listing, form))


def show_object(row: Row, form: Format) -> None:
    """Write one object; tables and Markdown say amounts in whole units too."""
    sys.stdout.write(render_one(with_whole_units(row) if form in (Format.TABLE, Format.MD) else row, form))


def not_found(what: str, name: str, command: str) -> UsageProblem:
    """There is no such thing; `command` lists those there are."""
    return UsageProblem(f'there is no {what} "{name[:80]}"', hint=f"`walletwatch {command}` lists them")


def labels_of(unit: UnitOfWork, addresses: Iterable[tuple[ChainId, str]], at: datetime) -> dict[str, str]:
    """The surest label of each address that has one, as of `at`."""
    wanted = list(dict.fromkeys(addresses))
    texts = {form for _, text in wanted for form in (text, text.lower())}
    book = LabelBook(unit.labels.of_addresses(texts))
    found = {text: book.lookup(chain, text, at) for chain, text in wanted}
    return {text: labels[0].label for text, labels in found.items() if labels}


def by_fields(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The fields of rows whose objects differ, in order of first sight."""
    return tuple(dict.fromkeys(key for row in rows for key in row))
