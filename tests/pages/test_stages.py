"""Held mail that is resumed in stages, and the proof of each stop."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db.models import F

from approvals import proof, stages, sweeps, switchboard
from approvals.models import Attempt, Decision, Send, StagedRelease
from approvals.transitions import sends as transitions
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import switch
from tests.pages import scenes, sends
from tests.pages.pages import browser
from tests.pages.test_gate_order import BODY, REFUSALS

pytestmark = pytest.mark.django_db
PAGE = "/operations/stages/"


@pytest.fixture(autouse=True)
def unlimited():
    cache.clear()


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def olga():
    return scenes.person("olga", "operator", name="Olga Operator")


def held(box, person, count):
    """Sends that wait behind a stop that is over."""
    switchboard.stop_as(SYSTEM, box.scope, reason="wrong prices")
    found = [sends.queued(scenes.draft(box), person) for _ in range(count)]
    switchboard.release_as(SYSTEM, box.scope, reason="mended")
    return found


def begun(olga, box, **fields):
    values = {"scope": box.scope, "count": "100", "per_hour": "60", "password": scenes.PASSWORD} | fields
    return browser(olga).submit(PAGE, values)


def due_again():
    StagedRelease.objects.update(next_at=database_now())


def still_held():
    return Send.objects.exclude(held="").count()


@pytest.mark.row("K31")
def test_the_oldest_held_mail_is_resumed_first_and_a_step_at_a_time(box, mara, olga):
    first, *_others = held(box, mara, 3)
    browser(olga).post(
        PAGE, {"scope": box.scope, "count": "3", "per_hour": "60", "password": scenes.PASSWORD}
    )

    assert stages.advance_all() == 1

    first.refresh_from_db()
    assert first.held == ""
    assert still_held() == 2
    assert stages.advance_all() == 0, "the next step is not due yet"


def test_it_ends_when_all_were_resumed_and_says_so(box, mara, olga):
    held(box, mara, 2)
    stages.start(box.scope, person=olga, per_hour=3600, count=10)

    stages.advance_all()

    release = StagedRelease.objects.get()
    assert (release.resumed, release.total) == (2, 2)
    assert release.ended_at is not None
    assert "All of them were resumed." in browser(olga).page(PAGE).text()
    assert Entry.objects.filter(action="approvals.stages.ended").count() == 1


def wait(one, minutes):
    """Move the ends of an approval into the past, which to the desk is the same as waiting."""
    by = timedelta(minutes=minutes)
    Decision.objects.filter(pk=one.decision_id).update(valid_until=F("valid_until") - by)
    Send.objects.filter(pk=one.pk).update(valid_until=F("valid_until") - by)


@pytest.mark.row("K31")
def test_an_approval_does_not_run_out_before_its_turn(box, mara, olga):
    first, second, not_asked_for = held(box, mara, 3)
    stages.start(box.scope, person=olga, per_hour=1, count=2)

    for one in (first, second, not_asked_for):
        wait(one, minutes=100)
    sweeps.run_out_approvals()

    waiting = Send.objects.filter(state="queued").values_list("pk", flat=True)
    assert list(waiting) == [second.pk]


def test_an_approval_that_ran_out_during_the_stop_is_not_revived(box, mara, olga):
    (late,) = held(box, mara, 1)
    wait(late, minutes=31)

    stages.start(box.scope, person=olga, per_hour=1, count=1)
    sweeps.run_out_approvals()

    late.refresh_from_db()
    assert (late.state, late.draft.state) == ("stopped", "pending")


def test_no_more_than_asked_for_is_resumed(box, mara, olga):
    held(box, mara, 3)
    stages.start(box.scope, person=olga, per_hour=3600, count=2)

    stages.advance_all()

    assert still_held() == 1


def test_a_new_stop_ends_it_and_the_rest_stays_held(box, mara, olga):
    held(box, mara, 2)
    stages.start(box.scope, person=olga, per_hour=60, count=2)
    stages.advance_all()
    switchboard.stop_as(SYSTEM, box.scope, reason="again")
    due_again()

    stages.advance_all()

    assert still_held() == 2
    assert "again" in StagedRelease.objects.get().end_reason


def test_a_person_ends_it_and_the_rest_stays_held(box, mara, olga):
    held(box, mara, 2)
    release = stages.start(box.scope, person=olga, per_hour=60, count=2)
    stages.advance_all()

    browser(mara).post(f"{PAGE}{release.pk}/end/")
    due_again()

    assert stages.advance_all() == 0
    assert still_held() == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"per_hour": "0"}, "greater than or equal to 1"),
        ({"per_hour": "3601"}, "less than or equal to 3600"),
        ({"count": "0"}, "greater than or equal to 1"),
        ({"scope": "mailbox:999"}, "Select a valid choice"),
        ({"password": "wrong"}, "password"),
    ],
    ids=["slow", "fast", "none", "foreign", "password"],
)
def test_what_cannot_be_begun_is_told_at_its_field(box, mara, olga, fields, told):
    held(box, mara, 1)

    page = begun(olga, box, **fields)

    assert page.status == 422
    assert told in page.text()
    assert not StagedRelease.objects.exists()


def test_one_scope_is_resumed_once_at_a_time(box, mara, olga):
    held(box, mara, 2)
    stages.start(box.scope, person=olga, per_hour=60, count=2)

    page = begun(olga, box)

    assert page.status == 409
    assert "in stages there already" in page.text()


@pytest.mark.parametrize(("who", "status"), [("mara", 403), ("olga", 200)])
def test_only_who_may_resume_opens_the_stages(request, box, who, status):
    assert browser(request.getfixturevalue(who)).get(PAGE).status_code == status


def test_a_release_of_a_foreign_mailbox_does_not_exist(box, mara, olga):
    held(box, mara, 1)
    release = stages.start(box.scope, person=olga, per_hour=60, count=1)
    eve = scenes.person("eve", "operator", scenes.mailbox("other@example.com"))

    assert browser(eve).post(f"{PAGE}{release.pk}/end/").status_code == 404


@pytest.mark.row("000-33", "K24")
def test_the_proof_names_what_was_under_way_and_counts_what_began_after(box, mara, olga):
    claim = sends.dispatched(scenes.draft(box, subject="Re: Under way"), mara)
    switchboard.stop_as(SYSTEM, switch.GLOBAL, reason="wrong prices")

    [stop] = proof.stops(olga)

    assert [one.pk for one in stop.in_flight] == [claim.attempt.pk]
    assert stop.begun_after == 0
    assert stop.waited_seconds is not None
    page = browser(olga).page("/policies/switch/")
    assert "Re: Under way" in page.text()
    assert "wrong prices" in page.text()


def test_the_picture_of_a_stop_is_labelled_though_nothing_was_under_way(box, olga):
    switchboard.stop_as(SYSTEM, switch.GLOBAL, reason="wrong prices")

    page = browser(olga).page("/policies/switch/")

    [axis], [legend] = page.classed("proof__axis"), page.classed("legend")
    assert re.fullmatch(r"0 s ?\d\.\d{3} s after the stop", page.text(axis))
    assert [page.text(entry) for entry in legend.iter("li")] == ["the stop", "nothing under way any more"]


def test_a_send_that_began_after_a_stop_would_be_shown(box, mara, olga):
    claim = sends.dispatched(scenes.draft(box), mara)
    switchboard.stop_as(SYSTEM, switch.GLOBAL, reason="wrong prices")
    late = database_now() + timedelta(seconds=1)
    Attempt.objects.filter(pk=claim.attempt.pk).update(request_started_at=late)

    [stop] = proof.stops(olga)

    assert stop.begun_after == 1
    assert "1 send" in browser(olga).page("/policies/switch/").text()


def test_stops_of_a_foreign_mailbox_are_not_in_the_proof(box):
    other = scenes.mailbox("other@example.com")
    switchboard.stop_as(SYSTEM, other.scope, reason="theirs")
    dave = scenes.person("dave", "auditor", box)

    assert proof.stops(dave) == []


@pytest.mark.parametrize(("role", "status"), [("reviewer", 403), ("auditor", 200), ("operator", 200)])
def test_the_proof_is_for_those_who_audit_or_resume(box, role, status):
    person = scenes.person("somebody", role, box)

    assert browser(person).get("/policies/switch/").status_code == status


@pytest.mark.row("K31")
@pytest.mark.parametrize("gate", ["decision", "recipients", "rules", "tier", "fresh", "caps"])
def test_what_was_held_is_asked_everything_again_before_it_leaves(box, mara, olga, settings, gate):
    switchboard.stop_as(SYSTEM, box.scope, reason="wrong prices")
    send = sends.queued(scenes.draft_in_thread(box, body=BODY), mara)
    switchboard.release_as(SYSTEM, box.scope, reason="mended")
    REFUSALS[gate](send, settings)
    stages.start(box.scope, person=olga, per_hour=60, count=1)
    stages.advance_all()

    refusal = transitions.claim(
        send.pk,
        decision_id=send.decision_id,
        transport=box.transport,
        look=None if gate == "fresh" else sends.look_at(send.draft),
        trouble="",
        worker="worker-1",
    )

    assert isinstance(refusal, transitions.Refusal)
    assert refusal.verdict.gate == gate
