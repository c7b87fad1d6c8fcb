import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from audit import chain
from audit.export import guarded
from audit.models import Entry
from audit.record import SYSTEM, record
from tests.audit.conftest import full_entry

pytestmark = pytest.mark.django_db(transaction=True)

GUARDRAIL_KEYS = {"ts", "message_id", "to", "action", "allowed", "rate_ok", "key", "result"}


def exported(**options: Any) -> str:
    printed = io.StringIO()
    call_command("export_audit", stdout=printed, **options)
    return printed.getvalue()


def lines(**options: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported(form="jsonl", **options).splitlines()]


@pytest.mark.row("000-30", "K14")
def test_json_lines_have_the_keys_of_the_guardrails(five_entries: list[Entry]) -> None:
    first = lines()[0]

    assert set(first) >= GUARDRAIL_KEYS
    assert first["ts"] == pytest.approx(five_entries[0].at.timestamp(), abs=1e-5)
    assert first["to"] == ["a@customer.example", "b@customer.example"]
    assert (first["message_id"], first["key"], first["result"]) == ("inbound-1", "key-1", "accepted")


def test_json_lines_can_be_verified_without_the_database(five_entries: list[Entry]) -> None:
    head = chain.GENESIS
    for line in lines():
        head = chain.hash_of(head, line["body"])
        assert head == line["hash"]

    assert head == five_entries[-1].hash


@pytest.mark.parametrize(
    ("standings", "allowed"), [([], None), (["passed"], True), (["passed", "refused"], False)]
)
def test_allowed_is_what_the_gates_said(standings: list[str], allowed: bool | None) -> None:
    full_entry(gates=[{"gate": f"gate-{at}", "standing": standing} for at, standing in enumerate(standings)])

    assert lines()[0]["allowed"] is allowed


def test_rate_is_unknown_where_no_rate_gate_was_asked(five_entries: list[Entry]) -> None:
    assert lines()[0]["rate_ok"] is None


def test_entries_of_one_mailbox_are_exported_alone(five_entries: list[Entry]) -> None:
    full_entry(mailbox_id=8)

    assert [line["sequence"] for line in lines(mailbox=8)] == [6]


def test_entries_of_a_span_are_exported_alone(five_entries: list[Entry]) -> None:
    middle = five_entries[2].at

    assert all(datetime.fromisoformat(line["at"]) >= middle for line in lines(since=middle))
    assert all(datetime.fromisoformat(line["at"]) < middle for line in lines(until=middle))
    assert len(lines(since=middle)) + len(lines(until=middle)) == 5


def test_csv_has_a_byte_order_mark_and_a_row_for_each_entry(five_entries: list[Entry]) -> None:
    text = exported(form="csv")

    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [row["sequence"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["recipients"] == "a@customer.example, b@customer.example"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
@pytest.mark.parametrize("before", ["", "  ", "\u00a0"])
def test_no_cell_starts_a_formula(start: str, before: str) -> None:
    assert guarded(f"{before}{start}cmd()") == f"'{before}{start}cmd()"


@pytest.mark.parametrize("control", ["\t", "\r", "\n", "\0"])
def test_no_cell_starts_with_a_control(control: str) -> None:
    assert guarded(f"{control}text") == f"'{control}text"


@pytest.mark.parametrize("separator", [",", ";", "\t", "\n", '"'])
def test_no_cell_starts_a_formula_behind_a_separator(separator: str) -> None:
    assert guarded(f"a{separator} =cmd()") == f"a{separator}' =cmd()"


@pytest.mark.parametrize(
    "text", ["", "plain", "a-b@customer.example", "1 + 1 = 2", "2026-11-21T09:00:00+00:00"]
)
def test_ordinary_cells_stay_as_they_are(text: str) -> None:
    assert guarded(text) == text


def test_a_formula_in_an_entry_is_text_in_the_file() -> None:
    full_entry(reason='=HYPERLINK("http://bad.example")')

    text = exported(form="csv").removeprefix("\ufeff")
    assert next(csv.DictReader(io.StringIO(text)))["reason"].startswith("'=")


def test_the_file_is_written_for_its_owner_only(five_entries: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    exported(form="jsonl", output=file)

    assert len(file.read_text(encoding="utf-8").splitlines()) == 5
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_export_to_a_file_says_how_far_it_is(tmp_path: Path) -> None:
    with transaction.atomic():
        for _ in range(2001):
            record("approvals.draft.arrived", actor=SYSTEM)
    said = io.StringIO()

    exported(form="jsonl", output=tmp_path / "record.jsonl", stderr=said)

    assert said.getvalue().splitlines() == ["2,000 of 2,001 entries", "2,001 of 2,001 entries, all of them"]


def test_an_existing_file_is_not_overwritten(five_entries: list[Entry], tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    file.write_text("mine")

    with pytest.raises(CommandError, match="exists already"):
        exported(form="jsonl", output=file)
    assert file.read_text() == "mine"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        exported(form="jsonl", output=tmp_path / "missing" / "record.jsonl")


def test_a_span_the_wrong_way_round_is_refused() -> None:
    now = datetime.now(UTC)
    with pytest.raises(CommandError, match="--since must be before --until"):
        exported(form="jsonl", since=now, until=now - timedelta(days=1))


def test_a_moment_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="is not a moment"):
        call_command("export_audit", "--format", "jsonl", "--since", "yesterday")
