from __future__ import annotations

import time
from typing import Any

import pytest

from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import sweeps
from approvals.models import Draft


def fail(sandbox: Any, route: str, status: int) -> None:
    error = {"request_id": "r", "error": {"type": "not_found_error", "message": "not here"}}
    sandbox.post("faults", route=route, times=0, action="reply", options={"status": status, "body": error})


def test_a_grant_the_provider_does_not_know_is_removed(mailbox: Mailbox, sandbox: Any) -> None:
    fail(sandbox, "get_grant", 404)

    assert sweeps.poll_mailbox(mailbox.pk) is None

    mailbox.refresh_from_db()
    assert mailbox.grant_state == "removed"


def test_a_provider_without_rule_evaluations_is_polled_all_the_same(mailbox: Mailbox, sandbox: Any) -> None:
    fail(sandbox, "list_evaluations", 404)

    assert sweeps.poll_mailbox(mailbox.pk) is not None

    mailbox.refresh_from_db()
    assert mailbox.grant_state == "valid"


def test_a_missing_object_does_not_remove_the_mailbox(mailbox: Mailbox, sandbox: Any) -> None:
    fail(sandbox, "list_drafts", 404)

    assert sweeps.poll_mailbox(mailbox.pk) is None

    mailbox.refresh_from_db()
    assert (mailbox.grant_state, bool(mailbox.trouble)) == ("valid", True)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_draft_whose_attachment_is_refused_is_shown_and_cannot_be_approved(
    mailbox: Mailbox, sandbox: Any, status: int
) -> None:
    part = {"filename": "a.txt", "content_type": "text/plain", "content": "eA=="}
    sandbox.post("agent/drafts", grant=mailbox.grant_id, subject="Hello", attachments=[part])
    fail(sandbox, "download_attachment", status)

    sweeps.poll_mailbox(mailbox.pk)

    draft = Draft.objects.get()
    assert (draft.state, draft.is_complete) == ("pending", False)
    assert "could not be read" in draft.incomplete_reason


def test_a_draft_is_completed_once_its_attachment_can_be_read(mailbox: Mailbox, sandbox: Any) -> None:
    part = {"filename": "a.txt", "content_type": "text/plain", "content": "eA=="}
    sandbox.post("agent/drafts", grant=mailbox.grant_id, subject="Hello", attachments=[part])
    fail(sandbox, "download_attachment", 403)
    sweeps.poll_mailbox(mailbox.pk)
    sandbox.control("DELETE", "faults")

    sweeps.poll_mailbox(mailbox.pk)

    assert Draft.objects.get().is_complete


def test_a_sent_copy_that_shows_no_sender_counts_as_sent(mailbox: Mailbox, sandbox: Any) -> None:
    folders = configured_client().list_folders(mailbox.grant_id)
    sent = next(folder.id for folder in folders if folder.role == "sent")
    copy = {"id": "m-1", "thread_id": "t-1", "folders": [sent], "body": "Hello", "date": int(time.time())}
    listed = {"status": 200, "body": {"request_id": "r", "data": [copy]}}
    sandbox.post("faults", route="list_messages", action="reply", options=listed)

    sweeps.poll_mailbox(mailbox.pk)

    assert Message.objects.get(provider_id="m-1").is_outbound
