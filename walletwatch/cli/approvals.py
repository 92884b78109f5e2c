"""`approvals`: logs of signed acts, checked before they are sent or read in beside the configured feeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import BadAnswer, UsageProblem
from walletwatch.cli.filters import read_choice
from walletwatch.cli.options import ByOption, FormatOption
from walletwatch.cli.output import Format, Listing, text_column
from walletwatch.cli.queries import show_rows
from walletwatch.cli.sessions import session_of
from walletwatch.domain.times import utc_now

if TYPE_CHECKING:
    from walletwatch.approvals.acts import Signatures
    from walletwatch.settings import Settings
    from walletwatch.store import Store

app = typer.Typer()

FIELDS = ("line", "ok", "act", "request_id", "actor", "kid", "rule", "reason")
LISTING = Listing(FIELDS, tuple(text_column(field.replace("_", " "), field) for field in FIELDS), "no acts")

FileArgument = Annotated[Path, typer.Argument(help="An approval log: one act a line.")]
SignaturesOption = Annotated[
    str | None, typer.Option(help="required, or none; default: as its feed is configured, else required.")
]


@app.command("verify", epilog="Example: walletwatch approvals verify approvals.jsonl")
def verify(
    context: typer.Context, file: FileArgument, signatures: SignaturesOption = None, form: FormatOption = Format.TABLE
) -> None:
    """Check every line of an approval log. Form, signature, person, content; exit 1 if one is bad."""
    from chains.registry import parse_address  # noqa: PLC0415 - `--help` does without
    from walletwatch.approvals.feeds import Feed, FeedUnreadable, verify_file  # noqa: PLC0415 - joserfc
    from walletwatch.approvals.signatures import KeyRing  # noqa: PLC0415 - likewise

    settings = session_of(context).settings
    label, grade = _feed_of(settings, file, signatures)
    feed = Feed(label, file, grade, KeyRing(settings.people()), parse_address)
    try:
        rows = list(verify_file(feed, utc_now()))
    except FeedUnreadable as error:
        raise UsageProblem(str(error), where=str(file)) from None
    show_rows(rows, LISTING, form)
    bad = [row["line"] for row in rows if not row["ok"]]
    if bad:
        lines = ", ".join(str(line) for line in bad[:20])
        raise BadAnswer(f"{len(bad)} of {len(rows)} lines are bad", where=f"{file}, lines {lines}")


@app.command("import", epilog="Example: walletwatch approvals import export.jsonl --by treasury-1")
def import_acts(
    context: typer.Context, file: FileArgument, signatures: SignaturesOption = None, by: ByOption = "operator"
) -> None:
    """Read a log in beside the feeds. Again from where the last import ended; exit 1 if a line is malformed."""
    from walletwatch.pipeline.feeds import Feed, FeedDesk  # noqa: PLC0415 - everything; `--help` does without
    from walletwatch.service.applications import Application  # noqa: PLC0415 - likewise

    if not file.is_file():
        raise UsageProblem("there is no such file", where=str(file))
    settings = session_of(context).settings
    label, grade = _feed_of(settings, file, signatures)
    with Application.open(settings) as application:
        before = _counts(application.store, label)
        desk = FeedDesk(application.store, application.judge, (Feed(label, file, grade),), settings.people())
        with application.desk.held():
            desk.read()
        acts, malformed = (new - old for new, old in zip(_counts(application.store, label), before, strict=True))
        application.record(by, "approvals.imported", label, path=str(file), acts=str(acts), malformed=str(malformed))
    typer.echo(f"{acts} new acts from {file}")
    if malformed:
        raise BadAnswer(
            f"{malformed} lines are malformed", where=str(file), hint="`walletwatch approvals verify` says why"
        )


def _feed_of(settings: Settings, file: Path, signatures: str | None) -> tuple[str, Signatures]:
    """What findings call the feed, and how its lines are read."""
    read_choice(signatures, ("required", "none"), "--signatures")
    own = next((feed for feed in settings.feeds if feed.path.resolve() == file.resolve()), None)
    label = file.name if own is None else own.label
    if signatures is None:
        return label, "required" if own is None else own.signatures
    return label, "none" if signatures == "none" else "required"


def _counts(store: Store, label: str) -> tuple[int, int]:
    """(acts kept in all, malformed lines of this feed)."""
    with store.reading() as unit:
        return unit.approvals.count_acts(), len(unit.approvals.malformed(label))
