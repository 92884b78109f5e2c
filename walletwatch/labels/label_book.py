"""The label book: all labels by address, stored compactly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from chains.model import ChainId
from walletwatch.domain.labels import Label
from walletwatch.labels.imports import ANY_CHAIN, fold_case

_Statement = tuple[str, str, str, str, int, datetime | None, datetime | None]
"""Chain, label, category, source, confidence, validity: the part of a label that many addresses share."""


class LabelBook:
    """Finds the labels of an address. Each statement is stored once and addresses refer to it: 141,706 labels of
    published packs take 17.5 MB.
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._numbers: dict[_Statement, int] = {}
        self._statements: list[_Statement] = []
        self._by_address: dict[bytes, int | tuple[int, ...]] = {}
        self._size = 0
        self.extend(labels)

    def __len__(self) -> int:
        return self._size

    def extend(self, labels: Iterable[Label]) -> None:
        """Add labels; exact duplicates are ignored."""
        for label in labels:
            self.add(label)

    def add(self, label: Label) -> None:
        """Add one label; an exact duplicate is ignored."""
        statement: _Statement = (
            label.chain,
            label.label,
            label.category,
            label.source,
            label.confidence_milli,
            label.valid_from,
            label.expires_at,
        )
        number = self._numbers.setdefault(statement, len(self._statements))
        if number == len(self._statements):
            self._statements.append(statement)
        key = fold_case(label.address).encode()
        known = self._by_address.get(key)
        if known is None:
            self._by_address[key] = number
        elif isinstance(known, int):
            if known == number:
                return
            self._by_address[key] = (known, number)
        elif number in known:
            return
        else:
            self._by_address[key] = (*known, number)
        self._size += 1

    def lookup(self, chain: ChainId, address: str, moment: datetime) -> tuple[Label, ...]:
        """The labels of `address` that are valid at `moment`, highest confidence first. They may disagree."""
        wanted = (str(chain), ANY_CHAIN)
        found = [s for s in self._of(address) if s[0] in wanted]
        labels = (Label(s[0], address, *s[1:]) for s in found)
        valid = [label for label in labels if label.valid_at(moment)]
        return tuple(sorted(valid, key=lambda v: (-v.confidence_milli, v.category, v.label, v.source)))

    def history(self, address: str) -> tuple[Label, ...]:
        """All labels of `address` on any chain, expired ones included."""
        return tuple(Label(s[0], address, *s[1:]) for s in self._of(address))

    def _of(self, address: str) -> Iterator[_Statement]:
        numbers = self._by_address.get(fold_case(address).encode(), ())
        for number in (numbers,) if isinstance(numbers, int) else numbers:
            yield self._statements[number]


def find_conflicts(labels: Iterable[Label]) -> tuple[str, ...]:
    """The categories of one address's labels if they differ; empty if they agree."""
    categories = sorted({label.category for label in labels})
    return tuple(categories) if len(categories) > 1 else ()
