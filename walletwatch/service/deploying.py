"""From settings to what the pipeline works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from chains.model import Address, ChainId
from chains.registry import native_asset
from walletwatch.alerts.ports import Names
from walletwatch.approvals.policies import Group, Policy, Threshold
from walletwatch.domain.findings import Severity
from walletwatch.domain.labels import Label
from walletwatch.domain.times import Clock, utc_now
from walletwatch.labels.books import LabelBook
from walletwatch.pipeline.deployments import Deployment, TraceDefaults, WatchedChain
from walletwatch.rules.registry import RuleConfig, RuleErrors, configure, rules_digest, rules_in_force
from walletwatch.service.prices import open_prices
from walletwatch.settings import AmountReader, Money, Settings
from walletwatch.settings.chains import ChainSettings

Labels = Callable[[ChainId, Address, datetime], tuple[Label, ...]]


def check_rule(table: Mapping[str, Any], amounts: AmountReader) -> Iterable[tuple[str, str]]:
    """Everything wrong with one `[[rule]]` table, by key; handed to `settings.load`."""
    try:
        configure(table, amounts=amounts)
    except RuleErrors as wrong:
        return wrong.errors
    return ()


def rules_of(settings: Settings) -> tuple[RuleConfig, ...]:
    """The rules in force: the named ones, and those that are on without being named."""
    named = [configure(rule.table(), amounts=settings.reader) for rule in settings.rules]
    return rules_in_force(named, feed_configured=bool(settings.feeds))


def policies_of(settings: Settings) -> tuple[Policy, ...]:
    """The approval policies, in order."""
    return tuple(
        Policy(
            name=terms.name,
            quorum=terms.quorum,
            groups=tuple(Group(role=g.role or "", department=g.department or "", min=g.min) for g in terms.groups),
            min_value=None if terms.min_value is None else _threshold(terms.min_value),
            requester_may_approve=terms.requester_may_approve,
            max_age=terms.max_age,
            min_delay=terms.min_delay,
            hours=terms.hours,
            tolerance=tuple(map(_threshold, terms.tolerance)),
            fee_deducted=terms.fee_deducted,
            parts=terms.parts,
            chains=terms.chains,
            assets=terms.assets,
            wallets=terms.wallets,
        )
        for terms in settings.policy_terms()
    )


def _threshold(money: Money) -> Threshold:
    return Threshold(money.units, None if money.asset is None else money.asset.id)


def watched_chain(settings: Settings, chain: ChainSettings) -> WatchedChain:
    """One chain and what is ours on it."""
    return WatchedChain(
        chain=chain.id,
        name=chain.name,
        native=native_asset(chain.id),
        perimeter=settings.perimeter(chain.id),
        tokens=settings.tokens_of(chain.id),
        start=None if chain.start == "tip" else int(chain.start),
        max_reorg=chain.max_reorg,
        poll_secs=chain.poll.total_seconds(),
        check_balances_secs=chain.check_balances.total_seconds(),
    )


def deploy(settings: Settings, labels: LabelBook, clock: Clock = utc_now) -> Deployment:
    """Everything the pipeline has to know."""
    rules = rules_of(settings)
    return Deployment(
        chains={c.id: watched_chain(settings, c) for c in settings.chains},
        assets=settings.asset_index,
        roles={wallet.name: wallet.role for wallet in settings.wallets},
        rules=rules,
        rules_digest=rules_digest(rules),
        prices=open_prices(settings),
        labels=lambda chain, address, at: labels.lookup(chain, address.text, at),
        feed_configured=bool(settings.feeds),
        trace=_trace_defaults(settings),
        clock=clock,
    )


def _trace_defaults(settings: Settings) -> TraceDefaults:
    trace, least = settings.trace, settings.trace_threshold()
    return TraceDefaults(
        auto_open=None if trace.auto_open == "never" else Severity(trace.auto_open),
        model=trace.model,
        min_usd_e8=least.units if least is not None and least.asset is None else 0,
        min_units=() if least is None or least.asset is None else ((least.asset.id, least.units),),
        max_hops=trace.max_hops,
    )


def names_of(settings: Settings) -> Names:
    """What assets, chains and wallets are called in alerts."""
    return Names(
        assets=settings.asset_index,
        chains={str(c.id): c.name for c in settings.chains},
        roles={wallet.name: wallet.role for wallet in settings.wallets},
    )
