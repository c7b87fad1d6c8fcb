import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import transaction

from audit import chain
from audit.clock import database_now
from audit.context import request_id
from audit.models import Entry
from audit.record import SYSTEM, Actor, RecordError, record
from tests.audit.conftest import AGENT, full_entry

ROOT = Path(__file__).resolve().parent.parent.parent
WRITER = "tests/audit/writer.py"


@pytest.mark.django_db
def test_first_entry_has_number_one_and_follows_nothing() -> None:
    entry = full_entry()

    assert (entry.sequence, entry.prev_hash) == (1, chain.GENESIS)


@pytest.mark.django_db
def test_next_entry_follows_the_one_before() -> None:
    first, second = full_entry(), full_entry()

    assert (second.sequence, second.prev_hash) == (2, first.hash)


@pytest.mark.django_db
def test_every_field_is_read_back_as_it_was_given() -> None:
    given = full_entry()

    stored = Entry.objects.get(pk=given.pk)
    names = [field.attname for field in Entry._meta.concrete_fields]
    assert {name: getattr(stored, name) for name in names} == {name: getattr(given, name) for name in names}
    assert stored.data["note"] == "Grüße"


@pytest.mark.django_db
def test_entry_carries_the_time_of_the_database_in_utc() -> None:
    before = database_now()
    entry = full_entry()
    after = database_now()

    assert before <= entry.at <= after
    assert entry.at.tzinfo is UTC


@pytest.mark.django_db
def test_entry_carries_the_id_of_the_request() -> None:
    token = request_id.set("request-9")
    try:
        entry = full_entry()
    finally:
        request_id.reset(token)

    assert entry.request_id == "request-9"


@pytest.mark.django_db
def test_an_action_that_is_not_registered_is_refused() -> None:
    with pytest.raises(RecordError, match=r"approvals\.draft\.eaten"), transaction.atomic():
        record("approvals.draft.eaten", actor=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RecordError, match="transaction"):
        record("approvals.draft.approved", actor=SYSTEM)

    assert not Entry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_entry_goes_away_with_the_change_it_is_about() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("approvals.draft.approved", actor=SYSTEM)
        raise ZeroDivisionError

    assert not Entry.objects.exists()
    assert full_entry().sequence == 1


def test_an_actor_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="robot"):
        Actor("robot", "1", "Robot")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["nul\0inside", "half of a pair \ud83d", "\U0001f4e7 envelope", "a\u2028b", '"\\']
)
def test_any_text_can_be_recorded_and_verified(text: str) -> None:
    entry = full_entry(reason=text, recipients=[text], data={text: [text]}, actor=Actor("agent", "1", text))

    assert Entry.objects.get(pk=entry.pk).reason == text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")
    assert chain.verify().ok


@pytest.mark.django_db
def test_an_actor_id_that_somebody_typed_is_cut_to_what_is_stored() -> None:
    entry = full_entry(actor=Actor("person", "x" * 5000, "x"))

    assert len(Entry.objects.get(pk=entry.pk).actor_id) == 200
    assert chain.verify().ok


@pytest.mark.django_db
def test_moments_in_the_data_are_kept_in_utc() -> None:
    entry = full_entry(data={"until": datetime(2026, 11, 21, 9, 0, tzinfo=UTC)})

    assert entry.data == {"until": "2026-11-21T09:00:00+00:00"}


@pytest.mark.django_db
@pytest.mark.parametrize("value", [object(), b"bytes", float("nan")])
def test_data_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)), transaction.atomic():
        record("approvals.draft.approved", actor=AGENT, data={"value": value})


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_eight_processes_append_fifty_each_without_a_gap(process_environment: dict[str, str]) -> None:
    writers = [
        subprocess.Popen([sys.executable, WRITER, str(number), "50"], cwd=ROOT, env=process_environment)
        for number in range(8)
    ]
    codes = [writer.wait(120) for writer in writers]

    found = chain.verify()
    assert codes == [0] * 8
    assert (found.ok, found.count) == (True, 400)
    assert list(Entry.objects.order_by("sequence").values_list("sequence", flat=True)) == list(range(1, 401))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_writer_that_is_killed_leaves_no_gap(process_environment: dict[str, str]) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, WRITER, "1", "100000"], cwd=ROOT, env=process_environment, stdout=subprocess.PIPE
        ) as writer:
            writer.stdout.readline()
            os.kill(writer.pid, 9)
    full_entry()

    found = chain.verify()
    assert found.ok
    assert found.count == Entry.objects.count() > 3
