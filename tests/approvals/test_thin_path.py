from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import decisions, dispatch
from approvals.models import Draft
from tests.approvals.conftest import seen, sent


@pytest.mark.row("003-14")
def test_an_approved_draft_is_sent_once_exactly_as_it_was_seen(
    pending: Draft, alice: User, sandbox: Any, transactional_db: None
) -> None:
    decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert dispatch.dispatch(pending.send.pk) == "posted"
    assert dispatch.dispatch(pending.send.pk) == "nothing"

    pending.send.refresh_from_db()
    (sent,) = sandbox.get("log")["sends"]
    assert pending.send.state == "accepted"
    assert sent["token"] == pending.send.token
    assert sent["body"] == "<p>It left on Monday and arrives on Thursday.</p>"
    assert sent["reply_to_message_id"] == pending.parent_message_id != ""


def test_mail_whose_text_is_too_long_for_a_json_request_is_sent_whole(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    body = "<p>" + "clay and glaze " * 230_000 + "</p>"

    send = sent(agent_writes(body=body), alice)

    (line,) = sandbox.sends()
    assert send.state == "accepted"
    assert line["body"] == body
    assert line["attachments"] == []


def test_address_with_an_international_domain_is_written_to_in_its_ascii_form(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    send = sent(agent_writes(to=[{"email": "casey@bücher.example"}]), alice)

    (line,) = sandbox.sends()
    assert send.state == "accepted"
    assert line["to"] == [{"email": "casey@xn--bcher-kva.example"}]
    assert send.decision.revision.recipients() == ["casey@xn--bcher-kva.example"]
