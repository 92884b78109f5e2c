"""A configuration as `check` reads it: every error, and warnings of what is legal and foolish, which is no reason to
refuse it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from walletwatch.settings.loading import RuleCheck, build, examine, resolve_addresses
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem, SettingsError
from walletwatch.settings.settings import Settings
from walletwatch.settings.warnings.chains import warn_of_chains, warn_of_prices
from walletwatch.settings.warnings.feeds import warn_of_feeds
from walletwatch.settings.warnings.people import warn_of_people
from walletwatch.settings.warnings.policies import warn_of_policies
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


@dataclass(frozen=True)
class Review:
    """What a whole reading finds. `settings` is None where there are `problems`; `tables` say where each key stands."""

    settings: Settings | None
    tables: PartialSettings
    problems: tuple[Problem, ...]
    """Errors, by file and line."""
    warnings: tuple[Problem, ...]
    """What is legal and foolish, by file and line."""


def review(
    path: Path,
    now: datetime,
    *,
    environ: Mapping[str, str] | None = None,
    rule_check: RuleCheck | None = None,
    default_rules: Collection[str] = (),
) -> Review:
    """Read a configuration as `load` does, and gather warnings with the errors. `default_rules` are the types of rules
    that judge without being named; `now` decides which keys end soon.
    """
    tables, problems = examine(path, os.environ if environ is None else environ, True, rule_check)
    if tables is None:
        return Review(None, PartialSettings([]), SettingsError(problems).problems, ())
    warnings = warnings_of(tables, now, default_rules)
    book, wrong = resolve_addresses(tables)
    if problems or wrong:
        return Review(None, tables, SettingsError([*problems, *wrong]).problems, warnings)
    return Review(build(tables).with_addresses(book.addresses(), book.branches), tables, (), warnings)
