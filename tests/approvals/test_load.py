"""How full the queue is, what of it arrives and is decided, and which approvals were sooner than a text can be read."""

import uuid
from datetime import timedelta

import pytest

from approvals import category_evidence, estimates, load, review_speed
from approvals.models import Decision, Draft, Revision
from approvals.states import DraftState
from approvals.transitions import drafts
from audit.clock import database_now
from policies.evidence import Share
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return scenes.mailbox(expiry_hours=10)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Lind")


@pytest.fixture
def now():
    return database_now()


def arrived(draft, at):
    Draft.objects.filter(pk=draft.pk).update(
        arrived_at=at, expires_at=at + (draft.expires_at - draft.arrived_at)
    )
    Revision.objects.filter(draft=draft).update(created_at=at)
    return draft


def approved(box, person, *, arrived_at, made_at, **fields):
    draft = arrived(scenes.draft(box, **fields), arrived_at)
    Draft.objects.filter(pk=draft.pk).update(expires_at=database_now() + timedelta(hours=1))
    sends.queued(draft, person)
    Decision.objects.filter(draft=draft).update(made_at=made_at)
    return draft


def in_a_row(box, person, count, *, seconds, until, **fields):
    """Approvals of drafts that waited for hours, so many seconds apart."""
    for number in range(count):
        at = until - timedelta(seconds=seconds * (count - number))
        approved(box, person, arrived_at=until - timedelta(hours=9), made_at=at, **fields)


def of_reviewers(person, now):
    return {one.name: (one.quick, one.is_unusual) for one in review_speed.speed(person, now).reviewers}


def test_a_queue_is_overfull_from_the_number_of_the_setting_on(box, mara, now, settings):
    settings.QUEUE_FULL_DRAFTS = 3
    scenes.draft(box)
    scenes.draft(box)

    assert not load.fullness(mara, now).is_overfull
    scenes.draft(box)
    assert load.fullness(mara, now) == load.Fullness(is_long=True, is_old=False)


@pytest.mark.parametrize(("hours", "is_old"), [(4.9, False), (5.1, True)])
def test_a_queue_is_overfull_when_a_draft_waited_for_half_of_its_time(box, mara, now, hours, is_old):
    scenes.draft(box)
    arrived(scenes.draft(box), now - timedelta(hours=hours))

    assert load.fullness(mara, now) == load.Fullness(is_long=False, is_old=is_old)


def test_drafts_of_other_mailboxes_and_decided_ones_do_not_fill_the_queue(box, mara, now, settings):
    settings.QUEUE_FULL_DRAFTS = 1
    other = scenes.mailbox("sales@example.com", expiry_hours=10)
    arrived(scenes.draft(other), now - timedelta(hours=9))
    approved(box, mara, arrived_at=now - timedelta(hours=9), made_at=now)

    assert not load.fullness(mara, now).is_overfull


def test_what_waits_is_counted_by_mailbox(box, mara, now):
    arrived(scenes.draft(box), now - timedelta(hours=2))
    scenes.draft(box)
    scenes.mailbox("sales@example.com")

    [row] = load.waiting(mara)

    assert (row.mailbox, row.pending, row.oldest_at) == (box, 2, now - timedelta(hours=2))
    assert row.review_time == estimates.review_time(box)


def test_arrivals_and_decisions_are_counted_in_the_hour_of_each(box, mara, now):
    approved(box, mara, arrived_at=now - timedelta(hours=23, minutes=59), made_at=now - timedelta(minutes=61))
    arrived(scenes.draft(box), now - timedelta(hours=24, minutes=1))
    arrived(scenes.draft(box), now - timedelta(minutes=1))

    hours = load.by_hour(mara, now, 2)

    assert [hour.arrived for hour in hours] == [1, *[0] * 22, 1]
    assert [hour.decided for hour in hours] == [*[0] * 22, 1, 0]
    assert hours[0].since == now - timedelta(hours=24)


def test_what_waited_is_counted_back_from_now(box, mara, now):
    approved(
        box,
        mara,
        arrived_at=now - timedelta(hours=5, minutes=30),
        made_at=now - timedelta(hours=2, minutes=30),
    )
    lost = arrived(scenes.draft(box), now - timedelta(hours=30))
    Draft.objects.filter(pk=lost.pk).update(
        state=DraftState.EXPIRED, state_changed_at=now - timedelta(hours=4, minutes=30)
    )
    arrived(scenes.draft(box), now - timedelta(minutes=30))

    hours = load.by_hour(mara, now, 1)

    assert [hour.waiting for hour in hours] == [*[1] * 18, 2, 1, 1, 0, 0, 1]


def test_the_pace_is_that_of_the_hours_in_which_people_decided(box, mara, now):
    for minutes in (10, 20, 30, 130):
        approved(box, mara, arrived_at=now - timedelta(hours=3), made_at=now - timedelta(minutes=minutes))
    for _ in range(5):
        arrived(scenes.draft(box), now - timedelta(minutes=1))

    found = load.capacity(mara, load.by_hour(mara, now, 5), now)

    assert (found.pace, found.hours_to_empty) == (2.0, 2.5)
    assert (found.deciders, found.can_clear, found.is_short) == (1, load.REVIEWS_A_DAY, False)


def test_without_a_decision_there_is_no_pace_and_no_end(box, mara, now):
    arrived(scenes.draft(box), now - timedelta(minutes=1))

    found = load.capacity(mara, load.by_hour(mara, now, 1), now)

    assert (found.pace, found.hours_to_empty, found.can_clear) == (None, None, 0)
    assert found.is_short


def test_the_times_of_several_mailboxes_are_those_of_each(box, mara, now):
    other = scenes.mailbox("sales@example.com")
    omar = scenes.person("omar", "reviewer", other)
    for minutes in (1, 2, 3, 40, 50):
        approved(box, mara, arrived_at=now - timedelta(minutes=minutes), made_at=now)
        approved(other, omar, arrived_at=now - timedelta(minutes=2 * minutes), made_at=now)
    third = scenes.mailbox("orders@example.com")

    found = estimates.review_times([box.pk, other.pk, third.pk])

    assert found == {one.pk: estimates.review_time(one) for one in (box, other, third)}
    assert [found[one.pk].seconds for one in (box, other, third)] == [180, 360, None]


def test_only_the_latest_decisions_of_a_mailbox_tell_its_time(box, mara, now, monkeypatch):
    monkeypatch.setattr(estimates, "LATEST", 5)
    for number in range(8):
        at = now - timedelta(days=number)
        waited = timedelta(minutes=10 if number < 5 else 500)
        approved(box, mara, arrived_at=at - waited, made_at=at)

    assert estimates.review_times([box.pk])[box.pk].seconds == 600


@pytest.mark.parametrize(("characters", "seconds"), [(0, 2.0), (100, 4.0), (1400, 30.0), (1_000_000, 30.0)])
def test_the_time_to_read_grows_with_the_text_up_to_a_limit(characters, seconds):
    assert review_speed.reading_seconds(characters) == seconds


@pytest.mark.parametrize(("seconds", "quick"), [(3, 1), (5, 0)])
def test_an_approval_right_after_the_arrival_is_quick(box, mara, now, seconds, quick):
    approved(box, mara, arrived_at=now - timedelta(seconds=seconds), made_at=now, body="x" * 100)

    assert review_speed.speed(mara, now).quick == Share(quick, 1)


def test_approvals_one_after_the_other_are_quick_from_the_second_on(box, mara, now):
    in_a_row(box, mara, 4, seconds=1, until=now)

    assert review_speed.speed(mara, now).quick == Share(3, 4)


def test_the_decisions_of_somebody_else_leave_time_to_read(box, mara, now):
    omar = scenes.person("omar", "reviewer", box)
    in_a_row(box, mara, 1, seconds=2, until=now)
    in_a_row(box, omar, 1, seconds=1, until=now)

    assert review_speed.speed(mara, now).quick == Share(0, 2)


def test_an_approval_that_was_taken_back_and_one_of_the_own_wording_do_not_count(box, mara, now):
    in_a_row(box, mara, 2, seconds=1, until=now)
    drafts.undo(Decision.objects.latest("made_at").draft_id, person=mara)
    own = scenes.draft(box)
    drafts.edit(own.pk, person=mara, seen=scenes.seen(own), content=scenes.content(box, body="Mine."))
    sends.queued(own, mara)

    assert review_speed.speed(mara, now).quick == Share(0, 1)


def test_a_rejection_is_no_approval(box, mara, now):
    draft = scenes.draft(box)
    drafts.reject(draft.pk, person=mara, seen=scenes.seen(draft), reason="No.", form_id=uuid.uuid4())

    assert review_speed.speed(mara, now).quick == Share(0, 0)


def test_approvals_of_another_week_and_another_mailbox_do_not_count(box, mara, now):
    other = scenes.mailbox("sales@example.com")
    omar = scenes.person("omar", "reviewer", other)
    in_a_row(box, mara, 2, seconds=1, until=now - timedelta(days=8))
    in_a_row(other, omar, 2, seconds=1, until=now)

    assert review_speed.speed(mara, now).quick == Share(0, 0)


def test_reviewers_are_named_to_those_with_the_right_only(box, mara, now):
    in_a_row(box, mara, 2, seconds=1, until=now)
    ines = scenes.person("ines", "auditor", box)
    olga = scenes.person("olga", "operator", box)

    assert of_reviewers(ines, now) == {"Mara Lind": (Share(1, 2), False)}
    for person in (mara, olga):
        found = review_speed.speed(person, now)
        assert (found.quick, found.names_people) == (Share(1, 2), False)
        assert (found.reviewers, found.examples) == ([], [])


def test_an_auditor_of_one_mailbox_gets_names_of_that_one_only(box, mara, now):
    other = scenes.mailbox("sales@example.com")
    omar = scenes.person("omar", "reviewer", other)
    in_a_row(box, mara, 1, seconds=1, until=now)
    in_a_row(other, omar, 2, seconds=1, until=now)
    both = scenes.person("both", "auditor", box)
    scenes.Membership.objects.create(user=both, role="reviewer", mailbox=other)

    found = review_speed.speed(both, now)

    assert found.quick == Share(1, 3)
    assert [one.name for one in found.reviewers] == ["Mara Lind"]
    assert found.examples == []


def test_a_share_far_above_that_of_the_others_is_unusual(box, mara, now):
    ada = scenes.person("ada", "admin")
    omar = scenes.person("omar", "reviewer", box)
    in_a_row(box, mara, review_speed.NEEDED, seconds=1, until=now)
    in_a_row(box, omar, review_speed.NEEDED, seconds=120, until=now)

    assert of_reviewers(ada, now) == {
        "Mara Lind": (Share(19, 20), True),
        "omar": (Share(0, 20), False),
    }
    assert review_speed.speed(ada, now).examples[0].name == "Mara Lind"


def test_nobody_is_unusual_where_all_are_alike(box, mara, now):
    ada = scenes.person("ada", "admin")
    omar = scenes.person("omar", "reviewer", box)
    for person in (mara, omar):
        in_a_row(box, person, review_speed.NEEDED, seconds=1, until=now)

    assert not any(is_unusual for _share, is_unusual in of_reviewers(ada, now).values())


def evidence(untouched, approved_count, *, wrong=0, days=30):
    return category_evidence.CategoryEvidence(Share(untouched, approved_count), approved_count, wrong, days)


def test_the_routine_categories_with_the_best_record_come_first():
    record = {
        "shipping_status": evidence(90, 100),
        "order_confirmation": evidence(99, 100),
        "invoice_copy": evidence(100, 100, wrong=3),
        "money": evidence(500, 500),
        "": evidence(100, 100),
    }

    found = category_evidence.candidates(record)

    assert [one.category.key for one in found] == ["order_confirmation", "shipping_status", "invoice_copy"]
    assert [one.evidence.suggests_auto for one in found] == [True, True, False]
