"""Connecting a grant as a mailbox of this desk, and pausing it when the provider says no."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from agentmail.client import NylasClient
from agentmail.exceptions import NotFound
from agentmail.models import GrantState, Mailbox, OversightMode, Transport
from approvals import oversight
from audit.record import SYSTEM, Actor, record
from policies import switch

LIMITS = {
    "undo_seconds": (0, 60),
    "expiry_hours": (1, 720),
    "approval_minutes": (1, 1440),
}
TEXT_LIMITS = {"sender_name": 200, "postal_address": 500, "unsubscribe": 500}


class MailboxRefused(Exception):
    """The mailbox was not connected or changed. `field` names what was wrong with it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def connect(client: NylasClient, grant_id: str, *, actor: Actor, **options: Any) -> Mailbox:
    """Connect a grant, or take new options for one that is connected; the provider must know it.

    `options` are fields of the mailbox: mode, transport, undo_seconds, expiry_hours, approval_minutes, sender_name,
    postal_address, unsubscribe. Raises MailboxRefused for a value outside its limits or an unknown grant,
    ProviderError when the provider is silent.
    """
    checked = _checked(options)
    mode = checked.pop("mode", None)
    try:
        grant = client.get_grant(grant_id)
    except NotFound as error:
        raise MailboxRefused(
            "grant", _("The provider does not know the grant %(grant)s.") % {"grant": grant_id}
        ) from error
    with transaction.atomic():
        mailbox, is_new = Mailbox.objects.select_for_update(no_key=True).get_or_create(
            grant_id=grant.id,
            defaults={
                "address": grant.email,
                "display_name": grant.name[:256],
                "provider": grant.provider[:32],
                "grant_state": GrantState.VALID if grant.is_valid else GrantState.INVALID,
            }
            | checked,
        )
        if not is_new:
            _change(mailbox, actor, address=grant.email, display_name=grant.name[:256], **checked)
            return _with_mode(mailbox, mode, actor)
        switch.ensure_scope(mailbox.scope)
        record(
            "agentmail.mailbox.connected",
            actor=actor,
            mailbox_id=mailbox.pk,
            data={"grant_id": grant.id, "mode": mailbox.mode, "transport": mailbox.transport},
        )
        return _with_mode(mailbox, mode, actor)


def named(text: str) -> Mailbox:
    """The mailbox of a grant id or an address, in any letter case. Raises MailboxRefused unless it is exactly one."""
    found = list(Mailbox.objects.filter(Q(grant_id=text) | Q(address__iexact=text))[:2])
    if not found:
        raise MailboxRefused("mailbox", _("No mailbox is called %(name)s.") % {"name": text})
    if len(found) > 1:
        raise MailboxRefused(
            "mailbox", _("More than one mailbox is called %(name)s; use a grant id.") % {"name": text}
        )
    return found[0]


def change(mailbox_id: int, *, actor: Actor, **options: Any) -> Mailbox:
    """Change how a mailbox is treated, with old and new values in the audit. Raises MailboxRefused."""
    checked = _checked(options)
    mode = checked.pop("mode", None)
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox_id)
        return _with_mode(_change(mailbox, actor, **checked), mode, actor)


def pause(mailbox_id: int, *, state: GrantState = GrantState.INVALID, why: str = "") -> bool:
    """Note that the provider refuses the mailbox: nothing of it may leave until it is back. Whether it was news."""
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox_id)
        if mailbox.grant_state == state:
            return False
        Mailbox.objects.filter(pk=mailbox_id).update(grant_state=state, trouble=why[:500])
        action = "agentmail.mailbox.removed" if state == GrantState.REMOVED else "agentmail.mailbox.paused"
        record(action, actor=SYSTEM, mailbox_id=mailbox_id, outcome="blocked_grant", reason=why)
        return True


def recover(mailbox_id: int) -> bool:
    """Note that the provider takes the mailbox again; its held sends wait for a person. Whether it was news."""
    with transaction.atomic():
        mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox_id)
        if mailbox.grant_state == GrantState.VALID:
            return False
        Mailbox.objects.filter(pk=mailbox_id).update(grant_state=GrantState.VALID, trouble="")
        record("agentmail.mailbox.recovered", actor=SYSTEM, mailbox_id=mailbox_id)
        return True


def _change(mailbox: Mailbox, actor: Actor, **values: Any) -> Mailbox:
    changes = {
        name: [str(getattr(mailbox, name)), str(value)]
        for name, value in values.items()
        if getattr(mailbox, name) != value
    }
    if changes:
        Mailbox.objects.filter(pk=mailbox.pk).update(**{name: values[name] for name in changes})
        mailbox.refresh_from_db()
        record("agentmail.mailbox.changed", actor=actor, mailbox_id=mailbox.pk, data={"changes": changes})
    return mailbox


def _with_mode(mailbox: Mailbox, mode: str | None, actor: Actor) -> Mailbox:
    if mode is not None:
        try:
            oversight.set_mode(mailbox.pk, to=mode, actor=actor, reason=_("Set with the other settings."))
        except oversight.OversightRefused as refusal:
            raise MailboxRefused("mode", str(refusal)) from refusal
        mailbox.refresh_from_db()
    return mailbox


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    options = dict(options)
    for name, value in options.items():
        if name in LIMITS:
            low, high = LIMITS[name]
            if not low <= int(value) <= high:
                raise MailboxRefused(
                    name,
                    _("%(field)s must be between %(low)d and %(high)d; %(value)s is not.")
                    % {"field": name.replace("_", " "), "low": low, "high": high, "value": value},
                )
        elif name == "mode":
            if value not in OversightMode.values:
                raise MailboxRefused(
                    name,
                    _("The mode must be one of %(names)s.") % {"names": ", ".join(OversightMode.values)},
                )
        elif name == "transport":
            if value not in Transport.values:
                raise MailboxRefused(
                    name,
                    _("The transport must be one of %(names)s.") % {"names": ", ".join(Transport.values)},
                )
        elif name in TEXT_LIMITS:
            options[name] = _checked_text(name, str(value))
        elif name != "is_enabled":
            raise MailboxRefused(name, _("A mailbox has no setting %(name)s.") % {"name": name})
    return options


def _checked_text(name: str, value: str) -> str:
    lines = [" ".join(line.split()) for line in value.splitlines()]
    text = "\n".join(filter(None, lines)) if name == "postal_address" else value.strip()
    if len(text) > TEXT_LIMITS[name]:
        raise MailboxRefused(
            name,
            _("%(field)s has %(count)d characters; it can have %(limit)d.")
            % {"field": name.replace("_", " "), "count": len(text), "limit": TEXT_LIMITS[name]},
        )
    if name == "unsubscribe" and text:
        _check_unsubscribe(text)
    return text


def _check_unsubscribe(address: str) -> None:
    try:
        parts = urlsplit(address)
        if parts.scheme == "mailto":
            validate_email(unquote(parts.path))
        else:
            URLValidator(schemes=["https"])(address)
    except (ValidationError, ValueError) as error:
        raise MailboxRefused(
            "unsubscribe",
            _("Write an address that begins with https://, or mailto: and one mail address."),
        ) from error
