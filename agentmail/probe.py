"""One short question to the provider, to say how it is; nothing is decided by the answer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

import requests
from django.conf import settings

# A page of one grant is small; whatever else answers here is not read to its end.
REPLY_BYTES = 65_536


class Condition(StrEnum):
    WELL = "well"
    NOT_CONFIGURED = "not_configured"
    SILENT = "silent"  # no connection, or no answer in time
    KEY_REFUSED = "key_refused"  # 401, 403
    BUSY = "busy"  # 429
    FAILING = "failing"  # 5xx
    FOREIGN = "foreign"  # something answers that is not the provider


@dataclass(frozen=True, slots=True)
class Probe:
    """`seconds` is how long the answer took; `apart_seconds` how far our clock is ahead of the provider's."""

    condition: Condition
    seconds: float = 0.0
    status_code: int | None = None
    apart_seconds: float | None = None


def probe(limit_seconds: float) -> Probe:
    """Ask the provider for one grant and judge the answer. Never raises for trouble on the way.

    The limit holds for each step of the connection, so that the whole may take about twice as long.
    """
    if not settings.NYLAS_API_URI or not settings.NYLAS_API_KEY:
        return Probe(Condition.NOT_CONFIGURED)
    began = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False
            with session.get(
                f"{settings.NYLAS_API_URI}/v3/grants",
                params={"limit": "1"},
                headers={"Authorization": f"Bearer {settings.NYLAS_API_KEY}", "Accept": "application/json"},
                timeout=(limit_seconds, limit_seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _content(_beginning(response, until=began + 2 * limit_seconds))
    except requests.RequestException:
        return Probe(Condition.SILENT, time.monotonic() - began)
    return Probe(
        _condition(response.status_code, content),
        time.monotonic() - began,
        response.status_code,
        _apart_seconds(response.headers.get("Date", "")),
    )


def _beginning(response: requests.Response, *, until: float) -> bytes:
    body = b""
    for piece in response.iter_content(REPLY_BYTES):
        body += piece
        if len(body) >= REPLY_BYTES or time.monotonic() > until:
            break
    return body


def _content(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _condition(status_code: int, content: object) -> Condition:
    if status_code in (401, 403):
        return Condition.KEY_REFUSED
    if status_code == 429:
        return Condition.BUSY
    if status_code >= 500:
        return Condition.FAILING
    if status_code == 200 and isinstance(content, dict) and isinstance(content.get("data"), list):
        return Condition.WELL
    return Condition.FOREIGN


def _apart_seconds(date: str) -> float | None:
    try:
        provider_at = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None
    # The header has whole seconds, so half a second either way says nothing.
    apart = time.time() - (provider_at + 0.5)
    return 0.0 if abs(apart) <= 0.5 else apart
