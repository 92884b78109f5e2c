"""The label book's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, func, select

from walletwatch.domain.labels import Label
from walletwatch.store import tables as t
from walletwatch.store.statements import upsert

_KEYS = ("chain", "address", "label", "category", "source")


class LabelRepository:
    """Statements about addresses; the same statement from the same source is one row, renewed by a later import."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def save(self, labels: Iterable[Label]) -> int:
        """Insert or renew; how many were given."""
        count = 0
        for label in labels:
            row = {
                "chain": label.chain,
                "address": label.address,
                "label": label.label,
                "category": label.category,
                "source": label.source,
                "confidence_milli": label.confidence_milli,
                "valid_from": label.valid_from,
                "expires_at": label.expires_at,
            }
            upsert(self._c, t.labels, row, _KEYS)
            count += 1
        return count

    def of_address(self, address: str) -> list[Label]:
        """Every statement about exactly this text."""
        query = select(t.labels).where(t.labels.c.address == address).order_by(t.labels.c.id)
        return [_label(r) for r in self._c.execute(query)]

    def of_addresses(self, addresses: Iterable[str]) -> Iterator[Label]:
        """Every statement about any of these addresses, a query for each 500."""
        wanted = list(addresses)
        for low in range(0, len(wanted), 500):
            query = select(t.labels).where(t.labels.c.address.in_(wanted[low : low + 500]))
            for row in self._c.execute(query.order_by(t.labels.c.id)):
                yield _label(row)

    def find(self, chain: str | None = None, category: str | None = None, limit: int | None = None) -> Iterator[Label]:
        """Statements in the order of import."""
        query = select(t.labels).order_by(t.labels.c.id)
        if chain is not None:
            query = query.where(t.labels.c.chain == chain)
        if category is not None:
            query = query.where(t.labels.c.category == category)
        if limit is not None:
            query = query.limit(limit)
        for row in self._c.execute(query):
            yield _label(row)

    def count(self) -> int:
        """How many statements there are."""
        return int(self._c.execute(select(func.count()).select_from(t.labels)).scalar_one())


def _label(r: Row[Any]) -> Label:
    return Label(
        chain=r.chain,
        address=r.address,
        label=r.label,
        category=r.category,
        source=r.source,
        confidence_milli=r.confidence_milli,
        valid_from=r.valid_from,
        expires_at=r.expires_at,
    )
