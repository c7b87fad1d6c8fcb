"""Database fixtures: an emptied database keeps the rows of migrations, although the record is append-only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core import serializers
from django.db import OperationalError, connection
from django.test import TransactionTestCase

OUR_APPS = ("agentmail", "approvals", "audit", "policies")


class QuickPasswordHasher(PBKDF2PasswordHasher):
    """The product's hasher with few rounds: a process with the real settings still verifies its passwords."""

    iterations = 1000


def initial_rows() -> list[dict[str, Any]]:
    tables = set(connection.introspection.table_names())
    models = [
        model
        for label in OUR_APPS
        for model in apps.get_app_config(label).get_models()
        if model._meta.db_table in tables
    ]
    rows = [row for model in models for row in model._default_manager.order_by("pk")]
    return serializers.serialize("python", rows)


def put_back(rows: list[dict[str, Any]]) -> None:
    for row in serializers.deserialize("python", rows):
        row.save()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> None:
    from django.conf import settings  # noqa: PLC0415 - the settings must not load before conftest has run

    settings.PASSWORD_HASHERS = ["tests.database.QuickPasswordHasher"]


# Those of the search index stay: they keep it in step while the rows are deleted.
SQLITE_TRIGGERS = """
    SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE '%search%'
"""
POSTGRESQL_TRIGGERS = """
    SELECT tgname, tgrelid::regclass::text, pg_get_triggerdef(oid),
           CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END
    FROM pg_trigger WHERE NOT tgisinternal
"""


def triggers() -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(SQLITE_TRIGGERS if connection.vendor == "sqlite" else POSTGRESQL_TRIGGERS)
        return list(cursor.fetchall())


def drop(found: list[tuple[str, ...]]) -> None:
    with connection.cursor() as cursor:
        for name, table, *_ in found:
            where = "" if connection.vendor == "sqlite" else f" ON {table}"
            cursor.execute(f'DROP TRIGGER "{name}"{where}')


def make(wanted: list[tuple[str, ...]]) -> None:
    with connection.cursor() as cursor:
        for name, table, definition, *enabling in wanted:
            cursor.execute(definition)
            if enabling:
                cursor.execute(f'ALTER TABLE {table} {enabling[0]} TRIGGER "{name}"')


@contextmanager
def read_only() -> Iterator[None]:
    """The database of this connection refuses writes, as when its disk is full or it is a standby."""
    name = "SET default_transaction_read_only" if connection.vendor == "postgresql" else "PRAGMA query_only"
    with connection.cursor() as cursor:
        cursor.execute(f"{name} = on")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"{name} = off")


@contextmanager
def read_only_table(name: str) -> Iterator[None]:
    """One table of this connection refuses writes, as when the database turns read-only in the midst of a request."""

    def refuse(execute: Any, statement: str, *question: Any) -> Any:
        if f'"{name}"' in statement and not statement.startswith("SELECT"):
            raise OperationalError("attempt to write a readonly database")
        return execute(statement, *question)

    with connection.execute_wrapper(refuse):
        yield


@contextmanager
def unreachable() -> Iterator[None]:
    """The database of this connection answers nothing, as when its server is gone."""

    def refuse(*question: Any) -> None:
        raise OperationalError("the server closed the connection")

    with connection.execute_wrapper(refuse):
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        rows = initial_rows()
        wanted = triggers()
    empty = TransactionTestCase._fixture_teardown

    def empty_all(case: TransactionTestCase) -> None:
        # The record refuses to be emptied, and a test may have left its triggers half removed.
        drop(triggers())
        try:
            empty(case)
        finally:
            make(wanted)
        put_back(rows)

    TransactionTestCase._fixture_teardown = empty_all
    yield
    TransactionTestCase._fixture_teardown = empty
    if connection.vendor == "postgresql":
        # A thread or process that a failed test left behind would keep the test database from being dropped.
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def no_instance_file() -> None:
    """Each test begins as a new installation: its database was emptied, so the file would tell of a restore."""
    from django.conf import settings  # noqa: PLC0415 - the settings must not load before conftest has run

    settings.INSTANCE_FILE.unlink(missing_ok=True)
