from __future__ import annotations

import uuid

import pytest

from tests.pages import scenes
from tests.pages.pages import browser
from tests.pages.test_operations import read_only


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["reject", "request-changes"])
def test_a_decision_that_cannot_be_written_changes_nothing_and_keeps_what_was_typed(verb):
    mailbox = scenes.mailbox("support@example.com")
    draft = scenes.draft(mailbox)
    desk = browser(scenes.person("alice", "reviewer", mailbox))
    desk.get(f"/drafts/{draft.public_id}/")
    revision = draft.current_revision
    typed = {
        "revision": revision.number,
        "content_sha256": revision.content_sha256,
        "thread_fingerprint": draft.thread_fingerprint,
        "form_id": str(uuid.uuid4()),
        "reason": "The price is from last year.",
    }

    with read_only():
        response = desk.post(f"/drafts/{draft.public_id}/{verb}/", typed)

    draft.refresh_from_db()
    assert (response.status_code, draft.state) == (503, "pending")
    assert "The price is from last year." in response.content.decode()
