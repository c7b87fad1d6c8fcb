"""Every type of event, its payload made by the product from entries of the record, stands in docs/webhooks.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agentmail.models import Mailbox
from approvals.models import Draft
from audit.models import Entry
from gateway.webhooks import events

pytestmark = pytest.mark.django_db
PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
AT = datetime(2026, 11, 18, 9, 12, tzinfo=UTC)
EVENT_ID = UUID("7c1d7f0e-3a52-4c52-9a3c-0d5a6a1f7b10")
MAIL_ID = UUID("0b54a3f2-8d0c-4b7e-9a55-2f5f6f1f0c11")
ENTRIES: dict[str, dict[str, Any]] = {
    "email.approved": {"action": "approvals.draft.approved"},
    "email.rejected": {"action": "approvals.draft.rejected", "reason": "The price is wrong."},
    "email.changes_requested": {
        "action": "approvals.draft.changes_requested",
        "reason": "Name the day of delivery.",
    },
    "email.expired": {"action": "approvals.draft.expired"},
    "email.cancelled": {"action": "approvals.draft.withdrawn"},
    "email.stale": {"action": "approvals.draft.stale", "reason": "new_inbound"},
    "email.sent": {"action": "approvals.send.accepted", "provider_id": "1962f0a9c7d4e0b1"},
    "email.unknown": {"action": "approvals.send.unknown", "reason": "The answer did not come in time."},
    "email.delivered": {
        "action": "approvals.outcome.recorded",
        "outcome": "delivered",
        "recipients": ["anna@example.net"],
    },
    "email.bounced": {
        "action": "approvals.outcome.recorded",
        "outcome": "hard_bounce",
        "recipients": ["anna@example.net"],
        "reason": "550 5.1.1 user unknown",
    },
    "email.failed": {"action": "approvals.send.failed", "reason": "The provider refused the message."},
    "mailbox.mode_changed": {
        "action": "approvals.mode.changed",
        "data": {"before": "gated_send", "after": "read_only"},
    },
    "sending.stopped": {
        "action": "policies.switch.engaged",
        "reason": "Wrong prices.",
        "data": {"scope": "global"},
    },
    "sending.resumed": {
        "action": "policies.switch.released",
        "reason": "Mended.",
        "data": {"scope": "global"},
    },
}


@pytest.fixture
def draft(agent_writes: Callable[..., Draft]) -> Draft:
    made = agent_writes(subject="Where your order is", to=[{"email": "anna@example.net"}])
    made.public_id = MAIL_ID
    made.save(update_fields=["public_id"])
    return made


def example(kind: str, draft: Draft) -> str:
    fields = ENTRIES[kind]
    mailbox: Mailbox = draft.mailbox
    event = events.event_of(Entry(at=AT, mailbox_id=mailbox.pk, draft_id=draft.pk, **fields))
    assert event is not None
    return json.dumps(
        json.loads(events.body_of(event.type, event.at, event.data, event_id=EVENT_ID)), indent=2
    )


@pytest.mark.row("004-23")
@pytest.mark.parametrize("kind", events.TYPES)
def test_the_page_shows_each_type_as_it_is_made(draft: Draft, kind: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = re.search(rf"^### `{re.escape(kind)}`\n\n(.+?)\n\n```json\n(.+?)\n```$", page, re.M | re.S)
    assert shown is not None, f"### `{kind}`\n\n{events.TYPES[kind]}.\n\n```json\n{example(kind, draft)}\n```"

    assert shown[2] == example(kind, draft)
    assert json.loads(shown[2])["type"] == kind


def test_the_page_shows_no_other_type() -> None:
    assert re.findall(r"^### `(\w+\.\w+)`$", PAGE.read_text(encoding="utf-8"), re.M) == list(events.TYPES)
