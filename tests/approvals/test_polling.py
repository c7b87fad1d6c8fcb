from __future__ import annotations

from typing import Any

from agentmail.models import Mailbox
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
