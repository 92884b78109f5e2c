"""`check`: whether the configuration can be used, and with `--live` whether the world answers as it says."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import Exit, UsageProblem, show_faults
from walletwatch.cli.filters import FormatOption
from walletwatch.cli.sessions import session_of, show_rows
from walletwatch.output.tables import Format, Listing, Row, text_column

if TYPE_CHECKING:
    from walletwatch.settings import Problem, Review, Settings

EXAMPLE = "walletwatch check --live"
_FIELDS = ("level", "file", "line", "key", "what", "remedy")
_LISTING = Listing(_FIELDS, tuple(text_column(field, field, right=field == "line") for field in _FIELDS))


def check(
    context: typer.Context,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask each node, the database, the approval feeds and the sinks.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show every fault of the configuration. All at once, with file, line and what to do; then warnings of what is
    legal and foolish, which leave the exit status at 0.
    """
    from walletwatch.domain.times import utc_now
    from walletwatch.service.deployment import review_configuration

    session = session_of(context)
    review = review_configuration(session.path, session.environ, utc_now())
    if review.settings is None:
        _refuse(review, form)
    else:
        _check_signing_key(review.settings)
        _show(review, review.settings, form, live=live)


def _refuse(review: Review, form: Format) -> None:
    if form is Format.TABLE:
        sys.stderr.write(show_faults(review.problems) + "".join(f"{line}\n" for line in _told(review.warnings)))
    else:
        show_rows([*_rows("error", review.problems), *_rows("warning", review.warnings)], _LISTING, form)
    raise typer.Exit(Exit.USAGE)


def _show(review: Review, settings: Settings, form: Format, *, live: bool) -> None:
    rows = [*_rows("warning", review.warnings), *(_row("note", what=note) for note in settings.notes())]
    if form is Format.TABLE:
        typer.echo("\n".join([_summary(settings), *_told(review.warnings), *(f"note: {n}" for n in settings.notes())]))
    try:
        if live:
            _ask(review, settings, rows, form)
    finally:
        if form is not Format.TABLE:
            show_rows(rows, _LISTING, form)


def _ask(review: Review, settings: Settings, rows: list[Row], form: Format) -> None:
    """Ask the world. In a table each answer is shown as soon as it is there; else it is a row."""
    from walletwatch.cli.probes import Probe, probe

    def tell(answer: Probe | Problem) -> None:
        if isinstance(answer, Probe):
            level = "ok" if answer.code is Exit.FINE else "bad"
            rows.append(_row(level, key=answer.what, what=answer.said))
            text = f"{'ok ' if level == 'ok' else 'BAD'} {answer.what}: {answer.said}"
        else:
            rows.extend(_rows("warning", [answer]))
            text = f"warning: {answer}"
        if form is Format.TABLE:
            typer.echo(text)

    probe(settings, review.tables, tell)


def _row(level: str, *, file: str = "", line: int | None = None, key: str = "", what: str, remedy: str = "") -> Row:
    return {"level": level, "file": file, "line": line, "key": key, "what": what, "remedy": remedy}


def _rows(level: str, problems: Iterable[Problem]) -> list[Row]:
    return [
        _row(level, file=str(p.file), line=p.line or None, key=p.key, what=p.message, remedy=p.hint) for p in problems
    ]


def _told(warnings: Iterable[Problem]) -> Iterator[str]:
    """The warnings, each as an error is shown."""
    yield from (f"warning: {warning}" for warning in warnings)


def _check_signing_key(settings: Settings) -> None:
    from walletwatch.audit.notes import InvalidNote, SigningKey

    audit = settings.audit
    try:
        SigningKey.from_pem(audit.origin, audit.signing_key.reveal().encode())
    except InvalidNote as error:
        hint = "`walletwatch init` makes a key; keep it in a file of its own with mode 600"
        raise UsageProblem(str(error), where=f"[audit] signing_key ({audit.signing_key.source})", hint=hint) from None


def _summary(settings: Settings) -> str:
    lines = [f"{settings.file}: no faults"]
    for chain in settings.chains:
        wallets = settings.wallets_of(chain.id)
        addresses = sum(len(settings.addresses_of(w.name)) for w in wallets)
        nodes = ", ".join(e.public_name for e in chain.endpoints)
        lines.append(f"  {chain.name} ({chain.id}): {len(wallets)} wallets, {addresses:,} addresses; nodes: {nodes}")
    counts = (
        (len(settings.assets), "tokens"),
        (len(settings.prices), "prices"),
        (len(settings.persons), "people"),
        (len(settings.policies), "approval policies"),
        (len(settings.rules), "named rules"),
        (len(settings.sinks), "sinks"),
    )
    lines.append("  " + ", ".join(f"{count} {what}" for count, what in counts))
    return "\n".join(lines)
