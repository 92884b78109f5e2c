"""`audit`: the log that proves what was seen and done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.audit_reports import entries_listing, story_object, story_text
from walletwatch.cli.errors import BadAnswer, UsageProblem
from walletwatch.cli.filters import FormatOption, LimitOption, SinceOption, TxOption, TzOption, UntilOption, read_tx
from walletwatch.cli.progress import progress_bar
from walletwatch.cli.sessions import Session, make_filter, session_of, show_object, show_rows
from walletwatch.output.tables import Format, dump_json

if TYPE_CHECKING:
    from walletwatch.audit.notes import SigningKey, VerifyingKey
    from walletwatch.audit.verdicts import Verification
    from walletwatch.store import Store

app = typer.Typer()

MAX_CHECKPOINT_BYTES = 65_536
VkeyOption = Annotated[
    Path | None, typer.Option("--vkey", help="The log's public key; default: that of the configured signing key.")
]


@app.command("query", epilog="Example: walletwatch audit query --since 2026-11-21 --action alert.acknowledged")
def query(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    tz: TzOption = None,
    tx: TxOption = None,
    actor: Annotated[str | None, typer.Option(help="Only acts of this person or part of the system.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action: finding.made, alert.closed …")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this: a transaction, alert, case, chain.")] = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List entries of the audit log."""
    session = session_of(context)
    wanted = make_filter(
        session, since=since, until=until, tz=tz, tx=tx, actor=actor, action=action, subject=subject, limit=limit
    )
    with session.reading() as unit:
        show_rows((entry.as_json() for entry in unit.audit.find(wanted)), entries_listing(session.zone(tz)), form)


@app.command(
    "why", epilog="Example: walletwatch audit why 975ec405ac9dc9fa5ab8009d94d6a1fe31dff8a8127ea90d023104e52754e4d7"
)
def why(
    context: typer.Context,
    tx: Annotated[str, typer.Argument(metavar="TXID", help="A transaction.")],
    tz: TzOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show the history of a transaction. What left, who approved, what was found, who was notified, who did what."""
    session = session_of(context)
    wanted = make_filter(session, tx=tx)
    with session.reading() as unit:
        story = story_object(session, unit, read_tx(tx) or b"", wanted)
    if not (story["outflows"] or story["findings"] or story["entries"]):
        raise UsageProblem("nothing is known of this transaction", where=tx, hint="see `walletwatch outflows list`")
    if form is Format.JSON:
        typer.echo(dump_json(story), nl=False)
    else:
        typer.echo(story_text(story, session.zone(tz), form), nl=False)


@app.command("verify", epilog="Example: walletwatch audit verify --checkpoint kept-elsewhere.txt")
def verify(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="A checkpoint that was kept outside the database.")
    ] = None,
    vkey: VkeyOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Prove that the log was not changed. Every leaf and the root, against head and checkpoints; exit 1 if not."""
    from walletwatch.audit.verification import Head, verify_log

    session = session_of(context)
    outside = None if checkpoint is None else _read_note(checkpoint)
    with session.reading() as unit, progress_bar("entries") as progress:
        head = unit.audit.head()
        answer = verify_log(
            unit.audit.entries(),
            head=Head(head.size, head.root, head.frontier.to_bytes()) if head.size else None,
            checkpoints=unit.audit.checkpoints(),
            vkey=verifying_key(session, vkey),
            outside_checkpoint=outside,
            progress=progress,
        )
    show_verification(answer, form)


def show_verification(answer: Verification, form: Format) -> None:
    """Write the answer; raise BadAnswer, which names the first bad entry, if it is bad."""
    problems = [{"kind": p.kind, "seq": p.seq, "file": p.file, "message": p.message} for p in answer.problems]
    show_object(
        {
            "ok": answer.ok,
            "size": answer.size,
            "root": None if answer.root is None else answer.root.hex(),
            "signed_size": answer.signed_size,
            "unsigned": answer.unsigned,
            "checkpoints": answer.checkpoints,
            "first_bad": answer.first_bad,
            "problems": problems,
            "notices": list(answer.notices),
        },
        form,
    )
    if not answer.ok:
        first = "" if answer.first_bad is None else f"entry {answer.first_bad}"
        message = f"the log was tampered with: {answer.problems[0].message}"
        raise BadAnswer(message, where=first, hint="keep this database as it is, and compare it with a backup")


@app.command("prove", epilog="Example: walletwatch audit prove 42 > proof.json")
def prove(context: typer.Context, seq: Annotated[int, typer.Argument(min=0, help="The entry's number.")]) -> None:
    """Print a proof of one entry. It can be checked without the log and without trust in this system."""
    from walletwatch.audit.notes import open_checkpoint
    from walletwatch.audit.proofs import InvalidProof, build_proofs

    session = session_of(context)
    vkey = verifying_key(session)
    with session.store() as store:
        note = _covering(session, store, seq)
        size = open_checkpoint(note, vkey).size
        with store.reading() as unit:
            entry = unit.audit.get(seq)
            leaves = unit.audit.leaf_hashes(size)
    if entry is None:
        raise UsageProblem(f"there is no entry {seq}", hint="see `walletwatch audit query`")
    try:
        (proof,) = build_proofs([entry], note, vkey, leaves)
    except InvalidProof as error:
        raise BadAnswer(str(error), hint="see `walletwatch audit verify`") from None
    typer.echo(dump_json(proof), nl=False)


def _covering(session: Session, store: Store, seq: int) -> str:
    """The newest checkpoint if it covers `seq`, else a new one."""
    with store.reading() as unit:
        newest, size = unit.audit.newest_checkpoint(), unit.audit.head().size
    if seq >= size:
        raise UsageProblem(f"there is no entry {seq}", where=f"the log has {size} entries", hint="they count from 0")
    if newest is not None and newest[0] > seq:
        return newest[1]
    return make_checkpoint(session, store)


@app.command("checkpoint", epilog="Example: walletwatch audit checkpoint > checkpoint.txt")
def checkpoint(context: typer.Context) -> None:
    """Sign the log as it stands. Keep what is printed where nobody here can change it."""
    session = session_of(context)
    with session.store() as store:
        typer.echo(make_checkpoint(session, store), nl=False)


def make_checkpoint(session: Session, store: Store) -> str:
    """Sign the present head and keep the note. An empty log has nothing to sign: its start is recorded first."""
    from walletwatch.audit.notes import sign_checkpoint

    key = signing_key(session)
    with store.transaction() as unit:
        if not unit.audit.head().size:
            unit.audit.append("walletwatch", "log.opened", session.settings.audit.origin, {})
        head = unit.audit.flush()
        note = sign_checkpoint(key, head.size, head.root)
        unit.audit.add_checkpoint(head.size, note)
    return note


@app.command("export", epilog="Example: walletwatch audit export -o theft.zip --case bitcoin-975ec405ac9d")
def export(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", help="The ZIP to write.")],
    case: Annotated[str | None, typer.Option("--case", help="Only what concerns this case: its id or name.")] = None,
) -> None:
    """Write an evidence pack. Entries with their proofs, tables and pictures, to be checked without trusting us."""
    from walletwatch.cli.audit_reports import write_evidence

    session = session_of(context)
    with session.store() as store:
        note = make_checkpoint(session, store)
        count = write_evidence(session, store, signing_key(session), note, output, case)
    typer.echo(f"wrote {output}: {count} entries; check it with `walletwatch audit verify-pack {output}`")


@app.command("verify-pack", epilog="Example: walletwatch audit verify-pack case.zip --vkey audit.vkey")
def verify_evidence(
    pack: Annotated[Path, typer.Argument(help="An evidence pack (ZIP).")],
    vkey: Annotated[Path | None, typer.Option(help="The log's public key, from a source you trust.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check an evidence pack. Without database or configuration; exit 1 if anything in it is wrong."""
    from walletwatch.audit.notes import VerifyingKey
    from walletwatch.audit.pack_verification import verify_pack

    if not pack.is_file():
        raise UsageProblem("there is no such file", where=str(pack))
    trusted = None if vkey is None else VerifyingKey.parse(_read_note(vkey))
    show_verification(verify_pack(pack, trusted), form)


def signing_key(session: Session) -> SigningKey:
    """The log's private key. Raises SecretMissing, InvalidNote."""
    from walletwatch.audit.notes import SigningKey

    audit = session.settings.audit
    return SigningKey.from_pem(audit.origin, audit.signing_key.reveal().encode())


def verifying_key(session: Session, file: Path | None = None) -> VerifyingKey:
    """The log's public key: from `file`, so that an auditor needs no private one, else from the signing key."""
    from walletwatch.audit.notes import VerifyingKey

    return signing_key(session).verifying_key if file is None else VerifyingKey.parse(_read_note(file).strip())


def _read_note(path: Path) -> str:
    try:
        raw = path.read_bytes()[: MAX_CHECKPOINT_BYTES + 1]
        if len(raw) > MAX_CHECKPOINT_BYTES:
            raise UsageProblem(f"larger than {MAX_CHECKPOINT_BYTES} bytes: not a checkpoint", where=str(path))
        return raw.decode("utf-8")
    except OSError as error:
        raise UsageProblem(f"cannot read the file: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise UsageProblem(
            "not text", where=str(path), hint="a signed checkpoint, as `audit checkpoint` prints"
        ) from None
