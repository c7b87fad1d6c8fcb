"""The source of a message for a person to look at, as text and cut where it is long. It is fetched each time."""

from __future__ import annotations

from dataclasses import dataclass

from agentmail import raw_mime
from agentmail.client import configured_client
from agentmail.models import Message
from agentmail.raw_mime import Source
from approvals.models import Draft

READ_SECONDS = 20.0
HEAD_BYTES, WHOLE_BYTES = 20_000, 100_000
PLAIN_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a text; `left` bytes, or characters of a text that was decoded already, are not in it."""

    text: str
    left: int


@dataclass(frozen=True, slots=True)
class Looked:
    """A source taken apart, of `size` bytes. `plain` is None when it has no plain text."""

    size: int
    source: Source
    head: Excerpt
    plain: Excerpt | None
    whole: Excerpt


def fetch(draft: Draft, message: Message) -> bytes:
    """The source of a message of a draft's conversation, as the provider holds it now. Raises ProviderError."""
    return configured_client().get_raw_mime(
        draft.grant_id, message.provider_id, limit=raw_mime.SOURCE_BYTES, read_timeout=READ_SECONDS
    )


def look(raw: bytes) -> Looked:
    """Take a source apart for showing it. Bytes that are no UTF-8 are written out, as `\\xff`."""
    source = raw_mime.read(raw)
    plain = source.plain
    return Looked(
        size=len(raw),
        source=source,
        head=_excerpt(raw_mime.headers_of(raw), HEAD_BYTES),
        plain=None
        if plain is None
        else Excerpt(plain[:PLAIN_CHARACTERS], max(0, len(plain) - PLAIN_CHARACTERS)),
        whole=_excerpt(raw, WHOLE_BYTES),
    )


def _excerpt(data: bytes, limit: int) -> Excerpt:
    return Excerpt(data[:limit].decode("utf-8", "backslashreplace"), max(0, len(data) - limit))
