"""The source of a message, fetched from the provider when somebody asks for it, and shown as text."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from agentmail.models import Message
from approvals import message_sources
from approvals.models import Draft
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import Page, browser

RAW = (
    b"Received: by a\r\nReceived: by b\r\nReturn-Path: <odd@elsewhere.example>\r\n"
    b"Authentication-Results: mx; spf=fail \xe2\x80\xae\r\nSubject: One\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n'
    b"Pay to LT11 <script>alert(1)</script> \xe2\x80\xae\xff\r\n"
    b'--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename="plate.png"\r\n\r\nPNG\r\n--b--\r\n'
)


@pytest.fixture
def address_of(
    customer_writes: Callable[..., dict[str, Any]], agent_writes: Callable[..., Draft]
) -> Callable[..., str]:
    """The address of the source of a message that the customer wrote so."""

    def make(raw: bytes = RAW, name: str = "message_source") -> str:
        question = customer_writes(
            **{"from": {"email": "casey@example.net"}},
            body="<p>Pay</p>",
            source=base64.b64encode(raw).decode(),
        )
        draft = agent_writes(reply_to_message_id=question["message_id"])
        message = Message.objects.get(provider_id=question["message_id"])
        return reverse(f"approvals:{name}", args=[draft.public_id, message.pk])

    return make


@pytest.fixture
def opened(alice: Any, address_of: Callable[..., str]) -> Callable[..., Page]:
    """The page with the source of a message that the customer wrote so."""
    return lambda raw=RAW: browser(alice).page(address_of(raw))


def test_headers_plain_text_and_whole_source_are_shown_as_text(opened: Callable[..., Page]) -> None:
    page = opened()
    head, plain, whole = (page.text(one) for one in page.all("pre"))

    assert page.status == 200
    assert head.startswith("Received: by a")
    assert "Pay to" not in head
    assert plain.startswith("Pay to LT11 <script>alert(1)</script> [U+202E]")
    assert whole.endswith("--b--")
    assert "\\xff" in whole
    assert "<script>alert" not in page.html
    assert "\u202e" not in page.html
    facts = page.text(page.all("dl")[0])
    for fact in ("<odd@elsewhere.example>", "spf=fail [U+202E]", "2 servers", "plate.png image/png"):
        assert fact in facts


def test_what_is_cut_is_said_and_the_download_has_all_of_it(opened: Callable[..., Page]) -> None:
    page = opened(b"X: " + b"h" * 30_000 + b"\r\n\r\n" + b"p" * 150_000)

    text = page.text()
    assert "10 kB more of the headers are not shown here." in text
    assert "100000 more characters are not shown here." in text
    assert "80 kB more are not shown here. The download has everything." in text


def test_the_download_is_a_file_that_no_browser_renders(address_of: Callable[..., str], alice: Any) -> None:
    response = browser(alice).get(address_of(name="message_source_file"))

    assert response.content == RAW
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == "attachment; filename*=UTF-8''message.eml"
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            b"Content-Type: message/rfc822\n\n" * 5000,
            "Its parts stand too deep in one another to be taken apart.",
        ),
        (b"\n" * 300_000, "It has too many lines to be taken apart."),
        (
            b"Content-Type: text/plain; " + b"(" * 3000,
            "It is not written as mail is, and cannot be taken apart.",
        ),
    ],
)
def test_a_source_that_cannot_be_taken_apart_is_shown_as_it_is(
    opened: Callable[..., Page], raw: bytes, said: str
) -> None:
    page = opened(raw)

    assert page.status == 200
    assert said in page.text()
    assert "The whole source below shows what is there." in page.text()


def test_a_message_of_plain_html_says_that_it_has_no_plain_text(opened: Callable[..., Page]) -> None:
    assert "It has no plain text." in opened(b"Content-Type: text/html\r\n\r\n<p>Hi</p>").text()


@pytest.mark.parametrize("name", ["message_source", "message_source_file"])
@pytest.mark.parametrize(
    ("status", "shown", "said"),
    [
        (503, 502, "The provider did not give it. Try again in a moment."),
        (404, 404, "The provider no longer has this message."),
        (401, 502, "The provider does not let this desk in."),
    ],
)
def test_a_source_that_is_not_given_leaves_a_page_that_says_why(
    address_of: Callable[..., str], alice: Any, sandbox: Any, name: str, status: int, shown: int, said: str
) -> None:
    address = address_of(name=name)
    reply = {"status": status, "body": {"error": {"type": "x"}}}
    sandbox.post("faults", contains="raw_mime", times=0, action="reply", options=reply)

    page = browser(alice).page(address)

    assert page.status == shown
    assert said in page.text()
    assert {"Back to the draft", "Ask again"} <= {page.text(link) for link in page.all("a")}


def test_a_message_that_is_too_large_is_said_to_be(opened: Callable[..., Page]) -> None:
    page = opened(b"a" * 10_000_001)

    assert "It is larger than 10 MB, more than this desk reads." in page.text()


def test_a_source_is_looked_at_without_an_entry_and_without_a_trace_in_the_log(
    address_of: Callable[..., str], alice: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client, address = browser(alice), address_of()
    before = Entry.objects.count()
    caplog.set_level(logging.DEBUG)

    client.page(address)

    assert Entry.objects.count() == before
    assert "LT11" not in caplog.text
    assert "elsewhere.example" not in caplog.text


def test_a_message_of_another_conversation_has_no_source_here(
    pending: Draft, mailbox: Any, alice: Any
) -> None:
    other = scenes.message(mailbox, "another-thread")

    address = reverse("approvals:message_source", args=[pending.public_id, other.pk])

    assert browser(alice).get(address).status_code == 404


def test_the_conversation_leads_to_the_source_of_each_of_its_messages(pending: Draft, alice: Any) -> None:
    page = browser(alice).page(reverse("approvals:draft", args=[pending.public_id]))

    [message] = Message.objects.all()
    links = [link.get("href") for link in page.all("a") if page.text(link) == "Source"]
    assert links == [reverse("approvals:message_source", args=[pending.public_id, message.pk])]


def test_limits_leave_a_page_that_a_browser_can_show() -> None:
    looked = message_sources.look(b"\x00\x01" * 5_000_000)

    assert len(looked.whole.text) == message_sources.WHOLE_BYTES
    assert looked.whole.left == 10_000_000 - message_sources.WHOLE_BYTES
