"""What every table shares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RowId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite grows a row id only on a column whose type is exactly INTEGER."""


def text(name: str) -> Column[str]:
    """A text column that is never NULL."""
    return Column(name, Text, nullable=False)
