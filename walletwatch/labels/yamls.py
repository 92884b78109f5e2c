"""YAML from strangers, as texts, lists and mappings only.

Built from the parser's events, so that nothing is resolved: no tags, no numbers, no dates, and no aliases ("billion
laughs"). A scalar is the text that stands there; plain `null`, `~` and nothing are None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from walletwatch.labels.imports import LabelFileError

MAX_DEPTH = 12
MAX_NODES = 8_000_000
"""The largest published pack has 1.5 million."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Mapping(dict[str, Any]):
    """A mapping that remembers the line (from 1) on which it begins."""

    line: int = 0


def read_yaml(text: bytes, file: str) -> Any:
    """The one document in `text`. Raises LabelFileError for anything but plain data."""
    try:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        return _Builder(file).build(iter(events))
    except yaml.YAMLError as error:
        raise LabelFileError(f"{file}: not YAML: {' '.join(str(error).split())[:300]}") from error


class _Builder:
    """Turns events into data, without recursion on the input's depth beyond MAX_DEPTH."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.nodes = 0

    def build(self, events: Iterator[yaml.Event]) -> Any:
        """The document's data."""
        root: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise LabelFileError(f"{self.file}: more than one document")
                root = self._node(next(events), events, 0)
        return root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Any:
        self.nodes += 1
        line = _line_of(event)
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise LabelFileError(f"{self.file}:{line}: nested too deeply or too large")
        if isinstance(event, yaml.AliasEvent):
            raise LabelFileError(f"{self.file}:{line}: aliases are refused")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            return None if plain and event.value in _NULLS else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, depth)
        return self._mapping(events, depth, line)

    def _sequence(self, events: Iterator[yaml.Event], depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return items

    def _mapping(self, events: Iterator[yaml.Event], depth: int, line: int) -> Mapping:
        found = Mapping()
        found.line = line
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            if not isinstance(key, str):
                raise LabelFileError(f"{self.file}:{_line_of(event)}: a key must be a text")
            found[key] = self._node(next(events), events, depth + 1)
        return found


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0
