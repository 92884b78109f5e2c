"""`db`: the database's migrations."""

from __future__ import annotations

import typer

from walletwatch.cli.errors import BadAnswer
from walletwatch.cli.filters import FormatOption
from walletwatch.cli.sessions import session_of, show_object
from walletwatch.output.tables import Format

app = typer.Typer()


@app.command("upgrade", epilog="Example: walletwatch db upgrade")
def upgrade(context: typer.Context) -> None:
    """Bring the database to the newest revision. Nothing happens if it is there."""
    with session_of(context).store(current=False) as store:
        before = store.revision()
        store.upgrade()
        typer.echo(f"{store.public_url}: {before or 'empty'} -> {store.revision()}")


@app.command("current", epilog="Example: walletwatch db current")
def current(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Show the database's revision. Exit 1 if the program needs another."""
    with session_of(context).store(current=False) as store:
        revision, needed = store.revision(), store.newest_revision()
        show_object({"url": store.public_url, "revision": revision, "needed": needed}, form)
    if revision != needed:
        raise BadAnswer("the database is not at the revision this program needs", hint="walletwatch db upgrade")
