"""The domains a mailbox has sent to. A domain that is not among them is a first contact."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from agentmail.addresses import ascii_form
from approvals.models import DomainContact
from policies.recipients import domain_of, normalised

DOMAIN_CHARACTERS = 253


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
