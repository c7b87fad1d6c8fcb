"""Work that came back from a mail: correct the address, pass it on, close it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import decisions, intake, marks
from approvals.models import Draft, FollowUp, Role
from approvals.transitions import follow_ups
from approvals.transitions.drafts import DecisionRefused
from approvals.transitions.follow_ups import FollowUpRefused
from tests.approvals.conftest import Notifications, actions, person, sent

TYPO = "hard-bounce@example.net"
RIGHT = (Address("casey@example.net", "Casey"),)


@pytest.fixture
def bounced(agent_writes: Callable[..., Draft], alice: User, notifications: Notifications) -> FollowUp:
    """Alice's mail came back."""
    sent(agent_writes(to=[{"email": TYPO}]), alice)
    notifications.deliver_new()
    return FollowUp.objects.select_related("send__draft__mailbox", "send__decision__revision").get()


@pytest.mark.row("003-32")
def test_corrected_mail_is_a_new_linked_draft_that_waits_for_review(
    bounced: FollowUp, alice: User, sandbox: Any
) -> None:
    draft = decisions.correct_address(bounced, person=alice, changes={"to": RIGHT})

    bounced.refresh_from_db()
    assert (draft.state, draft.origin, draft.linked_from) == ("pending", "correction", bounced.send.draft)
    assert (draft.current_revision.author, draft.current_revision.author_kind) == (alice, "person")
    assert [entry["email"] for entry in draft.current_revision.to] == ["casey@example.net"]
    assert (bounced.state, bounced.correction, bounced.closed_by) == ("closed", draft, alice)
    assert len(sandbox.sends()) == 1


def test_corrected_mail_can_be_approved_and_leaves_once(bounced: FollowUp, alice: User, sandbox: Any) -> None:
    draft = decisions.correct_address(bounced, person=alice, changes={"to": RIGHT})

    send = sent(draft, alice)

    assert send.state == "accepted"
    first, second = sandbox.sends()
    assert [entry["email"] for entry in second["to"]] == ["casey@example.net"]
    assert second["body"] == first["body"]
    assert second["token"] != first["token"]


def test_corrected_mail_keeps_its_attachments(
    agent_writes: Callable[..., Draft], alice: User, notifications: Notifications, sandbox: Any
) -> None:
    part = {"filename": "a.txt", "content_type": "text/plain", "content": base64.b64encode(b"x").decode()}
    sent(agent_writes(to=[{"email": TYPO}], attachments=[part]), alice)
    notifications.deliver_new()
    follow_up = FollowUp.objects.get()

    draft = decisions.correct_address(follow_up, person=alice, changes={"to": RIGHT})
    sent(draft, alice)

    first, second = sandbox.sends()
    assert [a["sha256"] for a in second["attachments"]] == [a["sha256"] for a in first["attachments"]]


def test_corrected_plain_text_stays_plain_text_at_the_provider(
    agent_writes: Callable[..., Draft], alice: User, notifications: Notifications, sandbox: Any
) -> None:
    body = "Dear Casey,\n\n1 < 2 & 3 > 2.\n"
    sent(agent_writes(to=[{"email": TYPO}], body=body, is_plaintext=True), alice)
    notifications.deliver_new()

    draft = decisions.correct_address(FollowUp.objects.get(), person=alice, changes={"to": RIGHT})

    sandbox.post(f"agent/drafts/{draft.provider_draft_id}/send")
    line = sandbox.sends()[-1]
    assert (line["body"], line["is_plaintext"]) == (body, True)


def test_poll_that_sees_the_correction_first_links_it_all_the_same(
    bounced: FollowUp, alice: User, mailbox: Mailbox
) -> None:
    mark = marks.of_correction(bounced, alice)
    client = configured_client()
    fields = {"to": [{"email": "casey@example.net"}], "subject": "x", "body": "y"}
    client.create_draft(mailbox.grant_id, fields | {"metadata": {marks.CORRECTION_KEY: mark}})

    intake.poll(mailbox, client)

    draft = Draft.objects.get(state="pending")
    assert (draft.origin, draft.linked_from) == ("correction", bounced.send.draft)


def test_mark_of_a_correction_cannot_be_used_again_by_the_agent(
    bounced: FollowUp, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    correction = decisions.correct_address(bounced, person=alice, changes={"to": RIGHT})
    client = configured_client()
    mark = client.get_draft(mailbox.grant_id, correction.provider_draft_id).metadata[marks.CORRECTION_KEY]
    sandbox.post(
        "agent/drafts",
        grant=mailbox.grant_id,
        to=[{"email": "eve@example.net"}],
        subject="Mine",
        body="Mine",
        metadata={marks.CORRECTION_KEY: mark},
    )

    intake.poll(mailbox, client)

    copied = Draft.objects.get(subject="Mine")
    assert (copied.origin, copied.linked_from) == ("agent", None)
    assert copied.current_revision.author is None


def test_made_up_mark_makes_no_correction(bounced: FollowUp, alice: User, mailbox: Mailbox) -> None:
    client = configured_client()
    mark = f"{bounced.public_id}:{alice.pk}:0123456789abcdef0123456789abcdef0123456789a"
    fields = {"to": [{"email": "eve@example.net"}], "subject": "Mine", "body": "Mine"}
    client.create_draft(mailbox.grant_id, fields | {"metadata": {marks.CORRECTION_KEY: mark}})

    intake.poll(mailbox, client)

    assert Draft.objects.get(subject="Mine").origin == "agent"


def test_provider_that_refuses_the_correction_leaves_everything_as_it_was(
    bounced: FollowUp, alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="post_draft", action="reply", options={"status": 503})

    with pytest.raises(decisions.ProviderSilent):
        decisions.correct_address(bounced, person=alice, changes={"to": RIGHT})

    bounced.refresh_from_db()
    assert bounced.state == "open"
    assert Draft.objects.count() == 1


def test_follow_up_is_passed_on_with_a_note(bounced: FollowUp, alice: User, bruno: User) -> None:
    follow_ups.escalate(bounced.pk, person=alice, to=bruno, note="You know this customer.")

    bounced.refresh_from_db()
    note = bounced.notes.get()
    assert (bounced.assigned_to, bounced.state) == (bruno, "open")
    assert (note.person, note.text) == (alice, "You know this customer.")
    assert "approvals.follow_up.escalated" in actions(bounced.send.draft)


def test_follow_up_cannot_be_passed_to_somebody_without_rights(
    bounced: FollowUp, alice: User, charlie: User
) -> None:
    with pytest.raises(FollowUpRefused, match="no rights"):
        follow_ups.escalate(bounced.pk, person=alice, to=charlie, note="For you.")

    bounced.refresh_from_db()
    assert bounced.assigned_to == alice


def test_follow_up_is_closed_with_a_reason_once(bounced: FollowUp, alice: User, bruno: User) -> None:
    follow_ups.close(bounced.pk, person=alice, reason="Called them.")

    with pytest.raises(FollowUpRefused, match="Alice"):
        follow_ups.close(bounced.pk, person=bruno, reason="Called them too.")

    bounced.refresh_from_db()
    assert (bounced.state, bounced.closed_by, bounced.close_reason) == ("closed", alice, "Called them.")


def test_closed_follow_up_cannot_be_corrected(bounced: FollowUp, alice: User, sandbox: Any) -> None:
    follow_ups.close(bounced.pk, person=alice, reason="Called them.")

    with pytest.raises(DecisionRefused):
        decisions.correct_address(bounced, person=alice, changes={"to": RIGHT})

    assert sandbox.get("state")["drafts"] == []


@pytest.fixture
def stranger(mailbox: Mailbox) -> User:
    """Reviews another mailbox."""
    other = Mailbox.objects.create(grant_id="other-grant", address="other@harbour.example")
    return person("stranger", Role.REVIEWER, mailbox=other)


@pytest.mark.parametrize("who", ["charlie", "stranger"])
def test_person_without_rights_on_the_mailbox_can_do_nothing_with_it(
    bounced: FollowUp, request: Any, who: str, bruno: User, sandbox: Any
) -> None:
    outsider = request.getfixturevalue(who)

    with pytest.raises(FollowUpRefused):
        follow_ups.close(bounced.pk, person=outsider, reason="x")
    with pytest.raises(FollowUpRefused):
        follow_ups.escalate(bounced.pk, person=outsider, to=bruno, note="x")
    with pytest.raises(DecisionRefused):
        decisions.correct_address(bounced, person=outsider, changes={"to": RIGHT})

    bounced.refresh_from_db()
    assert bounced.state == "open"
    assert sandbox.get("state")["drafts"] == []


def test_second_piece_of_bad_news_joins_the_open_follow_up(
    agent_writes: Callable[..., Draft], alice: User, notifications: Notifications
) -> None:
    sent(agent_writes(to=[{"email": TYPO}, {"email": "complaint@example.net"}]), alice)

    notifications.deliver_new()

    assert FollowUp.objects.get().kind == "complaint"


def test_bad_news_after_closing_opens_a_new_follow_up(
    agent_writes: Callable[..., Draft], alice: User, notifications: Notifications, sandbox: Any
) -> None:
    send = sent(agent_writes(to=[{"email": TYPO}, {"email": "casey@example.net"}]), alice)
    notifications.deliver_new()
    follow_ups.close(FollowUp.objects.get().pk, person=alice, reason="Known.")

    sandbox.post(
        "outcomes",
        message_id=send.provider_message_id,
        outcome="complaint",
        recipients=["casey@example.net"],
    )
    notifications.deliver_new()

    assert list(FollowUp.objects.order_by("pk").values_list("kind", "state")) == [
        ("hard_bounce", "closed"),
        ("complaint", "open"),
    ]
