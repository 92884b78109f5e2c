"""`check`: whether the configuration can be used, and with `--live` whether the world answers as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.sessions import session_of

if TYPE_CHECKING:
    from walletwatch.settings import Settings

EXAMPLE = "walletwatch check --live"


def check(
    context: typer.Context,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask each node, the database, the approval feeds and the sinks.")
    ] = False,
) -> None:
    """Show every fault of the configuration. All at once, with file, line and what to do."""
    session = session_of(context)
    settings = session.load(need_secrets=True)
    _check_signing_key(settings)
    typer.echo(_summary(settings))
    if live:
        from walletwatch.cli.probes import probe

        probe(settings)


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
    lines += [f"note: {note}" for note in settings.warnings()]
    return "\n".join(lines)
