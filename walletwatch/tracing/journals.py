"""What a block changed, so that it can be folded again: copying a state of 30,000 coins each block halved the pace."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, TypeVar, cast

from walletwatch.tracing.flows import Ledger

K = TypeVar("K")
V = TypeVar("V")
_ABSENT: Any = object()


class Journal:
    """Changes to mappings since the block began, and how long the ledgers were then."""

    def __init__(self, ledgers: Iterable[Ledger] = ()) -> None:
        self._changes: list[tuple[MutableMapping[Any, Any], Any, Any]] = []
        self._ledgers = [(ledger, ledger.mark()) for ledger in ledgers]

    def put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        """`table[key] = value`, remembered."""
        self._changes.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def drop(self, table: MutableMapping[K, V], key: K) -> V | None:
        """`table.pop(key, None)`, remembered."""
        value = table.pop(key, _ABSENT)
        if value is _ABSENT:
            return None
        self._changes.append((table, key, value))
        return cast("V", value)

    def undo(self) -> None:
        """Put everything back as it was, and forget."""
        for table, key, value in reversed(self._changes):
            if value is _ABSENT:
                table.pop(key, None)
            else:
                table[key] = value
        self._changes.clear()
        for ledger, mark in self._ledgers:
            ledger.reset(mark)
