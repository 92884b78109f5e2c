"""Column types that are exact on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import LargeBinary, Numeric, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from chains.model import MAX_AMOUNT
from walletwatch.domain.times import format_utc, parse_utc

_DIGITS = 78
"""2**256 - 1 has 78 decimal digits."""


class BaseUnits(TypeDecorator[int]):
    """An amount of base units, 0 … 2**256-1: NUMERIC(78,0) on PostgreSQL, 78-digit zero-padded text on SQLite.

    SQLite's NUMERIC silently turns 10**18 + 1 into 10**18; padded text is exact and sorts like the number. Its SQL
    `SUM` is not exact there: sums are made in Python.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC where it is exact, else text."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(_DIGITS, 0, asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """Refuse what is no amount before any database can round it."""
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= MAX_AMOUNT:
            raise ValueError(f"not an amount of base units in 0..2**256-1: {value!r}")
        return value if dialect.name == "postgresql" else str(value).zfill(_DIGITS)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002 - the base's signature
        """Back to int."""
        return None if value is None else int(value)


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC with microseconds: timestamptz on PostgreSQL, sortable ISO 8601 text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The database's own type where it has one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Naive times raise ValueError."""
        if value is None:
            return None
        text = format_utc(value)
        return value if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as above
        """Back to an aware datetime in UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else parse_utc(value)


class JsonText(TypeDecorator[Any]):
    """JSON as text with sorted keys, the same bytes on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base's signature
        """Serialise; integers beyond 64 bits must come as text (orjson raises TypeError)."""
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - as above
        """Back to Python values."""
        return None if value is None else orjson.loads(value)


Hash = LargeBinary(32)
"""A hash or txid: bytes in display order."""

Key = LargeBinary()
"""An `Address.key`."""
