from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection, transaction

from audit import triggers
from audit.models import Entry
from tests.audit.conftest import full_entry

pytestmark = pytest.mark.django_db(transaction=True)


def run(query: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(query)


def test_the_migrations_protect_the_record() -> None:
    assert triggers.is_protected(connection)


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE audit_entry SET reason = 'x'",
        "UPDATE audit_entry SET sequence = sequence + 10",
        "DELETE FROM audit_entry",
        "DELETE FROM audit_entry WHERE sequence = 1",
    ],
)
@pytest.mark.row("000-27")
def test_a_change_is_refused(five_entries: list[Entry], query: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        run(query)

    assert Entry.objects.count() == 5


def test_models_cannot_change_or_delete_an_entry(five_entries: list[Entry]) -> None:
    with pytest.raises(IntegrityError):
        five_entries[0].save()
    with pytest.raises(IntegrityError):
        five_entries[0].delete()


@pytest.mark.postgresql
def test_truncating_is_refused(five_entries: list[Entry]) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        run("TRUNCATE audit_entry")


@pytest.mark.postgresql
def test_a_session_that_calls_itself_a_replica_is_refused(five_entries: list[Entry]) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        run("SET LOCAL session_replication_role = replica; DELETE FROM audit_entry")


@pytest.mark.sqlite
@pytest.mark.parametrize("pragma", ["ON", "OFF"])
def test_insert_or_replace_is_refused(five_entries: list[Entry], pragma: str) -> None:
    names = ", ".join(field.column for field in Entry._meta.concrete_fields)
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA recursive_triggers = {pragma}")

    again = f"INTO audit_entry ({names}) SELECT {names} FROM audit_entry WHERE sequence = 2"  # noqa: S608
    with pytest.raises(IntegrityError, match="append-only"):
        run(f"INSERT OR REPLACE {again}")


def test_an_upsert_is_refused(five_entries: list[Entry]) -> None:
    names = ", ".join(field.column for field in Entry._meta.concrete_fields)
    again = f"INSERT INTO audit_entry ({names}) SELECT {names} FROM audit_entry WHERE sequence = 2"  # noqa: S608

    with pytest.raises(IntegrityError, match="append-only"):
        run(f"{again} ON CONFLICT (sequence) DO UPDATE SET reason = 'x'")


def test_removed_triggers_are_noticed() -> None:
    triggers.remove(connection)
    try:
        assert not triggers.is_protected(connection)
    finally:
        triggers.install(connection)


def test_installing_twice_changes_nothing(five_entries: list[Entry]) -> None:
    triggers.install(connection)

    assert triggers.is_protected(connection)
    assert full_entry().sequence == 6


@pytest.fixture
def notes(transactional_db: None) -> Iterator[None]:
    columns = "id integer PRIMARY KEY, name varchar(9) UNIQUE, state varchar(9), text varchar(9)"
    run(f"CREATE TABLE test_note ({columns})")
    run("INSERT INTO test_note VALUES (1, 'first', 'new', 'kept')")
    yield
    run("DROP TABLE test_note")


def test_protected_columns_of_another_table_cannot_change(notes: None) -> None:
    triggers.protect(connection, "test_note", columns=["text"])

    run("UPDATE test_note SET state = 'done'")
    for query in ("UPDATE test_note SET text = 'x'", "DELETE FROM test_note"):
        with pytest.raises(IntegrityError, match="test_note is append-only"):
            run(query)


def test_new_rows_still_fit_a_protected_table(notes: None) -> None:
    triggers.install(connection, ("test_note",))

    run("INSERT INTO test_note VALUES (2, 'second', 'new', 'kept')")
    assert triggers.is_protected(connection, "test_note")


@pytest.mark.sqlite
def test_a_row_cannot_be_replaced_by_way_of_a_second_unique_column(notes: None) -> None:
    triggers.install(connection, ("test_note",))

    with pytest.raises(IntegrityError, match="append-only"):
        run("INSERT OR REPLACE INTO test_note VALUES (2, 'first', 'new', 'other')")


@pytest.mark.sqlite
def test_a_unique_index_with_a_condition_does_not_refuse_good_rows(notes: None) -> None:
    run("CREATE UNIQUE INDEX test_note_live ON test_note (text) WHERE state = 'new'")
    triggers.install(connection, ("test_note",))

    run("INSERT INTO test_note VALUES (2, 'second', 'done', 'kept')")
