"""What of a configuration is legal and foolish: told by `check`, and no reason to refuse it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime

from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.warnings.chains import warn_of_chains
from walletwatch.settings.warnings.feeds import warn_of_feeds
from walletwatch.settings.warnings.people import warn_of_people
from walletwatch.settings.warnings.policies import warn_of_policies
from walletwatch.settings.warnings.prices import warn_of_prices
from walletwatch.settings.warnings.rules import warn_of_rules

_CHECKS: tuple[Callable[[PartialSettings], Iterator[Problem]], ...] = (
    warn_of_chains,
    warn_of_prices,
    warn_of_feeds,
    warn_of_policies,
)


def warnings_of(partial: PartialSettings, now: datetime, default_rules: Collection[str]) -> tuple[Problem, ...]:
    """Every warning, by file and line. `now` decides which keys end soon; `default_rules` are the types of rules that
    judge without being named. Tables with faults of their own are left out.
    """
    found = [problem for check in _CHECKS for problem in check(partial)]
    found += [*warn_of_people(partial, now), *warn_of_rules(partial, default_rules)]
    return tuple(sorted(set(found), key=lambda p: (str(p.file), p.line, p.key, p.message)))
