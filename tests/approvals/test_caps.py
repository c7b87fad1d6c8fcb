"""Caps: both windows, where they come from, what waits and what counts (I18)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from agentmail.client import configured_client
from agentmail.models import Mailbox
from agentmail.types import ReplyClass, SendReply
from approvals import freshness, gates, mailboxes, sweeps
from approvals.gates import Consequence, Standing
from approvals.models import Draft, Judgement, Send
from approvals.states import SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import SYSTEM
from policies import caps, changes, mailbox_settings
from policies.cap_usage import Limit, Source
from policies.caps import CapReached
from policies.models import Policy, Reservation, Window, Workspace, WorkspaceMember
from tests.approvals.conftest import approve, claim_of, retry, sent

AT = datetime(2026, 11, 25, 10, 59, 50, tzinfo=UTC)


def policy(name: str = "Prototype", **fields: Any) -> Policy:
    return caps.add_policy(actor=SYSTEM, name=name, **fields)


def attach(mailbox_id: int, to: Policy | None) -> None:
    version = mailbox_settings.of(mailbox_id).version
    mailbox_settings.write(mailbox_id, version=version, actor=SYSTEM, policy=to)


def used(mailbox_id: int, count: int, at: datetime) -> None:
    """Let a mailbox have sent at a time."""
    first = Reservation.objects.count()
    Reservation.objects.bulk_create(
        Reservation(mailbox_id=mailbox_id, send_key=f"used-{first + n}", reserved_at=at) for n in range(count)
    )


def allows(mailbox_id: int, now: datetime) -> bool:
    return caps.ask(mailbox_id, now=now).full is None


def this_hour(count: int, mailbox: Mailbox) -> None:
    used(mailbox.pk, count, database_now())


@pytest.mark.django_db
@pytest.mark.row("000-07", "001-10", "K25")
def test_a_mailbox_without_a_policy_may_send_50_an_hour_and_200_a_day() -> None:
    Policy.objects.all().delete()

    found = caps.effective(7, now=AT)

    assert (found.hour_cap, found.day_cap, found.source) == (50, 200, Source.DEFAULT)


@pytest.mark.django_db
@pytest.mark.row("000-07")
def test_the_shipped_default_is_50_and_200() -> None:
    shipped = Policy.objects.get(is_default=True)

    assert (shipped.hour_cap, shipped.day_cap, shipped.window) == (50, 200, Window.FIXED)
    assert (shipped.limit_inbox_retention_period, shipped.limit_spam_retention_period) == (90, 14)


@pytest.mark.django_db
@pytest.mark.row("000-08")
@pytest.mark.parametrize(
    ("hour", "day", "is_allowed"), [(49, 199, True), (50, 10, False), (10, 200, False), (50, 200, False)]
)
def test_both_the_hour_and_the_day_must_allow(hour: int, day: int, is_allowed: bool) -> None:
    used(7, hour, AT)
    used(7, max(0, day - hour), AT - timedelta(hours=2))

    assert allows(7, AT) is is_allowed


@pytest.mark.django_db
@pytest.mark.row("000-10", "K6")
def test_two_mailboxes_are_counted_apart() -> None:
    used(7, 50, AT)

    assert not allows(7, AT)
    assert allows(8, AT)


@pytest.mark.django_db
@pytest.mark.row("000-11", "K1")
def test_a_fixed_window_opens_at_the_full_hour() -> None:
    used(7, 50, AT)

    full = caps.ask(7, now=AT + timedelta(seconds=9)).full

    assert full is not None
    assert full.opens_at == datetime(2026, 11, 25, 11, tzinfo=UTC)
    assert allows(7, AT + timedelta(seconds=10))


@pytest.mark.django_db
@pytest.mark.row("K1")
@pytest.mark.parametrize(("seconds", "is_allowed"), [(3599, False), (3600, True)])
def test_a_sliding_window_lets_go_of_a_send_3600_seconds_later(seconds: int, is_allowed: bool) -> None:
    attach(7, policy(window=Window.SLIDING))
    used(7, 50, AT)

    assert allows(7, AT + timedelta(seconds=seconds)) is is_allowed


@pytest.mark.django_db
@pytest.mark.row("K1")
@pytest.mark.parametrize(("seconds", "is_allowed"), [(86_399, False), (86_400, True)])
def test_a_sliding_day_is_86400_seconds(seconds: int, is_allowed: bool) -> None:
    attach(7, policy(window=Window.SLIDING, day_cap=20))
    used(7, 20, AT)

    assert allows(7, AT + timedelta(seconds=seconds)) is is_allowed


@pytest.mark.django_db
def test_a_sliding_window_opens_when_enough_have_left_it() -> None:
    attach(7, policy(window=Window.SLIDING, hour_cap=2))
    for minute in range(4):
        used(7, 1, AT + timedelta(minutes=minute))

    full = caps.ask(7, now=AT + timedelta(minutes=5)).full

    assert full is not None
    assert full.opens_at == AT + timedelta(minutes=62)


@pytest.mark.django_db
@pytest.mark.row("K1")
def test_with_spacing_two_caps_do_not_leave_around_a_boundary() -> None:
    attach(7, policy(spacing_seconds=30))
    used(7, 1, AT)

    assert not allows(7, AT + timedelta(seconds=10))
    assert not allows(7, AT + timedelta(seconds=29))
    assert allows(7, AT + timedelta(seconds=30))


@pytest.mark.django_db
@pytest.mark.row("001-15", "001-03")
def test_a_burst_of_60_stops_at_50() -> None:
    taken = 0
    for number in range(60):
        try:
            with transaction.atomic():
                caps.reserve(7, f"send-{number}")
        except CapReached:
            continue
        taken += 1

    assert taken == 50


@pytest.mark.django_db
@pytest.mark.row("K29")
def test_a_send_is_counted_once_however_often_it_is_handed_over() -> None:
    for _ in range(3):
        with transaction.atomic():
            caps.reserve(7, "send-1")

    assert Reservation.objects.filter(mailbox_id=7).count() == 1
    assert caps.ask(7, now=database_now()).uses[0].used == 1


@pytest.mark.django_db
@pytest.mark.row("K29")
def test_a_refunded_send_may_be_reserved_again() -> None:
    with transaction.atomic():
        caps.reserve(7, "send-1")
    caps.refund("send-1")
    assert caps.ask(7, now=database_now()).uses[0].used == 0

    with transaction.atomic():
        caps.reserve(7, "send-1")

    assert caps.ask(7, now=database_now()).uses[0].used == 1


@pytest.mark.django_db
@pytest.mark.row("001-13")
def test_two_workspaces_have_two_caps_and_the_mailbox_has_the_last_word() -> None:
    for number, cap in ((1, 10), (2, 40)):
        workspace = changes.create(
            Workspace, actor=SYSTEM, name=f"W{number}", policy=policy(f"P{number}", hour_cap=cap)
        )
        changes.create(WorkspaceMember, actor=SYSTEM, workspace=workspace, mailbox_id=number)
    attach(2, policy("Own", hour_cap=3))

    first, second = caps.effective(1, now=AT), caps.effective(2, now=AT)

    assert (first.hour_cap, first.source, first.workspace) == (10, Source.WORKSPACE, "W1")
    assert (second.hour_cap, second.source) == (3, Source.MAILBOX)


@pytest.mark.django_db
@pytest.mark.row("K6")
def test_the_organisation_cap_counts_all_mailboxes_together() -> None:
    caps.set_organisation_cap(version=0, actor=SYSTEM, hour_cap=10, day_cap=None)
    used(7, 6, AT)
    used(8, 4, AT)

    full = caps.ask(9, now=AT).full

    assert full is not None
    assert (full.limit, full.used, full.cap) == (Limit.ORGANISATION_HOUR, 10, 10)


@pytest.mark.django_db
@pytest.mark.row("000-39")
def test_the_first_day_of_sending_live_has_5_an_hour() -> None:
    caps.start_ramp(7, actor=SYSTEM)
    since = mailbox_settings.of(7).live_since
    assert since is not None

    within, after = (caps.effective(7, now=since + timedelta(hours=hours)) for hours in (23.99, 24))

    assert (within.hour_cap, within.ramp_until) == (5, since + timedelta(hours=24))
    assert (after.hour_cap, after.ramp_until) == (50, None)


@pytest.mark.django_db
def test_a_ramp_never_raises_a_cap() -> None:
    attach(7, policy(hour_cap=2))
    caps.start_ramp(7, actor=SYSTEM)

    assert caps.effective(7, now=database_now()).hour_cap == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"hour_cap": 100_001}, "hour_cap"),
        ({"spacing_seconds": 3601}, "spacing_seconds"),
        ({"window": "weekly"}, "window"),
        ({"spam_sensitivity": 0.05}, "spam_sensitivity"),
        ({"spam_sensitivity": 5.1}, "spam_sensitivity"),
        ({"limit_spam_retention_period": 90}, "limit_spam_retention_period"),
        ({"ceiling": 7}, "ceiling"),
    ],
)
def test_a_number_outside_its_limits_is_refused_at_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        policy(**fields)

    assert list(refused.value.message_dict) == [field]
    assert not Policy.objects.filter(name="Prototype").exists()


@pytest.mark.django_db
def test_there_is_one_default_at_most() -> None:
    other = policy()
    caps.make_default(other.pk, version=other.version, actor=SYSTEM)

    assert [one.name for one in Policy.objects.filter(is_default=True)] == ["Prototype"]


# In the claim


@pytest.mark.row("000-06", "001-09", "000-01")
def test_the_send_past_the_cap_waits_until_the_window_opens(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    attach(mailbox.pk, policy(hour_cap=2))
    for _ in range(2):
        assert sent(agent_writes(), alice).state == SendState.ACCEPTED
    draft = agent_writes()

    send = sent(draft, alice)

    full = caps.ask(mailbox.pk, now=database_now(), send_key=send.token).full
    assert full is not None
    assert (send.state, send.next_attempt_at) == (SendState.QUEUED, full.opens_at)
    assert send.waiting_for.startswith("Waits for the hour cap: next at ")
    assert "2 of 2 this hour" in send.waiting_for
    assert Judgement.objects.filter(draft=draft).order_by("-pk")[0].result == "blocked_rate_cap"
    assert len(sandbox.sends()) == 2


def test_an_approval_does_not_run_out_while_it_waits_for_the_hour(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    attach(mailbox.pk, policy(hour_cap=0))
    mailboxes.change(mailbox.pk, actor=SYSTEM, approval_minutes=1)
    send = sent(pending, alice)
    send.decision.valid_until = database_now() - timedelta(seconds=1)
    send.decision.save(update_fields=["valid_until"])

    assert sweeps.run_out_approvals() == 0
    attach(mailbox.pk, None)

    assert send.valid_until == send.next_attempt_at + timedelta(minutes=1)
    assert retry(send) == "posted"


def test_a_waiting_approval_runs_out_with_its_draft(pending: Draft, alice: User, mailbox: Mailbox) -> None:
    attach(mailbox.pk, policy(hour_cap=0))
    Draft.objects.filter(pk=pending.pk).update(expires_at=database_now() + timedelta(seconds=1))

    send = sent(pending, alice)

    assert send.valid_until == pending.expires_at


def claimed(send: Send) -> sends.Claim:
    look = freshness.look(send.draft, configured_client(), verify_attachments=False)
    claim = claim_of(send, look)
    assert isinstance(claim, sends.Claim), claim
    return claim


@pytest.mark.row("000-13", "K7")
@pytest.mark.parametrize(
    ("reply_class", "counted"),
    [
        (ReplyClass.NOT_STARTED, 0),
        (ReplyClass.REFUSED, 1),
        (ReplyClass.AMBIGUOUS, 1),
        (ReplyClass.RATE_LIMITED, 1),
    ],
)
def test_only_a_send_that_did_not_start_is_refunded(
    pending: Draft, alice: User, mailbox: Mailbox, reply_class: ReplyClass, counted: int
) -> None:
    claim = claimed(approve(pending, alice))
    assert caps.ask(mailbox.pk, now=database_now()).uses[0].used == 1

    sends.record_reply(claim.attempt.pk, SendReply(reply_class, "Test"))

    assert caps.ask(mailbox.pk, now=database_now()).uses[0].used == counted


def test_a_send_stopped_by_the_second_look_is_refunded(pending: Draft, alice: User, mailbox: Mailbox) -> None:
    claim = claimed(approve(pending, alice))

    sends.not_started(claim.attempt.pk, "The switch was engaged.", held="blocked_kill_switch")

    assert caps.ask(mailbox.pk, now=database_now()).uses[0].used == 0


def test_a_resend_of_an_unknown_mail_needs_no_second_place(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox, sandbox: Any
) -> None:
    sandbox.post("faults", route="send", action="reset", when="after")
    send = sent(pending, alice)
    assert send.state == SendState.UNKNOWN
    attach(mailbox.pk, policy(hour_cap=1))
    sends.authorise_resend(send.pk, person=olga, reason="Nothing arrived")

    retry(send)

    assert send.state == SendState.ACCEPTED
    assert Reservation.objects.filter(mailbox_id=mailbox.pk).count() == 1


@pytest.mark.row("000-18")
def test_refused_recipients_never_count(agent_writes: Callable[..., Draft], mailbox: Mailbox) -> None:
    draft = agent_writes(to=[])
    verdicts = {verdict.gate: verdict for verdict in preview(draft)}

    names = [name for name, _gate in gates.GATES]
    assert names.index("recipients") < names.index("caps")
    assert verdicts["recipients"].standing is Standing.REFUSED
    assert not Reservation.objects.exists()


def test_a_preview_asks_without_reserving(pending: Draft, mailbox: Mailbox) -> None:
    [caps_verdict] = [verdict for verdict in preview(pending) if verdict.gate == "caps"]

    assert caps_verdict.standing is Standing.PASSED
    assert "0 of 50 this hour" in caps_verdict.sentence
    assert not Reservation.objects.exists()


@pytest.mark.row("000-06", "001-23")
def test_mail_that_nobody_decides_is_refused_with_the_count(pending: Draft, mailbox: Mailbox) -> None:
    this_hour(50, mailbox)

    [verdict] = [one for one in preview(pending, is_reviewed=False) if one.gate == "caps"]

    assert (verdict.result, verdict.consequence) == ("blocked_rate_cap", Consequence.STOP)
    assert "50 of 50 this hour" in verdict.sentence


def preview(draft: Draft, **fields: Any) -> list[gates.Verdict]:
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft.pk)
    assert draft.current_revision is not None
    look = freshness.look(draft, configured_client(), verify_attachments=False)
    return gates.evaluate(
        gates.facts_about(draft, draft.current_revision, now=database_now(), look=look, **fields)
    )
