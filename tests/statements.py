"""The statements that a piece of work sends to the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

_EDGES = ("BEGIN", "SAVEPOINT", "RELEASE")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Give a list that holds, once the block has ended, the SQL it sent.

    What only opens or closes a transaction is left out: a test's own transaction turns those into savepoints,
    and the two databases do not open the same ones.
    """
    sent: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield sent
    sent.extend(query["sql"] for query in captured if not query["sql"].startswith(_EDGES))
