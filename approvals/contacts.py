"""The domains a mailbox has sent to, and those that wrote to it. One it never sent to is a first contact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import BigIntegerField, Subquery, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from agentmail.addresses import ascii_form, is_well_formed
from agentmail.models import Message
from agentmail.types import Address
from approvals.characters import hides_address
from approvals.models import DomainContact, Send
from policies.recipients import domain_of, normalised

DOMAIN_CHARACTERS = 253
COMPARED = 1000
# Of the messages that arrived last, whose senders a new domain is compared with.
RECENT = 300


@dataclass(frozen=True, slots=True)
class Acquaintances:
    """Domains in A-labels: `sent_to` those that a mail of the mailbox was accepted for, `wrote` those that wrote to it.

    Each of the latter comes with the time of its first message among the latest, in seconds of the epoch.
    """

    sent_to: frozenset[str] = frozenset()
    wrote: dict[str, int] = field(default_factory=dict)


def domains_of(addresses: Iterable[str]) -> list[str]:
    """The domains of addresses in the form they are kept in, each once and sorted."""
    domains = {domain_of(normalised(ascii_form(address))) for address in addresses}
    return sorted(domain for domain in domains if 0 < len(domain) <= DOMAIN_CHARACTERS)


def known_among(mailbox_id: int, domains: Iterable[str]) -> set[str]:
    """Those of the domains that a mail of the mailbox was accepted for."""
    kept = DomainContact.objects.filter(mailbox_id=mailbox_id, domain__in=list(domains))
    return set(kept.values_list("domain", flat=True))


def note(mailbox_id: int, addresses: Iterable[str], *, at: datetime) -> None:
    """Keep the domains of an accepted mail, in the transaction that accepts it and before its audit entry."""
    domains = domains_of(addresses)
    known = known_among(mailbox_id, domains)
    DomainContact.objects.bulk_create(
        (
            DomainContact(mailbox_id=mailbox_id, domain=domain, first_at=at)
            for domain in domains
            if domain not in known
        ),
        ignore_conflicts=True,
    )


def acquaintances(mailbox_id: int, domains: Iterable[str]) -> Acquaintances:
    """Whom a mailbox knows, in one question.

    Of the domains it sent to 1,000 and those named; of its messages the senders of the 300 that arrived last.
    """
    kept: Any = DomainContact.objects.filter(mailbox_id=mailbox_id)
    first = Subquery(kept.order_by("domain").values("pk")[:COMPARED])
    latest = Subquery(
        Message.objects.filter(mailbox_id=mailbox_id, is_outbound=False, is_complete=True, is_deleted=False)
        .order_by("-pk")
        .values("pk")[:RECENT]
    )
    sent_to = (kept.filter(pk__in=first) | kept.filter(domain__in=list(domains))).annotate(
        who=Cast("domain", TextField()), at=Value(0, output_field=BigIntegerField()), is_kept=Value(1)
    )
    wrote = Message.objects.filter(pk__in=latest).annotate(
        who=Cast(KT("sender__0__email"), TextField()), at=Cast("date", BigIntegerField()), is_kept=Value(0)
    )
    known = set()
    written: dict[str, int] = {}
    columns = ("who", "at", "is_kept")
    for who, at, is_kept in sent_to.values_list(*columns).union(wrote.values_list(*columns), all=True):
        if is_kept:
            known.add(who)
            continue
        for domain in domains_of([who]) if who else ():
            written[domain] = min(at or 0, written.get(domain, at or 0))
    return Acquaintances(frozenset(known), written)


# How many of the latest accepted mails are looked at for addresses, and how many addresses are offered.
SENT_LOOKED_AT, OFFERED = 200, 100


def addresses_known(mailbox_id: int, messages: Sequence[Message], *, own: str) -> list[Address]:
    """The addresses to offer for a mail: of its conversation first, then those the mailbox wrote to last.

    Each once, 100 at most, without the mailbox's `own`. A name that looks like another address is left out.
    """
    sent = (
        Send.objects.filter(mailbox_id=mailbox_id, accepted_at__isnull=False)
        .order_by("-accepted_at")
        .values_list("decision__revision__to", "decision__revision__cc")[:SENT_LOOKED_AT]
    )
    here = (
        entries
        for message in reversed(messages)
        for entries in (message.sender, message.to, message.cc, message.reply_to)
    )
    found: dict[str, Address] = {}
    for entry in chain.from_iterable(chain(here, chain.from_iterable(sent))):
        address = Address.from_json(entry)
        key = address.email.casefold()
        if key == own.casefold() or not is_well_formed(address.email):
            continue
        name = "" if hides_address(address.name, address.email) else address.name
        if key not in found or (name and not found[key].name):
            found[key] = Address(address.email, name)
        if len(found) >= OFFERED:
            break
    return list(found.values())
