"""Mail that leaves without a person: only in a mode that allows it, and only past every gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import decisions, dispatch, intake, oversight
from approvals.models import Decision, Draft, FollowUp, Judgement, Send, Stage
from approvals.queries import own_follow_ups
from approvals.transitions import sends
from audit.models import Entry
from audit.record import SYSTEM
from policies import channels, mailbox_settings, switch
from tests.approvals.conftest import Notifications, actions, report, retry, seen, sent

BY_MODE = "Oversight mode autonomous"


@pytest.fixture
def autonomous(mailbox: Mailbox) -> Mailbox:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    return mailbox


def held_because(draft: Draft) -> str:
    return Judgement.objects.filter(draft=draft, stage=Stage.WITHOUT_PERSON).latest("pk").sentence


@pytest.mark.row("004-06", "K20")
@pytest.mark.parametrize("mode", ["monitored", "autonomous"])
def test_a_reply_leaves_without_a_person_and_without_an_undo_hold(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, sandbox: Any, mode: str
) -> None:
    channels.write(mailbox.pk, version=0, actor=SYSTEM, kind="email", target="team@harbour.example")
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode, undo_seconds=60)
    mailbox.refresh_from_db()

    draft = routine_writes()

    send = Send.objects.get(draft=draft)
    decision = send.decision
    assert (draft.state, decision.person, decision.person_name) == (
        "approved",
        None,
        f"Oversight mode {mode}",
    )
    assert send.not_before == send.queued_at
    assert dispatch.dispatch(send.pk) == "posted"
    assert len(sandbox.sends()) == 1
    assert actions(draft)[:3] == [
        "approvals.draft.arrived",
        "approvals.send.queued",
        "approvals.draft.approved",
    ]
    approval = Entry.objects.get(action="approvals.draft.approved")
    assert (approval.actor_kind, approval.actor_id) == ("system", f"mode:{mode}")


@pytest.mark.row("004-17", "004-05")
@pytest.mark.parametrize("mode", ["read_only", "gated_all", "gated_send"])
def test_in_the_other_modes_nothing_leaves_without_a_person(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, mode: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    mailbox.refresh_from_db()

    draft = routine_writes()

    assert draft.state == "pending"
    assert not Send.objects.exists()


@pytest.mark.row("003-30")
@pytest.mark.parametrize("mode", ["monitored", "autonomous"])
def test_mail_that_answers_nothing_waits_for_a_person(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, alice: User, mode: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    mailbox.refresh_from_db()

    draft = routine_writes(reply_to_message_id="", subject="News")

    assert draft.state == "pending"
    assert "answers no message" in held_because(draft)
    assert sent(draft, alice).state == "accepted"


@pytest.mark.row("K30")
@pytest.mark.parametrize("gate", ["switch", "mailbox", "recipients"])
def test_a_gate_that_refuses_leaves_the_draft_to_a_person(
    routine_writes: Callable[..., Draft], autonomous: Mailbox, olga: User, gate: str
) -> None:
    fields: dict[str, Any] = {}
    if gate == "switch":
        switch.engage(autonomous.scope, actor=SYSTEM, reason="Stopped.", wait_seconds=0)
    elif gate == "mailbox":
        Mailbox.objects.filter(pk=autonomous.pk).update(is_enabled=False)
    else:
        fields["to"] = []

    draft = routine_writes(**fields)

    judgement = Judgement.objects.filter(draft=draft, stage=Stage.WITHOUT_PERSON).get()
    assert (draft.state, judgement.gate) == ("pending", gate)
    assert not Send.objects.exists()


def test_the_evaluation_of_mail_that_leaves_is_kept_as_passed(
    routine_writes: Callable[..., Draft], autonomous: Mailbox
) -> None:
    draft = routine_writes()

    judgement = Judgement.objects.filter(draft=draft, stage=Stage.WITHOUT_PERSON).get()
    standings = {verdict["gate"]: verdict["standing"] for verdict in judgement.verdicts}
    assert judgement.result == "passed"
    assert standings["mode"] == standings["decision"] == "passed"


def test_a_draft_that_cannot_be_read_again_waits_for_a_person(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, sandbox: Any
) -> None:
    draft = routine_writes()
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    Draft.objects.filter(pk=draft.pk).update(mode="autonomous")
    sandbox.post("faults", route="get_draft", times=0, action="reply", options={"status": 503})

    intake.arrival.judge(draft.pk)

    draft.refresh_from_db()
    assert draft.state == "pending"


def test_a_new_wording_of_the_agent_takes_the_same_path(
    routine_writes: Callable[..., Draft], autonomous: Mailbox, sandbox: Any
) -> None:
    draft = routine_writes()
    first = Send.objects.get(draft=draft).decision
    client = configured_client()
    client.update_draft(
        draft.grant_id, draft.provider_draft_id, {"body": "<p>It left on Monday and arrives on Friday.</p>"}
    )

    intake.observe(autonomous, client.get_draft(draft.grant_id, draft.provider_draft_id), client)

    send = Send.objects.get(draft=draft)
    first.refresh_from_db()
    assert first.void_reason == "changed"
    assert (send.state, send.decision.person, send.decision.revision.number) == ("queued", None, 2)


@pytest.mark.row("004-37")
@pytest.mark.parametrize("mode", ["monitored", "autonomous"])
def test_what_waited_before_the_mode_was_loosened_is_not_sent(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, mode: str
) -> None:
    waiting = [routine_writes() for _ in range(3)]
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)

    for draft in waiting:
        intake.arrival.judge(draft.pk)

    assert {Draft.objects.get(pk=draft.pk).state for draft in waiting} == {"pending"}
    assert not Send.objects.exists()


@pytest.mark.row("004-14", "004-13")
@pytest.mark.parametrize("to", ["gated_send", "gated_all", "read_only"])
def test_tightening_returns_what_nobody_decided_and_nothing_else(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, alice: User, olga: User, to: str
) -> None:
    decided = routine_writes()
    decisions.approve(decided, person=alice, seen=seen(decided), form_id=None)
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    undecided = routine_writes()

    oversight.change_mode(mailbox.pk, to=to, seen="autonomous", person=olga)

    undecided.refresh_from_db()
    decided.refresh_from_db()
    assert (undecided.state, undecided.send.state) == ("pending", "stopped")
    assert decided.send.state == "queued"


def test_a_mode_that_is_tightened_between_decision_and_claim_stops_the_send(
    routine_writes: Callable[..., Draft], autonomous: Mailbox, alice: User, sandbox: Any
) -> None:
    draft = routine_writes()
    Mailbox.objects.filter(pk=autonomous.pk).update(mode="gated_send")

    send = Send.objects.get(draft=draft)
    assert retry(send) == "refused"

    draft.refresh_from_db()
    assert (draft.state, send.state, send.decision.void_reason) == ("pending", "stopped", "blocked")
    assert sandbox.sends() == []
    assert sent(draft, alice).state == "accepted"


def test_a_draft_that_a_person_edited_is_left_to_people(
    routine_writes: Callable[..., Draft], autonomous: Mailbox, alice: User
) -> None:
    draft = routine_writes(reply_to_message_id="", subject="News")
    decisions.edit(draft, person=alice, seen=seen(draft), changes={"subject": "The news"})

    intake.arrival.judge(draft.pk)

    assert "A person wrote this wording" in held_because(draft)


def test_an_answer_to_a_person_is_left_to_people(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    draft = routine_writes()
    decisions.request_changes(draft, person=alice, seen=seen(draft), note="Shorter.", form_id=None)
    Draft.objects.filter(pk=draft.pk).update(mode="autonomous")
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    client = configured_client()
    client.update_draft(
        draft.grant_id, draft.provider_draft_id, {"body": "<p>It left on Monday and arrives on Friday.</p>"}
    )

    intake.observe(mailbox, client.get_draft(draft.grant_id, draft.provider_draft_id), client)

    draft.refresh_from_db()
    assert draft.state == "pending"
    assert "a person decides again" in held_because(draft)


def test_only_an_approval_can_lack_a_person(pending: Draft) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.create(
            draft=pending,
            kind="reject",
            revision=pending.current_revision,
            person=None,
            person_name=BY_MODE,
            made_at=pending.arrived_at,
            content_sha256="",
            thread_fingerprint="",
        )


def test_a_bounce_of_mail_that_nobody_decided_is_for_everybody_of_the_mailbox(
    routine_writes: Callable[..., Draft],
    autonomous: Mailbox,
    notifications: Notifications,
    alice: User,
    olga: User,
    charlie: User,
) -> None:
    send = Send.objects.get(draft=routine_writes())
    dispatch.dispatch(send.pk)
    send.refresh_from_db()
    address = send.decision.revision.to[0]["email"]
    notifications.deliver(report("bounced", send, [address], notification_id="bounce-1"))

    follow_up = FollowUp.objects.get()
    assert follow_up.assigned_to is None
    assert [own_follow_ups(one).exists() for one in (alice, olga, charlie)] == [True, True, False]


def test_a_person_resends_what_nobody_decided(
    routine_writes: Callable[..., Draft], autonomous: Mailbox, olga: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = Send.objects.get(draft=routine_writes())
    dispatch.dispatch(send.pk)
    send.refresh_from_db()
    assert send.state == "unknown"
    Mailbox.objects.filter(pk=autonomous.pk).update(mode="gated_send")
    sends.authorise_resend(send.pk, person=olga, reason="It is not there.")

    assert retry(send) in ("posted", "found")


@pytest.mark.row("000-14")
def test_mail_to_somebody_on_no_list_waits_for_a_person(
    routine_writes: Callable[..., Draft], autonomous: Mailbox
) -> None:
    draft = routine_writes(to=[{"email": "stranger@example.org"}])

    judgement = Judgement.objects.filter(draft=draft, stage=Stage.WITHOUT_PERSON).get()
    assert (draft.state, judgement.gate, judgement.result) == ("pending", "recipients", "blocked_recipient")


def test_a_rehearsal_needs_nobody_either(
    routine_writes: Callable[..., Draft], autonomous: Mailbox, sandbox: Any
) -> None:
    mailbox_settings.write(autonomous.pk, version=0, actor=SYSTEM, delivery="dry_run")
    draft = routine_writes()
    send = Send.objects.get(draft=draft)

    assert retry(send) != "posted"

    assert sandbox.sends() == []
    assert send.decision.person is None
