"""Warnings about approval feeds, sinks, tracing and the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from walletwatch.domain.findings import Severity
from walletwatch.settings.fields import show_duration
from walletwatch.settings.partial_settings import PartialSettings
from walletwatch.settings.problems import Problem
from walletwatch.settings.warnings.tables import sound

_LATEST = timedelta(days=1)
_RAREST = timedelta(days=1)
_OTHERS = 0o077
"""The permission bits of everybody but the owner."""


def warn_of_feeds(partial: PartialSettings) -> Iterator[Problem]:
    """A feed without its file or that believes old dates; alerts that reach nobody; an audit key others can read."""
    yield from _of_feeds(partial)
    yield from _of_sinks(partial)
    yield from _of_tracing(partial)
    yield from _of_audit(partial)


def _of_feeds(partial: PartialSettings) -> Iterator[Problem]:
    for entry in sound(partial, "approval_feed"):
        feed = entry.value
        if feed.path is not None and feed.path.parent.is_dir() and not feed.path.exists():
            message = f"there is no file {feed.path}: until there is, no payment is approved"
            yield entry.problem("path", message, "check the path, or create the file empty")
        if feed.max_late > _LATEST:
            message = f"an approval made up afterwards counts for {show_duration(feed.max_late)}"
            yield entry.problem("max_late", message, 'max_late = "1h"')


def _of_sinks(partial: PartialSettings) -> Iterator[Problem]:
    sinks = sound(partial, "sink")
    loudest = [entry for entry in sinks if entry.value.min_severity is Severity.CRITICAL]
    if sinks and len(loudest) == len(sinks):
        message = "nobody is told of findings of severity high: no sink takes them"
        yield loudest[0].problem("min_severity", message, 'min_severity = "medium"')


def _of_tracing(partial: PartialSettings) -> Iterator[Problem]:
    trace = partial.singles.get("trace")
    if trace is not None and not trace.bad and trace.value.auto_open in {"low", "info"}:
        message = f"every finding of severity {trace.value.auto_open} opens a case that is followed for ever"
        yield trace.problem("auto_open", message, 'auto_open = "critical"')


def _of_audit(partial: PartialSettings) -> Iterator[Problem]:
    audit = partial.singles.get("audit")
    if audit is None or audit.bad:
        return
    if audit.value.checkpoint_every > _RAREST:
        message = f"what was written in the last {show_duration(audit.value.checkpoint_every)} can be cut off unseen"
        yield audit.problem("checkpoint_every", message, 'checkpoint_every = "1h"')
    raw = audit.document.data["audit"].get("signing_key")
    if isinstance(raw, dict) and isinstance(raw.get("file"), str):
        yield from (audit.problem("signing_key", text, "chmod 600") for text in _readers(audit.document.path, raw))


def _readers(document: Path, raw: dict[str, str]) -> Iterator[str]:
    path = (document.parent / Path(raw["file"]).expanduser()).resolve()
    if path.is_file() and path.stat().st_mode & _OTHERS:
        yield f"other users of this machine can read {path}, and sign as the audit log"
