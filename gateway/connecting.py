"""Connecting a mailbox by its address, with the webhook that is told what becomes of its mail."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import mailboxes, outgoing
from approvals.mailboxes import MailboxRefused
from approvals.names import NAME_CHARACTERS
from audit.record import Actor
from gateway.webhooks import endpoints, events, secrets
from policies import channels, modes
from policies.models import ChannelKind


class AlreadyConnected(Exception):
    """The account of this address is a mailbox of this desk; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A new mailbox, and the secrets with which its webhook is signed, which are told once."""

    mailbox: Mailbox
    webhook_secret: str | None = None
    channel_secret: str | None = None


def connect(address: str, *, mode: str, expiry_hours: int, webhook: str, actor: Actor) -> Connected:
    """Connect the provider's account of an address; `webhook`, if given, is told what becomes of its mail.

    Raises AlreadyConnected, MailboxRefused with the field that is wrong, and ProviderError.
    """
    if mode == modes.MONITORED and not webhook:
        raise MailboxRefused("approval_webhook", _("A monitored mailbox tells somebody of every send."))
    if webhook:
        try:
            outgoing.check(webhook)
        except outgoing.AddressRefused as error:
            raise MailboxRefused("approval_webhook", str(error)) from error
    client = configured_client()
    grants = (one for one in client.list_grants() if one.email.casefold() == address.casefold())
    grant = next(grants, None)
    if grant is None:
        raise MailboxRefused(
            "address", _("The provider has no account of this address; make it there first.")
        )
    if Mailbox.objects.filter(grant_id=grant.id).exists():
        raise AlreadyConnected
    mailbox = mailboxes.connect(client, grant.id, actor=actor, expiry_hours=expiry_hours)
    made = _told(mailbox, mode, webhook, actor) if webhook else Connected(mailbox)
    if mode != mailbox.mode:
        # Last: until then the mailbox is gated, so nothing leaves of which nobody is told.
        changed = mailboxes.change(mailbox.pk, actor=actor, mode=mode)
        made = Connected(changed, made.webhook_secret, made.channel_secret)
    return made


def _told(mailbox: Mailbox, mode: str, webhook: str, actor: Actor) -> Connected:
    types = [one for one in events.TYPES if one.startswith("email.")]
    channel_secret = None
    if mode == modes.MONITORED:
        # Of its sends the channel tells, at the same address.
        channel = channels.write(mailbox.pk, version=0, actor=actor, kind=ChannelKind.WEBHOOK, target=webhook)
        channel_secret = channels.secret_of(channel)
        types = [one for one in types if one not in ("email.sent", "email.unknown")]
    name = mailbox.address[:NAME_CHARACTERS]
    endpoint = endpoints.make(actor=actor, name=name, url=webhook, types=types, mailboxes=[mailbox])
    return Connected(mailbox, secrets.secret_of(endpoint), channel_secret)
