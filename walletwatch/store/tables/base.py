"""What all tables share, and the triggers that refuse changes of the audit log."""

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


_SEALED = ("audit_entries", "audit_checkpoints")


def create_guards(dialect: str) -> tuple[str, ...]:
    """Statements that make the sealed tables refuse UPDATE and DELETE (and TRUNCATE, where there is one)."""
    return _postgresql() if dialect == "postgresql" else _sqlite()


def _sqlite() -> tuple[str, ...]:
    return tuple(
        f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in _SEALED
        for act in ("UPDATE", "DELETE")
    )


def _postgresql() -> tuple[str, ...]:
    function = (
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    triggers = tuple(
        f"CREATE TRIGGER {table}_sealed BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in _SEALED
    )
    return (function, *triggers)
