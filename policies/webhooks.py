"""What every webhook of the desk shares: its secret, its signatures, its envelope, and its name in the record."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.utils.crypto import salted_hmac


class Standing(StrEnum):
    """Whether a receiver is told of what happens."""

    ON = "on"
    FAILING = "failing"
    OFF = "off"


DEFAULT_HEADER = "X-Countersign-Signature"


def standing_of(*, is_on: bool, failing_since: datetime | None) -> Standing:
    """How a receiver stands; `failing_since` is the first failure since the last success."""
    if not is_on:
        return Standing.OFF
    return Standing.FAILING if failing_since is not None else Standing.ON


def new_salt() -> str:
    return secrets.token_hex(32)


def secret_of(purpose: str, salt: str) -> str:
    """What a webhook signs with: made of the salt and the site's own key, so neither alone gives it away."""
    digest = salted_hmac(purpose, salt, algorithm="sha256").digest()
    return "whsec_" + base64.b64encode(digest).decode()


def signature_headers(
    signing: Sequence[str], *, header: str, message_id: str, body: bytes, at: int
) -> dict[str, str]:
    """What proves to a receiver that a message is ours: in the standard form, and as plain hex of the body.

    `signing` are the secrets, the newest last; `at` is in seconds since 1970. While two sign, the standard form
    carries both, the named header that of the old one, and the same header with `-Next` that of the new one.
    """
    signed = b".".join([message_id.encode(), str(at).encode(), body])
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in signing]
    standard = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    plain = [hmac.digest(secret.encode(), body, hashlib.sha256).hex() for secret in signing]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{one}" for one in standard),
        **dict(zip((header, f"{header}-Next"), plain, strict=False)),
    }


def envelope(
    message_id: str, kind: str, at: datetime, data: Mapping[str, Any], **marks: bool
) -> dict[str, Any]:
    """What is posted about one event: its id, which a repeat shares, what happened and when, and `marks` of ours."""
    return {"id": message_id, "type": kind, "created_at": at.isoformat(), **marks, "data": data}


def name_in_record(url: str) -> str:
    """The host and a digest: the path of a webhook is often all that protects it."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return f"{urlsplit(url).hostname} {digest}"
