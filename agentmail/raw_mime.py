"""The source of a message, taken apart for reading beside what the provider made of it. Nothing here decides.

Strangers write it, so the parser of the standard library is held to limits: it is linear in none of what they choose.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import EmailPolicy
from enum import StrEnum
from typing import Any

from agentmail.parsing import storable

# Of a whole message, as far as we ask the provider for it.
SOURCE_BYTES = 10_000_000
LINES = 250_000
PARTS = 100
DEPTH = 10
# A header that is understood, such as Content-Type, is looked at up to here.
HEADER_CHARACTERS = 998
TEXT_CHARACTERS = 2_000_000
FILES = 50

# Codecs that are no character sets of mail, and those whose work grows faster than their text, are left out.
CHARSETS = re.compile(
    r"ascii|utf-8|utf-16|utf-16-[bl]e|iso8859-\d+|cp125\d|cp8\d\d|cp9\d\d|koi8-[rtu]|mac-[a-z]+|gb2312|gbk|gb18030"
    r"|big5|big5hkscs|shift_jis|euc_jp|euc_kr|iso2022_jp|tis-620"
)
_KEPT_HEADERS = ("Authentication-Results", "Return-Path", "Reply-To", "Message-ID")
_KEPT_OF_EACH = 10


class Trouble(StrEnum):
    """Why a source was not taken apart."""

    TOO_LARGE = "too_large"
    TOO_MANY_LINES = "too_many_lines"
    TOO_MANY_PARTS = "too_many_parts"
    TOO_DEEP = "too_deep"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class File:
    """A part that is no text of the mail, as it calls itself; either may be empty."""

    filename: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a message holds. With a `trouble`, only that and nothing of it.

    `plain` and `html` are its texts, each None when it has none; `is_alternative` is whether they stand beside each
    other as two forms of one text. `headers` are those of `Authentication-Results`, `Return-Path`, `Reply-To` and
    `Message-ID`, each with all its values; `received` counts the servers that passed the message on.
    """

    plain: str | None = None
    html: str | None = None
    is_alternative: bool = False
    headers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    received: int = 0
    files: tuple[File, ...] = ()
    trouble: Trouble | None = None


class _Limit(Exception):
    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


def read(raw: bytes) -> Source:
    """Take the source of a message apart. Never raises: what goes beyond a limit or cannot be read is a `trouble`."""
    if len(raw) > SOURCE_BYTES:
        return Source(trouble=Trouble.TOO_LARGE)
    if raw.count(b"\n") + raw.count(b"\r") > LINES:
        return Source(trouble=Trouble.TOO_MANY_LINES)
    try:
        return _read(message_from_bytes(raw, policy=_bounded_policy()))
    except _Limit as limit:
        return Source(trouble=limit.trouble)
    except Exception:  # noqa: BLE001 - the parser answers hostile mail with whatever it stumbles over
        return Source(trouble=Trouble.MALFORMED)


def headers_of(raw: bytes) -> bytes:
    """The source up to the first empty line."""
    found = re.search(rb"\r?\n\r?\n", raw)
    return raw[: found.start()] if found else raw


def _bounded_policy() -> EmailPolicy[Any]:
    """A policy for one message, which stops the parser at the first part too many or too deep."""
    count = 0
    parsed: dict[tuple[str, str], Any] = {}

    class Part(EmailMessage):
        depth = 0

        def __init__(self, policy: Any = None) -> None:
            nonlocal count
            count += 1
            if count > PARTS:
                raise _Limit(Trouble.TOO_MANY_PARTS)
            super().__init__(policy)

        def attach(self, part: Any) -> None:
            part.depth = self.depth + 1
            if part.depth > DEPTH:
                raise _Limit(Trouble.TOO_DEEP)
            super().attach(part)

    class Policy(EmailPolicy):
        # The library parses a header again each time that it is asked for, and not in linear time.
        def header_fetch_parse(self, name: str, value: str) -> Any:
            key = (name, value[:HEADER_CHARACTERS])
            if key not in parsed:
                parsed[key] = super().header_fetch_parse(*key)
            return parsed[key]

    return Policy(message_factory=Part)


def _read(message: Message[Any, Any]) -> Source:
    texts = _Texts()
    files: list[File] = []
    for part, alternative in _leaves(message, None):
        if _is_text(part):
            texts.add(part, alternative)
        elif len(files) < FILES:
            files.append(File(storable(part.get_filename() or ""), storable(part.get_content_type())))
    names = [name.lower() for name, _value in message.raw_items()]
    return Source(
        plain=texts.of("plain"),
        html=texts.of("html"),
        is_alternative=texts.alternative is not None,
        headers={name: values for name in _KEPT_HEADERS if (values := _values(message, name))},
        received=names.count("received"),
        files=tuple(files),
    )


def _leaves(
    part: Message[Any, Any], alternative: Message[Any, Any] | None
) -> Iterator[tuple[Message[Any, Any], Message[Any, Any] | None]]:
    """The parts that hold something, each with the outermost `multipart/alternative` around it."""
    # A payload that is text would be decoded here, by whatever codec its sender named.
    if part.get_content_maintype() != "multipart" or not part.is_multipart():
        yield part, alternative
        return
    if alternative is None and part.get_content_type() == "multipart/alternative":
        alternative = part
    for child in part.get_payload():
        if isinstance(child, Message):
            yield from _leaves(child, alternative)


def _is_text(part: Message[Any, Any]) -> bool:
    return (
        part.get_content_type() in ("text/plain", "text/html")
        and part.get_content_disposition() != "attachment"
        and not part.get_filename()
        and not part.is_multipart()
    )


class _Texts:
    """The texts of a mail: those of its first alternative if there is one with both, else of all its parts."""

    def __init__(self) -> None:
        self.parts: list[tuple[Message[Any, Any], Message[Any, Any] | None]] = []

    def add(self, part: Message[Any, Any], alternative: Message[Any, Any] | None) -> None:
        self.parts.append((part, alternative))

    @property
    def alternative(self) -> Message[Any, Any] | None:
        kinds: dict[int, set[str]] = {}
        for part, alternative in self.parts:
            if alternative is not None:
                found = kinds.setdefault(id(alternative), set())
                found.add(part.get_content_subtype())
                if len(found) > 1:
                    return alternative
        return None

    def of(self, subtype: str) -> str | None:
        """The text of one kind, whose parts a mail program shows one below the other."""
        only = self.alternative
        texts = [
            _text(part)
            for part, alternative in self.parts
            if part.get_content_subtype() == subtype and (only is None or alternative is only)
        ]
        return "\n".join(texts)[:TEXT_CHARACTERS] if texts else None


def _text(part: Message[Any, Any]) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    # No character takes more than four bytes.
    text = data[: 4 * TEXT_CHARACTERS].decode(_charset_of(part), "replace")
    return storable(text.replace("\r\n", "\n"))[:TEXT_CHARACTERS]


def _charset_of(part: Message[Any, Any]) -> str:
    """The codec for the character set that a part names; UTF-8 for one that is not taken, for ASCII and for none."""
    try:
        name = codecs.lookup(part.get_content_charset("utf-8")).name
    except (LookupError, ValueError):
        return "utf-8"
    return name if name != "ascii" and CHARSETS.fullmatch(name) else "utf-8"


def _values(message: Message[Any, Any], name: str) -> tuple[str, ...]:
    found = [
        str(value)[:HEADER_CHARACTERS] for one, value in message.raw_items() if one.lower() == name.lower()
    ]
    return tuple(
        storable(" ".join(value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split()))
        for value in found[:_KEPT_OF_EACH]
    )
