"""Whether the plain text of a message says what its HTML says, asked of its source once, when a draft answers it.

Nothing waits for it: a message that cannot be compared is said to be that, and decided about like any other.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet

from agentmail import raw_mime
from agentmail.client import NylasClient
from agentmail.exceptions import (
    NotFound,
    ProviderError,
    ProviderNotConfigured,
    ProviderUnavailable,
    TooLarge,
    Unauthenticated,
)
from agentmail.mail_html import hidden_text, to_text
from agentmail.models import Mailbox, Message, PartsState
from approvals import alternatives, risk
from approvals.alternatives import Sayings
from approvals.models import Draft
from approvals.states import OPEN_DRAFT_STATES, DraftState
from audit.clock import database_now

logger = logging.getLogger(__name__)

AT_ONCE = 20
# As many as a note points at.
PASSAGES = 12
READ_SECONDS, ALL_SECONDS = 20.0, 60.0
# How long to wait after a try that the provider did not answer; after the last one it is left.
PAUSES = (timedelta(minutes=2), timedelta(minutes=15), timedelta(hours=2))


def compare_waiting(mailbox: Mailbox, client: NylasClient) -> int:
    """Compare the messages of a mailbox that open drafts answer and that nobody compared yet; how many are settled.

    Each costs one read of the provider, which is repeated, after `PAUSES`, only when it gave no answer; one that came
    as plain text costs none. At most `AT_ONCE`, for `ALL_SECONDS`. Raises Unauthenticated and ProviderNotConfigured.
    """
    settled = 0
    until = time.monotonic() + ALL_SECONDS
    for message in _waiting(mailbox)[:AT_ONCE]:
        if time.monotonic() > until:
            break
        try:
            raw = client.get_raw_mime(
                mailbox.grant_id,
                message.provider_id,
                limit=raw_mime.SOURCE_BYTES,
                read_timeout=READ_SECONDS,
            )
        except (Unauthenticated, ProviderNotConfigured):
            raise
        except ProviderUnavailable as error:
            logger.info("the source of message %s was not given: %s", message.pk, error)
            settled += _put_off(message)
            # The others would fare no better.
            break
        except ProviderError as error:
            logger.info("the source of message %s cannot be had: %s", message.pk, error)
            settled += _keep(message, _why_not(error))
        else:
            settled += _keep(message, *_compared(raw))
    return settled


def _waiting(mailbox: Mailbox) -> QuerySet[Message]:
    answered = Draft.objects.filter(mailbox=mailbox, state__in=OPEN_DRAFT_STATES).exclude(
        parent_message_id=""
    )
    return (
        Message.objects.filter(
            Q(parts_next_at__isnull=True) | Q(parts_next_at__lte=database_now()),
            mailbox=mailbox,
            provider_id__in=answered.values("parent_message_id"),
            parts_state=PartsState.NOT_ASKED,
            is_outbound=False,
            is_complete=True,
            is_deleted=False,
        )
        .exclude(body_html="")
        .only("provider_id", "mailbox_id", "parts_attempts")
        .order_by("-pk")
    )


def _compared(raw: bytes) -> tuple[PartsState, dict[str, Any]]:
    source = raw_mime.read(raw)
    if source.trouble is not None:
        return PartsState.UNREADABLE, {}
    if source.plain is None or source.html is None or not source.is_alternative:
        return PartsState.SINGLE, {}
    plain, shown = alternatives.sayings(source.plain, _shown(source.html))
    if not plain.words and not shown.words:
        return PartsState.ALIKE, {}
    return PartsState.DIFFER, {"plain": _kept(plain), "shown": _kept(shown)}


def _shown(html: str) -> str:
    """The text of HTML without what its reader does not see: it stands in no plain text, and is told for itself."""
    text = to_text(html)
    for hidden in hidden_text(html):
        text = text.replace(hidden, " ", 1)
    return text


def _kept(sayings: Sayings) -> dict[str, list[str]]:
    return {"passages": sayings.passages[:PASSAGES], "lines": sayings.lines()}


def _why_not(error: ProviderError) -> PartsState:
    if isinstance(error, NotFound):
        return PartsState.GONE
    return PartsState.TOO_LARGE if isinstance(error, TooLarge) else PartsState.NOT_GIVEN


def _put_off(message: Message) -> bool:
    """Note a try without an answer; whether it was the last."""
    if message.parts_attempts >= len(PAUSES):
        return _keep(message, PartsState.NOT_GIVEN)
    Message.objects.filter(pk=message.pk).update(
        parts_attempts=F("parts_attempts") + 1,
        parts_next_at=database_now() + PAUSES[message.parts_attempts],
    )
    return False


def _keep(message: Message, state: PartsState, difference: dict[str, Any] | None = None) -> bool:
    kept = Message.objects.filter(pk=message.pk, parts_state=PartsState.NOT_ASKED).update(
        parts_state=state, parts_difference=difference or {}
    )
    if kept and state == PartsState.DIFFER:
        waiting = Draft.objects.filter(
            mailbox_id=message.mailbox_id, parent_message_id=message.provider_id, state=DraftState.PENDING
        )
        for draft_id in list(waiting.values_list("pk", flat=True)):
            risk.keep_of(draft_id)
    return bool(kept)
