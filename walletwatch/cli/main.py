"""Every command, and the one place where errors become a block and a status.

Modules of commands import what they need inside their functions, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from walletwatch import __version__
from walletwatch.cli import (
    alerts,
    approvals,
    audit,
    backtest,
    check,
    db,
    demo,
    findings,
    init,
    labels,
    outflows,
    preflight,
    report,
    requests,
    rules,
    run,
    status,
    trace,
    trials,
)
from walletwatch.cli.errors import Exit, explain
from walletwatch.cli.filters import ConfigOption
from walletwatch.cli.sessions import Session

app = typer.Typer(
    name="walletwatch",
    help="Watches an exchange's wallets, holds every outflow against signed approvals, and keeps a log that proves it.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(epilog="Exit status: 0 fine, 1 the answer is bad, 2 wrong usage or configuration, 3 unreachable.")
def begin(
    context: typer.Context,
    config: ConfigOption = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    """Watches an exchange's wallets, holds every outflow against signed approvals, and keeps a log that proves it."""
    if version:
        typer.echo(f"walletwatch {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(Exit.USAGE)
    context.obj = Session(config)


for module in (init, check, run, status, demo, backtest, preflight):
    name = module.__name__.rpartition(".")[2]
    app.command(name, epilog=f"Example: {module.EXAMPLE}")(getattr(module, name))
for act in (trials.record, trials.replay, trials.scan):
    example = getattr(trials, f"{act.__name__.upper()}_EXAMPLE")
    app.command(act.__name__, epilog=f"Example: {example}")(act)
for group, about in (
    (outflows, "What left the exchange's perimeter."),
    (requests, "What the exchange meant to send."),
    (approvals, "Signed acts of people on requests."),
    (findings, "Verdicts of the rules."),
    (rules, "The catalogue of rules, as configured."),
    (alerts, "Alerts, and the work on them."),
    (labels, "The label book: who is behind an address."),
    (trace, "Thefts that are being followed."),
    (audit, "The audit log: query, prove, verify."),
    (report, "What managers read."),
    (db, "The database's migrations."),
):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2], help=about, no_args_is_help=True)


def main() -> None:
    """The console script. Ends the process; no exception leaves it."""
    logging.basicConfig(level=os.environ.get("WALLETWATCH_LOG", "WARNING").upper(), format="%(levelname)s %(message)s")
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader closed the pipe
        sys.exit(Exit.FINE)
    except Exception as error:  # noqa: BLE001 - the outermost frame: a person gets a block, never a traceback
        block, code = explain(error)
        sys.stderr.write(block)
        sys.exit(code)


if __name__ == "__main__":
    main()
