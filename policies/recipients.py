"""The allow and deny lists of recipients: which entry decides about an address.

Deny is wide and allow is narrow. A deny entry anywhere beats every allow entry anywhere; then an exact address counts,
then a domain; an address that no entry names is unknown. Addresses and patterns come in the strict form, lower case,
domains as A-labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db import IntegrityError, transaction

from audit.record import Actor
from policies import changes
from policies.models import RecipientEntry, RecipientKind

PATTERN_CHARACTERS = 320
NOTE_CHARACTERS = 200
PATTERNS_PER_ADD = 1000
# Stays below the number of parameters that either database takes.
_PATTERNS_PER_QUERY = 500


class Outcome(StrEnum):
    DENIED = "denied"
    ALLOWED_ADDRESS = "allowed_address"
    ALLOWED_DOMAIN = "allowed_domain"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Match:
    """What the lists say about one address, and the entry that decided; no entry for an unknown one."""

    address: str
    outcome: Outcome
    entry: RecipientEntry | None = None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be added; `pattern` in the strict form."""

    kind: str
    scope: str
    pattern: str
    note: str = ""


def normalised(address: str) -> str:
    """An address as patterns are compared with it: trimmed, lower case."""
    return address.strip().lower()


def domain_of(address: str) -> str:
    """The text after the last @, or all of it."""
    return address.rpartition("@")[2]


def without_tag(address: str) -> str:
    """The address without what follows a plus in its local part; one that begins with a plus stays."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0] or local}{at}{domain}"


def patterns_about(address: str) -> set[str]:
    """Every pattern that can say something about a normalised address."""
    labels = domain_of(address).split(".")
    domains = [".".join(labels[start:]) for start in range(len(labels))]
    return {address, without_tag(address), *domains, *(f"*.{domain}" for domain in domains[1:])}


def denies(pattern: str, address: str) -> bool:
    """Whether a deny pattern covers a normalised address: tags do not count, and a domain covers all below it."""
    if "@" in pattern:
        return without_tag(pattern) == without_tag(address)
    domain = domain_of(address)
    if pattern.startswith("*."):
        return domain.endswith(pattern[1:])
    return domain == pattern or domain.endswith(f".{pattern}")


def allows(pattern: str, address: str) -> bool:
    """Whether an allow pattern covers a normalised address: exactly, or below a domain that says so with `*.`."""
    if "@" in pattern:
        return pattern == address
    domain = domain_of(address)
    return domain.endswith(pattern[1:]) if pattern.startswith("*.") else domain == pattern


def decide(address: str, entries: Iterable[RecipientEntry]) -> Match:
    """Say which of the entries decides about an address: deny, then exact allow, then domain allow, then none."""
    address = normalised(address)
    by_address = by_domain = None
    for entry in entries:
        if entry.kind == RecipientKind.DENY:
            if denies(entry.pattern, address):
                return Match(address, Outcome.DENIED, entry)
        elif allows(entry.pattern, address):
            if "@" in entry.pattern:
                by_address = by_address or entry
            else:
                by_domain = by_domain or entry
    if by_address is not None:
        return Match(address, Outcome.ALLOWED_ADDRESS, by_address)
    if by_domain is not None:
        return Match(address, Outcome.ALLOWED_DOMAIN, by_domain)
    return Match(address, Outcome.UNKNOWN)


def matches(addresses: Sequence[str], scopes: Sequence[str]) -> list[Match]:
    """What the lists of these scopes say about each address, in the same order. One look at the lists for all."""
    about = {address: patterns_about(normalised(address)) for address in addresses}
    wanted = sorted(set().union(*about.values()))
    found: dict[str, list[RecipientEntry]] = {}
    for start in range(0, len(wanted), _PATTERNS_PER_QUERY):
        rows = RecipientEntry.objects.filter(
            pattern__in=wanted[start : start + _PATTERNS_PER_QUERY], scope__in=scopes
        ).order_by("pk")
        for row in rows:
            found.setdefault(row.pattern, []).append(row)
    return [
        decide(address, [entry for pattern in about[address] for entry in found.get(pattern, ())])
        for address in addresses
    ]


def add(entries: Sequence[NewEntry], *, actor: Actor, reason: str = "") -> list[RecipientEntry]:
    """Add the entries that are not there yet, all or none; the added ones, in order.

    Raises `changes.Conflict` when somebody adds one of them at the same moment.
    """
    wanted = {(entry.kind, entry.scope, entry.pattern): entry for entry in entries}
    try:
        with transaction.atomic():
            present = _present(entries)
            missing = [entry for key, entry in wanted.items() if key not in present]
            return changes.create_many(
                RecipientEntry,
                [
                    {"kind": one.kind, "scope": one.scope, "pattern": one.pattern, "note": one.note}
                    for one in missing
                ],
                actor=actor,
                reason=reason,
            )
    except IntegrityError as error:
        raise changes.Conflict(None, {}) from error


def _present(entries: Sequence[NewEntry]) -> set[tuple[str, str, str]]:
    patterns = sorted({entry.pattern for entry in entries})
    present: set[tuple[str, str, str]] = set()
    for start in range(0, len(patterns), _PATTERNS_PER_QUERY):
        rows = RecipientEntry.objects.filter(pattern__in=patterns[start : start + _PATTERNS_PER_QUERY])
        present |= set(rows.values_list("kind", "scope", "pattern"))
    return present
