"""What listings may be narrowed by, as typed on a command line."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from chains.model import ChainId
from walletwatch.cli.errors import UsageProblem
from walletwatch.output.tables import Format

FormatOption = Annotated[Format, typer.Option("--format", help="How to write the answer.")]
SinceOption = Annotated[str | None, typer.Option(help="From this moment on: a date, or an ISO 8601 time.")]
UntilOption = Annotated[str | None, typer.Option(help="Before this moment: a date, or an ISO 8601 time.")]
TzOption = Annotated[str | None, typer.Option("--tz", help="Zone of dates and shown times; default: the configured.")]
TxOption = Annotated[str | None, typer.Option(help="Only this transaction.")]
ChainOption = Annotated[str | None, typer.Option(help="Only this chain: its name, or its CAIP-2 id.")]
WalletOption = Annotated[str | None, typer.Option(help="Only this wallet.")]
RuleOption = Annotated[str | None, typer.Option(help="Only this rule: its type or its id.")]
SeverityOption = Annotated[str | None, typer.Option(help="Only this severity: critical, high, medium, low, info.")]
VerdictOption = Annotated[str | None, typer.Option(help="Only this verdict: violation, undetermined.")]
StateOption = Annotated[str | None, typer.Option(help="Only in this state.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="At most so many rows; default: all.")]
ByOption = Annotated[str, typer.Option("--by", help="Who decides.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why: it is kept in the audit log.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration; default: $WALLETWATCH_CONFIG, else config/walletwatch.toml."),
]


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{64})\Z")


def read_zone(name: str) -> ZoneInfo:
    """The zone of `--tz`. Raises UsageProblem."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageProblem(f'no such time zone: "{name[:60]}"', where="--tz", hint="Asia/Tokyo, UTC") from None


def read_moment(text: str, zone: ZoneInfo, option: str) -> datetime:
    """A date (its first moment in `zone`) or an ISO 8601 time (of `zone`, unless it carries its offset), as UTC.
    Raises UsageProblem.
    """
    try:
        if _DATE.match(text):
            return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        hint = "2026-11-22, 2026-11-22T09:30 or 2026-11-22T00:30:00Z"
        raise UsageProblem(f'not a time: "{text[:60]}"', where=option, hint=hint) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def read_window(since: str | None, until: str | None, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """The half-open interval [since, until). Raises UsageProblem if it is empty by construction."""
    start = None if since is None else read_moment(since, zone, "--since")
    end = None if until is None else read_moment(until, zone, "--until")
    if start is not None and end is not None and start >= end:
        raise UsageProblem("--until must lie after --since", where="--since/--until", hint="the end is not included")
    return start, end


def read_tx(text: str | None) -> bytes | None:
    """A transaction id: 64 hex digits, with or without 0x. Raises UsageProblem."""
    if text is None:
        return None
    match = _HASH.match(text)
    if match is None:
        raise UsageProblem(f'not a transaction id: "{text[:80]}"', where="--tx", hint="64 hex digits, 0x or not")
    return bytes.fromhex(match[1])


def read_chain(text: str | None, known: dict[str, str]) -> str | None:
    """The CAIP-2 text for a configured name or an id; `known` are ids by name. An id need not be configured any more:
    what was seen on it is still there. Raises UsageProblem.
    """
    if text is None or text in known.values():
        return text
    if text in known:
        return known[text]
    try:
        return str(ChainId.parse(text))
    except ValueError:
        names = ", ".join(sorted(known)) or "none is configured"
        raise UsageProblem(f'no chain is called "{text[:60]}"', where="--chain", hint=f"chains: {names}") from None


def read_choice(text: str | None, choices: tuple[str, ...], option: str) -> str | None:
    """One of a closed list of words. Raises UsageProblem that lists them."""
    if text is None or text in choices:
        return text
    raise UsageProblem(f'not known: "{text[:60]}"', where=option, hint=f"one of {', '.join(choices)}")
