import uuid

import pytest

from approvals.models import Draft, FollowUp, FollowUpState
from audit.models import Entry
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db
NO_SUCH_MAILBOX = ("hard_bounce", "smtp; 550 5.1.1 user unknown")


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
def bounced(box, mara):
    sends.accepted(scenes.draft(box, subject="Re: Two plates"), mara, priya_nair=[NO_SUCH_MAILBOX])
    return FollowUp.objects.get()


def page(person, path="/follow-ups/", status=200):
    response = sends.signed_in(person).get(path)
    assert response.status_code == status
    return sends.words(response)


def post(actor, follow_up, verb, **fields):
    return sends.signed_in(actor).post(f"/follow-ups/{follow_up.public_id}/{verb}/", fields)


def test_what_came_back_is_explained_in_words(mara, bounced):
    shown = page(mara)

    assert "Hard bounce" in shown
    assert "No such mailbox." in shown
    assert "550 5.1.1 user unknown" in shown


def test_the_path_of_a_mail_ends_with_what_came_back(mara, bounced):
    shown = page(mara, f"/follow-ups/{bounced.public_id}/")

    assert shown.index("accepted by the provider") < shown.index("bounced")


def test_mine_holds_only_what_is_with_me_and_everyone_all(mara, ines, bounced):
    assert "Re: Two plates" in page(mara)
    assert "Re: Two plates" not in page(ines)
    assert "Re: Two plates" in page(ines, "/follow-ups/?show=everyone")


def test_escalating_hands_it_to_the_other_person_with_the_note(mara, ines, bounced):
    response = post(mara, bounced, "escalate", person=ines.pk, note="Please ring them.")

    assert response.status_code == 302
    bounced.refresh_from_db()
    assert bounced.assigned_to == ines
    assert "Please ring them." in page(ines, f"/follow-ups/{bounced.public_id}/")
    assert Entry.objects.filter(action="approvals.follow_up.escalated").count() == 1


def test_it_cannot_be_escalated_to_somebody_without_rights_there(mara, ines, bounced):
    stranger = scenes.person("stranger", "reviewer", scenes.mailbox("sales@example.com"))

    response = post(mara, bounced, "escalate", person=stranger.pk, note="Please ring them.")

    assert response.status_code == 422
    assert "no rights on this mailbox" in sends.words(response)
    assert "Please ring them." in response.content.decode()
    bounced.refresh_from_db()
    assert bounced.assigned_to == mara


def test_closing_needs_a_reason(mara, bounced):
    response = post(mara, bounced, "close", reason=" ")

    assert response.status_code == 422
    assert "Say in a sentence why" in sends.words(response)
    bounced.refresh_from_db()
    assert bounced.state == FollowUpState.OPEN


def test_a_closed_one_moves_to_closed_with_its_reason(mara, bounced):
    post(mara, bounced, "close", reason="They wrote from another address.")

    assert "Re: Two plates" not in page(mara)
    assert "They wrote from another address." in page(mara, "/follow-ups/?show=closed")


def test_the_second_to_close_learns_who_was_first(mara, ines, bounced):
    post(ines, bounced, "close", reason="Reached by telephone.")

    response = post(mara, bounced, "close", reason="Mine too.")

    assert response.status_code == 409
    assert "already closed by Ines Duarte" in sends.words(response)
    bounced.refresh_from_db()
    assert bounced.close_reason == "Reached by telephone."


def test_the_correction_form_starts_with_the_recipients_of_the_mail(mara, bounced):
    html = sends.signed_in(mara).get(f"/follow-ups/{bounced.public_id}/").content.decode()

    assert "Priya Nair &lt;priya.nair@example.org&gt;</textarea>" in html


def test_a_faulty_address_is_named_and_nothing_typed_is_lost(mara, bounced):
    response = post(mara, bounced, "correct", to="priya@nair@example.org", cc="boss@example.org", bcc="")

    shown = sends.words(response)
    assert response.status_code == 422
    assert "Line 1" in shown
    assert "boss@example.org" in shown
    assert Draft.objects.count() == 1


def test_the_same_addresses_are_no_correction(mara, bounced):
    response = post(mara, bounced, "correct", to="Priya Nair <priya.nair@example.org>", cc="", bcc="")

    assert response.status_code == 422
    assert "same addresses as before" in sends.words(response)


def test_a_provider_that_is_not_there_changes_nothing_and_says_so(mara, bounced):
    response = post(mara, bounced, "correct", to="priya@example.org", cc="", bcc="")

    assert response.status_code == 409
    assert "nothing changed" in sends.words(response)
    assert "priya@example.org" in response.content.decode()
    bounced.refresh_from_db()
    assert bounced.state == FollowUpState.OPEN


def test_a_corrected_address_makes_a_linked_draft_that_waits_for_review(
    sandbox, connected_settings, box, mara, bounced
):
    grant = sandbox.post("grants", email=box.address, name="Harbour Lane Support")["grant"]
    type(box).objects.filter(pk=box.pk).update(grant_id=grant["id"])
    Draft.objects.update(grant_id=grant["id"])

    response = post(mara, bounced, "correct", to="priya@example.org", cc="", bcc="")

    correction = Draft.objects.exclude(pk=bounced.send.draft_id).get()
    assert response.headers["Location"] == f"/drafts/{correction.public_id}/"
    assert correction.state == "pending"
    assert correction.linked_from_id == bounced.send.draft_id
    assert correction.current_revision.to == [{"email": "priya@example.org"}]
    bounced.refresh_from_db()
    assert (bounced.state, bounced.correction_id) == ("closed", correction.pk)


def test_a_foreign_follow_up_does_not_exist(bounced):
    stranger = scenes.person("stranger", "reviewer", scenes.mailbox("sales@example.com"))

    assert sends.signed_in(stranger).get(f"/follow-ups/{bounced.public_id}/").status_code == 404
    assert post(stranger, bounced, "close", reason="Mine").status_code == 404
    assert sends.signed_in(stranger).get(f"/follow-ups/{uuid.uuid4()}/").status_code == 404


def test_an_auditor_reads_and_cannot_act(box, bounced):
    noor = scenes.person("noor", "auditor", box)

    assert "You may read this." in page(noor, f"/follow-ups/{bounced.public_id}/")
    assert post(noor, bounced, "close", reason="Mine").status_code == 403


def test_acting_by_address_alone_is_refused(mara, bounced):
    assert sends.signed_in(mara).get(f"/follow-ups/{bounced.public_id}/close/").status_code == 405


@pytest.mark.parametrize("count", [1, 3])
def test_follow_ups_ask_the_database_equally_often_for_one_row_and_three(box, mara, count):
    for _ in range(count):
        sends.accepted(scenes.draft(box), mara, priya_nair=[NO_SUCH_MAILBOX])
    assert sends.questions(mara, "/follow-ups/") == 7
