"""`preflight`: what is about to be signed, held to approvals and rules before anybody signs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from walletwatch.cli.errors import Exit, UsageProblem
from walletwatch.cli.filters import FormatOption
from walletwatch.cli.sessions import Session, session_of, show_rows
from walletwatch.cli.trials import ChainName
from walletwatch.output.tables import Format, Listing, amount_text, dump_json, text_column
from walletwatch.output.texts import clean

if TYPE_CHECKING:
    from walletwatch.service.preflight import Preflight

EXAMPLE = "walletwatch preflight payout.psbt --chain bitcoin"

_FIELDS = ("rule", "rule_id", "verdict", "severity", "mode", "wallet", "asset", "summary", "evidence")
_LISTING = Listing(
    _FIELDS,
    (
        text_column("severity", "severity"),
        text_column("rule", "rule_id"),
        text_column("verdict", "verdict"),
        text_column("wallet", "wallet"),
        text_column("summary", "summary"),
    ),
    "every rule passes",
)


def preflight(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="A PSBT, a Safe transaction as JSON, or a raw EVM transaction; - for standard input.")
    ],
    chain: ChainName,
    wallet: Annotated[str | None, typer.Option(help="The wallet that will sign, where the file does not say.")] = None,
    address: Annotated[str | None, typer.Option(help="Its address, if the wallet has several.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Judge a transaction before it is signed: 0 if every rule passes, 1 if one is violated or cannot tell."""
    session = session_of(context)
    answer = _judge(session, file, chain, wallet, address)
    from walletwatch.service.preflight import preflight_object, reason_rows

    names = session.names()
    whole = preflight_object(answer, names)
    if form is Format.JSON:
        sys.stdout.write(dump_json(whole))
    else:
        show_rows(reason_rows(answer, names), _LISTING, form)
    if form is Format.TABLE:
        typer.echo(clean(_summary(whole)))
    raise typer.Exit(Exit.FINE if whole["verdict"] == "pass" else Exit.BAD_ANSWER)


def _judge(session: Session, file: str, chain: str, wallet: str | None, address: str | None) -> Preflight:
    from walletwatch.service import preflight as preflights
    from walletwatch.settings import Fault

    content = _read(file)
    try:
        with session.store() as store:
            return preflights.preflight(session.settings, store, content, chain, wallet=wallet, address=address)
    except preflights.NotATransaction as error:
        hint = "a PSBT, a Safe transaction as JSON, or a raw EVM transaction is expected"
        raise UsageProblem(str(error), where=_name(file), hint=hint) from error
    except Fault:
        raise
    except ValueError as error:
        raise UsageProblem(str(error), where="--wallet, --address") from error


def _read(file: str) -> bytes:
    from chains.family import MAX_BYTES

    if file == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageProblem(f"{file}: {error.strerror}", where=file) from error


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _summary(whole: dict[str, Any]) -> str:
    """What would be paid, what explains it, and the verdict."""
    lines = [f"{name}: {whole[name]}" for name in _digests(whole)]
    for row in whole["payments"]:
        by = f"request {row['request']}" if row["request"] else "no request"
        state = "" if not row["request"] else ", approved" if row["approved"] else ", not approved"
        differs = f", which has another {row['differs']}" if "differs" in row else ""
        lines.append(f"pays {amount_text(row)} to {row['destination']}: {by}{differs}{state}")
        lines.append(f"  shown_hash {row['shown_hash']}")
    if whole["not_judged"]:
        lines.append(f"only signatures can answer: {', '.join(whole['not_judged'])}")
    return "\n".join([*lines, f"verdict: {whole['verdict']}"])


def _digests(whole: dict[str, Any]) -> list[str]:
    names = ("txid", "unsigned_txid", "safe_tx_hash", "safe_tx_hash_before_1_3", "signing_hash", "tx")
    return [name for name in names if name in whole]
