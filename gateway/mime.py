"""A mail as an SMTP client writes it, read into what can be kept, shown to reviewers and sent. The rest is refused."""

from __future__ import annotations

import codecs
import email
import mimetypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email import policy
from email.headerregistry import AddressHeader
from email.message import Message
from typing import Any

from agentmail.raw_mime import CHARSETS
from agentmail.types import Address
from approvals.content import Attachment, json_attachment
from approvals.submissions import Mail
from gateway.schemas import BODY_CHARACTERS

# The parser of the standard library is not linear in the length of a header that it is asked for.
HEADER_CHARACTERS = 998
RECIPIENT_HEADER_CHARACTERS = 5_000
HEADERS = 200
PARTS = 60
# Lines that may border a part: each costs the parser more than a line of text.
BORDERS = 1_000
DEPTH = 5
FILENAME_CHARACTERS = 255
# Of the messages that a mail says it answers, directly or further back.
ANSWERED_IDS = 20

_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_BORDER = re.compile(rb"^--\S", re.MULTILINE)
_PART_HEADER = re.compile(rb"^content-[a-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*", re.MULTILINE | re.IGNORECASE)
_IN_BRACKETS = re.compile("<([^<>]+)>")
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_CONTAINERS = frozenset({"mixed", "alternative", "related"})
_ENCODINGS = frozenset({"7bit", "8bit", "binary", "quoted-printable", "base64"})
_KEPT_TYPES = frozenset({"text", "image", "audio", "video", "application", "font"})
_RECIPIENTS = ("to", "cc")
_ONCE = ("from", "sender", "to", "cc", "bcc", "reply-to", "subject", "message-id", "in-reply-to", "date")


class Unkept(Exception):
    """The mail, or a part of it, cannot be kept for review; the text says what."""


@dataclass(frozen=True, slots=True)
class Written:
    """A mail as its headers and parts say. Whom it goes to is for the envelope to say.

    `answers` are the messages that it says it answers, without angle brackets, the nearest first; `plain_part` is the
    plain text that stands beside an HTML body as its alternative.
    """

    sender: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    body: str
    is_plaintext: bool
    attachments: tuple[dict[str, Any], ...]
    message_id: str
    answers: tuple[str, ...]
    plain_part: str

    def mail(self, recipients: Iterable[str], *, parent: str) -> Mail:
        """The mail for the recipients of an envelope: those that To and Cc do not show are blind copies.

        Addresses in To and Cc that the envelope does not name are left out: nothing goes to them.
        """
        waiting = {address.casefold(): address for address in recipients}
        shown = {
            name: tuple(
                Address(waiting.pop(one.email.casefold()), one.name)
                for one in getattr(self, name)
                if one.email.casefold() in waiting
            )
            for name in ("to", "cc")
        }
        return Mail(
            **shown,
            bcc=tuple(Address(address) for address in waiting.values()),
            reply_to=self.reply_to,
            subject=self.subject,
            body=self.body,
            is_plaintext=self.is_plaintext,
            parent_message_id=parent,
            attachments=self.attachments,
            plain_part=self.plain_part,
        )


def read(raw: bytes) -> Written:
    """Read a mail. Raises Unkept for one that is malformed or holds what reviewers could not be shown."""
    if b"\x00" in raw or _BARE_LINE_END.search(raw):
        raise Unkept("lines end with CR LF, and no line holds a CR, LF or NUL of its own")
    _check_costs(raw)
    try:
        message = email.message_from_bytes(raw, policy=policy.default)
        _check_structure(message)
        return _written(message)
    except Unkept:
        raise
    # The parser answers hostile headers with whatever it stumbles over: any of it means that the mail is unreadable.
    except Exception as error:
        raise Unkept(f"it cannot be read ({type(error).__name__})") from error


def _check_costs(raw: bytes) -> None:
    # Before the parser sees it: it reads the headers of all parts at once.
    if sum(1 for _border in _BORDER.finditer(raw)) > BORDERS:
        raise Unkept(f"more than {BORDERS} lines that could border a part")
    sizes = [len(found.group()) for found in _PART_HEADER.finditer(raw)]
    if len(sizes) > HEADERS or max(sizes, default=0) > HEADER_CHARACTERS:
        raise Unkept(f"more than {HEADERS} headers of parts, or one over {HEADER_CHARACTERS} characters")


def _check_structure(message: Message[Any, Any]) -> None:
    headers = 0
    for number, part in enumerate(message.walk()):
        if number >= PARTS:
            raise Unkept(f"more than {PARTS} parts")
        for name, value in part.raw_items():
            headers += 1
            if headers > HEADERS:
                raise Unkept(f"more than {HEADERS} headers")
            _check_header(name, str(value))
        if part.defects:
            raise Unkept(f"it is malformed ({type(part.defects[0]).__name__})")
    for name in _ONCE:
        if len(_raw(message, name)) > 1:
            raise Unkept(f"{name} stands there twice")


def _check_header(name: str, value: str) -> None:
    if not value.isascii() or not name.isascii():
        raise Unkept("a header holds characters outside ASCII that are not encoded")
    is_long = name.casefold() in _RECIPIENTS
    limit = RECIPIENT_HEADER_CHARACTERS if is_long else HEADER_CHARACTERS
    if name.casefold() in _ONCE and len(value) > limit:
        raise Unkept(f"{name} has more than {limit} characters")


def _written(message: Message[Any, Any]) -> Written:
    sender = _addresses(message, "From")
    # Who sends for whom would not be kept; a mail that says so is none of this mailbox's own.
    if _addresses(message, "Sender") not in ((), sender):
        raise Unkept("Sender names somebody else than From")
    parts = _Parts()
    parts.take(message, depth=0, alternative=None)
    body, is_plaintext = parts.body()
    return Written(
        sender=sender,
        to=_addresses(message, "To"),
        cc=_addresses(message, "Cc"),
        reply_to=_addresses(message, "Reply-To"),
        subject=_text("Subject", _header(message, "Subject") or ""),
        body=body,
        is_plaintext=is_plaintext,
        attachments=tuple(parts.attachments),
        message_id=_identifier(message, "Message-ID"),
        answers=_answers(message),
        plain_part="" if is_plaintext else parts.plain or "",
    )


@dataclass(slots=True)
class _Parts:
    """What was found in the parts of a mail. A body of plain text counts only if no HTML says the same beside it."""

    plain: str | None = None
    html: str | None = None
    plain_in: Any = None
    html_in: Any = None
    attachments: list[dict[str, Any]] = field(default_factory=list)

    def take(self, part: Message[Any, Any], *, depth: int, alternative: Any) -> None:
        if depth > DEPTH:
            raise Unkept(f"parts inside parts, more than {DEPTH} deep")
        main, sub = part.get_content_maintype(), part.get_content_subtype()
        if main == "multipart":
            if sub not in _CONTAINERS:
                raise Unkept(f"multipart/{sub} would not stay what it is")
            for child in _children(part):
                self.take(child, depth=depth + 1, alternative=part if sub == "alternative" else alternative)
        elif main == "message":
            self.attachments.append(_nested(part, sub, len(self.attachments) + 1))
        elif _is_body(part, main, sub):
            self._take_body(part, sub, alternative)
        else:
            self.attachments.append(_attachment(part, main, sub, len(self.attachments) + 1))

    def body(self) -> tuple[str, bool]:
        if self.html is None:
            return self.plain or "", True
        if self.plain and (self.plain_in is None or self.plain_in is not self.html_in):
            raise Unkept("two texts, of which only one could be sent")
        return self.html, False

    def _take_body(self, part: Message[Any, Any], sub: str, alternative: Any) -> None:
        text = _body_text(part)
        if not text.strip():
            return
        if (self.html if sub == "html" else self.plain) is not None:
            raise Unkept("two texts, of which only one could be sent")
        if sub == "html":
            self.html, self.html_in = text, alternative
        else:
            self.plain, self.plain_in = text, alternative


def _is_body(part: Message[Any, Any], main: str, sub: str) -> bool:
    return (
        main == "text"
        and sub in ("plain", "html")
        and part.get_content_disposition() != "attachment"
        and part.get_filename() is None
    )


def _children(part: Message[Any, Any]) -> Sequence[Message[Any, Any]]:
    payload = part.get_payload()
    if not isinstance(payload, list):
        raise Unkept("a part that says it has parts has none")
    return [child for child in payload if isinstance(child, Message)]


def _body_text(part: Message[Any, Any]) -> str:
    charset = part.get_content_charset("us-ascii")
    try:
        name = codecs.lookup(charset).name
    except LookupError as error:
        raise Unkept("the text is in a character set that is not known") from error
    if not CHARSETS.fullmatch(name):
        raise Unkept("the text is in a character set that is not taken")
    try:
        text = _bytes(part).decode(name)
    except UnicodeDecodeError as error:
        raise Unkept(f"the text is not {name}, as it says") from error
    if len(text) > BODY_CHARACTERS:
        raise Unkept(f"the text has more than {BODY_CHARACTERS} characters")
    return _text("the text", text.replace("\r\n", "\n"))


def _bytes(part: Message[Any, Any]) -> bytes:
    if (_identifier(part, "Content-Transfer-Encoding") or "7bit").lower() not in _ENCODINGS:
        raise Unkept("a part is encoded in a way that is not known")
    data = part.get_payload(decode=True)
    # Decoding finds more defects, such as base64 that is none.
    if not isinstance(data, bytes) or part.defects:
        raise Unkept("a part is not encoded as it says")
    return data


def _nested(part: Message[Any, Any], sub: str, number: int) -> dict[str, Any]:
    if sub != "rfc822":
        raise Unkept(f"message/{sub} cannot be shown")
    (message,) = _children(part)
    if any(inner.get_content_maintype() == "message" for inner in message.walk()):
        raise Unkept("messages inside attached messages")
    return _kept(part, message.as_bytes(), "message/rfc822", f"message-{number}.eml")


def _attachment(part: Message[Any, Any], main: str, sub: str, number: int) -> dict[str, Any]:
    if main not in _KEPT_TYPES or not _TOKEN.fullmatch(sub):
        raise Unkept("an attachment is of a type that is not known")
    kind = f"{main}/{sub}"
    return _kept(part, _bytes(part), kind, f"part-{number}{mimetypes.guess_extension(kind) or '.bin'}")


def _kept(part: Message[Any, Any], data: bytes, kind: str, unnamed: str) -> dict[str, Any]:
    name = part.get_filename() or unnamed
    if len(name) > FILENAME_CHARACTERS or not name.isprintable() or "/" in name or "\\" in name:
        raise Unkept(
            f"the name of an attachment is longer than {FILENAME_CHARACTERS} characters, or names a folder"
        )
    content_id = _identifier(part, "Content-ID").strip("<>")
    if len(content_id) > FILENAME_CHARACTERS:
        raise Unkept("a Content-ID is too long")
    inline = bool(content_id) and part.get_content_disposition() != "attachment"
    return json_attachment(
        Attachment("", _text("a file name", name), kind, len(data), "", content_id, inline), data
    )


def _header(message: Message[Any, Any], name: str) -> Any:
    header = message[name]
    if header is not None and header.defects:
        raise Unkept(f"{name} is malformed")
    return header


def _addresses(message: Message[Any, Any], name: str) -> tuple[Address, ...]:
    header = _header(message, name)
    if not isinstance(header, AddressHeader):
        return ()
    return tuple(
        Address(_text(name, one.addr_spec), _text(name, one.display_name or "")) for one in header.addresses
    )


def _raw(message: Message[Any, Any], name: str) -> list[str]:
    return [str(value) for found, value in message.raw_items() if found.casefold() == name.casefold()]


def _answers(message: Message[Any, Any]) -> tuple[str, ...]:
    named = _identifier(message, "In-Reply-To")
    # A conversation grows at the end of References.
    earlier = reversed([one for value in _raw(message, "References") for one in _identifiers(value)])
    found = [*(_identifiers(named) or filter(None, [named])), *earlier]
    return tuple(dict.fromkeys(found))[:ANSWERED_IDS]


def _identifiers(value: str) -> list[str]:
    return _IN_BRACKETS.findall("".join(value.split()))


def _identifier(message: Message[Any, Any], name: str) -> str:
    found = _raw(message, name)
    return "".join(found[0].split()) if found else ""


def _text(what: str, text: str) -> str:
    text = str(text)
    # Encoded words and parameters can hold bytes that are no text, which come as lone surrogates.
    if _NO_TEXT.search(text):
        raise Unkept(f"{what} holds bytes that are no text")
    return text
