"""`alerts`: messages to people, and their work on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from walletwatch.alerts.lifecycle import acknowledge, close, end_silence, make_silence, silence, unsilence
from walletwatch.cli.filters import (
    ByOption,
    FormatOption,
    LimitOption,
    ReasonOption,
    SeverityOption,
    SinceOption,
    StateOption,
    TzOption,
    UntilOption,
    read_chain,
    read_choice,
    read_moment,
)
from walletwatch.cli.sessions import STATES, Session, make_filter, not_found, session_of, show_object, show_rows
from walletwatch.domain.alerts import Alert, Silence
from walletwatch.domain.findings import stable_id
from walletwatch.domain.objects import alert_object, silence_object
from walletwatch.domain.times import format_utc, utc_now
from walletwatch.output.tables import Column, Format, Listing, Row, text_column, time_column

if TYPE_CHECKING:
    from datetime import datetime

    from walletwatch.alerts.alert_writer import AlertWriter
    from walletwatch.store import UnitOfWork

app = typer.Typer()

FIELDS = (
    *("id", "fingerprint", "severity", "state", "title", "findings", "outflows", "opened_at", "version"),
    *("acknowledged", "closed", "deliveries"),
)
SILENCE_FIELDS = ("id", "by", "reason", "created_at", "until", "rule_ids", "wallets", "chains", "alerts")


def _deliveries(row: Row) -> str:
    return ", ".join(f"{d['sink']} {d['outcome']}" for d in row["deliveries"])


def _listing(zone: ZoneInfo) -> Listing:
    columns = (
        time_column("opened", "opened_at", zone),
        text_column("alert", "id"),
        text_column("severity", "severity"),
        text_column("state", "state"),
        text_column("title", "title"),
        Column("told", _deliveries),
    )
    return Listing(FIELDS, columns, "no alerts")


@app.command("list", epilog="Example: walletwatch alerts list --state open")
def list_alerts(
    context: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    tz: TzOption = None,
    severity: SeverityOption = None,
    state: StateOption = None,
    limit: LimitOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List alerts. Oldest first, with their deliveries."""
    session = session_of(context)
    read_choice(state, STATES["alerts"], "--state")
    wanted = make_filter(session, since=since, until=until, tz=tz, severity=severity, state=state, limit=limit)
    with session.reading() as unit:
        show_rows((alert_object(alert) for alert in unit.alerts.find(wanted)), _listing(session.zone(tz)), form)


@app.command("show", epilog="Example: walletwatch alerts show alr_52c7… --format json")
def show_alert(context: typer.Context, alert_id: str, form: FormatOption = Format.TABLE) -> None:
    """Show one alert, whole. Findings, deliveries, decisions."""
    with session_of(context).reading() as unit:
        show_object(alert_object(_get(unit, alert_id)), form)


@app.command("silences", epilog="Example: walletwatch alerts silences")
def list_silences(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    tz: TzOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List silences in force. Whose, why and until when."""
    session = session_of(context)
    zone = session.zone(tz)
    matched = ("rule_ids", "wallets", "chains", "alerts")
    columns = (
        text_column("silence", "id"),
        text_column("by", "by"),
        text_column("reason", "reason"),
        time_column("until", "until", zone),
        Column("mutes", lambda row: ", ".join(name for key in matched for name in row[key])),
    )
    with session.reading() as unit:
        rows = [silence_object(s) for s in unit.alerts.silences(None if every else unit.now)]
    show_rows(rows, Listing(SILENCE_FIELDS, columns, "no silences"), form)


@app.command("ack", epilog='Example: walletwatch alerts ack alr_52c7… --by treasury-1 --reason "calling the signer"')
def ack(context: typer.Context, alert_id: str, by: ByOption, reason: ReasonOption) -> None:
    """Say that somebody is at it. The alert's messages then say who."""
    _decide(session_of(context), alert_id, "alert.acknowledged", by, reason, acknowledge)


@app.command("close", epilog='Example: walletwatch alerts close alr_52c7… --by treasury-1 --reason "approved on paper"')
def close_alert(context: typer.Context, alert_id: str, by: ByOption, reason: ReasonOption) -> None:
    """Say that it is dealt with. The findings stay."""
    _decide(session_of(context), alert_id, "alert.closed", by, reason, close)


@app.command(
    "silence", epilog="Example: walletwatch alerts silence --wallet btc-hot --until 2026-12-01 --by … --reason …"
)
def silence_alerts(
    context: typer.Context,
    by: ByOption,
    reason: ReasonOption,
    until: Annotated[str, typer.Option(help="When it ends: a date, or an ISO 8601 time.")],
    alert_id: Annotated[str | None, typer.Argument(metavar="[ALERT_ID]")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Rule ids it is about.")] = None,
    wallet: Annotated[list[str] | None, typer.Option(help="Wallets it is about.")] = None,
    chain: Annotated[list[str] | None, typer.Option(help="Chains it is about.")] = None,
    tz: TzOption = None,
) -> None:
    """Mute an alert, or new ones that fit. Until a time; they are kept and shown."""
    session = session_of(context)
    end = read_moment(until, session.zone(tz), "--until")
    chains = [read_chain(name, session.chain_ids()) or name for name in chain or ()]
    now = utc_now()
    ids = (alert_id,) if alert_id else ()
    identity = stable_id("sil", by, reason, format_utc(now), *ids, *(rule or ()), *(wallet or ()), *chains)
    wanted = Silence(identity, by, reason, now, end, tuple(rule or ()), tuple(wallet or ()), tuple(chains), ids)
    made = make_silence(wanted, now)
    with session.writing() as unit:
        if alert_id is not None:
            _alert_writer(session).save(unit, silence(_get(unit, alert_id), made, unit.now))
        unit.alerts.save_silence(made)
        unit.audit.append(made.by, "silence.created", made.id, silence_object(made))
    typer.echo(f"silence {made.id} until {format_utc(made.until)}")


@app.command(
    "unsilence", epilog='Example: walletwatch alerts unsilence sil_77ab… --by treasury-1 --reason "work is done"'
)
def unsilence_alerts(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="ALERT_ID|SILENCE_ID")],
    by: ByOption,
    reason: ReasonOption,
) -> None:
    """End a silence now. Or let one silenced alert speak again."""
    session = session_of(context)
    with session.writing() as unit:
        named = [s for s in unit.alerts.silences(unit.now) if target in (s.id, *s.alert_ids)]
        alert = unit.alerts.get(target)
        if alert is None and not named:
            raise not_found("silence or silenced alert", target, "alerts silences")
        for one in named:
            ended = end_silence(one, unit.now)
            unit.alerts.save_silence(ended)
            unit.audit.append(by, "silence.ended", one.id, silence_object(ended) | {"why": reason})
        if alert is not None:
            _alert_writer(session).save(unit, unsilence(alert, by, reason, unit.now))
            unit.audit.append(by, "alert.unsilenced", alert.id, {"reason": reason})
        _alert_writer(session).wake_silenced(unit)
    typer.echo(f"{target} is no longer silenced")


Decide = Callable[[Alert, str, str, "datetime"], Alert]


def _decide(session: Session, alert_id: str, action: str, by: str, reason: str, decide: Decide) -> None:
    """One decision about one alert: kept, on record under the name of who decided, and sent to every sink."""
    with session.writing() as unit:
        alert = decide(_get(unit, alert_id), by, reason, unit.now)
        _alert_writer(session).save(unit, alert)
        unit.audit.append(by.strip(), action, alert.id, {"reason": reason.strip()})
    typer.echo(f"{alert.id} is {alert.state}")


def _get(unit: UnitOfWork, alert_id: str) -> Alert:
    alert = unit.alerts.get(alert_id)
    if alert is None:
        raise not_found("alert", alert_id, "alerts list")
    return alert


def _alert_writer(session: Session) -> AlertWriter:
    from walletwatch.alerts.alert_writer import AlertWriter
    from walletwatch.service.deployment import names_of

    return AlertWriter(tuple(session.settings.sink_names), names_of(session.settings))
