"""The oversight report: each fact of it, made by the desk's own steps and read from the one function."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import comparisons, decisions, dispatch, intake, oversight, switchboard
from approvals import oversight_report as reports
from approvals.models import Attempt, Decision, Draft, OutcomeKind, Role, Send
from approvals.outcomes import add_fact
from approvals.oversight_report import Outbound, Period, Report, ReportRefused
from approvals.states import SendState
from approvals.transitions import drafts, sends
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM, record
from policies import switch
from tests.approvals.conftest import age, approve, person, retry, seen, sent
from tests.statements import statements

pytestmark = pytest.mark.django_db(transaction=True)
TODAY = date(2026, 11, 26)


def report(*mailboxes: Mailbox) -> Report:
    now = database_now()
    period = reports.period_of(None, None, today=now.date())
    return reports.oversight_report(mailboxes or list(Mailbox.objects.all()), period, made_at=now)


def left(*mailboxes: Mailbox) -> list[Outbound]:
    return [row for rows in reports.outbound_chunks(report(*mailboxes)) for row in rows]


def reject(draft: Draft, by: User) -> Decision:
    return decisions.reject(draft, person=by, seen=seen(draft), reason="No.", form_id=None)


@pytest.fixture
def without_person(routine_writes: Callable[..., Draft], mailbox: Mailbox) -> Draft:
    """A mail that left in an autonomous mailbox, whose mode was changed again afterwards."""
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    draft = routine_writes()
    assert dispatch.dispatch(draft.send.pk) == "posted"
    return draft


@pytest.mark.row("004-42", "004-47")
def test_a_mail_is_listed_with_who_decided_when_and_what_became_of_it(pending: Draft, alice: User) -> None:
    send = sent(pending, alice)
    address = send.decision.revision.recipients()[0]
    add_fact(send.pk, address=address, kind=OutcomeKind.DELIVERED, source="test")
    age(pending, arrived_at=timedelta(minutes=5))

    (row,) = left()

    attempt = Attempt.objects.get()
    assert (row.at, row.draft, row.mailbox) == (
        attempt.request_started_at,
        pending.public_id,
        "support@harbour.example",
    )
    assert (row.subject, row.mode, row.state) == ("Re: Where is my order?", "gated_send", "accepted")
    assert (row.decided_by, row.decider, row.is_edited) == ("person", "Alice", False)
    assert row.decision_seconds == pytest.approx(300, abs=60)
    assert [(one.field_name, one.email, one.kind) for one in row.recipients] == [("to", address, "delivered")]


@pytest.mark.row("004-47")
def test_a_mail_that_nobody_decided_names_the_mode_instead_of_a_person(without_person: Draft) -> None:
    (row,) = left()

    assert (row.decided_by, row.decider, row.mode) == ("mode", "Oversight mode autonomous", "autonomous")
    found = report()
    assert (found.mails.by_person, found.mails.by_mode, found.mails.without_person) == (0, 1, 1)
    assert found.ratios["decided_by_person"] == 0


@pytest.mark.row("004-47")
def test_the_mode_is_the_one_of_its_time_whatever_was_chosen_since(
    pending: Draft, mailbox: Mailbox, alice: User, olga: User
) -> None:
    sent(pending, alice)
    oversight.change_mode(mailbox.pk, to="read_only", seen="gated_send", person=olga, reason="A pause.")

    (row,) = left()

    assert row.mode == "gated_send"
    (change,) = report().mode_changes
    assert (change.before, change.after, change.person_name, change.reason) == (
        "gated_send",
        "read_only",
        "Olga",
        "A pause.",
    )


def test_a_wording_of_a_person_counts_as_edited(pending: Draft, alice: User) -> None:
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"body": "<p>On Friday.</p>"})
    sent(pending, alice)

    (row,) = left()

    found = report()
    assert row.is_edited
    assert (found.mails.edited, found.ratios["edited"]) == (1, 1)
    assert found.interventions["edited"] == 1


@pytest.mark.parametrize("as_sent", [True, False])
def test_a_mail_that_may_have_left_is_listed_and_stays_when_a_person_closes_it(
    pending: Draft, sandbox: Any, alice: User, olga: User, as_sent: bool
) -> None:
    sandbox.post("faults", route="send_message", action="reply", options={"status": 504})
    send = sent(pending, alice)
    assert send.state == SendState.UNKNOWN
    before = [(row.at, row.state) for row in left()]

    sends.close(send.pk, person=olga, as_sent=as_sent, reason="Asked the customer.")

    (row,) = left()
    assert before == [(row.at, "unknown")]
    assert row.state == ("closed_sent" if as_sent else "closed_not_sent")
    assert report().interventions["closed"] == 1


def test_a_mail_that_left_outside_this_desk_has_nobody_who_decided(pending: Draft, alice: User) -> None:
    send = approve(pending, alice)
    sends.found(send.pk, source="test", provider_message_id="elsewhere")

    (row,) = left()

    assert (row.decided_by, row.decider, row.decided_at, row.decision_seconds) == ("outside", "", None, None)
    assert report().mails == reports.Mails(outside=1)


def test_what_never_left_is_not_listed(agent_writes: Callable[..., Draft], sandbox: Any, alice: User) -> None:
    reject(agent_writes(), alice)
    approve(agent_writes(), alice)
    sandbox.post("faults", route="send_message", action="reply", options={"status": 400})
    failed = sent(agent_writes(), alice)

    assert failed.state not in reports.LEFT
    assert left() == []


def test_decisions_are_counted_by_mailbox_with_their_median_time(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    for seconds in (100, 400, 900, 200):
        draft = agent_writes()
        decision = reject(draft, alice)
        Draft.objects.filter(pk=draft.pk).update(arrived_at=decision.made_at - timedelta(seconds=seconds))
    other = Mailbox.objects.create(grant_id="other", address="other@harbour.example")

    found = report()

    assert found.decisions == reports.Decisions(rejected=4, median_seconds=300)
    assert [(one.mailbox, one.decisions) for one in found.of_mailboxes] == [
        (other, reports.Decisions()),
        (mailbox, found.decisions),
    ]
    assert found.ratios["rejected"] == 1


def test_what_happens_in_the_moment_of_the_report_is_in_it(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    reject(agent_writes(), alice)
    moment = Entry.objects.get(action="approvals.draft.rejected").at
    period = reports.period_of(None, None, today=moment.date())

    found = reports.oversight_report([mailbox], period, made_at=moment)

    assert (found.decisions.rejected, found.interventions["rejected"]) == (1, 1)


@pytest.mark.row("004-47")
def test_each_intervention_is_counted_under_its_name(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User, olga: User
) -> None:
    names = ("rejected", "returned", "cancelled", "expired", "undone", "changed", "judged")
    made = {name: agent_writes() for name in names}
    reject(made["rejected"], alice)
    decisions.request_changes(
        made["returned"], person=alice, seen=seen(made["returned"]), note="Shorter.", form_id=None
    )
    drafts.cancel(made["cancelled"].pk, person=olga, reason="All of it.")
    age(made["expired"], expires_at=timedelta(days=5))
    drafts.expire(made["expired"].pk)
    Mailbox.objects.update(undo_seconds=60)
    approve(made["undone"], alice)
    drafts.undo(made["undone"].pk, person=alice)
    approve(made["changed"], alice)
    drafts.withdraw(made["changed"].pk)
    retry(approve(made["judged"], alice))
    Send.objects.filter(draft=made["judged"]).update(not_before=F("queued_at"))
    retry(made["judged"].send)
    comparisons.compare(made["judged"].pk, person=alice, would_send=False, wrong_kind="fact")

    found = report()

    assert {name: count for name, count in found.interventions.items() if count} == {
        "rejected": 1,
        "changes_requested": 1,
        "cancelled": 1,
        "expired": 1,
        "undone": 1,
        "invalidated": 1,
        "judged_wrong": 1,
    }
    assert found.stopped == 6
    assert found.ratios["judged_wrong"] == 1


def test_a_stale_draft_is_counted(
    pending: Draft, customer_writes: Callable[..., Any], mailbox: Mailbox, alice: User
) -> None:
    send = approve(pending, alice)
    customer_writes(thread_id=pending.thread_id, body="Never mind.")
    assert dispatch.dispatch(send.pk) == "refused"

    found = report()

    assert found.interventions["stale"] == found.interventions["invalidated"] == 1
    assert found.stopped == 1


def test_mail_sent_past_the_desk_is_counted_and_the_draft_it_says_was_not_stopped(
    pending: Draft, sandbox: Any, mailbox: Mailbox, alice: User
) -> None:
    Mailbox.objects.update(undo_seconds=60)
    revision = approve(pending, alice).decision.revision
    sandbox.post(
        "mail-client",
        grant=mailbox.grant_id,
        to=revision.to,
        subject=revision.subject,
        body=revision.body,
        reply_to_message_id=pending.parent_message_id,
    )
    assert intake.poll(mailbox, configured_client()).troubles == []
    pending.refresh_from_db()
    assert pending.state == "sent_elsewhere"

    found = report()

    assert (found.interventions["sent_elsewhere"], found.stopped, found.mails.total) == (1, 0, 0)
    (stray,) = json.loads("".join(reports.json_parts(found)))["sent_elsewhere"]
    assert (stray["draft"], stray["acknowledged_by"]) == (str(pending.public_id), None)


def test_what_a_gate_refused_is_counted_by_gate(pending: Draft, mailbox: Mailbox, alice: User) -> None:
    send = approve(pending, alice)
    Mailbox.objects.filter(pk=mailbox.pk).update(is_enabled=False)
    assert dispatch.dispatch(send.pk) == "refused"

    found = report()

    assert found.gates == {"mailbox": 1}
    assert found.interventions["blocked_by_gate"] == 1


@pytest.mark.row("004-47")
def test_stops_of_every_scope_are_listed_with_who_why_and_how_long_they_took(
    mailbox: Mailbox, olga: User
) -> None:
    switchboard.stop(switch.GLOBAL, person=olga, reason="Wrong prices.")
    switchboard.stop("domain:rival.example", person=olga, reason="A rival.")
    switchboard.release(switch.GLOBAL, person=person("ada", Role.ADMIN), reason="Mended.")

    found = report()

    assert [(one.is_stop, one.scope, one.who, one.reason) for one in found.switch_events] == [
        (False, "global", "Ada", "Mended."),
        (True, "domain:rival.example", "Olga", "A rival."),
        (True, "global", "Olga", "Wrong prices."),
    ]
    assert [one.stop_seconds is None for one in found.switch_events] == [True, False, False]
    assert [one.is_drained for one in found.switch_events] == [None, True, True]
    assert found.stops == 2


def test_a_stop_that_the_desk_made_by_itself_names_the_limit(mailbox: Mailbox) -> None:
    def note() -> None:
        record(
            "policies.switch.tripped", actor=SYSTEM, mailbox_id=mailbox.pk, outcome="bounces", reason="3 of 4"
        )

    switchboard.stop_as(SYSTEM, mailbox.scope, reason="3 of 4 bounced.", within=note)

    (event,) = report().switch_events
    assert (event.who, event.cause, event.reason) == ("Countersign", "bounces", "3 of 4 bounced.")


def test_another_mailbox_s_stops_mails_and_modes_are_left_out(
    pending: Draft, mailbox: Mailbox, alice: User, olga: User
) -> None:
    sent(pending, alice)
    switchboard.stop(mailbox.scope, person=olga, reason="x")
    oversight.change_mode(mailbox.pk, to="read_only", seen="gated_send", person=olga)
    other = Mailbox.objects.create(grant_id="other", address="other@harbour.example")

    found = report(other)

    assert (found.mails.total, found.decisions.total, found.stopped) == (0, 0, 0)
    assert (found.switch_events, found.mode_changes, left(other)) == ([], [], [])
    assert not any(found.interventions.values())


def test_what_is_older_or_younger_than_the_period_is_left_out(pending: Draft, alice: User) -> None:
    send = sent(pending, alice)
    now = database_now()
    yesterday = now.date() - timedelta(days=1)
    before = reports.oversight_report([send.mailbox], Period(yesterday, yesterday), made_at=now)

    assert (before.mails.total, before.decisions.total) == (0, 0)
    assert list(reports.outbound_chunks(before)) == []


def test_the_days_say_how_many_left_and_were_stopped(agent_writes: Callable[..., Draft], alice: User) -> None:
    sent(agent_writes(), alice)
    reject(agent_writes(), alice)

    found = report()

    assert len(found.days) == 30
    today = found.days[-1]
    assert (today.day, today.by_person, today.without_person, today.stopped) == (found.period.last, 1, 0, 1)
    assert sum(day.by_person + day.without_person for day in found.days) == found.mails.total


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, (date(2026, 10, 28), TODAY)),
        (None, date(2026, 3, 1), (date(2026, 1, 31), date(2026, 3, 1))),
        (date(2026, 11, 1), None, (date(2026, 11, 1), TODAY)),
        (date(2025, 11, 26), None, (date(2025, 11, 26), TODAY)),
    ],
)
def test_a_period_has_30_days_unless_both_ends_are_given(
    first: date | None, last: date | None, expected: tuple[date, date]
) -> None:
    found = reports.period_of(first, last, today=TODAY)

    assert (found.first, found.last) == expected
    assert found.begins == datetime.combine(expected[0], datetime.min.time(), UTC)


@pytest.mark.parametrize(
    ("first", "last", "field", "said"),
    [
        (date(2025, 11, 25), None, "from", "366 days at most"),
        (date(2026, 11, 2), date(2026, 11, 1), "from", "not after to"),
        (None, date(2026, 11, 27), "to", "2026-11-26 at the latest"),
        (date(1999, 12, 31), date(2000, 1, 2), "from", "2000-01-01 at the earliest"),
        (None, date(1, 1, 1), "to", "2000-01-01 at the earliest"),
    ],
)
def test_a_period_that_cannot_be_is_refused_at_its_field_with_the_limit(
    first: date | None, last: date | None, field: str, said: str
) -> None:
    with pytest.raises(ReportRefused, match=said) as refusal:
        reports.period_of(first, last, today=TODAY)

    assert refusal.value.field == field


@pytest.mark.row("004-47")
def test_the_file_is_one_json_object_with_the_numbers_of_the_report_and_every_mail(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    for subject in ("First “quoted”", "Second </script>", "Third"):
        sent(agent_writes(subject=subject), alice)
    found = report()

    read = json.loads("".join(reports.json_parts(found)))

    facts = {name: value for name, value in read.items() if name not in ("mails", "sent_elsewhere")}
    assert facts == json.loads(json.dumps(found.to_json()))
    assert [mail["subject"] for mail in read["mails"]] == ["Third", "Second </script>", "First “quoted”"]
    assert read["mails"][0]["decided_by"] == {"kind": "person", "name": "Alice"}
    assert read["outbound"]["total"] == len(read["mails"]) == 3


def test_a_report_without_mails_is_valid_json(mailbox: Mailbox) -> None:
    assert json.loads("".join(reports.json_parts(report())))["mails"] == []


def test_pages_lose_and_double_nothing(agent_writes: Callable[..., Draft], alice: User) -> None:
    for _ in range(4):
        sent(agent_writes(), alice)
    found = report()
    wanted = [row.send_id for row in left()]

    seen_ids, after = [], None
    for _ in range(4):
        rows, _following = reports.outbound_page(found, after)
        seen_ids.append(rows[0].send_id)
        after = (rows[0].at, rows[0].send_id)

    assert seen_ids == wanted
    assert reports.outbound_page(found, after) == ([], None)


@pytest.mark.parametrize("count", [1, 3])
def test_the_report_and_its_mails_ask_the_database_equally_often_for_one_mail_and_three(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User, olga: User, count: int
) -> None:
    for number in range(count):
        sent(agent_writes(), alice)
        reject(agent_writes(), alice)
        switchboard.stop(mailbox.scope, person=olga, reason=str(number))
        switchboard.release(mailbox.scope, person=olga, reason=str(number))
    now = database_now()
    period = reports.period_of(None, None, today=now.date())

    with statements() as asked:
        found = reports.oversight_report([mailbox], period, made_at=now)
        list(reports.outbound_chunks(found))

    assert len(asked) == 14
