"""`rules`: the catalogue, as configured."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer

from walletwatch.cli.errors import UsageProblem
from walletwatch.cli.filters import FormatOption, LimitOption, RuleOption, SeverityOption, read_choice
from walletwatch.cli.sessions import SEVERITIES, Session, session_of, show_object, show_rows
from walletwatch.output.tables import Format, Listing, Row, show_value, text_column

if TYPE_CHECKING:
    from walletwatch.rules.registry import RuleConfig
    from walletwatch.rules.rule_types import RuleType

app = typer.Typer()

FIELDS = (
    *("rule", "rule_id", "family", "on", "severity", "mode", "wallets", "roles", "chains", "assets", "params"),
    *("description", "source"),
)
LISTING = Listing(
    FIELDS,
    (
        text_column("rule", "rule"),
        text_column("id", "rule_id"),
        text_column("on", "on"),
        text_column("severity", "severity"),
        text_column("mode", "mode"),
        text_column("what it finds", "description"),
    ),
)


@app.command("list", epilog="Example: walletwatch rules list --severity critical")
def list_rules(
    context: typer.Context,
    rule: RuleOption = None,
    severity: SeverityOption = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List every rule type. With the rules of it that are in force."""
    read_choice(severity, SEVERITIES, "--severity")
    rows = (
        row
        for row in rule_rows(session_of(context))
        if rule in (None, row["rule"], row["rule_id"]) and severity in (None, row["severity"])
    )
    show_rows(islice(rows, limit), LISTING, form)


@app.command("explain", epilog="Example: walletwatch rules explain lookalike_destination")
def explain_rule(context: typer.Context, rule_type: str, form: FormatOption = Format.TABLE) -> None:
    """Explain a rule type. What it finds, why, its parameters, and how it is configured here."""
    from walletwatch.rules.registry import catalogue

    entry = next((entry for entry in catalogue() if entry.name == rule_type), None)
    if entry is None:
        from walletwatch.settings.problems import did_you_mean

        near = did_you_mean(rule_type, [entry.name for entry in catalogue()])
        raise UsageProblem(f'no rule is called "{rule_type[:80]}"', hint=near or "see `walletwatch rules list`")
    rows = [row for row in rule_rows(session_of(context)) if row["rule"] == rule_type and row["on"]]
    show_object(_explanation(entry, rows), form)


def rule_rows(session: Session) -> Iterator[dict[str, Any]]:
    """A row a configured rule, and one for each type that is off."""
    from walletwatch.rules.registry import catalogue
    from walletwatch.service.deployment import rules_of

    in_force = rules_of(session.settings)
    for entry in catalogue():
        configured: list[RuleConfig | None] = [config for config in in_force if config.type == entry.name]
        yield from (_row(entry, config) for config in configured or [None])


def _row(entry: RuleType, config: RuleConfig | None) -> dict[str, Any]:
    own: dict[str, Any] = {} if config is None else config.as_json()
    return {
        "rule": entry.name,
        "rule_id": own.get("id", ""),
        "family": entry.family,
        "on": config is not None,
        "severity": own.get("severity", str(entry.severity)),
        "mode": own.get("mode", ""),
        **{key: own.get(key, []) for key in ("wallets", "roles", "chains", "assets")},
        "params": own.get("params", {}),
        "description": entry.description,
        "source": entry.source,
    }


def _explanation(entry: RuleType, rows: list[dict[str, Any]]) -> Row:
    keys = ("rule_id", "severity", "mode", "wallets", "roles", "chains", "assets", "params")
    return {
        "rule": entry.name,
        "family": entry.family,
        "severity": str(entry.severity),
        "description": entry.description,
        "source": entry.source,
        "on_by_default": entry.default_on,
        "parameters": [
            {"name": name, "required": info.is_required(), "default": _default(info), "about": info.description or ""}
            for name, info in entry.params.model_fields.items()
        ],
        "configured": [{key: row[key] for key in keys} for row in rows],
    }


def _default(info: Any) -> str:
    return "" if info.is_required() else show_value(info.get_default(call_default_factory=True))
