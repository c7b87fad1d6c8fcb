from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from audit import triggers
from audit.models import Entry
from audit.record import Actor, record

AGENT = Actor("agent", "agent-1", "Support agent")


def full_entry(**changes: Any) -> Entry:
    """Record one entry with something in every field."""
    fields = {
        "actor": AGENT,
        "mailbox_id": 7,
        "draft_id": 31,
        "send_id": 12,
        "content_sha256": "c" * 64,
        "inbound_message_id": "inbound-1",
        "thread_id": "thread-1",
        "recipients": ["a@customer.example", "b@customer.example"],
        "gates": [{"gate": "switch", "standing": "passed", "result": "", "sentence": "Sending is on."}],
        "rule_ids": ["rule-1"],
        "idempotency_key": "key-1",
        "outcome": "accepted",
        "provider_id": "provider-1",
        "reason": "checked",
        "data": {"revision": 2, "seconds": 1.5, "was_edited": True, "note": "Grüße", "at": None},
    } | changes
    with transaction.atomic():
        return record("approvals.draft.approved", **fields)


@pytest.fixture
def five_entries(transactional_db: None) -> list[Entry]:
    return [full_entry(draft_id=number) for number in range(1, 6)]


@contextmanager
def unprotected() -> Iterator[Callable[..., None]]:
    """Let the block change stored entries, as somebody could who owns the database."""

    def run(query: str, *parameters: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(query, parameters)

    triggers.remove(connection)
    try:
        yield run
    finally:
        triggers.install(connection)
