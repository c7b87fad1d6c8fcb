from typing import Any

import pytest

from audit import queries
from audit.models import Entry
from audit.record import Actor
from tests.audit.conftest import full_entry

pytestmark = pytest.mark.django_db


@pytest.fixture
def mixed_entries(db: None) -> list[Entry]:
    return [
        full_entry(mailbox_id=1, draft_id=10),
        full_entry(mailbox_id=2, draft_id=20, actor=Actor("person", "4", "Ana")),
        full_entry(mailbox_id=None, draft_id=None, actor=Actor("person", "5", "Ben")),
        full_entry(mailbox_id=1, draft_id=10, actor=Actor("person", "4", "Ana")),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"before_sequence": 3}, [2, 1]),
        ({"before_sequence": 1}, []),
        ({"mailbox_ids": [1]}, [4, 1]),
        ({"mailbox_ids": [1, 2]}, [4, 2, 1]),
        ({"mailbox_ids": []}, []),
        ({"actor": "person"}, [4, 3, 2]),
        ({"actor": "person:4"}, [4, 2]),
        ({"actor": "agent:4"}, []),
        ({"action": "approvals.draft.approved"}, [4, 3, 2, 1]),
        ({"action": "approvals.draft.rejected"}, []),
    ],
)
def test_entries_are_found_newest_first(
    mixed_entries: list[Entry], wanted: dict[str, Any], found: list[int]
) -> None:
    assert [entry.sequence for entry in queries.entries(**wanted)] == found


def test_entries_of_a_draft_are_found_newest_first(mixed_entries: list[Entry]) -> None:
    assert [entry.sequence for entry in queries.entries_for_draft(10)] == [4, 1]


def test_the_latest_numbers_are_found(mixed_entries: list[Entry]) -> None:
    assert queries.latest_sequence() == 4
    assert queries.latest_sequence([2]) == 2
    assert queries.latest_sequence([]) == 0
    assert queries.latest_for_draft(20) == 2
    assert queries.latest_for_draft(99) == 0


def test_a_list_of_entries_takes_one_query(
    mixed_entries: list[Entry], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert [(entry.label, entry.sentence, entry.gates) for entry in queries.entries()]


def test_an_entry_says_its_outcome_in_words() -> None:
    entry = Entry(action="approvals.outcome.recorded", actor_kind="provider", outcome="hard_bounce")

    assert entry.sentence == "The provider reported: hard bounce."


def test_an_entry_says_what_happened(mixed_entries: list[Entry]) -> None:
    newest = queries.entries()[0]

    assert (newest.label, newest.sentence) == ("Draft approved", "Ana approved the draft.")
