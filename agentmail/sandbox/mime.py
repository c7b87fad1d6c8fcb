"""Mail as bytes: multipart requests, raw messages in both directions, and the plain text of HTML."""

from __future__ import annotations

import base64
import email.message
import email.policy
import email.utils
import html
import re
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Any

from .errors import invalid

TAGS = re.compile(r"<(script|style|head)\b.*?</\1>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)
SPACE = re.compile(r"\s+")
# Mail of strangers is odd on purpose here; the strict policy would refuse to carry it.
POLICY = email.policy.SMTP.clone(raise_on_defect=False)


@dataclass(slots=True)
class Part:
    name: str
    filename: str
    content_type: str
    content: bytes


def snippet(body: str) -> str:
    """Return the first 100 characters of a body with its tags removed."""
    return SPACE.sub(" ", html.unescape(TAGS.sub(" ", body[:20_000]))).strip()[:100]


def looks_like_html(body: str) -> bool:
    return re.search(r"<[a-zA-Z!/][^>]*>", body) is not None


def read_multipart(body: bytes, content_type: str) -> list[Part]:
    """Split a multipart/form-data body; raises `ApiError` when it is malformed."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if found is None:
        raise invalid("multipart request without a boundary")
    delimiter = b"\r\n--" + found.group(1).encode()
    pieces = (b"\r\n" + body).split(delimiter)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise invalid("multipart request is cut short")
    parts = []
    for piece in pieces[1:-1]:
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator:
            raise invalid("multipart part without headers")
        headers = email.message_from_bytes(head.lstrip(b"\r\n") + b"\r\n\r\n")
        parts.append(
            Part(
                name=str(headers.get_param("name", "", "content-disposition") or ""),
                filename=headers.get_filename("") or "",
                content_type=headers.get("content-type", "application/octet-stream"),
                content=content,
            )
        )
    return parts


def _people(header: str) -> list[dict[str, str]]:
    people = []
    for name, address in email.utils.getaddresses([header]):
        if address:
            people.append({"email": address, **({"name": name} if name else {})})
    return people


def read_message(raw: bytes) -> dict[str, Any]:
    """Turn an RFC 5322 message into the fields of a send request."""
    message = email.message_from_bytes(raw, policy=POLICY)
    fields: dict[str, Any] = {
        name: _people(",".join(str(value) for value in message.get_all(header, [])))
        for name, header in (
            ("from", "From"),
            ("to", "To"),
            ("cc", "Cc"),
            ("bcc", "Bcc"),
            ("reply_to", "Reply-To"),
        )
    }
    fields["subject"] = str(message.get("Subject", ""))
    body = message.get_body(("html", "plain")) if isinstance(message, email.message.EmailMessage) else None
    fields["body"] = body.get_content() if body is not None else ""
    fields["is_plaintext"] = body is None or body.get_content_subtype() == "plain"
    fields["in_reply_to"] = str(message.get("In-Reply-To", "")).strip()
    fields["references"] = str(message.get("References", "")).split()
    fields["custom_headers"] = [
        {"name": name, "value": str(value)}
        for name, value in message.items()
        if name.lower().startswith("x-")
    ]
    files = []
    for part in message.iter_attachments():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            files.append(Part("", part.get_filename("") or "", part.get_content_type(), content))
    fields["files"] = files
    return fields


def _address(person: dict[str, str]) -> Address:
    local, _, domain = person["email"].rpartition("@")
    return Address(person.get("name", ""), local, domain)


def write_message(record: dict[str, Any], contents: list[tuple[dict[str, Any], bytes]]) -> bytes:
    """Return the RFC 5322 bytes of a stored message with its attachments, or those that it was filed with."""
    if record.get("source"):
        return base64.b64decode(record["source"])
    message = email.message.EmailMessage(policy=POLICY)
    generated = {"from", "to", "cc", "subject", "content-type", "mime-version", "content-transfer-encoding"}
    for name, header in (("from", "From"), ("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To")):
        if record.get(name):
            message[header] = tuple(_address(person) for person in record[name])
    message["Subject"] = record["subject"].replace("\r", " ").replace("\n", " ")
    seen = generated | ({"reply-to"} if record.get("reply_to") else set())
    for header in record["headers"]:
        if header["name"].lower() not in seen:
            message[header["name"]] = header["value"].replace("\r", " ").replace("\n", " ")
    is_html = not record.get("is_plaintext") and looks_like_html(record["body"])
    if is_html and record.get("plain_part"):
        message.set_content(record["plain_part"])
        message.add_alternative(record["body"], subtype="html")
    else:
        message.set_content(record["body"], subtype="html" if is_html else "plain")
    for attachment, content in contents:
        main, _, sub = attachment["content_type"].partition(";")[0].partition("/")
        message.add_attachment(
            content,
            maintype=main or "application",
            subtype=sub or "octet-stream",
            filename=attachment["filename"],
        )
    return message.as_bytes()
