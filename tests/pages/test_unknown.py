from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import cache

from approvals.dispatch import lock_name
from approvals.models import Attempt, Lookup, Send
from approvals.transitions import sends as transitions
from audit.models import Entry
from policies import locks
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unlimited():
    # How often a password may be tried is remembered by user id, which the next test gives to somebody else.
    cache.clear()


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def ines(box):
    return scenes.person("ines", "operator", box, name="Ines Duarte")


@pytest.fixture
def send(box, mara):
    return sends.unknown(scenes.draft_in_thread(box, subject="Re: Two plates"), mara)


def page(person, send=None, status=200):
    response = sends.signed_in(person).get(f"/unknown/{send.draft.public_id}/" if send else "/unknown/")
    assert response.status_code == status
    return sends.words(response)


def post(actor, send, way, **fields):
    return sends.signed_in(actor).post(f"/unknown/{send.draft.public_id}/{way}/", fields)


def resend(actor, send, **changes):
    fields = {"reason": "They rang: nothing came.", "confirmation": "RESEND", "password": scenes.PASSWORD}
    return post(actor, send, "resend", **(fields | changes))


def older(send, **age):
    Attempt.objects.filter(send=send).update(
        request_started_at=send.attempts.get().request_started_at - timedelta(**age)
    )


def test_every_source_asked_is_shown_with_what_it_said(mara, send):
    Lookup.objects.create(
        send=send,
        round=1,
        source="metadata",
        asked_at=send.state_changed_at,
        found=False,
        said="No message of the mailbox carries the token.",
    )

    for shown in (page(mara), page(mara, send)):
        assert "Search by token" in shown
        assert "No message of the mailbox carries the token." in shown
        assert "Next look" in shown


def test_an_attempt_is_shown_with_the_class_of_its_reply(mara, send):
    shown = page(mara, send)

    assert "The provider gave no complete reply." in shown
    assert "ambiguous" in shown


def test_what_waits_for_it_in_the_thread_is_named(box, mara, send):
    draft = scenes.draft(box, messages=list(box.messages.all()), subject="Re: The other answer")
    sends.queued(draft, mara)

    assert "Re: The other answer" in page(mara)
    assert "Re: The other answer" in page(mara, send)


def test_taking_it_as_sent_closes_it_with_name_and_reason(ines, send):
    response = post(ines, send, "sent", reason="Priya thanked us.")

    assert response.status_code == 302
    send.refresh_from_db()
    assert send.state == "closed_sent"
    entry = Entry.objects.get(action="approvals.send.closed_sent")
    assert (entry.actor_name, entry.reason) == ("Ines Duarte", "Priya thanked us.")


def test_taking_it_as_not_sent_closes_it(ines, send):
    post(ines, send, "not-sent", reason="Priya rang.")

    send.refresh_from_db()
    assert send.state == "closed_not_sent"


def test_each_way_out_needs_its_reason(ines, send):
    for way in ("sent", "not-sent"):
        response = post(ines, send, way, reason="")
        assert response.status_code == 422
        assert "Say in a sentence what you know" in sends.words(response)
    send.refresh_from_db()
    assert send.state == "unknown"


def test_the_second_to_settle_it_is_told_what_became_of_it(ines, send):
    post(ines, send, "sent", reason="Priya thanked us.")

    response = post(ines, send, "not-sent", reason="Priya rang.")

    assert response.status_code == 409
    assert "no longer unknown" in sends.words(response)


def test_a_resend_needs_the_typed_word_the_reason_and_the_password(ines, send):
    response = resend(ines, send, reason="", confirmation="resend", password="wrong")

    shown = sends.words(response)
    assert response.status_code == 422
    assert "Type the word RESEND in capitals" in shown
    assert "That is not your password" in shown
    assert "Say in a sentence why" in shown
    send.refresh_from_db()
    assert send.resend_at is None


def test_a_confirmed_resend_is_authorised_once_with_the_name_of_its_person(ines, send):
    response = resend(ines, send)

    assert response.status_code == 302
    send.refresh_from_db()
    assert send.resend_by == ines
    assert "Ines Duarte" in page(ines, send)
    assert resend(ines, send).status_code == 409


def test_a_send_that_was_found_before_it_was_looked_for_keeps_its_page(ines, send):
    transitions.found(send.pk, source="events", provider_message_id="found-1")

    assert "It was found: the mail left." in page(ines, send)


def test_a_password_given_again_within_ten_minutes_is_not_asked_for(ines, send):
    client = sends.signed_in(ines)
    address = f"/unknown/{send.draft.public_id}/resend/"
    client.post(address, {"reason": "", "confirmation": "RESEND", "password": scenes.PASSWORD})

    response = client.post(address, {"reason": "They rang.", "confirmation": "RESEND"})

    assert response.status_code == 302


def test_a_resend_within_the_hour_of_the_key_has_no_red_warning(ines, send):
    assert "A second copy is possible" not in page(ines, send)


def test_a_resend_after_fifty_five_minutes_warns_of_a_second_copy(ines, send):
    older(send, minutes=56)

    assert "A second copy is possible" in page(ines, send)


def test_a_reviewer_sees_the_evidence_and_cannot_settle_it(mara, send):
    assert "Operators of this mailbox settle it." in page(mara, send)
    for way in ("sent", "not-sent", "resend"):
        assert post(mara, send, way, reason="Mine").status_code == 403


def test_a_foreign_unknown_send_does_not_exist(send):
    stranger = scenes.person("stranger", "operator", scenes.mailbox("sales@example.com"))

    assert "Re: Two plates" not in page(stranger)
    page(stranger, send, status=404)
    assert post(stranger, send, "sent", reason="Mine").status_code == 404


def test_a_send_that_was_never_in_doubt_has_no_page_here(box, mara):
    accepted = sends.accepted(scenes.draft(box), mara)

    page(mara, accepted, status=404)


def test_a_stalled_worker_is_named_and_no_resend_is_offered(box, mara, ines):
    claim = sends.dispatched(scenes.draft(box, subject="Re: Hanging"), mara)
    Send.objects.filter(pk=claim.send.pk).update(
        state_changed_at=claim.send.state_changed_at - timedelta(seconds=settings.SEND_FENCE_SECONDS + 1)
    )

    with locks.hold(lock_name(claim.send.pk)):
        shown = page(ines)

    assert "Worker stalled" in shown
    assert "Re: Hanging" in shown
    assert resend(ines, claim.send).status_code == 404


def test_a_send_under_way_for_too_long_without_a_worker_says_that_it_is_gone(box, mara, ines):
    claim = sends.dispatched(scenes.draft(box), mara)
    Send.objects.filter(pk=claim.send.pk).update(
        state_changed_at=claim.send.state_changed_at - timedelta(seconds=settings.SEND_FENCE_SECONDS + 1)
    )

    assert "Worker gone" in page(ines)


@pytest.mark.parametrize("count", [1, 3])
def test_unknown_asks_the_database_equally_often_for_one_row_and_three(box, mara, count):
    for _ in range(count):
        sends.unknown(scenes.draft_in_thread(box), mara)
    assert sends.questions(mara, "/unknown/") == 9
