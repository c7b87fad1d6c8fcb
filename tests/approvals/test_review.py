"""What a reading with an adversary's eyes found: each test is a way in which the desk once stood still or forgot."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction

from agentmail.client import LARGEST_REPLY_BYTES, NylasClient, configured_client
from agentmail.models import Mailbox, Message
from agentmail.types import MessageSnapshot, ReplyClass, SendReply
from approvals import decisions, difference, dispatch, freshness, outcomes, pace, sweeps
from approvals.content import content_of_revision
from approvals.models import Draft, FollowUp, OutcomeKind, Send
from approvals.transitions import drafts, sends
from approvals.transitions.drafts import GateRefused
from approvals.transitions.moves import lock_draft
from tests.approvals.conftest import Notifications, seen, sent
from tests.approvals.test_evaluations import block_domain


def test_whoever_does_not_wait_for_its_turn_takes_no_turn(db: None, settings: Any) -> None:
    settings.SENDS_PER_SECOND = 1
    for _sender in range(3):
        pace.reserve_send(2.0)

    waits = [pace.reserve_send(2.0) for _sender in range(20)]

    assert all(2.0 < wait <= 3.0 for wait in waits)


@pytest.mark.django_db(transaction=True)
def test_two_revisions_of_a_draft_at_the_same_moment_are_both_kept(
    transactional_db: None, pending: Draft
) -> None:
    first = content_of_revision(pending.current_revision)
    look = freshness.look(pending, configured_client(), verify_attachments=False).thread
    errors: list[Exception] = []

    def revise_elsewhere() -> None:
        try:
            drafts.revise(pending.pk, content=replace(first, subject="Second"), thread=look)
        except Exception as error:  # noqa: BLE001 - a thread's end: the test must see it
            errors.append(error)
        finally:
            connections.close_all()

    other = threading.Thread(target=revise_elsewhere, daemon=True)
    with transaction.atomic():
        lock_draft(pending.pk)
        other.start()
        time.sleep(0.5 if connection.vendor == "postgresql" else 0.1)
        drafts.revise(pending.pk, content=replace(first, subject="First"), thread=look)
    other.join(30)

    assert errors == []
    assert list(pending.revisions.order_by("number").values_list("subject", flat=True))[1:] == [
        "First",
        "Second",
    ]


def fail(sandbox: Any, route: str, status: int, times: int = 0) -> None:
    error = {"request_id": "r", "error": {"type": "some_error", "message": "not here"}}
    sandbox.post(
        "faults", route=route, times=times, action="reply", options={"status": status, "body": error}
    )


def test_a_notification_that_breaks_something_waits_and_lets_the_others_pass(
    notifications: Notifications, mailbox: Mailbox, sandbox: Any
) -> None:
    fail(sandbox, "get_message", 500)

    event = notifications.deliver(
        {
            "specversion": "1.0",
            "id": "too-long",
            "type": "message.created.truncated",
            "time": 1_790_000_000,
            "data": {"object": {"id": "m" * 300, "grant_id": mailbox.grant_id, "thread_id": "t" * 300}},
        }
    )

    assert event.state == "failing"
    assert event.next_attempt_at is not None


def test_a_report_on_an_address_that_grows_when_folded_is_kept(
    transactional_db: None, pending: Draft, alice: User
) -> None:
    send = sent(pending, alice)

    outcomes.add_fact(send.pk, address="ß" * 310 + "@a.example", kind=OutcomeKind.DELIVERED, source="test")

    assert send.outcomes.get().address == "s" * 320


def test_what_crossed_is_noted_again_after_a_crash_and_only_once(
    transactional_db: None, pending: Draft, alice: User, customer_writes: Callable[..., Any]
) -> None:
    send = sent(pending, alice)
    customer_writes(thread_id=pending.thread_id, subject="Re: Where is my order?", body="<p>Found it.</p>")
    for _look in range(2):
        # As after a crash behind the note: nothing says yet that it was looked after.
        Send.objects.filter(pk=send.pk).update(looked_after_at=None)
        dispatch.finish(send.pk)

    send.refresh_from_db()
    assert send.crossed_message_id != ""
    assert FollowUp.objects.get().kind == "crossed"


def test_a_message_that_is_gone_does_not_keep_a_send_from_being_looked_after(
    transactional_db: None, pending: Draft, alice: User, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    send = sent(pending, alice)
    customer_writes(thread_id=pending.thread_id, subject="Re: Where is my order?", body="<p>Found it.</p>")
    Send.objects.filter(pk=send.pk).update(looked_after_at=None)
    fail(sandbox, "get_message", 404)

    dispatch.finish(send.pk)

    send.refresh_from_db()
    assert send.looked_after_at is not None


def test_drafts_that_ask_for_impossible_ids_do_not_stop_their_mailbox(
    mailbox: Mailbox, sandbox: Any, agent_writes: Callable[..., Draft]
) -> None:
    gone = agent_writes()
    fail(sandbox, "get_thread", 400)
    for _draft in range(4):
        sandbox.post("agent/drafts", grant=mailbox.grant_id, to=[{"email": "a@example.net"}], body="Hello")
    configured_client().delete_draft(mailbox.grant_id, gone.provider_draft_id)

    result = sweeps.poll_mailbox(mailbox.pk)

    assert result is not None
    assert result.withdrawn == 1


def test_a_thread_whose_check_failed_is_checked_at_the_next_poll(
    pending: Draft, mailbox: Mailbox, customer_writes: Callable[..., Any], sandbox: Any
) -> None:
    customer_writes(thread_id=pending.thread_id, subject="Re: Where is my order?", body="<p>Found it.</p>")
    fail(sandbox, "get_thread", 400, times=1)

    sweeps.poll_mailbox(mailbox.pk)
    sweeps.poll_mailbox(mailbox.pk)

    pending.refresh_from_db()
    assert pending.state == "stale"


def test_what_came_after_the_stale_mark_is_fetched_when_a_draft_is_returned(
    pending: Draft, mailbox: Mailbox, alice: User, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=pending.thread_id, subject="Re: Where is my order?", body="<p>Found it.</p>")
    decisions.open_draft(pending)
    last = customer_writes(
        thread_id=pending.thread_id, subject="Re: Where is my order?", body="<p>No, still lost.</p>"
    )
    pending.refresh_from_db()

    decisions.look_again(pending, person=alice)

    assert Message.objects.filter(provider_id=last["message_id"], is_complete=True).exists()


class _Heavy(BaseHTTPRequestHandler):
    """A provider whose drafts are so large that a page of 25 of them is more than we take."""

    def do_GET(self) -> None:
        limit = int(parse_qs(urlsplit(self.path).query)["limit"][0])
        drafts_of_page = [{"id": f"d{number}", "body": "Hello"} for number in range(min(limit, 25))]
        padding = " " * (LARGEST_REPLY_BYTES if limit > 24 else 0)
        body = json.dumps({"request_id": "r", "data": drafts_of_page}) + padding
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Heavy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = NylasClient(f"http://127.0.0.1:{server.server_port}", "key")

        listed = [draft.id for draft in client.list_drafts("grant")]

        server.shutdown()
    assert listed[:2] == ["d0", "d1"]


def test_a_difference_that_an_agent_makes_hard_is_still_found_soon() -> None:
    passages = [" ".join("ab"[(i * j) % 7 % 2] for j in range(500)) for i in range(2, 60)]
    before = "".join(f"{i}\n{text} a\n" for i, text in enumerate(passages))
    after = "".join(f"{i}\n{text[::-1]} b\n" for i, text in enumerate(passages))

    parts = difference.words(before, after)

    assert "".join(text for sign, text in parts if sign in "=-") == before
    assert "".join(text for sign, text in parts if sign in "=+") == after
    assert ["-", passages[-1] + " a\n"] in parts


def test_an_acceptance_that_comes_after_a_person_closed_the_send_is_evidence(
    transactional_db: None, pending: Draft, alice: User, olga: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send", times=1, action="reply", options={"status": 502, "body": {}})
    send = sent(pending, alice)
    attempt = send.attempts.get()
    sends.close(send.pk, person=olga, as_sent=False, reason="They say that nothing came.")
    snapshot = replace(_a_message(mailbox=send.mailbox), id="late-message")

    sends.record_reply(attempt.pk, SendReply(ReplyClass.ACCEPTED, "Accepted.", 200, message=snapshot))

    send.refresh_from_db()
    assert (send.state, send.provider_message_id) == ("accepted", "late-message")
    assert FollowUp.objects.get().kind == "contradicted"


def _a_message(mailbox: Mailbox) -> MessageSnapshot:
    return next(iter(configured_client().list_messages(mailbox.grant_id)))


@pytest.mark.parametrize(
    "fields",
    [
        {"to": [{"email": "casey@example.net", "name": "Casey\r\nBcc: x@evil.example"}]},
        {"subject": "Re: order\u0085"},
        {"subject": "r" * 999},
    ],
)
def test_what_could_break_a_header_is_refused(
    agent_writes: Callable[..., Draft], alice: User, fields: dict[str, Any]
) -> None:
    draft = agent_writes(**fields)

    with pytest.raises(GateRefused):
        decisions.approve(draft, person=alice, seen=seen(draft), form_id=None)


def test_large_attachments_do_not_make_a_look_old(agent_writes: Callable[..., Draft], sandbox: Any) -> None:
    content = base64.b64encode(b"invoice").decode()
    draft = agent_writes(
        attachments=[{"filename": "invoice.txt", "content_type": "text/plain", "content": content}]
    )
    sandbox.post("faults", route="download_attachment", times=0, action="delay", options={"ms": 1000})
    began = time.monotonic()

    look = freshness.look(draft, configured_client(), verify_attachments=True)

    assert look.upstream_sha256 == draft.upstream_sha256
    assert look.looked_at >= began + 1


def test_a_refusal_is_explained_by_an_evaluation_that_came_later(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, sandbox: Any, mailbox: Mailbox
) -> None:
    rule_id = block_domain(sandbox, "blocked.example")
    fail(sandbox, "list_evaluations", 500, times=1)
    send = sent(agent_writes(to=[{"email": "press@blocked.example"}]), alice)
    assert send.attempts.get().rule_evaluation is None

    sweeps.poll_mailbox(mailbox.pk)

    assert send.attempts.get().rule_evaluation.matched_rule_ids == [rule_id]
