"""`backtest`: what other rules would have said of stored history; nothing is sent, nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import FormatOption, TzOption
from walletwatch.cli.findings import findings_listing
from walletwatch.cli.progress import progress_bar
from walletwatch.cli.sessions import Session, session_of, show_rows
from walletwatch.cli.trials import ChainName, FromHeight, ToHeight
from walletwatch.domain.objects import finding_object
from walletwatch.output.tables import Format

if TYPE_CHECKING:
    from walletwatch.service.backtests import BacktestResult, RulesDiff

EXAMPLE = "walletwatch backtest --rules new-rules.toml --chain bitcoin --from 845000 --to 846000"


def backtest(
    context: typer.Context,
    rules: Annotated[Path, typer.Option("--rules", help="A TOML file of [[rule]] tables.")],
    chain: ChainName,
    from_height: FromHeight,
    to_height: ToHeight,
    against: Annotated[
        Path | None, typer.Option("--against", help="Another rule file: say what differs from it.")
    ] = None,
    tz: TzOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say what these rules would have said of stored outflows: findings, alerts a day, lead time, quiet days."""
    if to_height < from_height:
        raise UsageProblem(f"--to {to_height} lies below --from {from_height}")
    session = session_of(context)
    heights = (from_height, to_height)
    result = _run(session, rules, chain, heights)
    difference = None if against is None else _compare(session, against, rules)
    before = None if against is None else _run(session, against, chain, heights)
    if form is Format.JSON:
        _print_json(session, result, difference, before)
        return
    rows = [finding_object(finding, session.names()) for finding in result.findings]
    show_rows(rows, findings_listing(session.zone(tz)), form)
    if form is Format.TABLE:
        typer.echo(_summary(result))
        if difference is not None and before is not None:
            typer.echo(_say_difference(difference, before, result))


def _run(session: Session, rules: Path, chain: str, heights: tuple[int, int]) -> BacktestResult:
    from walletwatch.service import backtests

    settings = session.load(need_secrets=False)
    named = settings.chain(chain).name
    try:
        with session.store() as store, progress_bar("outflows") as progress:
            return backtests.backtest(settings, store, rules, named, heights, progress)
    except backtests.RulesFileError as error:
        raise UsageProblem(str(error), where=str(rules)) from error
    except OSError as error:
        raise UsageProblem(f"{rules}: {error.strerror}", where=str(rules)) from error


def _compare(session: Session, before: Path, after: Path) -> RulesDiff:
    from walletwatch.service import backtests

    try:
        old, new = (backtests.read_rules(session.settings, path) for path in (before, after))
    except backtests.RulesFileError as error:
        raise UsageProblem(str(error), where=str(error.path)) from error
    except OSError as error:
        raise UsageProblem(f"{before}: {error.strerror}", where=str(before)) from error
    return backtests.compare_rules(old, new)


def _print_json(
    session: Session, result: BacktestResult, difference: RulesDiff | None, before: BacktestResult | None
) -> None:
    import orjson

    names = session.names()
    found = {"findings": [finding_object(finding, names) for finding in result.findings], **result.as_json()}
    if difference is not None and before is not None:
        found["difference"] = {
            "added": difference.added,
            "removed": difference.removed,
            "changed": difference.changed,
            "alerts": {"before": before.alerts, "after": result.alerts},
        }
    typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


def _summary(result: BacktestResult) -> str:
    days = len(result.alerts_by_day)
    lead = "none to measure" if result.lead_time_secs is None else f"{result.lead_time_secs} s before the largest loss"
    said = (
        f"{result.outflows} outflows in {days} days: {len(result.findings)} findings, {result.alerts} alerts, "
        f"{result.alerts_per_day} a day; {len(result.quiet_days)} quiet days; lead time: {lead}"
    )
    return said + (f"\nnot judged by history alone: {', '.join(result.skipped)}" if result.skipped else "")


def _say_difference(difference: RulesDiff, before: BacktestResult, after: BacktestResult) -> str:
    lines = [f"+ {name}" for name in difference.added] + [f"- {name}" for name in difference.removed]
    for name, keys in difference.changed.items():
        lines += [f"~ {name}: {key}: {old} -> {new}" for key, (old, new) in keys.items()]
    return "\n".join([*lines, f"alerts: {before.alerts} before, {after.alerts} after"])
