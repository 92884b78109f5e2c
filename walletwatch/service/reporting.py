"""The daily report of a deployment: what the configuration adds to the store, in one place."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from walletwatch.reports.daily import DailyInputs, DailyReport, build_daily
from walletwatch.reports.daily_forms import render_daily
from walletwatch.reports.daily_limits import WatchedWallet
from walletwatch.service.deployment import rules_of
from walletwatch.service.prices import open_prices
from walletwatch.settings import Settings
from walletwatch.store import UnitOfWork


def daily_inputs(settings: Settings, zone: ZoneInfo | None = None) -> DailyInputs:
    """Wallets, rules, names and prices as configured; `zone` instead of the configured one."""
    wallets = []
    for wallet in settings.wallets:
        chain = settings.chain(wallet.chain).id
        assets = (settings.native_of(chain), *settings.tokens_of(chain))
        wallets.append(WatchedWallet(wallet.name, wallet.role, chain, assets))
    return DailyInputs(
        zone=zone or settings.zone,
        wallets=tuple(wallets),
        assets=settings.asset_index,
        chains={str(chain.id): chain.name for chain in settings.chains},
        rules=rules_of(settings),
        price=open_prices(settings).price,
        feed_configured=bool(settings.feeds),
    )


def daily_report(
    settings: Settings, unit: UnitOfWork, day: date | None = None, zone: ZoneInfo | None = None
) -> DailyReport:
    """The report of a local day, today's by default."""
    inputs = daily_inputs(settings, zone)
    return build_daily(unit, inputs, day or local_day(unit.now, inputs.zone))


def daily_text(
    settings: Settings,
    unit: UnitOfWork,
    form: str,
    day: date | None = None,
    zone: ZoneInfo | None = None,
    *,
    width: int | None = None,
) -> str:
    """The same as text: `form` is table, json, csv, md or html. Raises ValueError for another one."""
    return render_daily(daily_report(settings, unit, day, zone), form, width=width)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The day `moment` falls on in `zone`."""
    return moment.astimezone(zone).date()
