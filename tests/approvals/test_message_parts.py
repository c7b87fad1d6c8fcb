"""The plain text of a message that a draft answers, compared with its HTML by its source at the provider."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.urls import reverse

from agentmail.client import configured_client
from agentmail.exceptions import Unauthenticated
from agentmail.models import Mailbox, Message, PartsState
from approvals import message_parts, sweeps
from approvals.models import Draft, Risk
from approvals.transitions import drafts
from tests.pages.pages import browser

HTML = "<p>Please pay to the account</p><p>DE00 0000</p>"
PLAIN = "Please pay to the account\n\nLT11 1111\n"


@pytest.fixture
def answered(
    customer_writes: Callable[..., dict[str, Any]], agent_writes: Callable[..., Draft]
) -> Callable[..., Draft]:
    """A draft that answers a message which the customer wrote so."""

    def write(**fields: Any) -> Draft:
        question = customer_writes(**{"from": {"email": "casey@example.net"}}, subject="Account", **fields)
        return agent_writes(to=[{"email": "casey@example.net"}], reply_to_message_id=question["message_id"])

    return write


@pytest.fixture
def sources_asked(sandbox: Any) -> Callable[[], int]:
    """How often the provider was asked for a source from now on."""
    fault = sandbox.post("faults", contains="raw_mime", times=0, action="delay", options={"ms": 0})["fault"]

    def count() -> int:
        return next(int(one["seen"]) for one in sandbox.get("faults")["faults"] if one["id"] == fault["id"])

    return count


def compare(mailbox: Mailbox) -> int:
    return message_parts.compare_waiting(mailbox, configured_client())


def message_of(draft: Draft) -> Message:
    return Message.objects.get(mailbox=draft.mailbox, provider_id=draft.parent_message_id)


def test_a_message_whose_parts_differ_keeps_what_each_says_alone(
    mailbox: Mailbox, answered: Callable[..., Draft]
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)

    assert compare(mailbox) == 1

    message = message_of(draft)
    assert message.parts_state == PartsState.DIFFER
    assert message.parts_difference == {
        "plain": {"passages": ["LT11 1111"], "lines": ["LT11 1111"]},
        "shown": {"passages": ["DE00 0000"], "lines": ["DE00 0000"]},
    }


@pytest.mark.parametrize(
    ("plain", "html", "state"),
    [
        ("Please pay to the account\n\nDE00 0000\n", HTML, PartsState.ALIKE),
        ("Hello", '<div style="display:none">Open me</div><p>Hello</p>', PartsState.ALIKE),
        ("", HTML, PartsState.SINGLE),
    ],
)
def test_a_message_whose_parts_agree_is_settled_without_a_word(
    mailbox: Mailbox, answered: Callable[..., Draft], plain: str, html: str, state: PartsState
) -> None:
    draft = answered(body=html, plain_part=plain)

    compare(mailbox)

    message = message_of(draft)
    assert (message.parts_state, message.parts_difference) == (state, {})


def test_a_message_is_asked_for_once_however_often_it_is_polled_and_opened(
    mailbox: Mailbox, answered: Callable[..., Draft], sources_asked: Callable[[], int], alice: Any
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    for _time in range(3):
        sweeps.poll_mailbox(mailbox.pk)
    browser(alice).page(reverse("approvals:draft", args=[draft.public_id]))

    assert sources_asked() == 1


def test_plain_messages_and_those_that_nobody_answers_cost_nothing(
    mailbox: Mailbox,
    answered: Callable[..., Draft],
    customer_writes: Callable[..., dict[str, Any]],
    sources_asked: Callable[[], int],
) -> None:
    answered(body="Only text")
    customer_writes(body=HTML, plain_part=PLAIN)
    decided = answered(body=HTML, plain_part=PLAIN)
    drafts.withdraw(decided.pk)

    sweeps.poll_mailbox(mailbox.pk)

    assert sources_asked() == 0


def test_a_difference_is_told_in_the_risk_of_the_drafts_that_answer_it(
    mailbox: Mailbox, answered: Callable[..., Draft]
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    assert "received_parts_differ" not in draft.risk_reasons

    compare(mailbox)

    draft.refresh_from_db()
    assert "received_parts_differ" in draft.risk_reasons
    assert draft.risk != Risk.LOW


def test_a_provider_that_does_not_answer_is_asked_again_a_few_times_and_then_left(
    mailbox: Mailbox, answered: Callable[..., Draft], sandbox: Any, sources_asked: Callable[[], int]
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    sandbox.post("faults", contains="raw_mime", times=0, action="reply", options={"status": 503})

    tries = []
    for _time in range(len(message_parts.PAUSES) + 3):
        compare(mailbox)
        compare(mailbox)
        tries.append(sources_asked())
        Message.objects.update(parts_next_at=F("parts_next_at") - timedelta(days=1))

    assert tries == [1, 2, 3, 4, 4, 4]
    assert message_of(draft).parts_state == PartsState.NOT_GIVEN


def test_a_provider_that_answers_again_settles_what_was_put_off(
    mailbox: Mailbox, answered: Callable[..., Draft], sandbox: Any
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    sandbox.post("faults", contains="raw_mime", times=1, action="reply", options={"status": 503})
    assert compare(mailbox) == 0
    Message.objects.update(parts_next_at=F("parts_next_at") - timedelta(days=1))

    assert compare(mailbox) == 1
    assert message_of(draft).parts_state == PartsState.DIFFER


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (404, {"error": {"type": "not_found_error"}}, PartsState.GONE),
        (400, {"error": {"type": "invalid_request_error"}}, PartsState.NOT_GIVEN),
    ],
)
def test_a_refusal_is_final_and_polls_go_on(
    mailbox: Mailbox, answered: Callable[..., Draft], sandbox: Any, status: int, body: Any, state: PartsState
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    sandbox.post(
        "faults", contains="raw_mime", times=0, action="reply", options={"status": status, "body": body}
    )

    assert sweeps.poll_mailbox(mailbox.pk) is not None

    mailbox.refresh_from_db()
    assert (message_of(draft).parts_state, mailbox.trouble) == (state, "")


def test_a_revoked_grant_is_the_mailboxes_trouble_and_not_the_messages(
    mailbox: Mailbox, answered: Callable[..., Draft], sandbox: Any
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    sandbox.post("faults", contains="raw_mime", action="reply", options={"status": 401})

    with pytest.raises(Unauthenticated):
        compare(mailbox)

    message = message_of(draft)
    assert (message.parts_state, message.parts_attempts) == (PartsState.NOT_ASKED, 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: message/rfc822\n\n" * 5000,
        b"\n" * 300_000,
        b"Content-Type: text/plain; " + b"(" * 3000,
    ],
)
def test_a_hostile_source_means_not_compared_and_the_page_says_so(
    mailbox: Mailbox, answered: Callable[..., Draft], alice: Any, raw: bytes
) -> None:
    draft = answered(body=HTML, source=base64.b64encode(raw).decode())

    compare(mailbox)

    assert message_of(draft).parts_state == PartsState.UNREADABLE
    page = browser(alice).page(reverse("approvals:draft", args=[draft.public_id]))
    assert (
        "Its plain text was not compared with the formatted one: its source cannot be taken apart."
        in page.text()
    )
    assert page.status == 200


def test_a_message_larger_than_is_read_is_said_to_be(
    mailbox: Mailbox, answered: Callable[..., Draft], alice: Any
) -> None:
    draft = answered(body=HTML, source=base64.b64encode(b"a" * 10_000_001).decode())

    compare(mailbox)

    page = browser(alice).page(reverse("approvals:draft", args=[draft.public_id]))
    assert "its source is larger than 10 MB" in page.text()


def test_the_draft_page_shows_both_forms_beside_the_message_and_a_note_leads_there(
    mailbox: Mailbox, answered: Callable[..., Draft], alice: Any
) -> None:
    draft = answered(body=HTML, plain_part=PLAIN)
    address = reverse("approvals:draft", args=[draft.public_id])
    before = browser(alice).page(address)
    compare(mailbox)

    page = browser(alice).page(address)

    message = message_of(draft)
    block = next(one for one in page.all("details") if one.get("id") == f"message-{message.pk}-plain")
    text = page.text(block)
    assert "The plain text of this message says something else than the formatted one" in text
    assert "DE00 0000" in text
    assert "LT11 1111" in text
    assert [page.text(mark) for mark in block.iter("mark")] == ["DE00 0000", "LT11 1111"]
    notes = page.classed("notes")[0]
    assert "The plain text of a message says something else than the formatted one." in page.text(notes)
    assert {f"#message-{message.pk}-plain", "#answered"} <= {link.get("href") for link in notes.iter("a")}
    assert "has not been compared with the formatted one yet" in before.text()
    assert "has not been compared" not in page.text()


def test_hostile_characters_of_a_plain_text_are_visible_and_escaped(
    mailbox: Mailbox, answered: Callable[..., Draft], alice: Any
) -> None:
    draft = answered(body=HTML, plain_part="pay \u202e<script>alert(1)</script>")

    compare(mailbox)

    page = browser(alice).page(reverse("approvals:draft", args=[draft.public_id]))
    assert "[U+202E]<script>alert(1)</script>" in page.text()
    assert "<script>alert" not in page.html
