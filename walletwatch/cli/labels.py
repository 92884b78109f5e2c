"""`labels`: the label book."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import BadAnswer, UsageProblem
from walletwatch.cli.filters import ByOption, ChainOption, FormatOption, LimitOption, TzOption, read_chain, read_choice
from walletwatch.cli.sessions import Session, session_of, show_rows
from walletwatch.domain.labels import CATEGORIES, Label
from walletwatch.domain.objects import label_object
from walletwatch.labels.label_book import find_conflicts
from walletwatch.output.tables import Format, Listing, text_column, time_column

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from walletwatch.labels.imports import LabelImport
    from walletwatch.store import UnitOfWork

app = typer.Typer()

FIELDS = ("chain", "address", "label", "category", "source", "confidence", "valid_from", "expires_at")


def _listing(zone: ZoneInfo) -> Listing:
    plain = [text_column(field, field) for field in FIELDS[:6]]
    columns = (*plain, time_column("from", "valid_from", zone), time_column("until", "expires_at", zone))
    return Listing(FIELDS, columns, "no labels")


@app.command("import", epilog="Example: walletwatch labels import labels/ofac.csv --by compliance-1")
def import_labels(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A label CSV, a TagPack, an OFAC list, or a folder of them.")],
    by: ByOption = "operator",
) -> None:
    """Take labels into the book. Good rows are taken, bad ones named; exit 1 if there were any."""
    from chains.registry import parse_address
    from walletwatch.labels.imports import LabelFileError
    from walletwatch.labels.sources import import_source

    session = session_of(context)
    try:
        found = import_source(source, parse_address)
    except LabelFileError as error:
        raise UsageProblem(str(error), where=str(source)) from None
    with session.writing() as unit:
        count = unit.labels.save(found.labels)
        payload = {"source": str(source), "taken": count, "bad": found.problem_count}
        unit.audit.append(by, "labels.imported", str(source), payload)
    typer.echo(f"{count:,} labels taken from {source}")
    _show_problems(found, source)


def _show_problems(found: LabelImport, source: Path) -> None:
    for what, count in sorted(found.skipped.items()):
        typer.echo(f"left out: {count:,} of {what}", err=True)
    for problem in found.problems:
        typer.echo(str(problem), err=True)
    if found.problem_count:
        hint = "correct them and import again: what is there already is renewed"
        raise BadAnswer(f"{found.problem_count:,} rows are bad", where=str(source), hint=hint)


@app.command("lookup", epilog="Example: walletwatch labels lookup 1B6rJRfjTXwEy36SCs5zofGMmdv2kdZw7P")
def lookup(
    context: typer.Context,
    address: str,
    chain: ChainOption = None,
    tz: TzOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show every label of an address. Source, confidence and contradictions; exit 1 if there is none."""
    from walletwatch.service.deployment import load_labels

    session = session_of(context)
    wanted = read_chain(chain, session.chain_ids())
    with session.store() as store:
        history = load_labels(session.settings, store).history(address)
    labels = [label for label in history if wanted is None or label.chain in ("*", wanted)]
    show_rows((label_object(label) for label in labels), _listing(session.zone(tz)), form)
    conflicts = find_conflicts(labels)
    if conflicts:
        typer.echo(f"note: the labels contradict each other: {', '.join(conflicts)}", err=True)
    if not labels:
        raise BadAnswer("nothing is known of this address", where=address[:120])


@app.command("list", epilog="Example: walletwatch labels list --category sanctioned --limit 20")
def list_labels(
    context: typer.Context,
    chain: ChainOption = None,
    category: Annotated[str | None, typer.Option(help="Only this category: exchange, mixer, sanctioned …")] = None,
    tz: TzOption = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the label book. What was imported, then the configured sources as they are now."""
    session = session_of(context)
    read_choice(category, tuple(sorted(CATEGORIES)), "--category")
    wanted = read_chain(chain, session.chain_ids())
    with session.reading() as unit:
        every = (
            label
            for label in _every_label(session, unit)
            if wanted in (None, label.chain) and category in (None, label.category)
        )
        show_rows((label_object(label) for label in islice(every, limit)), _listing(session.zone(tz)), form)


def _every_label(session: Session, unit: UnitOfWork) -> Iterator[Label]:
    from chains.registry import parse_address
    from walletwatch.labels.sources import import_source

    yield from unit.labels.find()
    for source in session.settings.labels.sources:
        yield from import_source(source, parse_address).labels
