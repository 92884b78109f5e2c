"""`approvals`: logs of signed acts, checked before they are sent or read in beside the configured feeds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import BadAnswer, UsageProblem
from walletwatch.cli.filters import ByOption, FormatOption, read_choice
from walletwatch.cli.sessions import session_of, show_rows
from walletwatch.domain.times import utc_now
from walletwatch.output.tables import Format, Listing, text_column

if TYPE_CHECKING:
    from walletwatch.approvals.feeds import Feed
    from walletwatch.approvals.vendors.exports import ExportFeed
    from walletwatch.settings import Settings
    from walletwatch.store import Store

app = typer.Typer()

FIELDS = ("line", "ok", "act", "request_id", "actor", "kid", "rule", "reason")
MAX_LINE_BYTES = 65_536
LISTING = Listing(FIELDS, tuple(text_column(field.replace("_", " "), field) for field in FIELDS), "no acts")

FileArgument = Annotated[Path, typer.Argument(help="An approval log: one act a line.")]
SignaturesOption = Annotated[
    str | None, typer.Option(help="required, or none; default: as its feed is configured, else required.")
]
VendorOption = Annotated[
    str | None, typer.Option("--from", help="fireblocks, bitgo or safe: an export of that vendor, read as its feed is.")
]


@app.command("verify", epilog="Example: walletwatch approvals verify approvals.jsonl")
def verify(
    context: typer.Context, file: FileArgument, signatures: SignaturesOption = None, form: FormatOption = Format.TABLE
) -> None:
    """Check every line of an approval log. Form, signature, person, content; exit 1 if one is bad."""
    from walletwatch.approvals.act_files import verify_file
    from walletwatch.approvals.act_sources import FeedUnreadable

    feed = _open_feed(session_of(context).settings, file, signatures)
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
    context: typer.Context,
    file: FileArgument,
    signatures: SignaturesOption = None,
    vendor: VendorOption = None,
    by: ByOption = "operator",
) -> None:
    """Read a log, or a vendor's export, in beside the feeds. Again from where the last import ended; exit 1 if a line
    is malformed.
    """
    from walletwatch.service.application import Application
    from walletwatch.watch.feed_reader import FeedReader

    settings = session_of(context).settings
    export = _open_export(settings, file, vendor)
    feed = export or _open_feed(settings, file, signatures, imported=True)
    with Application.open(settings) as application:
        before = _counts(application.store, feed.name)
        approvals = FeedReader(application.store, application.judge, (feed,))
        with application.approvals.held():
            approvals.read()
        acts, malformed = (new - old for new, old in zip(_counts(application.store, feed.name), before, strict=True))
        application.record(
            by, "approvals.imported", feed.name, path=str(file), acts=str(acts), malformed=str(malformed)
        )
    typer.echo(f"{acts} new acts from {file}")
    if malformed:
        listed = "`walletwatch findings list --rule feed_malformed --format json` says why"
        hint = listed if export else "`walletwatch approvals verify` says why"
        what = "records" if export else "lines"
        raise BadAnswer(f"{malformed} {what} are malformed", where=str(file), hint=hint)


def _open_export(settings: Settings, file: Path, vendor: str | None) -> ExportFeed | None:
    """The file as the vendor's feed, whose users and assets the configuration knows; None for a log."""
    from walletwatch.approvals.act_sources import FeedUnreadable
    from walletwatch.approvals.signatures import KeyRing
    from walletwatch.service.deployment import open_export
    from walletwatch.settings.approvals import VENDORS

    read_choice(vendor, VENDORS, "--from")
    exports = [feed for feed in settings.feeds if feed.is_vendor and vendor in (None, feed.type)]
    own = next((feed for feed in exports if feed.path and feed.path.resolve() == file.resolve()), None)
    if vendor is None and own is None:
        return None
    if not exports:
        hint = f'add [[approval_feed]] type = "{vendor}" with its people'
        raise UsageProblem(f"nothing says who {vendor}'s users are", where="--from", hint=hint)
    feed = own or exports[0]
    export = open_export(settings, feed, file, feed.label, KeyRing(settings.people()))
    try:
        export.read_new({}, utc_now())
    except FeedUnreadable as error:
        raise UsageProblem(str(error), where=str(file)) from None
    return export


def _open_feed(settings: Settings, file: Path, signatures: str | None, *, imported: bool = False) -> Feed:
    """The file as a feed. An imported one is known by its name and first line: another export under the same name is
    another feed, and the same export, longer by now, is read on.
    """
    from chains.registry import parse_address
    from walletwatch.approvals.feeds import Feed
    from walletwatch.approvals.signatures import KeyRing

    read_choice(signatures, ("required", "none"), "--signatures")
    own = next((feed for feed in settings.feeds if feed.path and feed.path.resolve() == file.resolve()), None)
    grade = signatures or (own.signatures if own else "required")
    name = own.label if own else f"{file.name}@{_first_line_digest(file)}" if imported else file.name
    return Feed(name, file, "none" if grade == "none" else "required", KeyRing(settings.people()), parse_address)


def _first_line_digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.sha256(stream.readline(MAX_LINE_BYTES)).hexdigest()[:12]
    except OSError as error:
        raise UsageProblem(f"cannot read the file: {error.strerror}", where=str(file)) from None


def _counts(store: Store, label: str) -> tuple[int, int]:
    """(acts kept in all, malformed lines of this feed)."""
    with store.reading() as unit:
        return unit.approvals.count_acts(), len(unit.approvals.malformed(label))
