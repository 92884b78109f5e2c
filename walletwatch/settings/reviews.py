"""A configuration as `check` reads it: every error, and every warning of what is legal and foolish."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from walletwatch.settings.loading import RuleCheck, build, examine, resolve_addresses
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem, SettingsError
from walletwatch.settings.settings import Settings
from walletwatch.settings.warnings import warnings_of


@dataclass(frozen=True)
class Review:
    """What a whole reading finds. `settings` is None where there are `problems`, `tables` where the file could not be
    read at all.
    """

    settings: Settings | None
    tables: PartialSettings | None
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
        return Review(None, None, SettingsError(problems).problems, ())
    warnings = warnings_of(tables, now, default_rules)
    book, wrong = resolve_addresses(tables)
    if problems or wrong:
        return Review(None, tables, SettingsError([*problems, *wrong]).problems, warnings)
    return Review(build(tables).with_addresses(book.addresses(), book.branches), tables, (), warnings)
