"""`run`: the daemon."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from typing import Annotated

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.sessions import session_of

EXAMPLE = "walletwatch run --until-synced"


def run(
    context: typer.Context,
    until_synced: Annotated[
        bool, typer.Option("--until-synced", help="Stop when every chain is at its node's tip and nothing is due.")
    ] = False,
) -> None:
    """Watch, judge and alert, until stopped by SIGINT or SIGTERM. SIGHUP reloads the configuration."""
    session = session_of(context)
    settings = session.load(need_secrets=True)
    if not settings.chains:
        raise UsageProblem("nothing to watch", where=str(settings.file), hint="add a [[chain]] and a [[wallet]]")
    from walletwatch.cli.run_progress import show_on
    from walletwatch.service.application import Application
    from walletwatch.service.daemon import Daemon

    with Application.open(settings) as application:
        daemon = Daemon(application, lambda: session.load(need_secrets=True))
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: daemon.stop.set())
        signal.signal(signal.SIGHUP, lambda *_: daemon.reload.set())
        with closing(show_on(sys.stderr)) as progress:
            ended = daemon.run(until_synced=until_synced, show=progress if until_synced else None)
    raise typer.Exit(int(ended))
