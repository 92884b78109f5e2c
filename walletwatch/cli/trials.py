"""`record`, `replay`, `scan`: the whole pipeline over a range of past blocks; nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import FormatOption, TzOption
from walletwatch.cli.findings import findings_listing
from walletwatch.cli.progress import progress_bar
from walletwatch.cli.sessions import Session, session_of, show_rows
from walletwatch.domain.objects import finding_object
from walletwatch.output.tables import Format

if TYPE_CHECKING:
    from chains.captures import CaptureRange
    from walletwatch.service.trials import Trial

RECORD_EXAMPLE = "walletwatch record --chain bitcoin --from 845600 --to 845620 -o theft.jsonl.gz"
REPLAY_EXAMPLE = "walletwatch replay theft.jsonl.gz"
SCAN_EXAMPLE = "walletwatch scan --chain ethereum --from 21895200 --to 21895260"

ChainName = Annotated[str, typer.Option("--chain", help="A configured chain, by name or CAIP-2 id.")]
FromHeight = Annotated[int, typer.Option("--from", min=0, help="The first block.")]
ToHeight = Annotated[int, typer.Option("--to", min=0, help="The last block.")]


def record(
    context: typer.Context,
    chain: ChainName,
    from_height: FromHeight,
    to_height: ToHeight,
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write; gzip if it ends in .gz.")],
) -> None:
    """Capture a node's answers for a range of blocks, so that `replay` needs no node."""
    if out.exists():
        raise UsageProblem(f"{out} exists", hint="name another file: a capture is never overwritten")
    from walletwatch.service import trials

    session = session_of(context)
    settings = session.load(need_secrets=True)
    covered = _range(session, chain, from_height, to_height)
    with progress_bar("blocks") as progress:
        trial = trials.record(settings, covered, out, progress)
    typer.echo(f"{out}: blocks {covered.low} to {covered.high}, {_counts(trial)}")


def replay(context: typer.Context, file: Path, tz: TzOption = None, form: FormatOption = Format.TABLE) -> None:
    """Run the whole pipeline on a capture and list what the rules found."""
    from walletwatch.service import trials

    session = session_of(context)
    if not file.is_file():
        raise UsageProblem(f"{file} is no file", hint="make one with `walletwatch record`")
    try:
        with progress_bar("blocks") as progress:
            trial = trials.replay(session.load(need_secrets=True), file, progress)
    except ValueError as error:
        raise UsageProblem(str(error), where=str(file)) from error
    _show(session, trial, tz, form)


def scan(
    context: typer.Context,
    chain: ChainName,
    from_height: FromHeight,
    to_height: ToHeight,
    tz: TzOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Judge past blocks without moving the cursor; that it was done is recorded in the audit log."""
    from walletwatch.service import trials

    session = session_of(context)
    covered = _range(session, chain, from_height, to_height)
    with progress_bar("blocks") as progress:
        trial = trials.scan(session.load(need_secrets=True), covered, progress)
    with session.writing() as unit:
        payload = {"from": covered.low, "to": covered.high, "findings": [f.id for f in trial.findings]}
        unit.audit.append("operator", "chain.scanned", str(covered.chain), payload)
    _show(session, trial, tz, form)


def _range(session: Session, chain: str, low: int, high: int) -> CaptureRange:
    from chains.captures import CaptureRange

    if high < low:
        raise UsageProblem(f"--to {high} lies below --from {low}")
    return CaptureRange(session.settings.chain(chain).id, low, high)


def _show(session: Session, trial: Trial, tz: str | None, form: Format) -> None:
    names = session.names()
    rows = [finding_object(finding, names) for finding in trial.findings]
    show_rows(rows, findings_listing(session.zone(tz)), form)
    if form is Format.TABLE:
        typer.echo(f"{_counts(trial)} in blocks {trial.covered.low} to {trial.covered.high}")


def _counts(trial: Trial) -> str:
    return f"{len(trial.outflows)} outflows, {len(trial.findings)} findings"
