"""What a mail says, as one value: its canonical form, its digests and the bytes that are sent for it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.crypto import salted_hmac

from agentmail.mail_html import is_html, to_text
from agentmail.types import Address, DraftSnapshot, MessageSnapshot
from approvals.models import Revision

# The provider takes JSON requests up to 3 MB in all; base64 and quoting need room.
JSON_REQUEST_BYTES = 3_000_000
JSON_ATTACHMENT_BYTES = 2_000_000
# The provider's ceiling for one outbound message (nylas-v3 sections 3.3 and 7.5).
MESSAGE_BYTES = 25_000_000
RECIPIENT_LIMIT = 50
REFERENCE_HEADER = "X-Approval-Ref"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment whose bytes are frozen under `sha256`. `size` in bytes.

    `kind` is what its content is (`approvals.file_kinds`), empty where that is not known; it is no part of the mail.
    """

    id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    content_id: str = ""
    is_inline: bool = False
    kind: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that would be sent, and nothing else."""

    sender: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    body: str
    is_plaintext: bool
    parent_message_id: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest that an approval binds: over the canonical form, recipients and attachments included."""
        return _digest(
            {**self._visible_upstream(), "parent": self.parent_message_id, "plain": self.is_plaintext}
        )

    @property
    def upstream_sha256(self) -> str:
        """The digest of the part that the provider gives back when a draft is read."""
        return _digest(self._visible_upstream())

    def _visible_upstream(self) -> dict[str, Any]:
        return {
            "from": _pairs(self.sender),
            "to": _pairs(self.to),
            "cc": _pairs(self.cc),
            "bcc": _pairs(self.bcc),
            "reply_to": _pairs(self.reply_to),
            "subject": self.subject,
            "body": self.body,
            "attachments": [
                [part.filename, part.content_type, part.size, part.sha256, part.content_id, part.is_inline]
                for part in self.attachments
            ],
        }

    def recipients(self) -> list[str]:
        """Every address that would receive the mail, in the order to, cc, bcc."""
        return [address.email for field in (self.to, self.cc, self.bcc) for address in field]


def content_of_revision(revision: Revision) -> Content:
    """Read the content back from an immutable row."""
    return Content(
        sender=_addresses(revision.sender),
        to=_addresses(revision.to),
        cc=_addresses(revision.cc),
        bcc=_addresses(revision.bcc),
        reply_to=_addresses(revision.reply_to),
        subject=revision.subject,
        body=revision.body,
        is_plaintext=revision.is_plaintext,
        parent_message_id=revision.parent_message_id,
        attachments=tuple(Attachment(**part) for part in revision.attachments),
    )


def content_of_draft(
    snapshot: DraftSnapshot,
    *,
    mailbox: Address,
    parent_message_id: str,
    digests: Mapping[str, str],
    kinds: Mapping[str, str] | None = None,
) -> Content:
    """Read a provider's draft as content; `digests` maps attachment id to the SHA-256 of its bytes, `kinds` that to
    what they are.

    The provider does not say whether a draft is plain text: one without any tag is sent as plain text, so
    that its line breaks survive. A draft without sender gets the mailbox's own address.
    """
    return Content(
        sender=snapshot.from_ or (mailbox,),
        to=snapshot.to,
        cc=snapshot.cc,
        bcc=snapshot.bcc,
        reply_to=snapshot.reply_to,
        subject=snapshot.subject,
        body=snapshot.body,
        is_plaintext=not is_html(snapshot.body),
        parent_message_id=parent_message_id,
        attachments=tuple(
            Attachment(
                id=part.id,
                filename=part.filename,
                content_type=part.content_type,
                size=part.size,
                sha256=digests.get(part.id, ""),
                content_id=part.content_id,
                is_inline=part.is_inline,
                kind=(kinds or {}).get(digests.get(part.id, ""), ""),
            )
            for part in snapshot.attachments
        ),
    )


def edited(content: Content, changes: Mapping[str, Any]) -> Content:
    """The content with a person's changes to subject, body and addresses; the rest stays."""
    return replace(content, **changes)


def is_same_mail(approved: Content, sent: MessageSnapshot) -> bool:
    """Whether a sent copy says what was approved, as far as the provider gives it back.

    BCC is often missing from a sent copy, and a provider may add to the HTML around a body; a recipient in To or
    CC, the subject and the text must agree.
    """
    return (
        _emails(approved.to) == _emails(sent.to)
        and _emails(approved.cc) == _emails(sent.cc)
        and (not sent.bcc or _emails(approved.bcc) == _emails(sent.bcc))
        and approved.subject == sent.subject
        and (not sent.body or _words(approved.body) == _words(sent.body))
    )


def send_token(grant_id: str, provider_draft_id: str) -> str:
    """The token that finds a send again: 26 characters, the same for one draft for ever.

    It depends on the instance's secret key only, so a database restored from yesterday computes it again.
    """
    mac = salted_hmac("countersign.send", f"{grant_id}|{provider_draft_id}", algorithm="sha256").digest()
    return base64.b32encode(mac).decode("ascii")[:26]


def idempotency_key(token: str, key_epoch: int) -> str:
    """The provider's repeat protection for one epoch: 64 hexadecimal characters. See send-safety section 3."""
    return hashlib.sha256(f"{token}|{key_epoch}".encode()).hexdigest()


def frozen_payload(content: Content, token: str, blobs: Mapping[str, bytes]) -> tuple[bytes, str]:
    """The exact bytes of a `messages/send` request and their content type, the same at every call.

    `blobs` maps SHA-256 to attachment bytes. A large mail makes it multipart (nylas-v3 section 3.3).
    Raises ValueError when bytes are missing or are not those of the digest.
    """
    message: dict[str, Any] = {
        "from": [address.to_json() for address in content.sender],
        "to": [address.to_json() for address in content.to],
        "subject": content.subject,
        "body": content.body,
        "metadata": {"key1": token},
        "custom_headers": [{"name": REFERENCE_HEADER, "value": token}],
    }
    for name in ("cc", "bcc", "reply_to"):
        if addresses := getattr(content, name):
            message[name] = [address.to_json() for address in addresses]
    if content.is_plaintext:
        message["is_plaintext"] = True
    if content.parent_message_id:
        message["reply_to_message_id"] = content.parent_message_id
    files = [(part, _checked_bytes(part, blobs)) for part in content.attachments]
    if sum(len(data) for _, data in files) <= JSON_ATTACHMENT_BYTES:
        attached = {"attachments": [json_attachment(part, data) for part, data in files]} if files else {}
        request = _json_bytes(message | attached)
        if len(request) <= JSON_REQUEST_BYTES:
            return request, "application/json"
    return _multipart(message, files, boundary=f"countersign-{token.lower()}")


def _checked_bytes(part: Attachment, blobs: Mapping[str, bytes]) -> bytes:
    data = blobs.get(part.sha256)
    if data is None or hashlib.sha256(data).hexdigest() != part.sha256:
        raise ValueError("the frozen bytes of an attachment are missing or differ from their digest")
    return data


def json_attachment(part: Attachment, data: bytes) -> dict[str, Any]:
    """An attachment as the provider takes it inside a JSON request (nylas-v3 section 3.3)."""
    entry = {
        "filename": part.filename or "attachment",
        "content_type": part.content_type or "application/octet-stream",
        "content": base64.b64encode(data).decode("ascii"),
    }
    if part.content_id:
        entry["content_id"] = part.content_id
    if part.is_inline:
        entry["content_disposition"] = "inline"
    return entry


def _multipart(
    message: dict[str, Any], files: Sequence[tuple[Attachment, bytes]], *, boundary: str
) -> tuple[bytes, str]:
    chunks = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="message"\r\n'
        "Content-Type: application/json\r\n\r\n".encode(),
        _json_bytes(message),
        b"\r\n",
    ]
    for index, (part, data) in enumerate(files):
        name = part.content_id if part.is_inline and part.content_id else f"file{index}"
        chunks.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"; '
            f'filename="{_quoted(part.filename or "attachment")}"\r\n'
            f"Content-Type: {part.content_type or 'application/octet-stream'}\r\n\r\n".encode()
        )
        chunks.extend((data, b"\r\n"))
    chunks.append(f"--{boundary}--\r\n".encode())
    return b"".join(chunks), f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    # As browsers escape a form-data name (WHATWG HTML, multipart/form-data encoding algorithm).
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _addresses(entries: Sequence[Mapping[str, Any]]) -> tuple[Address, ...]:
    return tuple(Address.from_json(dict(entry)) for entry in entries)


def _emails(addresses: Sequence[Address]) -> list[str]:
    return sorted(address.email.casefold() for address in addresses)


def _words(body: str) -> list[str]:
    return (to_text(body) if is_html(body) else body).split()


def _pairs(addresses: Sequence[Address]) -> list[list[str]]:
    return [[address.email, address.name] for address in addresses]


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _digest(value: Any) -> str:
    return hashlib.sha256(_json_bytes(value)).hexdigest()
