"""`approvals`: signed acts, read from a file outside the configured feeds or checked before they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walletwatch.cli.errors import BadAnswer, UsageProblem
from walletwatch.cli.filters import read_choice
from walletwatch.cli.options import FormatOption
from walletwatch.cli.output import Format, Listing, text_column
from walletwatch.cli.queries import show_rows
from walletwatch.cli.sessions import Session, session_of

if TYPE_CHECKING:
    from walletwatch.approvals.acts import Malformed, Signatures
    from walletwatch.domain.people import People
    from walletwatch.domain.withdrawals import Act

app = typer.Typer()

MAX_FILE_BYTES = 1024 * 1024 * 1024
FIELDS = ("line", "ok", "act", "request_id", "actor", "kid", "rule", "reason")
LISTING = Listing(FIELDS, tuple(text_column(field.replace("_", " "), field) for field in FIELDS), "no acts")


@app.command("verify", epilog="Example: walletwatch approvals verify approvals.jsonl")
def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An approval log: one act a line.")],
    signatures: Annotated[
        str | None, typer.Option(help="required, or none; default: as its feed is configured.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check every line of an approval log. Form, signature, person, content; exit 1 if one is bad."""
    session = session_of(context)
    read_choice(signatures, ("required", "none"), "--signatures")
    parsed = list(_parse(session, file, _signatures(session, file, signatures)))
    rows = verified_rows(parsed, session.settings.people())
    show_rows(rows, LISTING, form)
    bad = [row["line"] for row in rows if not row["ok"]]
    if bad:
        lines = ", ".join(str(line) for line in bad[:20])
        raise BadAnswer(f"{len(bad)} of {len(rows)} lines are bad", where=f"{file}, lines {lines}")


def _signatures(session: Session, file: Path, wanted: str | None) -> Signatures:
    if wanted is not None:
        return "none" if wanted == "none" else "required"
    own = [feed.signatures for feed in session.settings.feeds if feed.path.resolve() == file.resolve()]
    return own[0] if own else "required"


def _parse(session: Session, file: Path, signatures: Signatures) -> Iterator[Act | Malformed]:
    """Every line as an act or as what is wrong with it."""
    from chains.registry import parse_address  # noqa: PLC0415 - `--help` does without
    from walletwatch.approvals.acts import parse_act  # noqa: PLC0415 - joserfc and cryptography
    from walletwatch.approvals.signatures import KeyRing  # noqa: PLC0415 - likewise
    from walletwatch.domain.times import utc_now  # noqa: PLC0415 - stands with the others

    ring, now = KeyRing(session.settings.people()), utc_now()
    for number, line in enumerate(_lines(file), start=1):
        yield parse_act(
            line,
            feed=file.name,
            line_no=number,
            signatures=signatures,
            people=ring,
            parse_address=parse_address,
            read_at=now,
        )


def _lines(file: Path) -> Iterator[bytes]:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise UsageProblem(f"larger than {MAX_FILE_BYTES} bytes", where=str(file), hint="split it")
        with file.open("rb") as stream:
            for line in stream:
                yield line.rstrip(b"\r\n")
    except OSError as error:
        raise UsageProblem(f"cannot read the file: {error.strerror}", where=str(file)) from None


def verified_rows(parsed: list[Act | Malformed], people: People) -> list[dict[str, Any]]:
    """A row a line: what each act is, and why it does not count, alone or beside the others of the file."""
    from walletwatch.approvals.acts import Malformed  # noqa: PLC0415 - joserfc and cryptography
    from walletwatch.approvals.books import RequestBook  # noqa: PLC0415 - stands with the other
    from walletwatch.domain.withdrawals import Act  # noqa: PLC0415 - likewise

    book = RequestBook(people, (one for one in parsed if isinstance(one, Act)))
    rows = []
    for one in parsed:
        if isinstance(one, Malformed):
            fault = ("feed_malformed", one.error)
            rows.append(_row(one.line, None, fault))
        else:
            rows.append(_row(one.line, one, (one.refused, one.reason) if one.refused else _among_others(one, book)))
    return rows


def _among_others(act: Act, book: Any) -> tuple[str, str]:
    """What is wrong with an act that is good by itself: nobody may ask under that name, or it is of other content."""
    if any(other.digest == act.digest for other in book.void(act.request_id)):
        return "approver_not_authorised", f"{act.actor} has not the role requester: this opens no request"
    if any(conflict.other.digest == act.digest for conflict in book.conflicts(act.request_id)):
        return "content_mismatch", "a second request with this id and other content; the first stands"
    request = book.get(act.request_id)
    if request is not None and act.intent_hash and act.intent_hash != request.intent.hash and act.intent is None:
        return "content_mismatch", "of other content than the request with this id"
    return "", ""


def _row(line: int, act: Act | None, fault: tuple[str, str]) -> dict[str, Any]:
    rule, reason = fault
    row: dict[str, Any] = {
        "line": line,
        "ok": not rule,
        "act": "" if act is None else str(act.kind),
        "request_id": "" if act is None else act.request_id,
        "actor": "" if act is None else act.actor,
        "kid": "" if act is None else act.kid,
    }
    return row | ({"rule": rule, "reason": reason} if rule else {})
