"""Reading the record onwards and keeping what each endpoint is to be told: each entry once, none left out.

Entries are committed in the order of their sequence, so whoever saw one has seen all before it. What is kept and how
far was read are one transaction: a crash loses both or neither.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from agentmail.failpoints import reach
from audit.clock import database_now
from audit.models import Entry
from gateway.tokens import TokenState, state_of
from gateway.webhooks import events
from gateway.webhooks.events import Event, Subscriber
from gateway.webhooks.models import WebhookCursor, WebhookDelivery, WebhookEndpoint

BATCH = 500
BATCHES_AT_ONCE = 40


def read_on() -> int:
    """Keep what is to be told of everything recorded by now; how many deliveries were kept."""
    if WebhookCursor.objects.filter(pk=1, sequence=_end()).exists():
        return 0
    kept = 0
    for _batch in range(BATCHES_AT_ONCE):
        more, is_at_end = _read_batch()
        kept += more
        if is_at_end:
            break
    return kept


def subscriber_of(endpoint: WebhookEndpoint) -> Subscriber:
    """Whom an endpoint stands for; one of an agent is never for more than its token."""
    named = frozenset(mailbox.pk for mailbox in endpoint.mailboxes.all()) or None
    if endpoint.agent is None:
        return Subscriber(frozenset(endpoint.types), named, None)
    allowed = frozenset(mailbox.pk for mailbox in endpoint.agent.mailboxes.all())
    return Subscriber(
        frozenset(endpoint.types),
        allowed if named is None else named & allowed,
        endpoint.agent.agent_id,
    )


def _read_batch() -> tuple[int, bool]:
    with transaction.atomic():
        cursor, _is_new = WebhookCursor.objects.select_for_update().get_or_create(pk=1)
        # First the end, then the endpoints: one that is not seen here was made after that end.
        end = _end()
        endpoints = _subscribers()
        begin = max(cursor.sequence, min((one.starts_after for one in endpoints), default=end))
        upto = min(end, begin + BATCH)
        rows = Entry.objects.filter(
            sequence__gt=begin, sequence__lte=upto, action__in=events.ACTIONS
        ).order_by("sequence")
        now = database_now()
        made = [
            _delivery(endpoint, entry.sequence, subscriber, event, now)
            for entry in (rows if endpoints else [])
            if (event := events.event_of(entry)) is not None
            for endpoint, subscriber in endpoints.items()
            if entry.sequence > endpoint.starts_after and subscriber.concerns(event)
        ]
        WebhookDelivery.objects.bulk_create(made)
        reach("W1")
        WebhookCursor.objects.filter(pk=cursor.pk).update(sequence=upto)
    reach("W2")
    return len(made), upto == end


def _end() -> int:
    return Entry.objects.order_by("-sequence").values_list("sequence", flat=True).first() or 0


def _subscribers() -> Mapping[WebhookEndpoint, Subscriber]:
    now = database_now()
    rows = WebhookEndpoint.objects.filter(is_enabled=True).select_related("agent__owner").order_by("pk")
    return {
        endpoint: subscriber_of(endpoint)
        for endpoint in rows.prefetch_related("mailboxes", "agent__mailboxes")
        if endpoint.agent is None or state_of(endpoint.agent, now) is TokenState.IN_FORCE
    }


def _delivery(
    endpoint: WebhookEndpoint, sequence: int, subscriber: Subscriber, event: Event, now: datetime
) -> WebhookDelivery:
    public_id = uuid.uuid4()
    return WebhookDelivery(
        public_id=public_id,
        endpoint=endpoint,
        sequence=sequence,
        type=event.type,
        body=events.body_of(event.type, event.at, subscriber.told(event), event_id=public_id),
        made_at=now,
        next_try_at=now,
    )
