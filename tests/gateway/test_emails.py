"""Handing in mail under /api/v1/: what an agent is told, and what never gets past the gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import dispatch, intake, submissions
from approvals.models import Draft, Membership, Role, Send, Submission
from audit.models import Entry
from audit.record import SYSTEM
from gateway import tokens
from gateway.models import Token
from policies import recipients
from policies.models import RecipientKind
from policies.recipients import NewEntry
from tests.approvals.conftest import at_once
from tests.database import read_only
from tests.gateway.conftest import Program, mail, taken_in, token_of
from tests.pages.pages import browser


def deny(pattern: str, scope: str) -> None:
    recipients.add([NewEntry(RecipientKind.DENY, scope, pattern, "")], actor=SYSTEM)


@pytest.mark.row("004-44", "004-07")
def test_a_mail_that_is_handed_in_is_pending_and_has_an_id(agent: Program) -> None:
    answer = agent.post("/emails/send", mail())

    told = answer.json()
    assert answer.status_code == 202
    assert (told["status"], told["code"]) == ("pending", "received")
    assert told["message_id"] == told["id"] == str(Submission.objects.get().public_id)
    assert told["estimated_review_time"] is None
    assert "5" in told["estimate_reason"]
    assert told["recipients"] == [{"address": "buyer@example.net", "verdict": "unknown"}]


@pytest.mark.row("004-44")
def test_its_draft_keeps_the_id_and_waits_in_the_queue(agent: Program, sandbox: Any) -> None:
    told = agent.post("/emails/send", mail(note="I looked it up.", confidence=0.7)).json()

    (draft,) = taken_in()

    shown = agent.get(f"/emails/{told['id']}").json()
    assert str(draft.public_id) == told["id"]
    assert (shown["status"], shown["code"], shown["revision"]) == ("pending", "pending_approval", 1)
    assert (draft.agent_confidence, draft.submissions.get().note) == (0.7, "I looked it up.")
    assert sandbox.sends() == []


@pytest.mark.row("004-19", "004-09", "K20")
def test_an_operator_s_token_approves_it_and_it_leaves_once(
    agent: Program, reviewer: Program, sandbox: Any, alice: User
) -> None:
    told = agent.post("/emails/send", mail()).json()
    taken_in()

    decided = reviewer.post(f"/emails/{told['id']}/decide", {"action": "approve", "reason": None})
    again = reviewer.post(f"/emails/{told['id']}/decide", {"action": "approve"})
    dispatch.dispatch(Send.objects.get().pk)

    assert (decided.status_code, again.status_code) == (200, 200)
    assert (decided.json()["code"], decided.json()["decided_by"]) == ("approved_holding", "Alice")
    shown = agent.get(f"/emails/{told['id']}").json()
    assert (shown["status"], shown["code"]) == ("executed", "sent")
    assert len(sandbox.sends()) == 1


@pytest.mark.row("K4")
def test_the_opposite_decision_afterwards_is_a_conflict(agent: Program, reviewer: Program) -> None:
    told = agent.post("/emails/send", mail()).json()
    taken_in()
    reviewer.post(f"/emails/{told['id']}/decide", {"action": "reject", "reason": "Off-topic."})

    late = reviewer.post(f"/emails/{told['id']}/decide", {"action": "approve"})

    assert late.status_code == 409
    shown = agent.get(f"/emails/{told['id']}").json()
    assert (shown["status"], shown["code"], shown["reason"]) == ("blocked", "rejected", "Off-topic.")


@pytest.mark.row("004-24")
def test_a_read_only_mailbox_refuses_with_the_seed_s_very_answer(agent: Program, mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="read_only")

    answer = agent.post("/emails/send", {"from": mailbox.address, "to": "a@example.net", "subject": "test"})

    assert answer.status_code == 403
    assert answer.content == b'{"error": "action_blocked", "reason": "oversight_mode is read_only"}'
    assert not Submission.objects.exists()
    assert Entry.objects.filter(action="approvals.submission.blocked", outcome="blocked_mode").count() == 1


def test_a_denied_recipient_in_bcc_blocks_the_whole_mail(agent: Program, mailbox: Mailbox) -> None:
    deny("rival.example", "global")

    answer = agent.post("/emails/send", mail(bcc=["spy@sub.rival.example"]))

    told = answer.json()
    assert answer.status_code == 403
    assert (told["error"], told["code"]) == ("action_blocked", "blocked_recipient")
    assert {"address": "spy@sub.rival.example", "verdict": "denied"} in told["recipients"]
    assert not Submission.objects.exists()


@pytest.mark.row("000-21", "000-23")
def test_the_same_key_and_mail_give_the_same_answer_and_one_draft(agent: Program) -> None:
    first = agent.post("/emails/send", mail(), **{"Idempotency-Key": "k" * 256})
    taken_in()
    again = agent.post("/emails/send", mail(), **{"Idempotency-Key": "k" * 256})
    taken_in()

    assert first.json()["id"] == again.json()["id"]
    assert Draft.objects.count() == 1


@pytest.mark.row("000-24")
def test_the_same_key_with_another_mail_is_a_conflict_and_an_incident(agent: Program, olga: User) -> None:
    agent.post("/emails/send", mail(), **{"Idempotency-Key": "one"})

    other = agent.post("/emails/send", mail(subject="Another"), **{"Idempotency-Key": "one"})

    assert (other.status_code, other.json()["error"]) == (409, "idempotency_conflict")
    assert Entry.objects.filter(action="approvals.submission.key_reused").count() == 1
    assert Submission.objects.count() == 1
    operations = browser(olga).page(reverse("approvals:operations"))
    assert "Idempotency keys used for another mail, in seven days1" in operations.text()


@pytest.mark.row("000-21")
def test_a_key_of_257_characters_is_refused_with_the_limit(agent: Program) -> None:
    answer = agent.post("/emails/send", mail(), **{"Idempotency-Key": "k" * 257})

    assert answer.status_code == 400
    assert answer.json()["field"] == "Idempotency-Key"
    assert "256" in answer.json()["reason"]


@pytest.mark.row("004-36", "004-26")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/mailboxes/support@harbour.example", {"oversight_mode": "autonomous"}),
        ("POST", "/emails/{id}/decide", {"action": "approve"}),
    ],
)
def test_an_agent_decides_nothing_and_the_attempt_is_recorded(
    agent: Program, mailbox: Mailbox, method: str, path: str, body: Any
) -> None:
    told = agent.post("/emails/send", mail()).json()
    (draft,) = taken_in()

    answer = agent.call(method, path.format(id=told["id"]), body)

    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    draft.refresh_from_db()
    mailbox.refresh_from_db()
    assert (draft.state, mailbox.mode) == ("pending", "gated_send")
    assert Entry.objects.get(action="gateway.attempt.refused").actor_kind == "agent"


@pytest.mark.row("001-26")
def test_another_sender_than_its_mailbox_is_refused_at_the_field(agent: Program) -> None:
    answer = agent.post("/emails/send", mail(**{"from": "ceo@harbour.example"}))

    assert (answer.status_code, answer.json()["field"]) == (400, "from")


@pytest.mark.row("004-26")
def test_a_field_that_tries_to_set_the_mode_is_refused_by_name(agent: Program) -> None:
    answer = agent.post("/emails/send", mail(oversight_mode="autonomous"))

    assert (answer.status_code, answer.json()["field"]) == (400, "oversight_mode")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"to": []}, "to"),
        ({"to": "two@@example.net"}, "to.0"),
        ({"subject": "a\x00b"}, "subject"),
        ({"subject": "a\r\nBcc: spy@rival.example"}, "subject"),
        ({"subject": "x" * 999}, "subject"),
        ({"body": "x\x00"}, "body"),
        ({"note": "\ud800"}, "note"),
        ({"confidence": 2}, "confidence"),
        ({"to": 5}, "to"),
        ({"attachments": [{"filename": "a.txt", "content": "not base64!"}]}, "attachments.0.content"),
        ({"to": [f"a{n}@example.net" for n in range(51)]}, "to"),
    ],
)
def test_bad_input_names_its_field_and_keeps_nothing(
    agent: Program, fields: dict[str, Any], named: str
) -> None:
    answer = agent.post("/emails/send", mail(**fields))

    assert answer.status_code == 400
    assert answer.json()["field"].startswith(named)
    assert not Submission.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b'"text"', b"[]", b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(agent: Program, body: bytes) -> None:
    answer = agent.post("/emails/send", body)

    assert answer.status_code == 400
    assert set(answer.json()) >= {"error", "reason"}


def test_a_request_that_is_too_large_is_refused_with_the_limit(agent: Program) -> None:
    answer = agent.post("/emails/send", b'{"body": "' + b"x" * 4_300_000 + b'"}')

    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


@pytest.mark.parametrize("secret", ["", "cs_agent_wrong", "x" * 500])
def test_without_a_token_in_force_nothing_is_answered(agent: Program, secret: str) -> None:
    answer = Program(secret).post("/emails/send", mail())

    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")


@pytest.mark.row("001-26")
def test_a_revoked_token_ends_at_its_next_request_and_no_other_does(
    agent: Program, ada: User, mailbox: Mailbox
) -> None:
    other = Program(token_of(ada, mailbox, name="Another").secret)

    tokens.revoke(Token.objects.get(name="Support agent"), actor=SYSTEM)

    assert agent.get("/mailboxes/support@harbour.example").status_code == 401
    assert other.get("/mailboxes/support@harbour.example").status_code == 200


def test_an_agent_sees_only_its_own_mail(agent: Program, ada: User, mailbox: Mailbox) -> None:
    told = agent.post("/emails/send", mail()).json()
    taken_in()
    other = Program(token_of(ada, mailbox, name="Another").secret)

    assert other.get(f"/emails/{told['id']}").status_code == 404
    assert other.get("/mailboxes/support@harbour.example/pending").json()["messages"] == []


@pytest.mark.row("004-18", "004-08", "K26")
def test_what_waits_is_listed_in_pages_with_the_seed_s_keys(agent: Program, reviewer: Program) -> None:
    for number in range(3):
        agent.post("/emails/send", mail(subject=f"Order {number}"))
    taken_in()

    first = reviewer.get("/mailboxes/support@harbour.example/pending?limit=2").json()
    rest = reviewer.get(
        f"/mailboxes/support@harbour.example/pending?limit=2&cursor={first['next_cursor']}"
    ).json()

    assert [one["subject"] for one in first["messages"] + rest["messages"]] == [
        "Order 0",
        "Order 1",
        "Order 2",
    ]
    assert {"id", "to", "subject", "body_preview"} <= set(first["messages"][0])
    assert first["messages"][0]["body_preview"] == "It arrives on Thursday."
    assert rest["next_cursor"] is None


@pytest.mark.row("004-38")
def test_a_mail_is_taken_back_before_it_leaves_and_not_afterwards(
    agent: Program, reviewer: Program, sandbox: Any
) -> None:
    early, waiting, gone = (agent.post("/emails/send", mail()).json()["id"] for _ in range(3))
    assert agent.post(f"/emails/{early}/cancel").json()["code"] == "cancelled"
    taken_in()
    reviewer.post(f"/emails/{gone}/decide", {"action": "approve"})
    dispatch.dispatch(Send.objects.get().pk)

    taken_back = agent.post(f"/emails/{waiting}/cancel")
    late = agent.post(f"/emails/{gone}/cancel")

    assert (taken_back.status_code, taken_back.json()["code"]) == (200, "cancelled")
    assert (late.status_code, late.json()["error"]) == (409, "sent")
    assert len(sandbox.sends()) == 1


@pytest.mark.sqlite
def test_while_no_lock_can_be_had_no_door_takes_a_mail_back(
    agent: Program, mailbox: Mailbox, settings: Any, tmp_path: Path
) -> None:
    told = agent.post("/emails/send", mail()).json()
    settings.LOCKS_DIR = tmp_path / "locks"
    settings.LOCKS_DIR.write_text("no directory")
    called = {"name": "cancel_message", "arguments": {"id": told["id"]}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": called}

    answers = [
        agent.post(f"/emails/{told['id']}/cancel"),
        agent.call("DELETE", f"/nylas/v3/grants/{mailbox.grant_id}/drafts/{told['id']}"),
        agent.client.post(
            "/mcp", message, "application/json", headers={"Authorization": f"Bearer {agent.secret}"}
        ),
    ]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert Submission.objects.get().state == "received"


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_cannot_be_recorded_is_no_less_refused(agent: Program, mailbox: Mailbox) -> None:
    agent.get(f"/mailboxes/{mailbox.address}")

    with read_only():
        answer = agent.patch(f"/mailboxes/{mailbox.address}", {"oversight_mode": "autonomous"})

    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")


@pytest.mark.row("004-20")
def test_an_admin_s_token_changes_the_mode_with_its_reason(admin: Program, mailbox: Mailbox) -> None:
    without = admin.patch(f"/mailboxes/{mailbox.address}", {"oversight_mode": "autonomous"})
    changed = admin.patch(
        f"/mailboxes/{mailbox.address}",
        {"oversight_mode": "autonomous", "change_reason": "30-day audit: 0 complaint rate"},
    )

    assert (without.status_code, without.json()["field"]) == (400, "change_reason")
    assert (changed.status_code, changed.json()["oversight_mode"]) == (200, "autonomous")
    assert changed.json()["updated_at"]
    assert mailbox.mode_changes.get().reason == "30-day audit: 0 complaint rate"


def test_a_reviewer_s_token_does_not_change_the_mode(reviewer: Program, mailbox: Mailbox) -> None:
    answer = reviewer.patch(f"/mailboxes/{mailbox.address}", {"oversight_mode": "read_only"})

    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


def test_a_foreign_mailbox_does_not_exist_for_a_token(agent: Program, sandbox: Any) -> None:
    assert agent.get("/mailboxes/sales@elsewhere.example").status_code == 404


@pytest.mark.row("K15")
def test_a_wording_asked_for_is_the_next_revision_of_the_same_mail(agent: Program, reviewer: Program) -> None:
    told = agent.post("/emails/send", mail()).json()
    taken_in()
    reviewer.post(f"/emails/{told['id']}/decide", {"action": "request_changes", "reason": "Name the day."})
    asked = agent.get(f"/emails/{told['id']}").json()

    agent.post("/emails/send", mail(body="<p>On Thursday the 3rd.</p>", revises=told["id"]))
    taken_in()

    shown = agent.get(f"/emails/{told['id']}").json()
    assert (asked["code"], asked["reason"]) == ("changes_requested", "Name the day.")
    assert (shown["code"], shown["revision"]) == ("pending_approval", 2)
    assert Draft.objects.count() == 1


def test_a_silent_provider_delays_a_mail_and_loses_none(agent: Program, sandbox: Any) -> None:
    sandbox.post("faults", route="post_draft", action="reply", options={"status": 503})
    told = agent.post("/emails/send", mail()).json()

    assert taken_in() == []
    Submission.objects.update(next_try_at="2026-01-01T00:00:00Z")
    (draft,) = taken_in()

    assert str(draft.public_id) == told["id"]


def test_a_worker_that_died_after_making_the_draft_makes_no_second_one(
    agent: Program, sandbox: Any, mailbox: Mailbox
) -> None:
    agent.post("/emails/send", mail())
    (draft,) = taken_in()
    Submission.objects.update(state="received", draft=None, next_try_at="2026-01-01T00:00:00Z")
    Draft.objects.filter(pk=draft.pk).update(public_id="00000000-0000-4000-8000-000000000000")

    submissions.hand_over(Submission.objects.get().pk)

    assert len(sandbox.get("state")["drafts"]) == 1


def test_whoever_answers_for_the_agent_does_not_approve_its_mail(
    agent: Program, ada: User, mailbox: Mailbox
) -> None:
    Membership.objects.create(user=ada, role=Role.REVIEWER, mailbox=mailbox)
    own = Program(token_of(ada, kind="operator", name="Ada's script").secret)
    told = agent.post("/emails/send", mail()).json()
    taken_in()

    answer = own.post(f"/emails/{told['id']}/decide", {"action": "approve"})

    assert answer.status_code == 409
    assert "somebody else approves it" in answer.json()["reason"]


def test_reviewers_read_what_the_agent_says_beside_the_draft(agent: Program, alice: User) -> None:
    agent.post("/emails/send", mail(note="I checked the <b>order</b>.", sources=["order 48213"]))
    (draft,) = taken_in()

    page = browser(alice).page(reverse("approvals:draft", args=[draft.public_id]))

    assert "What Support agent says to you" in page.text()
    assert "I checked the <b>order</b>." in page.text()
    assert "order 48213" in page.text()


ROUTINE = {
    "subject": "Re: Where is my order?",
    "body": "<p>It left on Monday and arrives on Thursday.</p>",
    "confidence": 0.95,
}


@pytest.fixture
def question(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, customer_writes: Callable[..., Any]
) -> str:
    """A customer's message to which the agent may answer without a person, in a mailbox that lets it."""
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    asked = customer_writes(
        **{"from": {"email": "buyer@example.net"}},
        subject="Where is my order?",
        body="<p>Hello, where is order 48213?</p>",
    )
    client = configured_client()
    mailbox.refresh_from_db()
    intake.fetch_messages(mailbox, [asked["message_id"]], client)
    return str(asked["message_id"])


@pytest.mark.row("004-07", "004-06")
def test_a_reply_that_needs_no_person_is_answered_with_executed(
    agent: Program, question: str, sandbox: Any
) -> None:
    answer = agent.post(
        "/emails/reply", {"from": "support@harbour.example", "message_id": question, **ROUTINE}
    )

    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (200, "executed", "sent")
    assert len(sandbox.sends()) == 1


def test_a_mail_that_a_gate_keeps_back_is_pending_in_every_mode(
    agent: Program, question: str, sandbox: Any
) -> None:
    answer = agent.post(
        "/emails/reply",
        {"from": "support@harbour.example", "message_id": question, **ROUTINE, "body": "<p>Free refund!</p>"},
    )

    assert (answer.status_code, answer.json()["code"]) == (202, "pending_approval")
    assert sandbox.sends() == []


def test_a_cursor_that_is_none_of_ours_is_refused(agent: Program, mailbox: Mailbox) -> None:
    answer = agent.get(f"/mailboxes/{mailbox.address}/pending?cursor=7")

    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"to": [1] * 100_000}, "to"),
        ({"to": [f"a{n}@example.net" for n in range(100_000)]}, "to"),
        ({"reply_to": [f"a{n}@example.net" for n in range(51)]}, "reply_to"),
        ({"sources": [1] * 100_000}, "sources"),
        ({"sources": ["ticket"] * 51}, "sources"),
    ],
)
def test_a_list_that_is_too_long_is_refused_once_with_its_limit(
    agent: Program, fields: dict[str, Any], named: str
) -> None:
    answer = agent.post("/emails/send", mail(**fields))

    assert (answer.status_code, answer.json()["field"]) == (400, named)
    assert "50" in answer.json()["reason"]
    assert len(answer.json()["fields"]) == 1


def test_of_many_faults_an_answer_names_twenty(agent: Program) -> None:
    answer = agent.post("/emails/send", mail(**{f"extra{n}": 1 for n in range(500)}))

    assert answer.status_code == 400
    assert len(answer.json()["fields"]) == 20


def test_recipients_are_text_or_an_object_or_a_list_of_both(agent: Program) -> None:
    agent.post(
        "/emails/send",
        mail(to=[{"email": "a@example.net", "name": "A"}, " b@example.net "], cc={"email": "c@example.net"}),
    )

    (draft,) = taken_in()
    assert draft.current_revision is not None
    assert draft.current_revision.to == [
        {"email": "a@example.net", "name": "A"},
        {"email": "b@example.net"},
    ]
    assert [one["email"] for one in draft.current_revision.cc] == ["c@example.net"]


@pytest.mark.parametrize(
    "trick", [{"filename": "a\r\nX: y.pdf"}, {"filename": "a\x1b.pdf"}, {"content_type": "text/html\r\nX: y"}]
)
def test_a_file_whose_name_or_type_could_break_a_header_is_refused_at_every_door(
    agent: Program, mailbox: Mailbox, trick: dict[str, str]
) -> None:
    file = {"filename": "a.txt", "content_type": "text/plain", "content": "aGk="} | trick
    written = {"to": [{"email": "buyer@example.net"}], "subject": "x", "body": "y", "attachments": [file]}

    answer = agent.post("/emails/send", mail(attachments=[file]))
    like_the_provider = agent.post(f"/nylas/v3/grants/{mailbox.grant_id}/messages/send", written)

    (named,) = trick
    assert (answer.status_code, answer.json()["field"]) == (400, f"attachments.0.{named}")
    assert like_the_provider.status_code == 400
    assert not Submission.objects.exists()


@pytest.mark.parametrize("subject", ["Votre commande\u202f: prête", "A\u00a0b", "Family 👨\u200d👩\u200d👧"])
def test_a_subject_with_characters_that_only_look_unusual_is_taken(agent: Program, subject: str) -> None:
    assert agent.post("/emails/send", mail(subject=subject)).status_code == 202

    (draft,) = taken_in()
    assert draft.subject == subject


def test_taking_back_again_changes_nothing_whether_or_not_its_draft_was_made(agent: Program) -> None:
    never_made = agent.post("/emails/send", mail()).json()["id"]
    agent.post(f"/emails/{never_made}/cancel")
    made = agent.post("/emails/send", mail(subject="Another")).json()["id"]
    taken_in()
    agent.post(f"/emails/{made}/cancel")

    again = [agent.post(f"/emails/{one}/cancel") for one in (never_made, made)]

    assert [(one.status_code, one.json()["code"]) for one in again] == [(200, "cancelled")] * 2


def test_a_mail_that_the_provider_refused_is_not_said_to_be_on_its_way_when_it_is_taken_back(
    agent: Program, sandbox: Any
) -> None:
    sandbox.post(
        "faults",
        route="post_draft",
        action="reply",
        options={"status": 400, "body": {"request_id": "x", "error": {"type": "invalid", "message": "No."}}},
    )
    told = agent.post("/emails/send", mail()).json()
    taken_in()

    answer = agent.post(f"/emails/{told['id']}/cancel")

    assert (answer.status_code, answer.json()["error"]) == (409, "refused")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/nothing", "/emails/send/", "/emails//send", "/mailboxes/a%2fb", "/a%0ab", ""]
)
def test_an_address_that_does_not_exist_is_answered_in_json(agent: Program, method: str, path: str) -> None:
    answer = agent.call(method, path)

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.row("000-23")
@pytest.mark.django_db(transaction=True)
def test_one_key_at_one_moment_makes_one_mail(agent: Program) -> None:
    def hand_in() -> Any:
        return Program(agent.secret).post("/emails/send", mail(), **{"Idempotency-Key": "once"})

    answers = at_once(hand_in, hand_in, hand_in)

    assert [one.status_code for one in answers] == [202] * 3
    assert {one.json()["id"] for one in answers} == {str(Submission.objects.get().public_id)}
