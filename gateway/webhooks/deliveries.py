"""Posting what endpoints are to be told, one after another for each endpoint, until it was taken or given up.

A receiver may see an event twice, when a process dies between its answer and our note of it: both carry one id.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from agentmail.failpoints import reach
from approvals import outgoing
from approvals.outgoing import Answer
from audit.clock import database_now
from audit.record import SYSTEM, record
from gateway.tokens import TokenState, state_of
from gateway.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from gateway.webhooks.secrets import signing_secrets
from policies import locks, webhooks

# After the first, second … failed try: three days in all.
RETRY_SECONDS = (60, 300, 1800, 7200, 21_600, 43_200, 86_400, 98_640)
TRIES = len(RETRY_SECONDS) + 1
SWITCHED_OFF_AFTER = timedelta(days=3)
# One failure lets everything else of its endpoint wait for so long.
REST_SECONDS = 60
AT_ONCE = 100
KEPT_DAYS = 30


def due_endpoints() -> list[int]:
    """The endpoints that are to be told something now."""
    rows = _due(database_now()).order_by("endpoint_id").values_list("endpoint_id", flat=True)
    return list(rows.distinct())


def deliver_to(endpoint_id: int) -> int:
    """Post what is due for an endpoint, oldest first, until one fails; how many were taken. Safe at any time."""
    taken = 0
    with locks.hold(f"webhook:{endpoint_id}") as lock:
        if lock is None:
            return 0
        due = _due(database_now()).filter(endpoint=endpoint_id).order_by("pk")
        for delivery_id in list(due.values_list("pk", flat=True)[:AT_ONCE]):
            if not _deliver(delivery_id):
                break
            taken += 1
    return taken


def send_again(delivery: WebhookDelivery) -> None:
    """Let an event be posted once more, whatever became of it."""
    with transaction.atomic():
        now = database_now()
        WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).update(waits_until=None)
        WebhookDelivery.objects.filter(pk=delivery.pk).update(
            tries=0, next_try_at=now, delivered_at=None, given_up_at=None
        )


def forget_old() -> int:
    """Delete what was settled and is older than KEPT_DAYS; how many."""
    old = database_now() - timedelta(days=KEPT_DAYS)
    _count, by_model = WebhookDelivery.objects.filter(made_at__lt=old, next_try_at__isnull=True).delete()
    return by_model.get("gateway.WebhookDelivery", 0)


def _due(now: datetime) -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(next_try_at__lte=now, endpoint__is_enabled=True).filter(
        Q(endpoint__waits_until__isnull=True) | Q(endpoint__waits_until__lte=now)
    )


def _deliver(delivery_id: int) -> bool:
    row = WebhookDelivery.objects.select_related("endpoint__agent__owner").get(pk=delivery_id)
    endpoint, now = row.endpoint, database_now()
    if row.next_try_at is None or not endpoint.is_enabled:
        return False
    if endpoint.agent is not None and state_of(endpoint.agent, now) is not TokenState.IN_FORCE:
        answer = Answer(None, _("The agent's token is no longer in force; nothing was sent."))
        return _write_down(row, answer, at=now, took_ms=0, is_last=True)
    body = row.body.encode()
    headers = webhooks.signature_headers(
        signing_secrets(endpoint, now),
        header=endpoint.signature_header,
        message_id=str(row.public_id),
        body=body,
        at=int(now.timestamp()),
    )
    begun = time.monotonic()
    answer = outgoing.tell(endpoint.url, body, headers)
    reach("W3")
    took_ms = int((time.monotonic() - begun) * 1000)
    return _write_down(row, answer, at=now, took_ms=took_ms, is_last=row.tries + 1 >= TRIES)


def _write_down(row: WebhookDelivery, answer: Answer, *, at: datetime, took_ms: int, is_last: bool) -> bool:
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.select_for_update().get(pk=row.endpoint_id)
        now = database_now()
        WebhookAttempt.objects.create(
            delivery=row, at=at, took_ms=took_ms, status=answer.status, trouble=answer.trouble[:300]
        )
        rows = WebhookDelivery.objects.filter(pk=row.pk)
        if not answer.trouble:
            rows.update(tries=row.tries + 1, next_try_at=None, delivered_at=now)
            WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=None, waits_until=None)
            return True
        next_try_at = None if is_last else now + timedelta(seconds=RETRY_SECONDS[row.tries])
        rows.update(tries=row.tries + 1, next_try_at=next_try_at, given_up_at=now if is_last else None)
        since = endpoint.failing_since or at
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
            failing_since=since, waits_until=now + timedelta(seconds=REST_SECONDS)
        )
        if endpoint.is_enabled and now - since >= SWITCHED_OFF_AFTER:
            _switch_off(endpoint, answer.trouble, now=now)
    return False


def _switch_off(endpoint: WebhookEndpoint, trouble: str, *, now: datetime) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(is_enabled=False, switched_off_at=now)
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, next_try_at__isnull=False)
    given_up = waiting.update(next_try_at=None, given_up_at=now)
    record(
        "gateway.webhook.switched_off",
        actor=SYSTEM,
        reason=_("It failed for three days. Last: %(why)s") % {"why": trouble},
        data={"webhook": str(endpoint.public_id), "name": endpoint.name, "given_up": given_up},
    )
