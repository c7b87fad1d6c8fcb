"""Pictures that a mail wants from elsewhere, fetched by the desk when a person asks for them, so that no browser does.

What comes back is drawn anew (`approvals.renderings`) and put into the mail: the frame still loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from agentmail.mail_html import with_images
from agentmail.models import Mailbox
from approvals import outgoing, renderings
from approvals.mentions import host_of, once
from approvals.renderings import Frame
from audit.record import Actor, record

logger = logging.getLogger(__name__)

OFF, ON_DEMAND = "off", "on_demand"

IMAGES = 40
IMAGE_BYTES = 5_000_000
ADDRESS_CHARACTERS = 2000
IMAGE_SECONDS, WHOLE_SECONDS = 6.0, 20.0
# What one mail may become in all, drawn.
DRAWN_BYTES = 15_000_000
AT_ONCE = 4
# The cache can be the memory of this process, and counts what it holds by the piece.
KEPT_SECONDS, KEPT_BYTES = 600, 500_000
FRAME = Frame("remote", 1000, 1600, 1)
_HEADERS = {"User-Agent": "Mozilla/5.0", "Accept": "image/png,image/jpeg,image/gif,image/webp"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A mail with its pictures in their places: how many were shown of how many, and the hosts that were asked."""

    html: str
    shown: int
    count: int
    hosts: tuple[str, ...]


class _Room:
    """How many bytes of pictures a mail can still take: counted as each is drawn, so that no more are ever held."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        return self._left <= 0

    def takes(self, png: bytes) -> bool:
        """Whether there is a picture and room for it, which is then taken."""
        with self._lock:
            if not png or len(png) > self._left:
                return False
            self._left -= len(png)
            return True


def is_off() -> bool:
    """Whether this desk never loads pictures from elsewhere."""
    return bool(settings.REMOTE_IMAGES == OFF)


def hosts_of(addresses: Iterable[str]) -> list[str]:
    """The hosts of pictures, in their ASCII form, each once."""
    return once(host_of(address) or urlsplit(address).netloc for address in addresses)


def load(
    html: str,
    addresses: Sequence[str],
    *,
    mailbox: Mailbox,
    actor: Actor,
    message_id: str = "",
    draft: str = "",
) -> Loaded:
    """Fetch the pictures of a cleaned mail and put them into it. It is recorded that they were asked for, and where.

    Whoever sent the mail can learn from it that it was opened. What cannot be fetched or drawn, or comes too late,
    stays the text that stood for it. Asks outside for `WHOLE_SECONDS` at most.
    """
    hosts = tuple(hosts_of(addresses[:IMAGES]))
    with transaction.atomic():
        record(
            "approvals.images.loaded",
            actor=actor,
            mailbox_id=mailbox.pk,
            inbound_message_id=message_id,
            data={"hosts": list(hosts), "count": len(addresses), "draft": draft},
        )
    until = time.monotonic() + WHOLE_SECONDS
    room = _Room(DRAWN_BYTES)

    def shown(address: str) -> str:
        png = b"" if room.is_full else _drawn(address, until)
        return "data:image/png;base64," + base64.b64encode(png).decode() if room.takes(png) else ""

    with ThreadPoolExecutor(AT_ONCE) as threads:
        drawn = threads.map(shown, addresses[:IMAGES])
        images = {place: picture for place, picture in enumerate(drawn) if picture}
    return Loaded(with_images(html, images), len(images), len(addresses), hosts)


def _drawn(address: str, until: float) -> bytes:
    """The picture as PNG, drawn by us; nothing when there is none to show. Small ones are kept for some minutes."""
    key = "remote-image:" + hashlib.sha256(address.encode()).hexdigest()
    kept = cache.get(key)
    if kept is not None:
        return bytes(kept)
    png = b""
    left = until - time.monotonic()
    if left <= 0:
        return png
    try:
        data = outgoing.fetch(
            address,
            _HEADERS,
            most_bytes=IMAGE_BYTES,
            most_characters=ADDRESS_CHARACTERS,
            whole_seconds=min(left, IMAGE_SECONDS),
        )
        found = renderings.render(data, FRAME)
        if found.kind in renderings.IMAGE_KINDS and found.pictures:
            png = found.pictures[0].png
    except (outgoing.AddressRefused, outgoing.NotReached, renderings.Busy) as trouble:
        # Not the address, which can name the reader.
        logger.info("a picture of %s was not loaded: %s", host_of(address), trouble)
        return png
    if len(png) <= KEPT_BYTES:
        cache.set(key, png, KEPT_SECONDS)
    return png
