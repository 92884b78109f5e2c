"""Options that several commands share, named after the fields they look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walletwatch.cli.output import Format

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
