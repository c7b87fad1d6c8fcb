"""The provider's own client, pointed at the desk: it reads, drafts and sends, and a person decides."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.urls import reverse
from nylas import Client as Nylas
from nylas.models.errors import NylasApiError

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import dispatch, inbound, intake, mailboxes, submissions
from approvals.models import Draft, InboundRelease, Send, Submission
from audit.models import Entry
from audit.record import SYSTEM
from tests.approvals.conftest import approve
from tests.gateway.conftest import Program, taken_in, token_of
from tests.pages.pages import browser

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs" / "agents-sdk.md"
BUYER = {"email": "buyer@example.net", "name": "Bo Buyer"}


def letter(**fields: Any) -> dict[str, Any]:
    return {"to": [BUYER], "subject": "Your order", "body": "<p>It arrives on Thursday.</p>"} | fields


def error_of(response: Any) -> tuple[int, str]:
    """The status and type of a refusal, which is in the provider's envelope and nothing else."""
    envelope = response.json()
    assert set(envelope) == {"request_id", "error"}
    assert envelope["request_id"]
    assert set(envelope["error"]) == {"type", "message"}
    return response.status_code, envelope["error"]["type"]


def synced(mailbox: Mailbox) -> None:
    mailbox.refresh_from_db()
    intake.poll(mailbox, configured_client())


def in_mode(mailbox: Mailbox, mode: str) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    mailbox.refresh_from_db()


@pytest.fixture
def path(mailbox: Mailbox) -> str:
    return f"/nylas/v3/grants/{mailbox.grant_id}"


@pytest.fixture
def question(customer_writes: Callable[..., dict[str, Any]], mailbox: Mailbox) -> dict[str, Any]:
    asked = customer_writes(**{"from": BUYER}, subject="Where is my order?", body="<p>Where is 48213?</p>")
    synced(mailbox)
    return asked


@pytest.fixture
def sdk(transactional_db: None, live_server: Any, agent: Program) -> Nylas:
    return Nylas(api_key=agent.secret, api_uri=f"{live_server.url}/nylas", timeout=30)


@pytest.mark.row("004-09", "004-44", "003-20")
def test_the_official_client_takes_a_mail_through_an_approval_to_the_customer_once(
    sdk: Nylas, mailbox: Mailbox, alice: User, question: dict[str, Any], sandbox: Any
) -> None:
    (thread,) = sdk.threads.list(mailbox.grant_id).data
    read = sdk.messages.find(mailbox.grant_id, thread.message_ids[0]).data
    draft = sdk.drafts.create(
        mailbox.grant_id, letter(subject=f"Re: {read.subject}", reply_to_message_id=read.id)
    ).data
    taken_in()
    asked = sdk.drafts.send(mailbox.grant_id, draft.id).data
    assert (asked.id, asked.metadata["status"]) == (draft.id, "pending")
    assert sandbox.sends() == []

    desk = browser(alice)
    values = desk.page(reverse("approvals:draft", args=[draft.id])).form_values("decision")
    desk.post(reverse("approvals:approve", args=[draft.id]), values)
    dispatch.dispatch(Send.objects.get().pk)

    assert sdk.messages.find(mailbox.grant_id, draft.id).data.metadata["status"] == "executed"
    assert sdk.drafts.send(mailbox.grant_id, draft.id).data.metadata["code"] == "sent"
    assert len(sandbox.sends()) == 1


@pytest.mark.row("004-24")
def test_the_official_client_is_told_in_its_own_words_that_a_mailbox_is_read_only(
    sdk: Nylas, mailbox: Mailbox
) -> None:
    in_mode(mailbox, "read_only")

    with pytest.raises(NylasApiError) as refusal:
        sdk.messages.send(mailbox.grant_id, letter())

    assert (refusal.value.status_code, refusal.value.type) == (403, "action_blocked")
    assert str(refusal.value) == "oversight_mode is read_only"
    assert not Submission.objects.exists()


@pytest.mark.row("004-07")
def test_the_official_client_reads_every_kind_of_object_it_is_offered(
    sdk: Nylas, mailbox: Mailbox, question: dict[str, Any]
) -> None:
    grant = mailbox.grant_id
    draft = sdk.drafts.create(grant, letter()).data

    assert sdk.grants.find(grant).data.email == mailbox.address
    assert [one.id for one in sdk.messages.list(grant).data] == [question["message_id"]]
    assert "Sent" in [one.name.title() for one in sdk.folders.list(grant).data]
    assert [one.id for one in sdk.drafts.list(grant).data] == [draft.id]
    assert sdk.drafts.find(grant, draft.id).data.subject == "Your order"
    assert (
        sdk.threads.list(grant, {"limit": 5}).data[0].latest_draft_or_message.subject == "Where is my order?"
    )


@pytest.mark.row("004-44", "004-07")
def test_a_message_that_is_sent_is_pending_and_has_our_id(agent: Program, path: str) -> None:
    response = agent.post(f"{path}/messages/send", letter())

    told = response.json()
    assert response.status_code == 202
    assert told["data"]["id"] == str(Submission.objects.get().public_id)
    assert (told["data"]["object"], told["data"]["status"]) == ("message", "pending")
    assert told["grant_id"] == told["data"]["grant_id"]


def test_a_draft_waits_in_the_queue_under_its_id_without_being_sent(agent: Program, path: str) -> None:
    told = agent.post(f"{path}/drafts", letter(cc=[{"email": "copy@example.net"}])).json()["data"]

    (draft,) = taken_in()

    shown = agent.get(f"{path}/drafts/{told['id']}").json()["data"]
    assert str(draft.public_id) == told["id"] == shown["id"]
    assert (shown["object"], shown["code"]) == ("draft", "pending_approval")
    assert shown["cc"] == [{"email": "copy@example.net"}]


@pytest.mark.row("000-21", "000-23", "000-24")
def test_a_key_stands_for_one_mail(agent: Program, path: str) -> None:
    key = {"Idempotency-Key": "one"}
    first = agent.post(f"{path}/messages/send", letter(), **key)

    again = agent.post(f"{path}/messages/send", letter(), **key)
    other = agent.post(f"{path}/messages/send", letter(subject="Another"), **key)
    long = agent.post(f"{path}/messages/send", letter(), **{"Idempotency-Key": "k" * 257})

    assert first.json()["data"]["id"] == again.json()["data"]["id"]
    assert error_of(other) == (409, "api.invalid_idempotent_request")
    assert error_of(long) == (400, "api.invalid_idempotency_key")
    assert Submission.objects.count() == 1


def test_a_change_of_one_field_leaves_the_others_as_they_are(agent: Program, path: str) -> None:
    part = {"filename": "a.txt", "content_type": "text/plain", "content": base64.b64encode(b"A").decode()}
    told = agent.post(f"{path}/drafts", letter(attachments=[part], reply_to=[BUYER])).json()["data"]
    taken_in()

    agent.call("PUT", f"{path}/drafts/{told['id']}", {"subject": "Your order, again"})
    answer = agent.call("PUT", f"{path}/drafts/{told['id']}", {"reply_to": []})
    taken_in()

    revision = Draft.objects.get().current_revision
    assert revision is not None
    assert answer.json()["data"]["id"] == told["id"]
    assert (revision.subject, revision.body) == ("Your order, again", "<p>It arrives on Thursday.</p>")
    assert (len(revision.attachments), revision.reply_to) == (1, [])


def test_changes_reach_the_draft_in_the_order_they_were_made(agent: Program, path: str) -> None:
    told = agent.post(f"{path}/drafts", letter()).json()["data"]
    (draft,) = taken_in()
    for subject in ("First", "Second"):
        agent.call("PUT", f"{path}/drafts/{told['id']}", {"subject": subject})
    first, second = submissions.due()

    early = submissions.hand_over(second)
    submissions.hand_over(first)
    Submission.objects.filter(pk=second).update(next_try_at=F("received_at"))
    submissions.hand_over(second)

    draft.refresh_from_db()
    assert early is None
    assert [one.subject for one in draft.revisions.order_by("number")] == ["Your order", "First", "Second"]


def test_a_change_can_take_the_attachments_away(agent: Program, path: str) -> None:
    part = {"filename": "a.txt", "content_type": "text/plain", "content": base64.b64encode(b"A").decode()}
    told = agent.post(f"{path}/drafts", letter(attachments=[part])).json()["data"]
    taken_in()

    agent.call("PUT", f"{path}/drafts/{told['id']}", {"attachments": []})
    taken_in()

    assert agent.get(f"{path}/drafts/{told['id']}").json()["data"]["attachments"] == []


def test_a_change_before_the_draft_is_in_the_queue_takes_it_there(agent: Program, path: str) -> None:
    told = agent.post(f"{path}/drafts", letter()).json()["data"]

    changed = agent.call("PUT", f"{path}/drafts/{told['id']}", {"subject": "At once"})

    assert changed.json()["data"]["subject"] == "At once"
    assert str(Draft.objects.get().public_id) == told["id"]


@pytest.mark.row("004-38")
def test_a_draft_is_withdrawn_before_and_after_it_is_in_the_queue_but_not_once_it_left(
    agent: Program, path: str, alice: User
) -> None:
    early, waiting, gone = (agent.post(f"{path}/drafts", letter()).json()["data"]["id"] for _ in range(3))
    assert set(agent.call("DELETE", f"{path}/drafts/{early}").json()) == {"request_id"}
    taken_in()
    send = approve(Draft.objects.get(public_id=gone), alice)
    dispatch.dispatch(send.pk)

    answers = [agent.call("DELETE", f"{path}/drafts/{one}") for one in (waiting, gone)]

    assert answers[0].status_code == 200
    assert error_of(answers[1]) == (409, "action_conflict")
    assert agent.get(f"{path}/drafts").json()["data"] == []


def test_what_a_person_rejected_is_blocked_with_the_reason(
    agent: Program, reviewer: Program, path: str
) -> None:
    told = agent.post(f"{path}/drafts", letter()).json()["data"]
    taken_in()
    reviewer.post(f"/emails/{told['id']}/decide", {"action": "reject", "reason": "Off-topic."})

    answer = agent.post(f"{path}/drafts/{told['id']}")

    assert error_of(answer) == (403, "action_blocked")
    assert answer.json()["error"]["message"] == "Off-topic."


def test_an_attachment_of_a_draft_is_given_back_as_it_was_frozen(agent: Program, path: str) -> None:
    part = {
        "filename": "quote.txt",
        "content_type": "text/plain",
        "content": base64.b64encode(b"42").decode(),
        "size": 2,
    }
    told = agent.post(f"{path}/drafts", letter(attachments=[part])).json()["data"]
    taken_in()
    (shown,) = agent.get(f"{path}/drafts/{told['id']}").json()["data"]["attachments"]

    answer = agent.get(f"{path}/attachments/{shown['id']}/download?message_id={told['id']}")

    assert (answer.status_code, answer.content) == (200, b"42")
    assert answer["Content-Type"] == "application/octet-stream"
    assert "quote.txt" in answer["Content-Disposition"]


def test_an_attachment_is_downloaded_with_its_own_message_only(
    agent: Program, path: str, question: dict[str, Any], customer_writes: Callable[..., dict[str, Any]]
) -> None:
    part = {
        "filename": "a b.pdf",
        "content_type": "application/pdf",
        "content": base64.b64encode(b"%").decode(),
    }
    asked = customer_writes(**{"from": BUYER}, subject="See this", body="Hello", attachments=[part])
    (shown,) = agent.get(f"{path}/messages/{asked['message_id']}").json()["data"]["attachments"]
    place = f"{path}/attachments/{shown['id']}"

    found = agent.get(f"{place}?message_id={asked['message_id']}")
    own = agent.get(f"{place}/download?message_id={asked['message_id']}")
    other = agent.get(f"{place}/download?message_id={question['message_id']}")
    none = agent.get(f"{place}/download")

    assert found.json()["data"]["filename"] == "a b.pdf"
    assert (own.content, own["Content-Disposition"]) == (b"%", 'attachment; filename="a b.pdf"')
    assert [error_of(answer)[0] for answer in (other, none)] == [404, 400]


def test_what_an_agent_says_in_metadata_reaches_the_reviewers_only(agent: Program, path: str) -> None:
    says = {"note": "Looked it up.", "confidence": "0.7", "sources": "https://a.example\nhttps://b.example"}
    agent.post(f"{path}/drafts", letter(metadata=says))

    (draft,) = taken_in()

    said = submissions.said_of(draft)
    assert said is not None
    assert (said.note, said.confidence, len(said.sources)) == ("Looked it up.", 0.7, 2)
    assert "Looked" not in str(configured_client().get_draft(draft.grant_id, draft.provider_draft_id))


@pytest.mark.row("001-26")
def test_an_agent_sees_no_draft_of_another_not_even_in_its_thread(
    agent: Program, ada: User, mailbox: Mailbox, path: str, question: dict[str, Any]
) -> None:
    agent.post(
        f"{path}/drafts",
        letter(reply_to_message_id=question["message_id"], cc=[{"email": "secret@example.net"}]),
    )
    taken_in()
    other = Program(token_of(ada, mailbox, name="Another").secret)

    (thread,) = other.get(f"{path}/threads").json()["data"]
    alone = other.get(f"{path}/threads/{thread['id']}").json()["data"]
    (own,) = agent.get(f"{path}/threads").json()["data"]

    assert thread == alone
    assert (thread["draft_ids"], thread["has_drafts"]) == ([], False)
    assert "secret@example.net" not in str(thread)
    assert thread["latest_draft_or_message"]["id"] == question["message_id"]
    assert own["draft_ids"] == [str(Draft.objects.get().public_id)]
    assert other.get(f"{path}/drafts").json()["data"] == []


def test_the_marks_of_the_desk_are_never_given_out(
    agent: Program, path: str, mailbox: Mailbox, alice: User, question: dict[str, Any]
) -> None:
    told = agent.post(f"{path}/drafts", letter(reply_to_message_id=question["message_id"])).json()["data"]
    (draft,) = taken_in()
    send = approve(draft, alice)
    dispatch.dispatch(send.pk)
    send.refresh_from_db()

    answers = [
        agent.get(f"{path}/{place}").content.decode()
        for place in (
            "messages",
            "threads",
            f"messages/{send.provider_message_id}",
            f"messages/{told['id']}",
            f"threads/{draft.thread_id}",
            f"drafts/{told['id']}",
        )
    ]

    assert configured_client().get_message(mailbox.grant_id, send.provider_message_id).metadata["key1"]
    assert [answer for answer in answers if send.token in answer or "key" in answer] == []


@pytest.mark.row("004-29", "004-05")
def test_a_held_message_does_not_exist_until_a_person_releases_it(
    agent: Program,
    path: str,
    mailbox: Mailbox,
    alice: User,
    customer_writes: Callable[..., dict[str, Any]],
) -> None:
    in_mode(mailbox, "gated_all")
    held = customer_writes(**{"from": BUYER}, subject="Secret", body="<p>Zanzibar</p>")
    unseen = agent.get(f"{path}/messages").json()
    synced(mailbox)
    thread_id = InboundRelease.objects.get().message.thread_id
    places = [
        f"{path}/messages/{held['message_id']}",
        f"{path}/threads/{thread_id}",
        f"{path}/messages/{held['message_id']}?fields=raw_mime",
        f"{path}/attachments/x/download?message_id={held['message_id']}",
    ]

    before = [error_of(agent.get(place)) for place in places]
    lists = [
        agent.get(f"{path}/{place}").json()
        for place in (
            "messages?limit=1",
            "threads",
            "messages?search_query_native=Zanzibar",
            "messages?select=body",
        )
    ]
    inbound.release(mailbox, [InboundRelease.objects.get().message_id], person=alice)

    assert before == [(404, "not_found_error")] * 4
    assert [(one["data"], one["next_cursor"]) for one in [unseen, *lists]] == [([], None)] * 5
    assert agent.get(places[0]).json()["data"]["subject"] == "Secret"
    assert agent.get(places[1]).json()["data"]["message_ids"] == [held["message_id"]]


@pytest.mark.row("004-29")
def test_a_thread_shows_nothing_of_a_held_message_in_it(
    agent: Program,
    path: str,
    mailbox: Mailbox,
    question: dict[str, Any],
    customer_writes: Callable[..., dict[str, Any]],
) -> None:
    in_mode(mailbox, "gated_all")
    stranger = {"email": "stranger@example.org"}
    customer_writes(
        **{"from": stranger},
        subject="Re: Where is my order?",
        body="<p>Zanzibar</p>",
        thread_id=question["thread_id"],
    )
    synced(mailbox)

    (thread,) = agent.get(f"{path}/threads").json()["data"]

    assert thread["message_ids"] == [question["message_id"]]
    assert "Zanzibar" not in str(thread)
    assert "stranger" not in str(thread)


@pytest.mark.row("004-29")
def test_what_was_held_stays_so_when_the_mode_is_loosened(
    agent: Program, path: str, mailbox: Mailbox, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    in_mode(mailbox, "gated_all")
    held = customer_writes(**{"from": BUYER}, subject="Secret", body="<p>Zanzibar</p>")
    synced(mailbox)

    in_mode(mailbox, "gated_send")

    assert agent.get(f"{path}/messages/{held['message_id']}").status_code == 404
    assert agent.get(f"{path}/messages").json()["data"] == []


def test_pages_of_a_mailbox_that_holds_something_back_are_whole(
    agent: Program, path: str, mailbox: Mailbox, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    shown = [
        customer_writes(**{"from": BUYER}, subject=f"Order {n}", body="Hello")["message_id"] for n in range(3)
    ]
    synced(mailbox)
    in_mode(mailbox, "gated_all")
    customer_writes(**{"from": BUYER}, subject="Order held", body="Hello")
    synced(mailbox)

    first = agent.get(f"{path}/messages?limit=2&subject=Order").json()
    rest = agent.get(f"{path}/messages?limit=2&subject=Order&page_token={first['next_cursor']}").json()

    assert len(first["data"]) == 2
    assert sorted(one["id"] for one in first["data"] + rest["data"]) == sorted(shown)
    assert rest["next_cursor"] is None


@pytest.mark.row("004-25")
def test_marks_of_a_message_are_passed_on_unless_the_mailbox_is_read_only(
    agent: Program, path: str, mailbox: Mailbox, question: dict[str, Any]
) -> None:
    place = f"{path}/messages/{question['message_id']}"

    marked = agent.call("PUT", place, {"unread": False, "starred": True})
    in_mode(mailbox, "read_only")
    refused = agent.call("PUT", place, {"unread": True})

    assert (marked.json()["data"]["unread"], marked.json()["data"]["starred"]) == (False, True)
    assert error_of(refused) == (403, "action_blocked")
    assert agent.get(place).json()["data"]["unread"] is False
    assert Entry.objects.filter(action="gateway.message.marked").count() == 1


def test_no_message_is_moved_among_those_the_mailbox_sent(
    agent: Program, path: str, mailbox: Mailbox, question: dict[str, Any]
) -> None:
    folders = {one.role: one.id for one in configured_client().list_folders(mailbox.grant_id)}
    place = f"{path}/messages/{question['message_id']}"

    to_sent = agent.call("PUT", place, {"folders": [folders["sent"]]})
    archived = agent.call("PUT", place, {"folders": [folders["archive"]]})

    assert error_of(to_sent) == (400, "invalid_request_error")
    assert archived.json()["data"]["folders"] == [folders["archive"]]


def test_a_mail_is_found_below_its_own_mailbox_only(
    ada: User, mailbox: Mailbox, sandbox: Any, path: str
) -> None:
    grant = sandbox.post("grants", email="orders@harbour.example", name="Orders")["grant"]
    second = mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM)
    both = Program(token_of(ada, mailbox, second, name="Both").secret)
    told = both.post(f"{path}/drafts", letter()).json()["data"]
    elsewhere = f"/nylas/v3/grants/{second.grant_id}/drafts"

    answers = [both.call(method, f"{elsewhere}/{told['id']}") for method in ("GET", "POST", "PUT", "DELETE")]

    assert [error_of(answer)[0] for answer in answers] == [404] * 4
    assert both.get(elsewhere).json()["data"] == []
    assert error_of(both.get("/nylas/v3/grants/me")) == (404, "not_found_error")


def test_me_is_the_only_mailbox_of_a_token(agent: Program, mailbox: Mailbox) -> None:
    assert agent.get("/nylas/v3/grants/me").json()["data"]["id"] == mailbox.grant_id
    assert agent.get(f"/nylas/v3/grants/{mailbox.address}").json()["data"]["id"] == mailbox.grant_id


def test_a_message_is_answered_before_the_desk_polled_it(
    agent: Program, path: str, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    asked = customer_writes(**{"from": BUYER}, subject="Hello", body="Hello")
    read = agent.get(f"{path}/messages/{asked['message_id']}").json()["data"]

    answer = agent.post(f"{path}/messages/send", letter(reply_to_message_id=read["id"]))
    (draft,) = taken_in()

    assert answer.status_code == 202
    assert draft.parent_message_id == asked["message_id"]


@pytest.mark.row("004-29")
def test_a_held_message_is_not_answered_either(
    agent: Program, path: str, mailbox: Mailbox, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    in_mode(mailbox, "gated_all")
    asked = customer_writes(**{"from": BUYER}, subject="Hello", body="Hello")

    answer = agent.post(f"{path}/messages/send", letter(reply_to_message_id=asked["message_id"]))

    assert error_of(answer) == (400, "invalid_request_error")
    assert InboundRelease.objects.get().released_at is None


def test_a_draft_that_was_decided_is_not_changed(agent: Program, reviewer: Program, path: str) -> None:
    told = agent.post(f"{path}/drafts", letter()).json()["data"]
    taken_in()
    reviewer.post(f"/emails/{told['id']}/decide", {"action": "reject", "reason": "Off-topic."})

    answer = agent.call("PUT", f"{path}/drafts/{told['id']}", {"subject": "Again"})

    assert error_of(answer) == (409, "action_conflict")


def test_drafts_are_listed_in_pages_the_newest_first(agent: Program, path: str) -> None:
    for number in range(3):
        agent.post(f"{path}/drafts", letter(subject=f"Order {number}"))
    taken_in()

    first = agent.get(f"{path}/drafts?limit=2").json()
    rest = agent.get(f"{path}/drafts?limit=2&page_token={first['next_cursor']}").json()

    assert [one["subject"] for one in first["data"] + rest["data"]] == ["Order 2", "Order 1", "Order 0"]
    assert rest["next_cursor"] is None


def test_the_official_client_understands_a_mailbox_that_holds_something_back(
    sdk: Nylas, mailbox: Mailbox, question: dict[str, Any], customer_writes: Callable[..., dict[str, Any]]
) -> None:
    in_mode(mailbox, "gated_all")
    customer_writes(**{"from": BUYER}, subject="Held", body="Hello")
    synced(mailbox)

    (thread,) = sdk.threads.list(mailbox.grant_id).data

    assert thread.message_ids == [question["message_id"]]
    assert thread.latest_draft_or_message.body == "<p>Where is 48213?</p>"
    assert all(one.total_count is None for one in sdk.folders.list(mailbox.grant_id).data)


@pytest.mark.row("004-44")
def test_the_guide_for_sdk_agents_runs_as_it_is_printed(
    transactional_db: None,
    live_server: Any,
    agent: Program,
    mailbox: Mailbox,
    question: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COUNTERSIGN_URL", live_server.url)
    monkeypatch.setenv("COUNTERSIGN_TOKEN", agent.secret)
    monkeypatch.setenv("GRANT_ID", mailbox.grant_id)
    (code,) = re.findall(
        r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )

    exec(compile(code, str(GUIDE), "exec"), {})

    submission = Submission.objects.get()
    assert capsys.readouterr().out.split() == [str(submission.public_id), "pending", "pending", "received"]
    assert (submission.note, submission.mailbox) == ("The carrier says Thursday.", mailbox)
