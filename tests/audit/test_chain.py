import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit import chain
from audit.models import Entry
from tests.audit.conftest import full_entry, unprotected

pytestmark = pytest.mark.django_db(transaction=True)

OTHER_VALUES: dict[str, Any] = {
    "at": "2020-01-01 00:00:00+00:00",
    "action": "approvals.draft.rejected",
    "actor_kind": "person",
    "actor_id": "agent-2",
    "actor_name": "Somebody else",
    "mailbox_id": 8,
    "draft_id": 99,
    "send_id": 13,
    "content_sha256": "d" * 64,
    "inbound_message_id": "inbound-2",
    "thread_id": "thread-2",
    "recipients": '["c@customer.example"]',
    "gates": "[]",
    "rule_ids": '["rule-2"]',
    "idempotency_key": "key-2",
    "outcome": "failed",
    "provider_id": "provider-2",
    "reason": "not checked",
    "request_id": "request-2",
    "data": '{"revision": 3}',
    "body": "{}",
    "prev_hash": "e" * 64,
    "hash": "f" * 64,
}


def test_an_empty_record_is_whole() -> None:
    assert chain.verify() == chain.Verification(True, 0, chain.GENESIS, None, "")


def test_an_untouched_record_is_whole(five_entries: list[Entry]) -> None:
    assert chain.verify() == chain.Verification(True, 5, five_entries[-1].hash, None, "")


@pytest.mark.parametrize("chunk", [1, 2, 5, 6])
def test_the_size_of_a_chunk_does_not_matter(five_entries: list[Entry], chunk: int) -> None:
    assert chain.verify(chunk=chunk).count == 5


def test_every_column_is_in_the_tampering_matrix() -> None:
    columns = {field.attname for field in Entry._meta.concrete_fields}

    assert set(OTHER_VALUES) == columns - {"sequence"}


@pytest.mark.parametrize("column", OTHER_VALUES)
@pytest.mark.parametrize("sequence", [1, 3, 5])
def test_a_changed_column_is_found(five_entries: list[Entry], column: str, sequence: int) -> None:
    with unprotected() as run:
        run(f"UPDATE audit_entry SET {column} = %s WHERE sequence = %s", OTHER_VALUES[column], sequence)  # noqa: S608

    found = chain.verify()
    assert (found.ok, found.first_bad_sequence, found.count) == (False, sequence, sequence - 1)
    assert found.problem


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_deleted_entry_is_found(five_entries: list[Entry], sequence: int) -> None:
    with unprotected() as run:
        run("DELETE FROM audit_entry WHERE sequence = %s", sequence)

    assert chain.verify().first_bad_sequence == sequence


def test_two_entries_that_changed_places_are_found(five_entries: list[Entry]) -> None:
    with unprotected() as run:
        for old, new in ((2, 100), (4, 2), (100, 4)):
            run("UPDATE audit_entry SET sequence = %s WHERE sequence = %s", new, old)

    assert chain.verify().first_bad_sequence == 2


@pytest.mark.parametrize("sequence", [-5, 0])
def test_an_entry_put_before_the_first_is_found(five_entries: list[Entry], sequence: int) -> None:
    with unprotected() as run:
        run("UPDATE audit_entry SET sequence = %s WHERE sequence = 5", sequence)

    assert chain.verify().first_bad_sequence == sequence


def test_an_appended_forgery_is_found(five_entries: list[Entry]) -> None:
    forged = Entry.objects.get(sequence=5)
    forged.sequence = 6
    forged.save(force_insert=True)

    assert chain.verify().first_bad_sequence == 6


def test_an_entry_hashed_again_does_not_fit_the_next(five_entries: list[Entry]) -> None:
    third = five_entries[2]
    body = chain.canonical({**json.loads(third.body), "reason": "another"})
    with unprotected() as run:
        run(
            "UPDATE audit_entry SET reason = 'another', body = %s, hash = %s WHERE sequence = 3",
            body,
            chain.hash_of(third.prev_hash, body),
        )

    assert chain.verify().first_bad_sequence == 4


def test_a_cut_tail_is_found_with_a_known_head(five_entries: list[Entry]) -> None:
    with unprotected() as run:
        run("DELETE FROM audit_entry WHERE sequence > 3")

    assert chain.verify().ok
    assert chain.verify(known_head=five_entries[-1].hash).first_bad_sequence == 4


def test_a_record_written_anew_is_found_with_a_known_head(five_entries: list[Entry]) -> None:
    head = five_entries[-1].hash
    with unprotected() as run:
        run("DELETE FROM audit_entry WHERE sequence > 3")
    full_entry(reason="forged")
    full_entry(reason="forged")

    assert chain.verify().ok
    assert not chain.verify(known_head=head).ok


def test_a_record_that_grew_still_holds_its_known_head(five_entries: list[Entry]) -> None:
    full_entry()

    assert chain.verify(known_head=five_entries[2].hash).ok


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps no text that is not text")
def test_bytes_that_are_not_text_are_found(five_entries: list[Entry]) -> None:
    with unprotected() as run:
        run("UPDATE audit_entry SET reason = CAST(X'ff' AS TEXT) WHERE sequence = 3")

    found = chain.verify()
    assert (found.first_bad_sequence, found.count) == (3, 2)


def test_the_command_prints_count_and_head(five_entries: list[Entry], capsys: Any) -> None:
    call_command("verify_audit")

    printed = capsys.readouterr()
    assert printed.out.splitlines()[:2] == ["entries: 5", f"head: {five_entries[-1].hash}"]
    assert printed.err == ""


def test_the_command_fails_and_names_the_first_bad_entry(five_entries: list[Entry]) -> None:
    with unprotected() as run:
        run("UPDATE audit_entry SET reason = 'x' WHERE sequence >= 3")

    with pytest.raises(CommandError, match="first bad entry: 3") as failure:
        call_command("verify_audit")
    assert failure.value.returncode == 1


def test_the_command_compares_with_a_known_head(five_entries: list[Entry]) -> None:
    with pytest.raises(CommandError, match="first bad entry: 6"):
        call_command("verify_audit", head="a" * 64)


def test_the_command_refuses_a_head_that_is_none(five_entries: list[Entry]) -> None:
    with pytest.raises(CommandError, match="64 hexadecimal digits"):
        call_command("verify_audit", head="abc")
