"""Notifications of the provider: verified over the raw bytes, stored once, announced after the commit."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
import time
import zlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from agentmail import parsing
from agentmail.events import grant_id_of
from agentmail.models import EventState, Mailbox, ProviderEvent, WebhookRejection
from agentmail.signals import event_stored

logger = logging.getLogger(__name__)

SOURCE = "nylas"
LARGEST_BODY = 2 * 1024 * 1024
LARGEST_UNPACKED_BODY = 8 * 1024 * 1024
DEEPEST_JSON = 64

_SIGNATURE = re.compile(r"(?:sha256=)?([0-9a-fA-F]{64})")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,256}")
_WRITES_PER_SECOND = 20


class Rejected(Exception):
    """A notification that is not taken. `status_code` tells the provider whether to try again (503)."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(reason)
        self.status_code = status_code
        self.reason = reason


def webhook_secrets() -> tuple[str, ...]:
    """The secrets that are valid now: comma-separated, two while one replaces the other.

    Read at each call, from NYLAS_WEBHOOK_SECRET or from the file NYLAS_WEBHOOK_SECRET_FILE, so that a
    rotation needs no restart. Empty when none is set or the file cannot be read.
    """
    given = settings.NYLAS_WEBHOOK_SECRET
    if settings.NYLAS_WEBHOOK_SECRET_FILE:
        try:
            given = Path(settings.NYLAS_WEBHOOK_SECRET_FILE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            logger.error("the file of the webhook secret cannot be read: %s", type(error).__name__)
            return ()
    return tuple(secret for secret in re.split(r"[,\s]+", given) if secret)


def is_challenge(value: str) -> bool:
    """Whether a challenge may be echoed: only letters that mean nothing anywhere."""
    return _CHALLENGE.fullmatch(value) is not None


def looks_signed(signature: str) -> bool:
    """Whether a signature has the form of one, so that it is worth reading the body."""
    return _SIGNATURE.fullmatch(signature.strip()) is not None


def is_signed(body: bytes, signature: str) -> bool:
    """Whether `signature` is the hex HMAC-SHA256 of the raw bytes under one of the valid secrets."""
    given = _SIGNATURE.fullmatch(signature.strip())
    if given is None:
        return False
    is_valid = False
    for secret in webhook_secrets():
        expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        is_valid |= hmac.compare_digest(expected, given.group(1).lower())
    return is_valid


def receive(body: bytes, *, signature: str, content_encoding: str = "", content_type: str = "") -> bool:
    """Verify and store one notification; False when it was stored before.

    `body` is what came over the wire, still compressed if it was. Raises `Rejected`, and `DatabaseError`
    when the row could not be written. `event_stored` is sent after the commit.
    """
    if not webhook_secrets():
        raise Rejected(503, "no_secret")
    if len(body) > LARGEST_BODY:
        raise Rejected(413, "too_large")
    if not is_signed(body, signature):
        raise Rejected(401, "bad_signature")
    return store(
        _envelope(body, content_encoding, content_type), body_sha256=hashlib.sha256(body).hexdigest()
    )


def store(envelope: dict[str, Any], *, body_sha256: str) -> bool:
    """Write a verified notification down once; False when its id is known. Unknown grants go to quarantine."""
    notification_id = parsing.text(envelope.get("id"))
    event_type = parsing.text(envelope.get("type"))
    if not notification_id or not event_type or len(notification_id) > 255:
        raise Rejected(400, "malformed")
    grant_id = grant_id_of(envelope)[:255]
    event = ProviderEvent(
        source=SOURCE,
        notification_id=notification_id,
        type=event_type[:100],
        grant_id=grant_id,
        body_sha256=body_sha256,
        payload=parsing.storable_json(envelope),
        provider_time=_provider_time(envelope.get("time")),
    )
    try:
        with transaction.atomic():
            if not Mailbox.objects.filter(grant_id=grant_id).exists():
                event.state = EventState.QUARANTINED if grant_id else EventState.IGNORED
            event.save(force_insert=True)
            if event.state == EventState.STORED:
                transaction.on_commit(lambda: announce(event.pk))
    except IntegrityError:
        if not ProviderEvent.objects.filter(source=SOURCE, notification_id=notification_id).exists():
            raise
        return False
    return True


def announce(event_id: int) -> None:
    # The event is stored; whoever listens may fail without the provider being asked to send it again.
    for receiver, error in event_stored.send_robust(sender=ProviderEvent, event_id=event_id):
        if isinstance(error, Exception):
            logger.error("receiver %s failed for event %s", receiver.__name__, event_id, exc_info=error)


def count_rejection(reason: str) -> None:
    """Count a notification that was turned away. Of a flood some twenty a second are written, the rest waits."""
    _rejections.add(reason)


def write_rejections() -> None:
    """Write down the counts that a flood left waiting in this process."""
    _rejections.write()


class _Rejections:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._second = 0
        self._writes = 0

    def add(self, reason: str) -> None:
        with self._lock:
            self._waiting[reason] += 1
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._writes = second, 0
            if self._writes >= _WRITES_PER_SECOND:
                return
            self._writes += 1
        self.write()

    def write(self) -> None:
        with self._lock:
            due, self._waiting = self._waiting, Counter()
        try:
            for due_reason, count in due.items():
                self._add_to_row(due_reason, count)
        except DatabaseError:
            logger.warning("rejected notifications could not be counted: %s", sum(due.values()))

    def _add_to_row(self, reason: str, count: int) -> None:
        now = timezone.now()
        today = now.astimezone(UTC).date()
        row = WebhookRejection.objects.filter(day=today, reason=reason)
        if row.update(count=F("count") + count, last_at=now):
            return
        try:
            with transaction.atomic():
                WebhookRejection.objects.create(day=today, reason=reason, count=count)
        except IntegrityError:
            row.update(count=F("count") + count, last_at=now)


_rejections = _Rejections()


def _envelope(body: bytes, content_encoding: str, content_type: str) -> dict[str, Any]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and not media_type.endswith("json"):
        raise Rejected(400, "wrong_content_type")
    encoding = content_encoding.strip().lower()
    if encoding == "gzip":
        body = _unpacked(body)
    elif encoding not in ("", "identity"):
        raise Rejected(400, "wrong_encoding")
    try:
        envelope = parsing.json_content(body)
    except ValueError as error:
        raise Rejected(400, "malformed") from error
    if not isinstance(envelope, dict):
        raise Rejected(400, "malformed")
    if _is_deeper(envelope, DEEPEST_JSON):
        raise Rejected(400, "too_deep")
    return envelope


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, LARGEST_UNPACKED_BODY + 1)
    except zlib.error as error:
        raise Rejected(400, "malformed") from error
    if len(unpacked) > LARGEST_UNPACKED_BODY:
        raise Rejected(413, "too_large")
    if not unpacker.eof:
        raise Rejected(400, "malformed")
    return unpacked


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _depth in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _provider_time(value: Any) -> int | None:
    seconds = parsing.whole(value)
    if seconds is None and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return seconds
