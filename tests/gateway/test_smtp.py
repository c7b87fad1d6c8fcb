"""Mail handed in over SMTP to the real process, and the tricks that do not get past the gate."""

from __future__ import annotations

import asyncio
import re
import smtplib
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import Session
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from agentmail.models import Mailbox, Message
from approvals import dispatch, inbound, sweeps
from approvals.models import Submission
from audit.models import Entry
from audit.record import SYSTEM
from gateway import smtp, tokens
from gateway.models import Token
from policies import recipients
from policies.models import RecipientKind
from policies.recipients import NewEntry
from tests.approvals.conftest import approve
from tests.database import read_only
from tests.gateway.conftest import taken_in, token_of
from tests.gateway.smtp_client import BUYER, SUPPORT, connected, serving, submitted, trusting, written

MIXED = 'Content-Type: multipart/mixed; boundary="b"'


@pytest.fixture(scope="module")
def port(django_db_setup: None) -> Iterator[int]:
    with serving() as port:
        yield port


@pytest.fixture
def secret(transactional_db: None, ada: User, mailbox: Mailbox) -> str:
    return token_of(ada, mailbox).secret


@pytest.fixture
def client(port: int, secret: str) -> Iterator[smtplib.SMTP]:
    with connected(port, secret) as client:
        yield client


@pytest.mark.row("003-20", "001-26")
def test_a_mail_goes_from_the_agent_through_an_approval_to_the_customer(
    client: smtplib.SMTP, alice: User, sandbox: Any
) -> None:
    code, told = submitted(client, written())
    (draft,) = taken_in()
    before = sandbox.sends()

    dispatch.dispatch(approve(draft, by=alice).pk)

    (sent,) = sandbox.sends()
    assert (code, told) == (250, f"2.0.0 queued for review as {draft.public_id}")
    assert before == []
    assert (sent["to"][0]["email"], sent["subject"]) == (BUYER, "Your order")


def test_the_size_that_is_taken_is_announced(client: smtplib.SMTP) -> None:
    client.ehlo()

    assert client.esmtp_features["size"] == "3000000"


def test_the_envelope_says_whom_a_mail_goes_to(client: smtplib.SMTP) -> None:
    message = written(
        to=f"Bea Buyer <{BUYER}>, nobody@example.net", Cc="carl@example.net", Bcc="x@example.net"
    )

    submitted(client, message, BUYER, "carl@example.net", "hidden@example.net")

    content = Submission.objects.get().content
    assert content["to"] == [{"email": BUYER, "name": "Bea Buyer"}]
    assert content["cc"] == [{"email": "carl@example.net"}]
    assert content["bcc"] == [{"email": "hidden@example.net"}]


def test_html_attachments_and_pictures_are_kept_for_review(client: smtplib.SMTP) -> None:
    message = written(Reply_To="desk@harbour.example")
    message.add_alternative('<p>On <b>Thursday</b>.<img src="cid:logo"></p>', subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<logo>", filename="logo.png")
    message.add_attachment(b"a;b\n", maintype="text", subtype="csv", filename="Größe.csv")

    assert submitted(client, message)[0] == 250
    (draft,) = taken_in()

    revision = draft.current_revision
    kept = {part["filename"]: part["content_type"] for part in revision.attachments}
    assert "<b>Thursday</b>" in revision.body
    assert kept == {"logo.png": "image/png", "Größe.csv": "text/csv"}
    assert [part["content_id"] for part in revision.attachments if part["is_inline"]] == ["logo"]
    assert revision.reply_to == [{"email": "desk@harbour.example"}]


def test_the_plain_text_beside_html_is_kept_for_reviewers_and_not_sent(
    client: smtplib.SMTP, sandbox: Any, alice: User
) -> None:
    message = written(text="It arrives on Friday.\n")
    message.add_alternative("<p>It arrives on Thursday.</p>", subtype="html")
    submitted(client, message)
    (draft,) = taken_in()
    revision = draft.current_revision

    dispatch.dispatch(approve(draft, by=alice).pk)

    (sent,) = sandbox.sends()
    assert revision.plain_part == "It arrives on Friday.\n"
    assert "parts_differ" in draft.risk_reasons
    assert "Friday" not in str(sent)


def test_text_in_eight_bits_is_read_as_it_says(client: smtplib.SMTP) -> None:
    kind = "Content-Type: text/plain; charset=iso-8859-1"

    submitted(client, raw(kind, "Content-Transfer-Encoding: 8bit", body="Größe\r\n".encode("latin-1")))

    content = Submission.objects.get().content
    assert (content["body"], content["is_plaintext"]) == ("Größe\n", True)


@pytest.fixture
def question(transactional_db: None, customer_writes: Callable[..., Any], mailbox: Mailbox) -> Message:
    """A message of the mailbox that the desk has read."""
    told = customer_writes(subject="Where is it?")
    sweeps.poll_mailbox(mailbox.pk)
    return Message.objects.get(provider_id=told["message_id"])


def answered() -> str:
    """The provider's id of the message that the mail which was handed in answers, or empty."""
    return Submission.objects.get().content.get("reply_to_message_id", "")


NAMES = {
    "In-Reply-To": {"In_Reply_To": "{header}"},
    "In-Reply-To with the provider's id": {"In_Reply_To": "{provider_id}"},
    "In-Reply-To with another id before it": {"In_Reply_To": "<lost@example.net> {header}"},
    "References": {"References": "<first@example.net> {header}"},
    "References when In-Reply-To is unknown": {"In_Reply_To": "<lost@example.net>", "References": "{header}"},
    "many References": {"References": "<older@example.net> " * 300 + "{header}"},
}


@pytest.mark.parametrize("names", NAMES)
def test_an_answer_names_its_message(client: smtplib.SMTP, question: Message, names: str) -> None:
    ids = {"header": question.message_id, "provider_id": question.provider_id}
    headers = {name: value.format(**ids) for name, value in NAMES[names].items()}

    code, _told = submitted(client, written(**headers))

    assert (code, answered()) == (250, question.provider_id)


def test_an_answer_stands_in_its_thread_when_it_is_in_the_queue(
    client: smtplib.SMTP, question: Message
) -> None:
    submitted(client, written(In_Reply_To=question.message_id))

    (draft,) = taken_in()

    assert (draft.thread_id, draft.parent_message_id) == (question.thread_id, question.provider_id)


def test_the_nearest_message_of_the_references_is_the_one_that_is_answered(
    client: smtplib.SMTP, question: Message, customer_writes: Callable[..., Any], mailbox: Mailbox
) -> None:
    later = customer_writes(subject="And now?")
    sweeps.poll_mailbox(mailbox.pk)
    newest = Message.objects.get(provider_id=later["message_id"])

    submitted(client, written(References=f"{question.message_id} {newest.message_id}"))

    assert answered() == newest.provider_id


def test_a_later_mail_with_the_same_message_id_does_not_take_its_place(
    client: smtplib.SMTP, question: Message, customer_writes: Callable[..., Any], mailbox: Mailbox
) -> None:
    customer_writes(subject="Forged", headers=[{"name": "Message-ID", "value": question.message_id}])
    sweeps.poll_mailbox(mailbox.pk)

    submitted(client, written(In_Reply_To=question.message_id))

    assert Message.objects.filter(message_id=question.message_id).count() == 2
    assert answered() == question.provider_id


def test_an_answer_to_an_unknown_message_is_a_mail_of_its_own(client: smtplib.SMTP) -> None:
    code, _told = submitted(client, written(In_Reply_To="<unknown@example.net>", References="no id at all"))

    assert (code, answered()) == (250, "")


@pytest.mark.row("K17")
def test_a_held_message_is_as_unknown_as_one_that_is_not_there(
    client: smtplib.SMTP, customer_writes: Callable[..., Any], mailbox: Mailbox, alice: User
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="gated_all")
    told = customer_writes(subject="Where is it?")
    sweeps.poll_mailbox(mailbox.pk)
    held = Message.objects.get(provider_id=told["message_id"])

    code, reply = submitted(client, written(In_Reply_To=held.message_id))

    assert (code, reply.rpartition(" ")[0]) == (250, "2.0.0 queued for review as")
    assert answered() == ""


def test_a_released_message_can_be_answered(
    client: smtplib.SMTP, customer_writes: Callable[..., Any], mailbox: Mailbox, alice: User
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="gated_all")
    told = customer_writes(subject="Where is it?")
    sweeps.poll_mailbox(mailbox.pk)
    message = Message.objects.get(provider_id=told["message_id"])
    inbound.release(mailbox, [message.pk], person=alice)

    submitted(client, written(In_Reply_To=message.message_id))

    assert answered() == message.provider_id


def test_a_message_of_another_mailbox_is_not_answered(
    client: smtplib.SMTP, question: Message, mailbox: Mailbox
) -> None:
    other = Mailbox.objects.create(grant_id="another", address="sales@harbour.example")
    Message.objects.filter(pk=question.pk).update(mailbox=other)

    submitted(client, written(In_Reply_To=question.message_id))

    assert answered() == ""


@pytest.mark.row("000-23", "000-24")
def test_a_mail_that_is_sent_again_stays_one_and_its_id_takes_no_other(client: smtplib.SMTP) -> None:
    first = submitted(client, written(Message_ID="<one@agent.example>"))
    again = submitted(client, written(Message_ID="<one@agent.example>"))
    other = submitted(client, written(Message_ID="<one@agent.example>", Subject="Another"))

    assert first == again
    assert (other[0], other[1].split()[0]) == (554, "5.6.0")
    assert Submission.objects.count() == 1
    assert Entry.objects.filter(action="approvals.submission.key_reused").count() == 1


def operator_s(ada: User, mailbox: Mailbox) -> tuple[str, str]:
    return SUPPORT, token_of(ada, kind="operator", name="Script").secret


def revoked(ada: User, mailbox: Mailbox) -> tuple[str, str]:
    made = token_of(ada, mailbox, name="Revoked")
    tokens.revoke(made.token, actor=SYSTEM)
    return SUPPORT, made.secret


def of_a_foreign_mailbox(ada: User, mailbox: Mailbox) -> tuple[str, str]:
    return "sales@harbour.example", token_of(ada, mailbox, name="Another").secret


def with_the_grant_as_user(ada: User, mailbox: Mailbox) -> tuple[str, str]:
    return mailbox.grant_id, token_of(ada, mailbox, name="Another").secret


def invented(ada: User, mailbox: Mailbox) -> tuple[str, str]:
    return SUPPORT, "cs_agent_invented"


@pytest.mark.row("001-26")
@pytest.mark.parametrize(
    "shown", [operator_s, revoked, of_a_foreign_mailbox, with_the_grant_as_user, invented]
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_token_that_is_not_the_mailbox_s_agent_s_is_refused_alike(
    port: int,
    transactional_db: None,
    ada: User,
    mailbox: Mailbox,
    shown: Callable[..., Any],
    mechanism: str,
) -> None:
    user, secret = shown(ada, mailbox)
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()
        client.user, client.password = user, secret

        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))

    assert (refusal.value.smtp_code, refusal.value.smtp_error) == (
        535,
        b"5.7.8 Authentication credentials invalid",
    )


def test_nothing_is_taken_before_somebody_signed_in(port: int, secret: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.ehlo()

        assert client.mail(SUPPORT)[0] == 530
        assert client.rcpt(BUYER)[0] == 503
        assert client.docmd("DATA")[0] == 503


def test_a_token_that_ends_after_signing_in_hands_in_nothing(client: smtplib.SMTP) -> None:
    tokens.revoke(Token.objects.get(name="Support agent"), actor=SYSTEM)

    assert submitted(client, written())[0] == 550
    assert not Submission.objects.exists()


@pytest.mark.row("004-24", "004-25")
def test_a_read_only_mailbox_hands_in_nothing(client: smtplib.SMTP, mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="read_only")

    assert submitted(client, written()) == (550, "5.7.1 oversight_mode is read_only")
    assert not Submission.objects.exists()


def test_a_denied_recipient_of_the_envelope_blocks_the_whole_mail(client: smtplib.SMTP) -> None:
    recipients.add([NewEntry(RecipientKind.DENY, "global", "rival.example", "")], actor=SYSTEM)

    code, told = submitted(client, written(), BUYER, "spy@sub.rival.example")

    assert (code, told.split()[0]) == (550, "5.7.1")
    assert not Submission.objects.exists()


def test_another_from_than_the_mailbox_is_refused_and_recorded(client: smtplib.SMTP) -> None:
    code, told = submitted(client, written(From="ceo@harbour.example"))

    assert (code, told) == (550, f"5.7.1 From must be {SUPPORT} and nobody else")
    assert Entry.objects.get(action="gateway.attempt.refused").actor_kind == "agent"
    assert not Submission.objects.exists()


def test_another_sender_in_the_envelope_is_refused(client: smtplib.SMTP) -> None:
    assert submitted(client, written(), sender="ceo@harbour.example")[0] == 550


def raw(*headers: str, body: bytes = b"Hello\r\n") -> bytes:
    names = {line.partition(":")[0].lower() for line in headers}
    usual = [f"From: {SUPPORT}", f"To: {BUYER}", "Subject: Your order"]
    lines = [line for line in usual if line.partition(":")[0].lower() not in names]
    return "".join(f"{line}\r\n" for line in (*lines, *headers)).encode() + b"\r\n" + body


def parts(*each: str) -> bytes:
    text = "".join(f"--b\r\n{one}\r\n" for one in each)
    return raw(MIXED, body=f"{text}--b--\r\n".encode())


INNER = "From: a@example.net\r\n\r\nHello"
TRICKS = {
    "two From": raw(f"From: {SUPPORT}", "From: ceo@harbour.example"),
    "two addresses in From": raw(f"From: {SUPPORT}, ceo@harbour.example"),
    "no From": raw("From:"),
    "another Sender": raw("Sender: ceo@harbour.example"),
    "two Subject": raw("Subject: a", "Subject: b"),
    "a line break in an encoded Subject": raw("Subject: =?utf-8?q?a=0D=0ABcc=3A_spy=40rival.example?="),
    "a line break in a display name": raw(f"To: =?utf-8?q?a=0D=0AX?= <{BUYER}>"),
    "NUL in an encoded Subject": raw("Subject: =?utf-8?q?a=00b?="),
    "bytes outside ASCII in a header": raw("Subject: gr\u00f6\u00dfe"),
    "a Subject that is too long": raw("Subject: " + "\r\n ".join(["many words"] * 100)),
    "a bare LF": raw(body=b"Hello\n.\nMAIL FROM:<x@example.net>\r\n"),
    "a bare CR": raw(body=b"Hello\r.\rMAIL FROM:<x@example.net>\r\n"),
    "a header after a bare LF": raw("X-A: b\nBcc: spy@rival.example"),
    "a NUL": raw(body=b"Hello\x00\r\n"),
    "no header at all": b"\r\nHello\r\n",
    "a line that is no header": raw("this is no header"),
    "an unknown top-level type": parts("Content-Type: chemical/x-pdb\r\n\r\nx"),
    "a signed mail": raw('Content-Type: multipart/signed; boundary="b"', body=b"--b\r\n\r\nx\r\n--b--\r\n"),
    "a mail in pieces": parts("Content-Type: message/partial; id=a; number=1\r\n\r\nx"),
    "a body elsewhere": parts("Content-Type: message/external-body; access-type=URL\r\n\r\nx"),
    "messages in messages": parts(
        f"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n{INNER}"
    ),
    "two texts": parts("\r\none", "\r\ntwo"),
    "a text and another in HTML": parts("\r\none", "Content-Type: text/html\r\n\r\n<p>two</p>"),
    "parts without an end": raw(MIXED, body=b"--b\r\n\r\nx\r\n"),
    "base64 that is none": raw("Content-Transfer-Encoding: base64", body=b"&&&&\r\n"),
    "an encoding that is not known": raw("Content-Transfer-Encoding: x-uuencode"),
    "text that is not as it says": raw("Content-Type: text/plain; charset=utf-8", body=b"\xff\xfe\r\n"),
    "an unknown character set": raw("Content-Type: text/plain; charset=x-none"),
    "a character set that is code": raw("Content-Type: text/plain; charset=unicode_escape"),
    "a file name with a folder": parts(
        'Content-Type: image/png\r\nContent-Disposition: attachment; filename="../a.png"\r\n\r\nx'
    ),
    "a file name with a line break": parts(
        "Content-Type: image/png\r\nContent-Disposition: attachment; filename*=utf-8''a%0D%0Ab.png\r\n\r\nx"
    ),
    "a hundred parts": parts(*("Content-Type: image/png\r\n\r\nx" for _ in range(100))),
    "a million borders": raw(MIXED, body=b"--b\r\n" * 200_000),
    "parts that are too deep": raw(
        'Content-Type: multipart/mixed; boundary="b0"',
        body="".join(
            f'--b{n}\r\nContent-Type: multipart/mixed; boundary="b{n + 1}"\r\n\r\n' for n in range(8)
        ).encode()
        + b"--b8\r\n\r\nx\r\n"
        + "".join(f"--b{n}--\r\n" for n in range(8, -1, -1)).encode(),
    ),
    "a header that is slow to read": raw("Cc: " + "\r\n ".join(['"' * 900] * 20)),
    "nobody to show": raw("To: undisclosed-recipients:;"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_what_could_not_be_kept_for_review_is_refused(client: smtplib.SMTP, trick: str) -> None:
    code, told = submitted(client, TRICKS[trick])

    assert code in (550, 554), told
    assert re.match(r"5\.[67]\.[01] ", told)
    assert not Submission.objects.exists()


def test_a_mail_over_the_size_is_refused_by_its_announcement_and_by_its_bytes(client: smtplib.SMTP) -> None:
    large = raw(body=b"x" * 70 + b"\r\n" + (b"x" * 70 + b"\r\n") * 42_000)

    announced = submitted(client, large)
    client.mail(SUPPORT)
    client.rcpt(BUYER)
    unannounced = client.data(large)

    assert (announced[0], unannounced[0]) == (552, 552)
    assert not Submission.objects.exists()


def test_the_fifty_first_recipient_is_refused_and_the_whole_mail_with_it(client: smtplib.SMTP) -> None:
    client.mail(SUPPORT)
    codes = [client.rcpt(f"buyer{number}@example.net")[0] for number in range(51)]

    assert codes == [250] * 50 + [452]
    assert client.data(bytes(written()))[0] == 554
    assert not Submission.objects.exists()


@pytest.mark.parametrize(
    "address", ["two@@example.net", '"a b"@example.net', "a%b@example.net", "a@localhost", "a@[127.0.0.1]"]
)
def test_an_address_outside_the_strict_form_is_refused_and_the_whole_mail_with_it(
    client: smtplib.SMTP, address: str
) -> None:
    client.mail(SUPPORT)
    client.rcpt(BUYER)

    code, _text = client.docmd(f"RCPT TO:<{address}>")

    assert code == 553
    assert not Submission.objects.exists()


def test_more_connections_than_the_process_serves_are_turned_away(port: int) -> None:
    with ExitStack() as opened:
        greetings = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port), 60)).recv(3)
            for _ in range(101)
        ]

    assert greetings == [b"220"] * 100 + [b"421"]


def test_a_mail_that_breaks_off_keeps_nothing(client: smtplib.SMTP, port: int, secret: str) -> None:
    client.mail(SUPPORT)
    client.rcpt(BUYER)
    client.docmd("DATA")
    client.sock.sendall(raw()[:-4])
    client.sock.shutdown(socket.SHUT_RDWR)
    client.close()

    with connected(port, secret) as other:
        other.noop()
    assert not Submission.objects.exists()


class WithoutWrites(ThreadPoolExecutor):
    """Threads whose database takes no writes."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        return super().submit(self._run, work, *args, **options)

    @staticmethod
    def _run(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            with read_only():
                return work(*args, **options)
        finally:
            connection.close()


def test_without_its_database_the_desk_asks_to_try_again(secret: str) -> None:
    async def handed_in() -> str:
        session, envelope = Session(asyncio.get_running_loop()), smtp.MailEnvelope()
        session.auth_data, envelope.rcpt_tos = smtp.SignedIn(SUPPORT, secret), [BUYER]
        envelope.original_content = raw()
        with WithoutWrites(1) as threads:
            return await smtp.House(threads).handle_DATA(None, session, envelope)

    reply = asyncio.run(handed_in())

    assert reply.startswith("451 4.3.0")
    assert not Submission.objects.exists()


def test_a_token_cannot_be_asked_for_without_a_database(tmp_path: Path, db: None) -> None:
    with (
        serving(DATABASE_URL=f"sqlite:///{tmp_path}/none/desk.sqlite3") as port,
        smtplib.SMTP("127.0.0.1", port, timeout=60) as client,
    ):
        client.ehlo()
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.login(SUPPORT, "cs_agent_any")

    assert refusal.value.smtp_code == 454


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    names = str(folder / "certificate.pem"), str(folder / "key.pem")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    subprocess.run([*command.split(), "-out", names[0], "-keyout", names[1]], check=True, capture_output=True)
    return names


def test_off_this_machine_a_token_is_taken_inside_tls_only(secret: str, certificate: tuple[str, str]) -> None:
    files = {"SMTP_CERT_FILE": certificate[0], "SMTP_KEY_FILE": certificate[1]}
    with serving("--host=0.0.0.0", **files) as port:
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            client.ehlo()
            offered = "auth" in client.esmtp_features
            refused = client.docmd("AUTH", "PLAIN AGEAYg==")
        with connected(port, secret, tls=trusting(certificate[0])) as client:
            taken = submitted(client, written())

    assert (offered, refused[0], taken[0]) == (False, 538, 250)


def test_off_this_machine_without_a_certificate_nothing_starts() -> None:
    with pytest.raises(CommandError, match="SMTP_CERT_FILE"):
        call_command("smtp", host="0.0.0.0")
