"""Finding drafts by any part of a word, at a million rows: a trigram index on either database.

PostgreSQL indexes the column (pg_trgm); SQLite has a full-text table beside it (FTS5, trigram tokens) that triggers
keep in step. Both find the same rows for the same text.
"""

from __future__ import annotations

from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from approvals.models import Draft

# Shorter parts have no trigram, so they are compared row by row.
SHORTEST_INDEXED = 3

_TABLE = "approvals_draft"
_POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    f"CREATE INDEX IF NOT EXISTS draft_search ON {_TABLE} USING gin (search_text gin_trgm_ops)",
)
_SQLITE = (
    f"""CREATE VIRTUAL TABLE IF NOT EXISTS {_TABLE}_search
        USING fts5(search_text, content='{_TABLE}', content_rowid='id', tokenize='trigram')""",
    f"""CREATE TRIGGER IF NOT EXISTS {_TABLE}_search_insert AFTER INSERT ON {_TABLE} BEGIN
        INSERT INTO {_TABLE}_search(rowid, search_text) VALUES (new.id, new.search_text); END""",
    f"""CREATE TRIGGER IF NOT EXISTS {_TABLE}_search_delete AFTER DELETE ON {_TABLE} BEGIN
        INSERT INTO {_TABLE}_search({_TABLE}_search, rowid, search_text)
        VALUES ('delete', old.id, old.search_text); END""",
    f"""CREATE TRIGGER IF NOT EXISTS {_TABLE}_search_update AFTER UPDATE OF search_text ON {_TABLE} BEGIN
        INSERT INTO {_TABLE}_search({_TABLE}_search, rowid, search_text)
        VALUES ('delete', old.id, old.search_text);
        INSERT INTO {_TABLE}_search(rowid, search_text) VALUES (new.id, new.search_text); END""",
)


def matching(drafts: models.QuerySet[Draft], text: str) -> models.QuerySet[Draft]:
    """The drafts whose subject, recipients or mailbox contain every word of the text, in any letter case."""
    for word in text.casefold().split():
        if len(word) >= SHORTEST_INDEXED and connections[drafts.db].vendor == "sqlite":
            phrase = '"' + word.replace('"', '""') + '"'
            rows = RawSQL(f"SELECT rowid FROM {_TABLE}_search WHERE {_TABLE}_search MATCH %s", [phrase])
            drafts = drafts.filter(pk__in=rows)
        else:
            drafts = drafts.filter(search_text__contains=word)
    return drafts


def install(connection: BaseDatabaseWrapper) -> None:
    """Create the index where it is missing. Runs after every migration: SQLite drops triggers with a rebuilt table."""
    statements = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    with connection.cursor() as cursor:
        is_new = connection.vendor == "sqlite" and not _has_triggers(cursor)
        for statement in statements:
            cursor.execute(statement)
        if is_new:
            cursor.execute(f"INSERT INTO {_TABLE}_search({_TABLE}_search) VALUES ('rebuild')")


def _has_triggers(cursor: Any) -> bool:
    cursor.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = %s", [f"{_TABLE}_search_update"]
    )
    return cursor.fetchone() is not None
