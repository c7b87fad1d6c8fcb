"""The source of a message taken apart: what mail programs write, and what only somebody hostile does."""

import os
import tracemalloc

import pytest

from agentmail import raw_mime
from agentmail.raw_mime import File, Source, Trouble, read

BOTH = b"""From: a@example.net
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset=iso-8859-1

Gr\xfc\xdfe
--b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+R3LDvMOfZTwvcD4=
--b--
"""


def multipart(kind, *parts, boundary="o"):
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n'.encode()
    return head + b"".join(f"--{boundary}\n".encode() + part + b"\n" for part in parts)


def part(content_type, text=b"text", **headers):
    lines = [f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items()]
    return f"Content-Type: {content_type}\n{''.join(lines)}\n".encode() + text


def test_the_two_forms_of_one_text_are_read_in_their_character_sets():
    found = read(BOTH)

    assert (found.plain, found.html, found.is_alternative) == ("Grüße", "<p>Grüße</p>", True)
    assert found.trouble is None


def test_a_plain_mail_has_no_html_and_no_alternative():
    found = read(b"Subject: x\n\nHello\n")

    assert (found.plain, found.html, found.is_alternative) == ("Hello\n", None, False)


def test_all_texts_on_one_side_of_an_alternative_are_read_as_one():
    mixed = multipart(
        "mixed",
        part("text/html", b"<p>one</p>"),
        part("image/png", Content_Disposition="inline; filename=a.png"),
        part("text/html", b"<p>two</p>"),
        boundary="i",
    )

    found = read(multipart("alternative", part("text/plain", b"one two"), mixed))

    assert (found.plain, found.html) == ("one two", "<p>one</p>\n<p>two</p>\n")
    assert found.files == (File("a.png", "image/png"),)


def test_a_footer_beside_the_text_is_no_other_form_of_it():
    found = read(multipart("mixed", part("text/plain", b"hello"), part("text/html", b"<p>list</p>")))

    assert (found.plain, found.html, found.is_alternative) == ("hello", "<p>list</p>", False)


def test_an_attached_text_is_a_file_and_no_text_of_the_mail():
    attached = part("text/plain", b"secret", Content_Disposition='attachment; filename="a.txt"')

    found = read(multipart("mixed", part("text/plain", b"hello"), attached))

    assert found.plain == "hello"
    assert found.files == (File("a.txt", "text/plain"),)


def test_an_attached_message_lends_its_text_to_nobody():
    found = read(multipart("mixed", part("text/plain", b"hello"), part("message/rfc822", BOTH)))

    assert (found.plain, found.html, found.is_alternative) == ("hello", None, False)
    assert found.files == (File("", "message/rfc822"),)


def test_the_headers_that_tell_where_a_mail_is_from_are_given_as_they_stand():
    found = read(
        b"Received: by a\nReceived: by b\nReturn-Path: <x@a.example>\nReply-To: Z\n\t<z@b.example>\n"
        b"Authentication-Results: mx; spf=pass\nauthentication-results: mx; dkim=fail\nMessage-ID: <1@a>\n\nx"
    )

    assert found.received == 2
    assert found.headers == {
        "Authentication-Results": ("mx; spf=pass", "mx; dkim=fail"),
        "Return-Path": ("<x@a.example>",),
        "Reply-To": ("Z <z@b.example>",),
        "Message-ID": ("<1@a>",),
    }


def test_the_head_of_a_source_ends_at_the_first_empty_line():
    assert raw_mime.headers_of(b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\n") == b"A: 1\r\nB: 2"
    assert raw_mime.headers_of(b"A: 1") == b"A: 1"


@pytest.mark.parametrize("name", ["idna", "punycode", "zlib", "unicode_escape", "no-such", "a" * 500, "\xff"])
def test_a_character_set_that_is_none_of_mail_is_read_as_utf_8(name):
    assert read(part(f'text/plain; charset="{name}"', "Grüße".encode())).plain == "Grüße"


def test_what_no_database_keeps_is_replaced():
    assert read(part("text/plain", b"a\0b \xff")).plain == "a\ufffdb \ufffd"


def nested(depth):
    return b"".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n'.encode() for n in range(depth)
    )


BEYOND = [
    (Trouble.TOO_LARGE, b"a" * (raw_mime.SOURCE_BYTES + 1)),
    (Trouble.TOO_MANY_LINES, b"\n" * (raw_mime.LINES + 1)),
    (Trouble.TOO_MANY_LINES, b"\r" * (raw_mime.LINES + 1)),
    (Trouble.TOO_MANY_PARTS, multipart("mixed", *[part("text/plain")] * raw_mime.PARTS)),
    (Trouble.TOO_DEEP, nested(raw_mime.DEPTH + 2)),
    (Trouble.TOO_DEEP, nested(5000)),
    (Trouble.TOO_DEEP, b"Content-Type: message/rfc822\n\n" * 5000),
    (Trouble.MALFORMED, part("text/plain; " + "(" * 3000)),
]


@pytest.mark.parametrize(("trouble", "raw"), BEYOND)
def test_a_source_beyond_a_limit_is_not_taken_apart(trouble, raw):
    assert read(raw) == Source(trouble=trouble)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b":",
        b"\xff\xfe\x00" * 100,
        os.urandom(100_000),
        part("multipart/alternative"),
        part("multipart/alternative; boundary=" + '"' + "b" * 5000 + '"'),
        part("multipart/mixed; boundary=b", b"--b\n--b\n--b--\n--b\n"),
        part("text/plain", b"!!!\xff===", Content_Transfer_Encoding="base64"),
        part("text/plain", b"begin 666 x\nzzz\n", Content_Transfer_Encoding="x-uuencode"),
        part("text/plain", b"=XX=", Content_Transfer_Encoding="quoted-printable"),
        part("text/plain; charset*0*=utf-8''%ff; charset*1=x"),
        part("image/png", Content_Disposition="attachment; filename*=utf-8''%ff%fe"),
        part("message/rfc822", b""),
        b"Subject: " + b"=?utf-8?q?a?= " * 10_000 + b"\n\nx",
        b"".join(b"X-%d: y\n" % number for number in range(10_000)) + b"\nx",
        multipart("mixed", *[part("text/plain; " + "a;b=" * 250 + str(n)) for n in range(90)]),
    ],
)
def test_no_source_raises(raw):
    assert isinstance(read(raw), Source)


def test_a_large_source_takes_a_bounded_multiple_of_its_size():
    raw = multipart("alternative", part("text/plain", b"a" * 4_000_000), part("text/html", b"b" * 4_000_000))
    tracemalloc.start()

    found = read(raw)

    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(found.plain), len(found.html)] == [raw_mime.TEXT_CHARACTERS] * 2
    assert peak < 12 * len(raw)
