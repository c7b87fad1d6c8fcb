"""What people set up: making, changing, rotating, switching and removing endpoints. Each change is in the record."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from agentmail.models import Mailbox
from approvals import outgoing
from approvals.names import fault_of_name
from audit.clock import database_now
from audit.models import Entry
from audit.record import Actor, record
from gateway.models import Token, TokenKind
from gateway.tokens import TokenState, state_of
from gateway.webhooks import events
from gateway.webhooks.models import WebhookDelivery, WebhookEndpoint
from policies import webhooks

OVERLAP = timedelta(hours=24)
_FORMS = uuid.UUID("f6a53d3c-7c5d-4a53-8a8e-4a8e5a2f2d10")


class WebhookRefused(Exception):
    """Nothing was changed. `field` names what was wrong, or is empty."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class AlreadyMade(Exception):
    """A form that was sent twice makes one endpoint."""


class Conflict(Exception):
    """Somebody else changed or removed the endpoint meanwhile."""


def make(
    *,
    actor: Actor,
    name: str,
    url: str,
    types: Sequence[str],
    signature_header: str = webhooks.DEFAULT_HEADER,
    mailboxes: Sequence[Mailbox] = (),
    agent: Token | None = None,
    form_id: uuid.UUID | None = None,
) -> WebhookEndpoint:
    """Make an endpoint that is told of what is recorded from now on. Raises WebhookRefused and AlreadyMade."""
    _check(name, url, types, mailboxes, agent)
    public_id = uuid.uuid5(_FORMS, str(form_id)) if form_id is not None else uuid.uuid4()
    try:
        with transaction.atomic():
            now = database_now()
            endpoint = WebhookEndpoint.objects.create(
                public_id=public_id,
                name=name.strip(),
                url=url,
                signature_header=signature_header,
                types=_in_order(types),
                agent=agent,
                made_at=now,
                salt=webhooks.new_salt(),
                secret_made_at=now,
            )
            endpoint.mailboxes.set(mailboxes)
            _begin_after(endpoint, _record("gateway.webhook.made", endpoint, actor, **_plain(endpoint)))
    except IntegrityError as error:
        raise AlreadyMade from error
    return endpoint


def change(
    endpoint: WebhookEndpoint,
    *,
    version: int,
    actor: Actor,
    name: str,
    url: str,
    types: Sequence[str],
    signature_header: str,
    mailboxes: Sequence[Mailbox],
) -> WebhookEndpoint:
    """Change an endpoint whose `version` the editor saw; its agent stays. Raises WebhookRefused and Conflict."""
    _check(name, url, types, mailboxes, endpoint.agent)
    with transaction.atomic():
        found = _locked(endpoint, version)
        before = _plain(found)
        found.name, found.url, found.signature_header = name.strip(), url, signature_header
        found.types = _in_order(types)
        found.save(update_fields=["name", "url", "signature_header", "types"])
        found.mailboxes.set(mailboxes)
        after = _plain(found)
        if after != before:
            _count(found)
            _record("gateway.webhook.changed", found, actor, before=before, after=after)
    return found


def rotate(endpoint: WebhookEndpoint, *, version: int, actor: Actor) -> WebhookEndpoint:
    """Give an endpoint a new secret; the old one signs beside it for OVERLAP. Raises WebhookRefused and Conflict."""
    with transaction.atomic():
        found = _locked(endpoint, version)
        now = database_now()
        if found.previous_until is not None and found.previous_until > now:
            raise WebhookRefused("", _("Two secrets sign already. End the old one before you make another."))
        found.previous_salt, found.previous_until = found.salt, now + OVERLAP
        found.salt, found.secret_made_at = webhooks.new_salt(), now
        found.save(update_fields=["salt", "secret_made_at", "previous_salt", "previous_until"])
        _count(found)
        _record("gateway.webhook.rotated", found, actor, until=found.previous_until.isoformat())
    return found


def end_rotation(endpoint: WebhookEndpoint, *, version: int, actor: Actor) -> None:
    """Let the old secret sign nothing from now on. Raises Conflict."""
    with transaction.atomic():
        found = _locked(endpoint, version)
        WebhookEndpoint.objects.filter(pk=found.pk).update(previous_salt="", previous_until=None)
        _count(found)
        _record("gateway.webhook.rotated", found, actor, until=database_now().isoformat())


def switch(endpoint: WebhookEndpoint, *, on: bool, version: int, actor: Actor) -> None:
    """Switch an endpoint on or off. What is recorded while it is off it is never told. Raises Conflict."""
    with transaction.atomic():
        found = _locked(endpoint, version)
        if found.is_enabled == on:
            return
        now = database_now()
        found.is_enabled, found.switched_off_at = on, None if on else now
        found.failing_since = found.waits_until = None
        found.save(update_fields=["is_enabled", "switched_off_at", "failing_since", "waits_until"])
        _count(found)
        if on:
            _begin_after(found, _record("gateway.webhook.switched_on", found, actor))
            return
        waiting = WebhookDelivery.objects.filter(endpoint=found, next_try_at__isnull=False)
        given_up = waiting.update(next_try_at=None, given_up_at=now)
        _record("gateway.webhook.switched_off", found, actor, given_up=given_up)


def remove(endpoint: WebhookEndpoint, *, version: int, actor: Actor) -> None:
    """Remove an endpoint and its log; the record keeps what it was. Raises Conflict."""
    with transaction.atomic():
        found = _locked(endpoint, version)
        what = _plain(found)
        public_id = found.public_id
        found.delete()
        found.public_id = public_id
        _record("gateway.webhook.removed", found, actor, **what)


def send_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Let an endpoint be told that this is a test, whatever it is for."""
    public_id, now = uuid.uuid4(), database_now()
    data = {"webhook": endpoint.name, "message": _("A test from Countersign.")}
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(waits_until=None)
        return WebhookDelivery.objects.create(
            public_id=public_id,
            endpoint=endpoint,
            type=events.TEST,
            body=events.body_of(events.TEST, now, data, event_id=public_id),
            made_at=now,
            next_try_at=now,
        )


def _check(
    name: str, url: str, types: Sequence[str], mailboxes: Sequence[Mailbox], agent: Token | None
) -> None:
    fault = fault_of_name(name)
    if fault:
        raise WebhookRefused("name", fault)
    try:
        outgoing.check(url)
    except outgoing.AddressRefused as error:
        raise WebhookRefused("url", str(error)) from error
    if not types or any(kind not in events.TYPES for kind in types):
        raise WebhookRefused("types", _("Choose at least one type of event."))
    if agent is None:
        return
    if agent.kind != TokenKind.AGENT or state_of(agent, database_now()) is not TokenState.IN_FORCE:
        raise WebhookRefused("agent", _("This is no token of an agent that is in force."))
    allowed = frozenset(agent.mailboxes.values_list("pk", flat=True))
    if any(mailbox.pk not in allowed for mailbox in mailboxes):
        raise WebhookRefused("mailboxes", _("The agent's token is not for all of these mailboxes."))


def _in_order(types: Sequence[str]) -> list[str]:
    return [kind for kind in events.TYPES if kind in types]


def _locked(endpoint: WebhookEndpoint, version: int) -> WebhookEndpoint:
    found = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint.pk, version=version).first()
    if found is None:
        raise Conflict
    return found


def _count(endpoint: WebhookEndpoint) -> None:
    endpoint.version += 1
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(version=endpoint.version)


def _begin_after(endpoint: WebhookEndpoint, entry: Entry) -> None:
    endpoint.starts_after = entry.sequence
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(starts_after=entry.sequence)


def _plain(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "url": webhooks.name_in_record(endpoint.url),
        "signature_header": endpoint.signature_header,
        "types": endpoint.types,
        "mailboxes": sorted(endpoint.mailboxes.values_list("pk", flat=True)),
        "agent": endpoint.agent.agent_id if endpoint.agent is not None else "",
    }


def _record(action: str, endpoint: WebhookEndpoint, actor: Actor, **data: Any) -> Entry:
    return record(action, actor=actor, data={"webhook": str(endpoint.public_id), **data})
