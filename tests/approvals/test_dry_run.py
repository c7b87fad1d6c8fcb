"""The dry run: everything is asked for real, nothing leaves, and people compare."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from agentmail.models import Mailbox, Transport
from approvals import comparisons, rehearsal
from approvals.content import content_of_revision, edited
from approvals.models import Comparison, Draft, Judgement, Role
from approvals.states import DraftState, SendState
from approvals.transitions import drafts, sends
from approvals.transitions.sends import SendRefused
from audit.clock import database_now
from audit.models import Entry
from policies import caps, changes, mailbox_settings
from policies.models import MailboxSettings, Reservation
from tests.approvals.conftest import actions, approve, claim_of, person, retry, seen, sent


@pytest.fixture
def ada(db: None) -> User:
    """Is an admin."""
    return person("ada", Role.ADMIN)


@pytest.fixture
def rehearsing(mailbox: Mailbox, ada: User) -> Mailbox:
    rehearsal.begin(mailbox.pk, version=0, person=ada)
    return mailbox


def leave(mailbox: Mailbox, by: User) -> None:
    version = mailbox_settings.of(mailbox.pk).version
    rehearsal.leave(mailbox.pk, version=version, person=by, reason="It did well")


@pytest.mark.row("000-37", "000-13", "001-23")
def test_a_dry_run_asks_every_gate_and_sends_nothing(
    pending: Draft, alice: User, rehearsing: Mailbox, sandbox: Any
) -> None:
    send = sent(pending, alice)

    judgement = Judgement.objects.filter(draft=pending).order_by("-pk")[0]
    standings = {one["gate"]: one["standing"] for one in judgement.verdicts}
    assert (send.state, pending.state) == (SendState.DRY_RUN, DraftState.APPROVED)
    assert (judgement.result, standings.pop("dry_run")) == ("dry_run", "refused")
    assert set(standings.values()) == {"passed"}
    assert sandbox.sends() == []
    assert not send.attempts.exists()
    assert not Reservation.objects.exists()
    entry = Entry.objects.get(action="approvals.send.rehearsed", send_id=send.pk)
    assert entry.outcome == "dry_run"


@pytest.mark.row("001-23")
def test_the_export_says_to_whom_it_would_have_been_sent(
    pending: Draft, alice: User, rehearsing: Mailbox, capsys: Any
) -> None:
    send = sent(pending, alice)

    call_command("export_sends")

    assert (
        f'"would_have_been_sent_to": ["{send.decision.revision.recipients()[0]}"]' in capsys.readouterr().out
    )


def test_a_dry_run_leaves_the_draft_at_the_provider_as_it_is(
    agent_writes: Callable[..., Draft], alice: User, rehearsing: Mailbox, sandbox: Any
) -> None:
    Mailbox.objects.filter(pk=rehearsing.pk).update(transport=Transport.PROVIDER_DRAFT)
    draft = agent_writes()
    upstream = draft.upstream_sha256

    send = sent(draft, alice)

    assert send.state == SendState.DRY_RUN
    assert (draft.upstream_sha256, draft.provider_draft_id) == (upstream, draft.provider_draft_id)
    assert [call for call in actions(draft) if call == "approvals.send.draft_deleted"] == []


def test_an_edited_draft_is_rehearsed_without_its_wording_at_the_provider(
    agent_writes: Callable[..., Draft], alice: User, rehearsing: Mailbox
) -> None:
    Mailbox.objects.filter(pk=rehearsing.pk).update(transport=Transport.PROVIDER_DRAFT)
    draft = agent_writes()
    drafts.edit(
        draft.pk,
        person=alice,
        seen=seen(draft),
        content=edited(content_of_revision(draft.current_revision), {"subject": "Re: Your order"}),
    )
    upstream = draft.upstream_sha256

    send = sent(draft, alice)

    assert (send.state, draft.upstream_sha256) == (SendState.DRY_RUN, upstream)


def test_what_ended_in_a_dry_run_is_not_sent_after_it(
    pending: Draft, alice: User, ada: User, rehearsing: Mailbox, sandbox: Any
) -> None:
    send = sent(pending, alice)
    leave(rehearsing, ada)

    assert retry(send) == "nothing"

    assert send.state == SendState.DRY_RUN
    assert sandbox.sends() == []


def test_evidence_that_it_was_sent_after_all_counts(pending: Draft, alice: User, rehearsing: Mailbox) -> None:
    send = sent(pending, alice)

    assert sends.found(send.pk, source="thread", provider_message_id="m-1")

    send.refresh_from_db()
    assert send.state == SendState.ACCEPTED
    assert send.alarm


@pytest.mark.row("000-39")
def test_leaving_the_dry_run_begins_the_first_day(
    agent_writes: Callable[..., Draft], alice: User, ada: User, rehearsing: Mailbox, sandbox: Any
) -> None:
    leave(rehearsing, ada)

    states = [sent(agent_writes(), alice).state for _ in range(6)]

    assert states == [SendState.ACCEPTED] * 5 + [SendState.QUEUED]
    assert len(sandbox.sends()) == 5


def test_a_mailbox_that_never_rehearsed_has_no_first_day(mailbox: Mailbox) -> None:
    assert caps.effective(mailbox.pk, now=database_now()).ramp_until is None


def test_a_claim_prepared_for_a_dry_run_that_ended_meanwhile_sends_nothing(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    send = approve(pending, alice)

    refusal = claim_of(send, None, is_rehearsal=True)

    assert isinstance(refusal, sends.Refusal)
    send.refresh_from_db()
    assert send.state == SendState.QUEUED


def test_only_an_admin_begins_a_dry_run(mailbox: Mailbox, alice: User) -> None:
    with pytest.raises(rehearsal.RehearsalRefused):
        rehearsal.begin(mailbox.pk, version=0, person=alice)


def test_leaving_needs_a_reason(rehearsing: Mailbox, ada: User) -> None:
    with pytest.raises(rehearsal.RehearsalRefused):
        rehearsal.leave(rehearsing.pk, version=1, person=ada, reason=" ")


def test_two_admins_at_once_do_not_overwrite_each_other(rehearsing: Mailbox, ada: User) -> None:
    with pytest.raises(changes.Conflict):
        rehearsal.leave(rehearsing.pk, version=0, person=ada, reason="Done")


def test_an_undo_of_a_rehearsed_mail_is_refused(pending: Draft, alice: User, rehearsing: Mailbox) -> None:
    send = sent(pending, alice)

    with pytest.raises(SendRefused):
        sends.close(send.pk, person=alice, as_sent=True, reason="x")


# Comparisons


@pytest.mark.row("000-37")
def test_a_person_says_beside_it_what_they_would_have_done(
    pending: Draft, alice: User, bruno: User, rehearsing: Mailbox
) -> None:
    sent(pending, alice)

    comparisons.compare(pending.pk, person=alice, would_send=True)
    comparisons.compare(pending.pk, person=bruno, would_send=False, wrong_kind="fact", note="Wrong day")
    comparisons.compare(pending.pk, person=alice, would_send=True, note="Still")

    found = comparisons.of(rehearsing.pk, now=database_now())
    assert (found.compared, found.wrong) == (1, 1)
    assert Comparison.objects.count() == 2
    assert actions(pending).count("approvals.draft.compared") == 3


def test_a_wrong_one_must_say_what_was_wrong(pending: Draft, alice: User, rehearsing: Mailbox) -> None:
    sent(pending, alice)

    with pytest.raises(comparisons.ComparisonRefused) as refused:
        comparisons.compare(pending.pk, person=alice, would_send=False)

    assert refused.value.field == "wrong_kind"


def test_only_a_mail_of_a_dry_run_is_compared(pending: Draft, alice: User) -> None:
    with pytest.raises(comparisons.ComparisonRefused):
        comparisons.compare(pending.pk, person=alice, would_send=True)


@pytest.mark.row("000-05", "000-38")
@pytest.mark.parametrize(
    ("days", "compared", "wrong", "is_ready"),
    [(13, 100, 0, False), (14, 100, 1, False), (14, 99, 0, False), (14, 100, 0, True)],
)
def test_a_mailbox_is_ready_after_14_days_100_compared_and_none_wrong(
    days: int, compared: int, wrong: int, is_ready: bool
) -> None:
    assert comparisons.Evidence(None, days, compared, wrong).is_ready is is_ready


@pytest.mark.row("000-05")
@pytest.mark.parametrize(("hours", "days"), [(13 * 24 + 23, 13), (14 * 24, 14)])
def test_days_are_counted_from_the_beginning_of_the_dry_run(
    rehearsing: Mailbox, hours: int, days: int
) -> None:
    since = MailboxSettings.objects.get(mailbox_id=rehearsing.pk).dry_run_since
    assert since is not None

    assert comparisons.of(rehearsing.pk, now=since + timedelta(hours=hours)).days == days
