"""JSON from outside, read as if an attacker wrote it: bounded in size and depth, no name twice, objects only."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any, NoReturn

MAX_DEPTH = 8
"""An act nests two deep; more room than this only serves whoever wants to exhaust the parser's stack."""

# An unterminated string is taken to its end as well, so that the scan stays linear.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)


class Unreadable(ValueError):
    """The bytes are no acceptable JSON object; the message says why."""


def parse_object(raw: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `raw`; `what` names it in errors. Raises Unreadable."""
    value = parse_json(raw, what, MAX_DEPTH, _no_fraction)
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is not a JSON object")
    return value


def parse_json(raw: bytes, what: str, max_depth: int, read_fraction: Callable[[str], Any]) -> Any:
    """JSON without a name that stands twice, NaN, or nesting beyond `max_depth`; `read_fraction` is given the text of
    each number with a fraction or exponent. Raises Unreadable.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{what} is not UTF-8 at byte {error.start}") from None
    _check_depth(text, what, max_depth)
    try:
        return json.loads(
            text, object_pairs_hook=_no_name_twice, parse_float=read_fraction, parse_constant=_no_fraction
        )
    except json.JSONDecodeError as error:
        raise Unreadable(f"{what} is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:
        raise Unreadable(f"{what}: {error}") from None


def _check_depth(text: str, what: str, max_depth: int) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > max_depth:
                raise Unreadable(f"{what} nests deeper than {max_depth}")
        elif token[0] in "]}":
            depth -= 1


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7515 §4: member names must be unique; parsers disagree on which of two counts, and that is an attack."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"member {twice[:40]!r} stands twice")
    return members


def _no_fraction(text: str) -> NoReturn:
    raise Unreadable(f"number {text[:40]!r}: amounts are decimal strings of base units")


def check_members(value: dict[str, Any], required: frozenset[str], optional: frozenset[str], what: str) -> None:
    """Raises Unreadable unless `value` has all of `required` and nothing beyond `optional`."""
    missing = sorted(required - value.keys())
    if missing:
        raise Unreadable(f"{what} lacks {', '.join(missing)}")
    extra = sorted(value.keys() - required - optional)
    if extra:
        raise Unreadable(f"{what} has unknown members: {', '.join(name[:40] for name in extra[:5])}")


def take_text(value: dict[str, Any], name: str, limit: int = 200, *, empty: bool = False) -> str:
    """The text member `name`, `""` if absent and `empty`. No control characters, no lone surrogates, at most `limit`
    characters. Raises Unreadable.
    """
    text = value.get(name, "" if empty else None)
    if not isinstance(text, str):
        raise Unreadable(f"{name} must be a text")
    if not text and not empty:
        raise Unreadable(f"{name} is empty")
    if len(text) > limit:
        raise Unreadable(f"{name} is longer than {limit} characters")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise Unreadable(f"{name} holds a control character or half a character")
    return text


_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Printable by their category, drawn as nothing (Unicode's Default_Ignorable_Code_Point)."""


def _is_dash(character: str) -> bool:
    return character != "-" and unicodedata.category(character) == "Pd"


def take_name(value: dict[str, Any], name: str, *, empty: bool = False) -> str:
    """As `take_text`, for what identifies something: `W-1`, and the same with a zero-width space, in wide letters, with
    another hyphen or with a space behind it look alike and would be five requests. Raises Unreadable for a text
    that compatibility normalisation (NFKC, Unicode Standard Annex #15) changes, that cannot be printed, or that holds
    an invisible character, a dash other than the hyphen-minus, or a space at either end.
    """
    text = take_text(value, name, empty=empty)
    if text != text.strip():
        raise Unreadable(f"{name} {text!a} begins or ends with a space")
    if not unicodedata.is_normalized("NFKC", text):
        raise Unreadable(f"{name} {text!a} looks like {unicodedata.normalize('NFKC', text)!a} and is not it")
    odd = next((c for c in text if not c.isprintable() or _INVISIBLE.match(c) or _is_dash(c)), None)
    if odd is not None:
        raise Unreadable(f"{name} {text!a} holds U+{ord(odd):04X} ({unicodedata.name(odd, 'no character')})")
    return text
