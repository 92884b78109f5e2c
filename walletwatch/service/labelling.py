"""The label book of a deployment: what was imported into the store, and the configured sources as they are now."""

from __future__ import annotations

import logging

from chains.registry import parse_address
from walletwatch.labels.books import LabelBook
from walletwatch.labels.imports import LabelFileError
from walletwatch.labels.sources import import_source
from walletwatch.settings import Settings
from walletwatch.store import Store

_log = logging.getLogger(__name__)


def load_labels(settings: Settings, store: Store) -> LabelBook:
    """Every label there is. A source that cannot be read is logged, and the rest is used: labels only add knowledge."""
    with store.reading() as unit:
        book = LabelBook(unit.labels.find())
    for source in settings.labels.sources:
        try:
            found = import_source(source, parse_address)
        except LabelFileError as error:
            _log.error("labels: %s", error)
            continue
        book.extend(found.labels)
        if found.problem_count:
            _log.warning("labels: %s: %d bad rows are left out", source.name, found.problem_count)
    return book
