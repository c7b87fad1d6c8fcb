"""What the record says becomes notices: once each, for the people with the right, until the thing is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from agentmail.models import Mailbox
from approvals import decisions, policy_scopes
from approvals.models import Draft, FollowUp, Membership, Risk, Role, Submission
from approvals.notices import expiring, keeping, listing, reader, words
from approvals.notices.models import Notice, NoticeCursor, NoticeKind, NoticeMail
from approvals.transitions import assignments, drafts, follow_ups
from audit.record import SYSTEM, Actor
from policies import switch
from policies.models import Workspace, WorkspaceMember
from tests.approvals.conftest import age, approve, person, seen, sent


def risky(draft: Draft) -> Draft:
    Draft.objects.filter(pk=draft.pk).update(risk=Risk.HIGH)
    draft.refresh_from_db()
    return draft


def edit(draft: Draft, by: User, **changes: Any) -> None:
    decisions.edit(draft, person=by, seen=seen(draft), changes=changes)


def told(who: User) -> list[str]:
    """The kinds of the open notices that a person sees, oldest first."""
    fresh = User.objects.get(pk=who.pk)
    return [one.kind for one in listing.unread_notices(fresh).order_by("pk")]


def test_a_waiting_draft_of_high_risk_is_told_to_those_who_may_decide(
    pending: Draft, alice: User, olga: User, charlie: User
) -> None:
    risky(pending)

    reader.read_on()

    assert told(alice) == ["waiting"]
    assert told(olga) == []
    assert told(charlie) == []
    notice = Notice.objects.get()
    assert notice.path == f"/drafts/{pending.public_id}/"
    assert notice.is_urgent


def test_a_notice_of_high_risk_says_why(pending: Draft) -> None:
    reasons = ["bcc", "first_contact", "new_amount"]
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.HIGH, risk_reasons=reasons)

    reader.read_on()

    assert ("Why", "reader in Bcc, first contact, 1 more") in words.lines_of(Notice.objects.get())


def test_a_draft_without_high_risk_makes_no_notice_of_its_own(pending: Draft, alice: User) -> None:
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.NORMAL)

    reader.read_on()

    assert told(alice) == []


def test_a_wording_of_less_risk_closes_the_notice_and_more_risk_tells_anew(
    pending: Draft, alice: User
) -> None:
    risky(pending)
    reader.read_on()
    edit(pending, alice, subject="Re: Where is your order?")
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.NORMAL)

    reader.read_on()

    assert told(alice) == []
    assert words.settled_of(Notice.objects.get()) == "Not of high risk any more"
    pending.refresh_from_db()
    edit(pending, alice, subject="Re: Where is it?")
    risky(pending)
    reader.read_on()
    assert told(alice) == ["waiting"]


def test_what_was_read_is_not_told_again(pending: Draft, alice: User) -> None:
    risky(pending)
    reader.read_on()
    reader.read_on()
    NoticeCursor.objects.update(sequence=0)
    reader.read_on()

    assert Notice.objects.count() == 1


def test_a_decision_closes_the_notice_and_names_who_made_it(pending: Draft, alice: User, bruno: User) -> None:
    risky(pending)
    reader.read_on()
    approve(pending, bruno)

    reader.read_on()

    notice = Notice.objects.get()
    assert words.settled_of(notice) == "Approved by Bruno"
    assert told(alice) == []


def test_a_draft_that_waits_again_is_told_again(pending: Draft, mailbox: Mailbox, alice: User) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(undo_seconds=60)
    pending.refresh_from_db()
    risky(pending)
    approve(pending, alice)
    reader.read_on()
    drafts.undo(pending.pk, person=alice)

    reader.read_on()

    assert told(alice) == ["waiting"]


def test_what_was_decided_before_it_was_read_is_told_to_nobody(pending: Draft, alice: User) -> None:
    risky(pending)
    approve(pending, alice)

    reader.read_on()

    assert not Notice.objects.exists()


def test_an_unknown_send_is_told_to_those_who_may_resolve_it(
    pending: Draft, alice: User, olga: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = sent(pending, alice)
    assert send.state == "unknown"

    reader.read_on()

    assert told(olga) == ["unknown"]
    assert told(alice) == []


def test_a_bounce_is_told_to_the_approver_and_passed_on_with_the_follow_up(
    pending: Draft, alice: User, bruno: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 400})
    sent(pending, alice)
    follow_up = FollowUp.objects.get()
    reader.read_on()
    assert (told(alice), told(bruno)) == (["follow_up"], [])

    follow_ups.escalate(follow_up.pk, person=alice, to=bruno, note="Please look.")
    reader.read_on()
    assert (told(alice), told(bruno)) == ([], ["follow_up"])

    follow_ups.close(follow_up.pk, person=bruno, reason="Told the customer.")
    reader.read_on()
    assert told(bruno) == []
    assert words.settled_of(Notice.objects.latest("pk")) == "Closed by Bruno"


def test_a_stop_is_told_to_everybody_of_the_mailbox_and_its_end_closes_it(
    mailbox: Mailbox, alice: User, olga: User, charlie: User
) -> None:
    by_olga = Actor("person", str(olga.pk), "Olga")
    switch.engage(f"mailbox:{mailbox.pk}", actor=by_olga, reason="Looks wrong.", wait_seconds=0)
    reader.read_on()
    assert (told(alice), told(olga), told(charlie)) == (["stopped"], ["stopped"], [])

    switch.release(f"mailbox:{mailbox.pk}", actor=by_olga, reason="Looked at.")
    reader.read_on()

    assert told(alice) == ["resumed"]
    assert words.settled_of(Notice.objects.get(kind="stopped")) == "Allowed again by Olga"


def test_a_stop_of_an_agent_is_told_once_in_each_mailbox_that_it_writes_for(
    agent_writes: Callable[..., Draft], alice: User, charlie: User
) -> None:
    for _ in range(2):
        written = agent_writes()
        Draft.objects.filter(pk=written.pk).update(agent_id="writer", risk=Risk.NORMAL)
    switch.engage(switch.agent_scope("writer"), actor=SYSTEM, reason="Looks wrong.", wait_seconds=0)
    reader.read_on()

    assert (told(alice), told(charlie)) == (["stopped"], [])


@pytest.mark.parametrize("scope", ["global", "mailbox", "workspace", "agent", "domain"])
def test_a_stop_is_called_as_on_every_page(
    scope: str, agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(address="first_line@example.com")
    workspace = Workspace.objects.create(name="Night_shift")
    WorkspaceMember.objects.create(workspace=workspace, mailbox_id=mailbox.pk)
    written = agent_writes()
    Draft.objects.filter(pk=written.pk).update(agent_id="writer")
    Submission.objects.create(
        mailbox=mailbox,
        agent_id="writer",
        agent_name="Writer",
        owner=alice,
        payload_sha256="0" * 64,
        received_at=written.arrived_at,
    )
    names = {
        "global": "all mailboxes",
        f"mailbox:{mailbox.pk}": "mailbox first_line@example.com",
        f"workspace:{workspace.pk}": "workspace Night_shift",
        "agent:writer": "agent Writer",
        "domain:example.net": "domain example.net",
    }
    [(wanted, name)] = [one for one in names.items() if one[0].startswith(scope)]
    switch.engage(wanted, actor=SYSTEM, reason="Looks wrong.", wait_seconds=0)
    reader.read_on()

    notice = Notice.objects.get(kind="stopped")
    assert ("What", name) in words.lines_of(notice)
    assert policy_scopes.word_of(wanted) == name


def test_a_stop_by_the_desk_itself_says_so(mailbox: Mailbox, alice: User) -> None:
    switch.engage(
        f"mailbox:{mailbox.pk}", actor=SYSTEM, reason="Ten of twenty mails bounced.", wait_seconds=0
    )
    reader.read_on()

    assert words.title_of(Notice.objects.get()) == "The desk stopped sending by itself"


def test_a_right_that_is_taken_away_takes_the_notice_away(pending: Draft, alice: User) -> None:
    risky(pending)
    reader.read_on()
    Membership.objects.filter(user=alice).delete()

    assert told(alice) == []


def test_a_notice_outside_a_transaction_is_refused(mailbox: Mailbox, transactional_db: None) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        keeping.notify(NoticeKind.RESUMED, key="x", path="/", mailbox_id=mailbox.pk)


def test_reading_marks_one_notice_or_all_up_to_a_number(
    agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    for _ in range(3):
        risky(agent_writes())
    reader.read_on()
    first, second, third = Notice.objects.order_by("pk")

    assert listing.mark_read(alice, second.public_id)
    assert [one.pk for one in listing.unread_notices(alice).order_by("pk")] == [first.pk, third.pk]

    listing.mark_all_read(alice, second.pk)
    assert [one.pk for one in listing.unread_notices(alice)] == [third.pk]
    assert listing.unread_notices(bruno).count() == 3


def test_a_draft_that_is_given_to_somebody_is_told_to_that_person_alone(
    pending: Draft, alice: User, bruno: User
) -> None:
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.NORMAL)
    assignments.assign(pending.pk, person=alice, to=bruno)
    reader.read_on()
    assert (told(alice), told(bruno)) == ([], ["assigned"])

    assignments.assign(pending.pk, person=bruno, to=alice)
    reader.read_on()
    assert (told(alice), told(bruno)) == (["assigned"], [])
    given_on = Notice.objects.get(person=bruno)
    assert words.settled_of(given_on) == "Given to somebody else by Bruno"


def test_who_takes_a_draft_is_not_told_of_it(pending: Draft, alice: User) -> None:
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.NORMAL)
    assignments.assign(pending.pk, person=alice, to=alice)
    reader.read_on()

    assert told(alice) == []


def test_who_is_asked_for_help_is_told_why(pending: Draft, mailbox: Mailbox, alice: User) -> None:
    senior = person("sam", Role.OPERATOR, mailbox=mailbox)
    Membership.objects.create(user=senior, role=Role.REVIEWER, mailbox=mailbox)
    assignments.escalate(pending.pk, person=alice, to=None, reason="Is this refund right?")
    reader.read_on()

    notice = Notice.objects.get(kind="assigned")
    assert notice.person == senior
    assert words.title_of(notice) == "You are asked for help with a draft"
    assert ("Reason", "Is this refund right?") in words.lines_of(notice)


def test_whom_an_escalation_takes_a_draft_from_is_told_so(
    pending: Draft, mailbox: Mailbox, alice: User, bruno: User
) -> None:
    senior = person("sam", Role.OPERATOR, mailbox=mailbox)
    Membership.objects.create(user=senior, role=Role.REVIEWER, mailbox=mailbox)
    assignments.assign(pending.pk, person=alice, to=bruno)
    reader.read_on()
    assignments.escalate(pending.pk, person=alice, to=None, reason="Is this refund right?")
    reader.read_on()

    given = Notice.objects.get(kind="assigned", person=bruno)
    assert words.settled_of(given) == "Alice asked others for help"


def test_the_end_of_an_escalation_closes_what_those_were_told_who_were_asked(
    pending: Draft, mailbox: Mailbox, alice: User
) -> None:
    senior = person("sam", Role.OPERATOR, mailbox=mailbox)
    Membership.objects.create(user=senior, role=Role.REVIEWER, mailbox=mailbox)
    assignments.escalate(pending.pk, person=alice, to=None, reason="Is this refund right?")
    reader.read_on()
    assignments.end_escalation(pending.pk, person=alice)
    reader.read_on()

    assert "assigned" not in told(senior)
    assert words.settled_of(Notice.objects.get(kind="assigned")) == "Escalation ended by Alice"


def test_whom_a_draft_was_given_to_is_warned_first(pending: Draft, alice: User, bruno: User) -> None:
    User.objects.update(email="somebody@people.example")
    assignments.assign(pending.pk, person=alice, to=bruno)
    whole = pending.expires_at - pending.arrived_at
    age(pending, arrived_at=whole * 0.8, expires_at=whole * 0.8)

    assert expiring.warn() == 1

    mails = NoticeMail.objects.filter(notice__kind="expiring").order_by("pk")
    assert [one.person for one in mails] == [bruno, alice]
