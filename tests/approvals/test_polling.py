from __future__ import annotations

import time
from typing import Any

from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import sweeps


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


def test_a_sent_copy_that_shows_no_sender_counts_as_sent(mailbox: Mailbox, sandbox: Any) -> None:
    folders = configured_client().list_folders(mailbox.grant_id)
    sent = next(folder.id for folder in folders if folder.role == "sent")
    copy = {"id": "m-1", "thread_id": "t-1", "folders": [sent], "body": "Hello", "date": int(time.time())}
    listed = {"status": 200, "body": {"request_id": "r", "data": [copy]}}
    sandbox.post("faults", route="list_messages", action="reply", options=listed)

    sweeps.poll_mailbox(mailbox.pk)

    assert Message.objects.get(provider_id="m-1").is_outbound
