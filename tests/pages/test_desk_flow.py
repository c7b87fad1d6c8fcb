"""The desk against the real sandbox provider: what a reviewer clicks, what the provider then has."""

import itertools

import pytest
from django.urls import reverse

from agentmail.client import configured_client
from approvals import dispatch, intake, mailboxes
from approvals.models import Draft, Send
from approvals.states import DraftState, SendState
from audit.record import SYSTEM
from policies import switch
from tests.pages import scenes
from tests.pages.pages import browser

_numbers = itertools.count(1)


@pytest.fixture
def box(db, sandbox, connected_settings):
    connected_settings.SENDS_PER_SECOND = 0
    grant = sandbox.post("grants", email="support@harbour.example", name="Harbour Support")["grant"]
    return mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM, undo_seconds=15)


@pytest.fixture
def reviewer(box):
    return scenes.person("rita", "reviewer", box, name="Rita Reviewer")


@pytest.fixture
def desk(reviewer):
    return browser(reviewer)


@pytest.fixture
def question(sandbox, box):
    return sandbox.post(
        "customer",
        grant=box.grant_id,
        **{"from": {"email": "casey@example.net", "name": "Casey"}},
        subject="Where is my order?",
        body="<p>Hello, where is order 48213?</p>",
        attachments=[{"filename": "photo.png", "content_type": "image/png", "content": "aGVsbG8="}],
    )


@pytest.fixture
def draft(sandbox, box, question):
    made = sandbox.post(
        "agent/drafts",
        grant=box.grant_id,
        to=[{"email": "casey@example.net", "name": "Casey"}],
        subject="Re: Where is my order?",
        body="<p>It left on Monday.</p>",
        reply_to_message_id=question["message_id"],
    )["draft"]
    client = configured_client()
    intake.observe(box, client.get_draft(box.grant_id, made["id"]), client)
    return Draft.objects.get(provider_draft_id=made["id"])


def address(draft, name="draft"):
    return reverse(f"approvals:{name}", args=[draft.public_id])


def approve(desk, draft):
    return desk.post(address(draft, "approve"), desk.page(address(draft)).form_values("decision"))


def sends(sandbox):
    return sandbox.get("log")["sends"]


def test_an_approval_is_held_with_undo_and_nothing_has_left(desk, draft, sandbox):
    approve(desk, draft)

    page = desk.page(address(draft))
    assert page.button("Undo") is not None
    assert "Rita Reviewer" in page.text(page.classed("signs")[0])
    assert sends(sandbox) == []


def test_undo_takes_the_approval_back(desk, draft, sandbox):
    approve(desk, draft)

    response = desk.post(address(draft, "undo"))

    page = desk.page(response["Location"])
    assert "Taken back. Nothing was sent" in page.text()
    assert page.button("Approve and send") is not None
    assert sends(sandbox) == []


def test_undo_is_offered_on_the_queue_too(desk, draft):
    approve(desk, draft)

    page = desk.page("/queue/")

    assert page.button("Undo") is not None
    assert "Approved: " in page.text(page.classed("undo")[0])


def test_another_persons_hold_is_not_offered_for_undo(desk, draft, box):
    approve(desk, draft)
    other = browser(scenes.person("otto", "reviewer", box))

    assert "Undo" not in other.page("/queue/").buttons()


def test_after_the_hold_the_page_says_accepted_and_the_provider_has_it_once(desk, draft, sandbox):
    approve(desk, draft)
    send = Send.objects.get(draft=draft)
    Send.objects.filter(pk=send.pk).update(not_before=send.queued_at, next_attempt_at=send.queued_at)
    dispatch.dispatch(send.pk)

    page = desk.page(address(draft))

    assert "Accepted by the provider" in page.text()
    assert "Undo" not in page.buttons()
    assert len(sends(sandbox)) == 1


def test_the_list_of_approved_drafts_says_what_became_of_each(desk, draft):
    approve(desk, draft)
    waiting = desk.page("/queue/?state=approved")
    send = Send.objects.get(draft=draft)
    Send.objects.filter(pk=send.pk).update(not_before=send.queued_at, next_attempt_at=send.queued_at)
    dispatch.dispatch(send.pk)

    accepted = desk.page("/queue/?state=approved")

    assert "Queued" in waiting.text(waiting.classed("row__marks")[0])
    assert "Accepted" in accepted.text(accepted.classed("row__marks")[0])


def test_a_second_click_changes_nothing_and_names_the_first_decider(desk, draft, box):
    approve(desk, draft)
    values = {
        "revision": 1,
        "content_sha256": draft.current_revision.content_sha256,
        "thread_fingerprint": draft.thread_fingerprint,
        "form_id": "11111111-1111-4111-8111-111111111111",
    }
    other = browser(scenes.person("otto", "reviewer", box))

    page = other.submit(address(draft, "approve"), values)

    assert page.status == 200
    assert "Rita Reviewer decided this before" in page.text()
    assert Send.objects.count() == 1


def test_a_message_that_came_meanwhile_makes_the_approval_stale(desk, draft, sandbox, box, question):
    page = desk.page(address(draft))
    sandbox.post(
        "customer",
        grant=box.grant_id,
        **{"from": {"email": "casey@example.net"}},
        thread_id=question["thread_id"],
        subject="Re: Where is my order?",
        body="Never mind, it is here.",
    )

    answer = desk.submit(address(draft, "approve"), page.form_values("decision"))

    assert answer.status == 409
    assert "The thread moved" in answer.text()
    assert "Never mind, it is here." in answer.text(answer.classed("mail--new")[0])
    assert sends(sandbox) == []


def test_opening_a_draft_notices_the_new_message(desk, draft, sandbox, box, question):
    sandbox.post(
        "customer",
        grant=box.grant_id,
        **{"from": {"email": "casey@example.net"}},
        thread_id=question["thread_id"],
        subject="Re: Where is my order?",
        body="Never mind, it is here.",
    )

    page = desk.page(address(draft))

    assert "Never mind, it is here." in page.text(page.classed("mail--new")[0])
    assert "Approve and send" not in page.buttons()


def test_a_stale_draft_returned_to_the_queue_needs_a_fresh_approval(desk, draft, sandbox, box, question):
    sandbox.post(
        "customer",
        grant=box.grant_id,
        thread_id=question["thread_id"],
        subject="Re: x",
        body="One more thing",
    )
    page = desk.page(address(draft))

    response = desk.post(address(draft, "look_again"), page.form_values("decision"))

    page = desk.page(response["Location"])
    assert "It needs a fresh approval." in page.text()
    assert page.button("Approve and send").get("disabled") is None
    draft.refresh_from_db()
    assert draft.state == DraftState.PENDING


def test_a_stopped_desk_keeps_the_approval_and_says_held(desk, draft, sandbox):
    switch.engage("global", actor=SYSTEM, reason="wrong prices", wait_seconds=0)

    approve(desk, draft)

    page = desk.page(address(draft))
    assert "Held" in page.text(page.classed("rail")[0])
    assert Send.objects.get(draft=draft).state == SendState.QUEUED
    assert sends(sandbox) == []


def test_a_file_of_the_conversation_is_fetched_from_the_provider(desk, draft):
    page = desk.page(address(draft))
    [link] = [link for link in page.all("a") if page.text(link) == "photo.png"]

    response = desk.get(link.get("href"))

    assert response.content == b"hello"
    assert response["Content-Disposition"] == "attachment; filename*=UTF-8''photo.png"


def test_a_file_that_the_provider_does_not_give_is_explained(desk, draft, connected_settings):
    page = desk.page(address(draft))
    [link] = [link for link in page.all("a") if page.text(link) == "photo.png"]
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"

    answer = desk.page(link.get("href"))

    assert answer.status == 502
    assert "The file could not be fetched" in answer.text()


def test_a_silent_provider_is_told_while_the_draft_stays_readable(desk, draft, connected_settings):
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"

    page = desk.page(address(draft))

    assert "The provider did not answer" in page.text()
    assert "It left on Monday." in page.text()
