"""docs/configuration.md, out of the settings' own models; python tests/unit/docs_configuration.py writes it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "configuration.md"
sys.path.insert(0, str(ROOT / "tests"))

from unit.docs_meanings import MEANINGS, TABLES  # noqa: E402 - found by the line above when run as a command
from walletwatch.settings import chains, fields, secrets  # noqa: E402 - likewise
from walletwatch.settings.approvals import GroupSettings  # noqa: E402 - likewise
from walletwatch.settings.chains import EndpointSettings  # noqa: E402 - likewise
from walletwatch.settings.fields import Table, show_duration  # noqa: E402 - likewise
from walletwatch.settings.partial_settings import LISTS, SINGLES  # noqa: E402 - likewise
from walletwatch.settings.sections import KeySettings  # noqa: E402 - likewise

INTRODUCTION = """# Configuration

Every table and key. `python tests/unit/docs_configuration.py` writes this file out of the models that read the
configuration; a test fails when it differs from them. [The operator guide](operators.md) shows how they work together,
and `config/*.example.toml` a whole configuration with comments.

The file is TOML. It may be split: `include = ["wallets.toml", "rules.toml"]` in any of them. Relative paths, that of
`sqlite:///x` too, start at the folder of the file that names them; `~` is the home folder. A key that the program does
not know is an error. `walletwatch check` names every error at once, each with its file and line.

| kind of value | how it is written |
|---|---|
| amount | in quotes, with its unit: `"50 BTC"`, `"0.5 ETH"`, `"100000 USD"`; or with an asset id |
| duration | `"500ms"`, `"30s"`, `"24h"`, `"7d"`, `"1h30m"`; at most ten years |
| time | `"2026-01-31T09:00:00+09:00"` or the same without quotes; always with its offset |
| name | 1 to 64 letters, digits and `. _ - @ +`, beginning with a letter or digit |
| secret | `{ env = "NAME" }` or `{ file = "PATH" }`; never the value itself |
| URL | `"https://…"` without user or password, or a secret that holds the whole of it |
| chain id | CAIP-2: `"eip155:1"`, `"bip122:000000000019d6689c085ae165831e93"` |
| asset id | CAIP-19: `"eip155:1/erc20:0x…"`, `"eip155:1/slip44:60"` |

At the top of the file stand `include` (list of paths, by default none) and `timezone` (an IANA name, by default
`"UTC"`): the zone in which a date without a time is meant.
"""

_KINDS: tuple[tuple[Any, str], ...] = (
    (fields.Name, "name"),
    (fields.Duration, "duration"),
    (fields.Moment, "time"),
    (fields.UsdE8, "number in quotes"),
    (fields.AmountText, "amount"),
    (fields.ChainRef, "chain id"),
    (fields.AssetRef, "asset id"),
    (fields.LocalPath, "path"),
    (fields.SeverityName, "severity"),
    (secrets.SecretField, "secret"),
    (secrets.HttpUrl, "URL"),
    (secrets.WebSocketUrl, "`ws` or `wss` URL"),
    (secrets.StoreUrl, "database URL"),
)
_BY_PLACE = {
    ("chain", "start"): '`"tip"` or a height',
    ("chain", "finality"): f"{', '.join(f'`{tag}`' for tag in chains.FINALITY_TAGS)} or a number",
    ("endpoints", "url"): "URL",
    ("endpoints", "zmq"): "ZMQ address",
    ("audit", "origin"): "text without spaces",
    ("keys", "jwk"): "public JWK",
    ("approval_feed", "people"): "table of names",
    ("approval_feed", "assets"): "table of texts",
    ("approval_feed", "wallets"): "table of names",
}
_NESTED = {"endpoints": EndpointSettings, "keys": KeySettings, "groups": GroupSettings}


def write_document() -> str:
    """The whole file."""
    parts = [INTRODUCTION]
    for name, model in SINGLES.items():
        parts += _section(f"[{name}]", name, model)
    for name, model in LISTS.items():
        parts += _section(f"[[{name}]]", name, model)
    for name, model in _NESTED.items():
        parts += _section(f"{{ … }} in {name}", name, model)
    return "\n".join(parts)


def told_keys() -> set[tuple[str, str]]:
    """(table, key) of everything the models know."""
    every = {**SINGLES, **LISTS, **_NESTED}
    return {(name, key) for name, model in every.items() for key in model.model_fields}


def _section(title: str, name: str, model: type[Table]) -> Iterable[str]:
    yield f"## `{title}`\n"
    yield f"{TABLES[name]}\n"
    yield "| key | kind | default | meaning |\n|---|---|---|---|"
    hints = get_type_hints(model, include_extras=True)
    rows = [
        f"| `{key}` | {_kind(name, key, hints[key], info)} | {_default(info)} | {MEANINGS[name, key]} |"
        for key, info in model.model_fields.items()
    ]
    yield "\n".join(rows) + "\n"


def _kind(name: str, key: str, hint: Any, info: FieldInfo) -> str:
    return _BY_PLACE.get((name, key)) or kind_of(hint, info)


def kind_of(hint: Any, info: FieldInfo | None = None) -> str:
    """An annotation in the words of the introduction. Raises ValueError for one nobody has found words for."""
    named = next((words for kind, words in _KINDS if hint == kind), None)
    if named is not None:
        return named
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        found = next((extra for extra in extras if isinstance(extra, FieldInfo)), None)
        return kind_of(inner, found or info)
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(kind_of(part, info) for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return ", ".join(f'`"{word}"`' for word in get_args(hint))
    if get_origin(hint) is tuple:
        return _many(kind_of(get_args(hint)[0]))
    return _plain(hint, info)


def _many(kind: str) -> str:
    return {"text": "list of texts", "name": "list of names", "path": "list of paths"}.get(kind, f"list of {kind}")


def _plain(hint: Any, info: FieldInfo | None) -> str:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "tables"
    if isinstance(hint, type) and issubclass(hint, str) and hint is not str:
        return ", ".join(f'`"{member.value}"`' for member in hint)  # type: ignore[attr-defined]  # an enumeration of words
    if hint is int:
        bounds = {type(b).__name__: b for b in (info.metadata if info else ())}
        return f"{bounds['Ge'].ge:,} to {bounds['Le'].le:,}" if {"Ge", "Le"} <= bounds.keys() else "whole number"
    words = {bool: "`true`, `false`", str: "text"}
    if hint not in words:
        raise ValueError(f"no words for {hint!r}")
    return words[hint]


def _default(info: FieldInfo) -> str:
    value = info.default
    if info.is_required():
        return "required"
    if value in (None, "", ()):
        return ""
    if isinstance(value, timedelta):
        return f'`"{show_duration(value)}"`'
    if isinstance(value, bool | int):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`'


if __name__ == "__main__":
    TARGET.write_text(write_document(), encoding="utf-8")
