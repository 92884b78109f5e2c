"""Triggers by which the database itself refuses to change what must never change: audit entries and checkpoints."""

from __future__ import annotations

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
