"""The lists of recipients as this desk uses them: text becomes patterns here, and mailboxes their scopes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from agentmail.addresses import AddressError, ascii_form, is_well_formed, parse_address, parse_domain
from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import contacts, people, policy_scopes
from approvals.content import Content
from approvals.people import Person, Right
from policies import changes, mailbox_settings, scopes
from policies import recipients as lists
from policies.in_force import InForce
from policies.models import RecipientEntry, RecipientKind, UnknownRecipient
from policies.recipients import Match, NewEntry, Outcome


class PatternError(ValueError):
    """The text is no entry of a list; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """What the lists of a mailbox say about one address, and whether its domain was never written to before."""

    match: Match
    is_first_contact: bool

    @property
    def address(self) -> str:
        return self.match.address

    @property
    def domain(self) -> str:
        return lists.domain_of(self.match.address)


def parse_pattern(text: str, kind: str) -> str:
    """Return what a person wrote as a pattern: an address, a domain (`@` in front allowed) or `*.domain`.

    A deny entry for an address is kept without its tag, because it covers every tag. Raises `PatternError`.
    """
    written = text.strip()
    if not written:
        raise PatternError(_("Write an address, a domain or *.domain."))
    if len(written) > lists.PATTERN_CHARACTERS:
        raise PatternError(
            _("This has %(count)d characters; an entry has at most %(limit)d.")
            % {"count": len(written), "limit": lists.PATTERN_CHARACTERS}
        )
    try:
        if written.startswith("*."):
            return f"*.{parse_domain(written[2:])}"
        if "*" in written:
            raise PatternError(_("A star stands only in front of a domain: *.example.com."))
        if written.startswith("@") or "@" not in written:
            return parse_domain(written.removeprefix("@"))
        address = lists.normalised(parse_address(written))
    except AddressError as error:
        raise PatternError(str(error)) from error
    return lists.without_tag(address) if kind == RecipientKind.DENY else address


def judged(
    mailbox: Mailbox, addresses: Iterable[str], *, within: Sequence[str] | None = None
) -> list[Recipient]:
    """What the lists say about each address of a mail from this mailbox, in order, each once.

    `within` are the scopes of the mailbox, where the caller has read them.

    Raises `AddressError` for an address that is not in the strict form.
    """
    asked = list(dict.fromkeys(lists.normalised(parse_address(address)) for address in addresses))
    found = lists.matches(asked, scopes.scopes_of(mailbox.pk) if within is None else within)
    known = contacts.known_among(mailbox.pk, contacts.domains_of(asked))
    return [Recipient(match, lists.domain_of(match.address) not in known) for match in found]


def addressed_by(content: Content, mailbox: Mailbox) -> list[str]:
    """Everybody who would get a mail or its answers. Answers to the mailbox itself are no other recipient."""
    own = mailbox.address.casefold()
    elsewhere = [address.email for address in content.reply_to if address.email.casefold() != own]
    return [*content.recipients(), *elsewhere]


def unknown_among(recipients: Sequence[Recipient]) -> list[Recipient]:
    return [one for one in recipients if one.match.outcome is Outcome.UNKNOWN]


def asks_about(unknown: Sequence[Recipient]) -> tuple[str, ...]:
    """The questions about recipients on no list: one an address, one a domain that was never written to."""
    domains = dict.fromkeys(one.domain for one in unknown if one.is_first_contact)
    return (*(ask_about(one.address) for one in unknown), *(f"domain:{domain}" for domain in domains))


def deniable_domains(mailbox: Mailbox, addresses: Iterable[str]) -> list[str]:
    """The domains of a mail that can be denied for its mailbox: all but the mailbox's own."""
    own = lists.domain_of(lists.normalised(ascii_form(mailbox.address)))
    return [domain for domain in contacts.domains_of(addresses) if domain != own]


def ask_about(address: str) -> str:
    """The question about one address on no list."""
    return f"recipient:{address}"


def rules_of(recipients: Iterable[Recipient]) -> tuple[str, ...]:
    """The entries that decided, as a verdict names them, each once."""
    entries = (one.match.entry for one in recipients)
    return tuple(
        dict.fromkeys(f"recipiententry:{entry.pk}:{entry.version}" for entry in entries if entry is not None)
    )


def denied_sentence(recipient: Recipient) -> str:
    """Which entry of which list denies an address."""
    entry = recipient.match.entry
    if entry is None:
        raise ValueError(f"no entry decides about {recipient.address}")
    return _("%(address)s is denied by the entry %(pattern)s for %(scope)s.") % {
        "address": recipient.address,
        "pattern": entry.pattern,
        "scope": policy_scopes.word_of(entry.scope),
    }


def allowed_sentence(recipient: Recipient) -> str:
    """Which entry of which list allows an address."""
    entry = recipient.match.entry
    if entry is None:
        raise ValueError(f"no entry decides about {recipient.address}")
    return _("%(address)s is allowed by the entry %(pattern)s for %(scope)s.") % {
        "address": recipient.address,
        "pattern": entry.pattern,
        "scope": policy_scopes.word_of(entry.scope),
    }


class Said(StrEnum):
    """What the gate says about one address, in the order of severity."""

    BAD = "bad"  # not in the strict form
    DENIED = "denied"
    UNLISTED = "unlisted"  # on no list, in a mailbox that sends to listed recipients only
    ASKED = "asked"  # on no list: an approval answers the question
    ALLOWED = "allowed"
    OWN = "own"  # answers come back to the mailbox itself


@dataclass(frozen=True, slots=True)
class Addressee:
    """One written address of a field and what is said about it; `place` counts in its field."""

    part: str
    place: int
    email: str
    name: str
    said: Said
    sentence: str
    is_first_contact: bool = False
    is_in_thread: bool = True


def addressees(
    content: Content, mailbox: Mailbox, *, policies: InForce, known: Collection[str] = ()
) -> list[Addressee]:
    """What is said about each address of a mail that a person decides, in the order to, cc, bcc, reply-to.

    `known` are the addresses of its conversation, case folded; without any, none is new to it.
    """
    own = mailbox.address.casefold()
    written = [
        (part, place, address)
        for part in ("to", "cc", "bcc", "reply_to")
        for place, address in enumerate(getattr(content, part))
    ]
    good = {address.email for _part, _place, address in written if is_well_formed(address.email)}
    found = {one.address: one for one in judged(mailbox, sorted(good), within=policies.scopes)}
    listed_only = policies.settings.unknown_reviewed != UnknownRecipient.ASK
    return [
        _addressee(
            part,
            place,
            address,
            found.get(lists.normalised(ascii_form(address.email))) if address.email in good else None,
            is_own=part == "reply_to" and address.email.casefold() == own,
            is_in_thread=not known or address.email.casefold() in {*known, own},
            listed_only=listed_only,
        )
        for part, place, address in written
    ]


def _addressee(
    part: str,
    place: int,
    address: Address,
    recipient: Recipient | None,
    *,
    is_own: bool,
    is_in_thread: bool,
    listed_only: bool,
) -> Addressee:
    if is_own:
        sentence = _("Answers come back to this mailbox.")
        return Addressee(part, place, address.email, address.name, Said.OWN, sentence)
    if recipient is None:
        return Addressee(part, place, address.email, address.name, Said.BAD, _fault_of(address.email))
    outcome = recipient.match.outcome
    if outcome is Outcome.DENIED:
        said, sentence = Said.DENIED, denied_sentence(recipient)
    elif outcome is not Outcome.UNKNOWN:
        said, sentence = Said.ALLOWED, allowed_sentence(recipient)
    else:
        said = Said.UNLISTED if listed_only else Said.ASKED
        sentence = _("%(address)s is on no list.") % {"address": recipient.address}
        if listed_only:
            sentence += " " + _("This mailbox sends only to listed recipients.")
        if recipient.is_first_contact:
            sentence += " " + _("Nothing was sent to %(domain)s before.") % {"domain": recipient.domain}
    return Addressee(
        part,
        place,
        address.email,
        address.name,
        said,
        sentence,
        is_first_contact=recipient.is_first_contact,
        is_in_thread=is_in_thread,
    )


def _fault_of(email: str) -> str:
    try:
        parse_address(email)
    except AddressError as error:
        return str(error)
    return ""


def may_edit(person: Person, scope: str) -> bool:
    """Whether a person may change entries of a scope; beyond one mailbox that takes the right on all of them."""
    if scope.startswith("mailbox:"):
        return people.may(person, Right.EDIT_LISTS, int(scope.removeprefix("mailbox:")))
    return people.may_everywhere(person, Right.EDIT_LISTS)


_SEEING = (Right.READ_POLICIES, Right.EDIT_LISTS)


def may_see(person: Person) -> bool:
    """Whether a person may see lists at all; whose, `visible_scopes` says."""
    return any(people.may(person, right) for right in _SEEING)


def mailboxes_of(person: Person) -> QuerySet[Mailbox]:
    """The mailboxes whose lists a person may see or edit, by address."""
    if any(people.may_everywhere(person, right) for right in _SEEING):
        return Mailbox.objects.order_by("address")
    ids = {pk for right in _SEEING for pk in people.mailbox_ids_with(person, right)}
    return Mailbox.objects.filter(pk__in=ids).order_by("address")


def visible_scopes(person: Person) -> list[str] | None:
    """The scopes whose entries a person may see; None for all of them."""
    if any(people.may_everywhere(person, right) for right in _SEEING):
        return None
    return policy_scopes.visible_to(person, *_SEEING)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """What the page of entries shows. `after` is the (pattern, id) of the last row of the page before."""

    kind: str = ""
    scope: str = ""
    text: str = ""
    after: tuple[str, int] | None = None

    @property
    def is_narrow(self) -> bool:
        return bool(self.kind or self.scope or self.text)


def visible_entries(person: Person, chosen: EntryFilter) -> QuerySet[RecipientEntry]:
    """The entries of a filter that a person may see, by pattern; what is added meanwhile moves no later page."""
    visible = visible_scopes(person)
    found = RecipientEntry.objects.order_by("pattern", "pk")
    if visible is not None:
        found = found.filter(scope__in=visible)
    if chosen.kind:
        found = found.filter(kind=chosen.kind)
    if chosen.scope:
        found = found.filter(scope=chosen.scope)
    for word in chosen.text.split():
        found = found.filter(Q(pattern__contains=word.lower()) | Q(note__icontains=word))
    if chosen.after is not None:
        pattern, entry_id = chosen.after
        beyond = Q(pattern__gt=pattern) | Q(pattern=pattern, pk__gt=entry_id)
        found = found.filter(beyond, pattern__gte=pattern)
    return found


def editable_scopes(person: Person) -> list[str]:
    """The scopes a person may add entries to, the widest first."""
    if people.may_everywhere(person, Right.EDIT_LISTS):
        return policy_scopes.every()
    return [scopes.mailbox_scope(pk) for pk in people.mailbox_ids_with(person, Right.EDIT_LISTS)]


def all_scopes(person: Person) -> list[str]:
    """Every scope whose entries a person may see, the widest first."""
    return policy_scopes.visible_to(person, *_SEEING)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a list of entries: how many were added, and how many were there already."""

    added: int
    present: int


class LinesRefused(ValueError):
    """Nothing was added; `faults` say for each faulty line what is wrong with it."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(_("Nothing was added."))
        self.faults = list(faults)


def read_lines(text: str, *, kind: str, scope: str, note: str = "") -> list[NewEntry]:
    """Read entries, one a line; empty lines do not count. Raises `LinesRefused`."""
    found: list[NewEntry] = []
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(NewEntry(kind, scope, parse_pattern(line, kind), note))
        except PatternError as error:
            faults.append(line_fault(number, line, str(error)))
    if len(found) + len(faults) > lists.PATTERNS_PER_ADD:
        faults = [
            _("These are %(count)d lines; at most %(limit)d can be added at once.")
            % {"count": len(found) + len(faults), "limit": lists.PATTERNS_PER_ADD}
        ]
    elif not found and not faults:
        faults = [_("Write at least one address, domain or *.domain.")]
    if faults:
        raise LinesRefused(faults)
    return found


def line_fault(number: int, written: str, why: str) -> str:
    return _("Line %(number)d, “%(written)s”: %(why)s") % {
        "number": number,
        "written": written.strip()[:80],
        "why": why,
    }


def add(entries: Sequence[NewEntry], *, person: User) -> Added:
    """Add the entries that are not there yet, all or none.

    Raises `PermissionDenied` for a scope the person may not edit, `policies.changes.Conflict` when somebody adds the
    same at the same moment.
    """
    for scope in {entry.scope for entry in entries}:
        if not may_edit(person, scope):
            raise PermissionDenied
    made = lists.add(entries, actor=people.actor_for(person))
    wanted = {(entry.kind, entry.scope, entry.pattern) for entry in entries}
    return Added(len(made), len(wanted) - len(made))


def change_note(entry: RecipientEntry, *, person: User, version: int, note: str) -> None:
    """Write the note of an entry. Raises `PermissionDenied` and `policies.changes.Conflict`."""
    if not may_edit(person, entry.scope):
        raise PermissionDenied
    changes.change(RecipientEntry, entry.pk, version=version, actor=people.actor_for(person), note=note)


def remove(entry: RecipientEntry, *, person: User, version: int) -> None:
    """Remove an entry. Raises `PermissionDenied` and `policies.changes.Conflict`."""
    if not may_edit(person, entry.scope):
        raise PermissionDenied
    changes.remove(RecipientEntry, entry.pk, version=version, actor=people.actor_for(person))


@dataclass(frozen=True, slots=True)
class Trial:
    """What would happen to an address: the words for mail that a person decides, and for mail that nobody does."""

    recipient: Recipient
    sentence: str
    reviewed: str
    unreviewed: str


def tried(mailbox: Mailbox, address: str) -> Trial:
    """What the lists would say about mail from a mailbox to an address. Raises `AddressError`."""
    [recipient] = judged(mailbox, [address])
    entry = recipient.match.entry
    if recipient.match.outcome is Outcome.DENIED:
        refused = _("refused")
        return Trial(recipient, denied_sentence(recipient), refused, refused)
    if entry is not None:
        return Trial(recipient, allowed_sentence(recipient), _("allowed"), _("allowed"))
    settings = mailbox_settings.of(mailbox.pk)
    sentence = _("%(address)s is on no list.") % {"address": recipient.address}
    if recipient.is_first_contact:
        sentence = f"{sentence} " + _("Nothing was sent to %(domain)s before.") % {"domain": recipient.domain}
    asks_unreviewed = settings.unknown_unreviewed == UnknownRecipient.ASK
    if not asks_unreviewed:
        unreviewed = _("refused")
    elif recipient.is_first_contact:
        unreviewed = _("a person is asked")
    else:
        unreviewed = _("allowed, because its domain was written to before")
    is_asked = settings.unknown_reviewed == UnknownRecipient.ASK
    return Trial(recipient, sentence, _("the reviewer is asked") if is_asked else _("refused"), unreviewed)


def entry_for(person: Person, entry_id: int) -> RecipientEntry | None:
    """The entry, when its scope is visible to the person."""
    entry = RecipientEntry.objects.filter(pk=entry_id).first()
    visible = visible_scopes(person)
    return entry if entry is not None and (visible is None or entry.scope in visible) else None
