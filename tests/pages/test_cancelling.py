"""Cancelling all that waits in a mailbox, with its count and a confirmation."""

from datetime import timedelta

import pytest
from django.db.models.signals import post_save
from django.urls import reverse

from approvals import cancelling
from approvals.models import Decision, Draft, Membership
from approvals.transitions import drafts
from audit.clock import database_now
from audit.models import Entry
from tests.pages import scenes, sends
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def olga(box):
    return scenes.person("olga", "operator", box, name="Olga Operator")


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


def address(box):
    return reverse("approvals:cancel_all", args=[box.public_id])


def submitted(person, box, **fields):
    return browser(person).post(
        address(box), {"count": "3", "reason": "The agent learnt wrong prices."} | fields, follow=True
    )


def states():
    return list(Draft.objects.order_by("pk").values_list("state", flat=True))


@pytest.mark.row("004-38")
def test_all_that_waits_is_rejected_one_by_one_in_the_persons_name(box, olga):
    for _ in range(3):
        scenes.draft(box)

    page = browser(olga).page(address(box))
    assert "3 drafts wait in this mailbox." in page.text()
    response = submitted(olga, box)

    assert "3 drafts were cancelled." in response.content.decode()
    assert states() == ["rejected"] * 3
    assert set(Decision.objects.values_list("person__username", "reason")) == {
        ("olga", "The agent learnt wrong prices.")
    }
    assert Entry.objects.filter(action="approvals.draft.cancelled", actor_id=str(olga.pk)).count() == 3


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"count": "2"}, 409), ({"count": ""}, 422), ({"count": "three"}, 422), ({"reason": " "}, 422)],
    ids=["another_number", "no_number", "no_digits", "no_reason"],
)
def test_without_the_right_number_and_a_reason_nothing_is_cancelled(box, olga, fields, status):
    for _ in range(3):
        scenes.draft(box)

    response = submitted(olga, box, **fields)

    assert response.status_code == status
    assert states() == ["pending"] * 3


def test_approved_mail_and_other_mailboxes_are_not_touched(box, olga, mara):
    sends.queued(scenes.draft(box), mara)
    scenes.draft(box)
    scenes.draft(scenes.mailbox("other@example.com"))

    submitted(olga, box, count="1")

    assert states() == ["approved", "rejected", "pending"]


def test_a_draft_whose_changes_were_requested_is_cancelled_too(box, olga, mara):
    draft = scenes.draft(box)
    drafts.request_changes(draft.pk, person=mara, seen=scenes.seen(draft), note="Shorter", form_id=None)

    submitted(olga, box, count="1")

    assert states() == ["rejected"]


def test_a_draft_that_was_decided_meanwhile_is_left_alone(box, olga, mara):
    draft = scenes.draft(box)
    drafts.reject(draft.pk, person=mara, seen=scenes.seen(draft), reason="No", form_id=None)

    assert drafts.cancel(draft.pk, person=olga, reason="All") is False
    assert Decision.objects.get().person == mara


@pytest.mark.row("004-39")
def test_a_draft_whose_time_is_over_is_left_to_expire(box, olga):
    draft = scenes.draft(box)
    Draft.objects.filter(pk=draft.pk).update(expires_at=database_now() - timedelta(seconds=1))

    assert "Nothing waits in this mailbox." in browser(olga).page(address(box)).text()
    assert drafts.cancel(draft.pk, person=olga, reason="All") is False
    assert drafts.expire(draft.pk)
    assert states() == ["expired"]
    assert not Decision.objects.exists()


def test_a_right_that_is_lost_on_the_way_stops_and_says_how_many_were_cancelled(box, olga):
    for _ in range(3):
        scenes.draft(box)

    def revoke(**_kwargs):
        Membership.objects.filter(user=olga).update(role="auditor")

    post_save.connect(revoke, sender=Decision)
    try:
        response = submitted(olga, box)
    finally:
        post_save.disconnect(revoke, sender=Decision)

    assert response.status_code == 403
    assert "1 draft was cancelled before it stopped." in response.content.decode()
    assert "Nothing was cancelled." not in response.content.decode()
    assert states() == ["rejected", "pending", "pending"]


def test_many_are_cancelled_in_steps(box, olga):
    for _ in range(3):
        scenes.draft(box)

    done = cancelling.cancel_all(box, person=olga, confirmed=3, reason="Wrong prices", at_once=2)

    assert (done.cancelled, done.left_alone, done.remaining) == (2, 0, 1)
    assert sorted(states()) == ["pending", "rejected", "rejected"]
    assert "1 draft waits in this mailbox." in browser(olga).page(address(box)).text()


@pytest.mark.parametrize(
    ("role", "status"), [("reviewer", 403), ("auditor", 403), ("operator", 200), ("admin", 200)]
)
def test_operators_and_admins_cancel(box, role, status):
    boxes = () if role == "admin" else (box,)
    person = scenes.person("somebody", role, *boxes)

    assert browser(person).get(address(box)).status_code == status


def test_a_foreign_mailbox_does_not_exist(box):
    eve = scenes.person("eve", "operator", scenes.mailbox("other@example.com"))

    assert browser(eve).get(address(box)).status_code == 404
