"""Triggers that refuse changes to stored rows, on both databases. The refusal is an `IntegrityError`."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

AUDIT_TABLES = ("audit_entry",)

_REFUSE_FUNCTION = """
CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE
EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE =
'integrity_constraint_violation'; END $$
"""


def install(connection: BaseDatabaseWrapper, tables: Sequence[str] = AUDIT_TABLES) -> None:
    """Refuse UPDATE, DELETE, TRUNCATE and INSERT OR REPLACE on the tables. Installing twice is harmless."""
    for table in tables:
        protect(connection, table)


def remove(connection: BaseDatabaseWrapper, tables: Sequence[str] = AUDIT_TABLES) -> None:
    """Take the triggers of the tables away, whatever they protected. Removing twice is harmless."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for table in tables:
            where = f" ON {quote(table)}" if connection.vendor == "postgresql" else ""
            for name in _names(table):
                cursor.execute(f"DROP TRIGGER IF EXISTS {quote(name)}{where}")


def protect(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str] | None = None) -> None:
    """Refuse DELETE and TRUNCATE on a table, and UPDATE of the named columns (of every column without names).

    Rebuilding a table, as migrations do on SQLite, drops its triggers: such a migration calls this again.
    On SQLite an INSERT that meets a stored row is refused too, also one that says OR IGNORE or ON
    CONFLICT.
    """
    remove(connection, (table,))
    if connection.vendor == "postgresql":
        _protect_postgresql(connection, table, columns)
    else:
        _protect_sqlite(connection, table, columns)


def is_protected(connection: BaseDatabaseWrapper, table: str = AUDIT_TABLES[0]) -> bool:
    """Say whether every trigger of the table is there and switched on."""
    wanted = set(_names(table))
    if connection.vendor == "postgresql":
        wanted.discard(f"{table}_no_replace")
        query = (
            "SELECT tgname FROM pg_trigger "
            "WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal AND tgenabled = 'A'"
        )
        name = connection.ops.quote_name(table)
    else:
        wanted.discard(f"{table}_no_truncate")
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
        name = table
    with connection.cursor() as cursor:
        cursor.execute(query, [name])
        return wanted <= {row[0] for row in cursor.fetchall()}


def _names(table: str) -> tuple[str, ...]:
    return (f"{table}_no_update", f"{table}_no_delete", f"{table}_no_truncate", f"{table}_no_replace")


def _update_of(connection: BaseDatabaseWrapper, columns: Sequence[str] | None) -> str:
    return "UPDATE OF " + ", ".join(map(connection.ops.quote_name, columns)) if columns else "UPDATE"


def _protect_postgresql(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str] | None) -> None:
    quote = connection.ops.quote_name
    update, delete, truncate, _ = _names(table)
    events = (
        (update, _update_of(connection, columns), "ROW"),
        (delete, "DELETE", "ROW"),
        (truncate, "TRUNCATE", "STATEMENT"),
    )
    with connection.cursor() as cursor:
        cursor.execute(_REFUSE_FUNCTION)
        for name, event, level in events:
            cursor.execute(
                f"CREATE TRIGGER {quote(name)} BEFORE {event} ON {quote(table)} "
                f"FOR EACH {level} EXECUTE FUNCTION audit_refuse_change()"
            )
            # Also for sessions that call themselves a replica, which skip ordinary triggers.
            cursor.execute(f"ALTER TABLE {quote(table)} ENABLE ALWAYS TRIGGER {quote(name)}")


def _protect_sqlite(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str] | None) -> None:
    quote = connection.ops.quote_name
    update, delete, _, replace = _names(table)
    with connection.cursor() as cursor:
        for name, event in ((update, _update_of(connection, columns)), (delete, "DELETE")):
            cursor.execute(
                f"CREATE TRIGGER {quote(name)} BEFORE {event} ON {quote(table)} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE deletes the row in its way without asking the delete trigger.
        meets = " OR ".join(
            "(" + " AND ".join(f"{quote(column)} = NEW.{quote(column)}" for column in key) + ")"
            for key in _unique_keys(connection, table)
        )
        there = f"SELECT 1 FROM {quote(table)} WHERE {meets}"  # noqa: S608 - names of the schema
        cursor.execute(
            f"CREATE TRIGGER {quote(replace)} BEFORE INSERT ON {quote(table)} "
            f"WHEN EXISTS ({there}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _unique_keys(connection: BaseDatabaseWrapper, table: str) -> list[list[str]]:
    """List the column groups an INSERT OR REPLACE could meet a stored row by; indexes with a condition
    are left out.
    """
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        keys = [list(connection.introspection.get_primary_key_columns(cursor, table) or [])]
        cursor.execute(f"PRAGMA index_list({quote(table)})")
        indexes = [
            name for _, name, is_unique, _, is_partial in cursor.fetchall() if is_unique and not is_partial
        ]
        for name in indexes:
            cursor.execute(f"PRAGMA index_info({quote(name)})")
            keys.append([column for _, _, column in cursor.fetchall()])
    return [key for key in keys if key and None not in key]
