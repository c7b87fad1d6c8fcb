"""What a reviewer should look at before signing: plain observations about a draft and its thread.

They decide nothing; gates do. Each is true of the texts as they are, without a model, and points at what caused it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from agentmail.mail_html import hidden_text, links
from agentmail.models import Message, PartsState
from approvals.alternatives import sayings
from approvals.characters import deceiving_count, hides_address, is_deceiving, one_line, with_line_feeds
from approvals.contacts import domains_of
from approvals.credentials import secrets_in
from approvals.file_kinds import KIND_WORDS, differs
from approvals.file_names import is_of_another_kind, runs_programs
from approvals.lookalikes import LookAlikes
from approvals.mentions import host_of, link_hosts_in, link_hosts_of, new_amounts, said_in
from approvals.models import Revision
from approvals.queries import known_addresses
from approvals.steering import LOOKED_AT_CHARACTERS, instructions_in
from policies.classifier import Reason
from policies.words import REPLY_PREFIXES, Words

# How much of a text is looked at; a person writes less in a year.
TEXT_CHARACTERS = 1_000_000
EXCERPT_CHARACTERS = 120
# A note points at this many places and counts the rest.
PLACES = 12
LISTED = 4
# Of the messages of the conversation, when instructions to machines are looked for.
STEERING_CHARACTERS = 3 * LOOKED_AT_CHARACTERS
# What a draft would do that somebody could have told its agent to, by the note that says so, in few words.
_STEERED_TO = {
    "secret": _lazy("gives away a secret"),
    "look_alike": _lazy("names a domain that reads like another"),
    "bcc": _lazy("lets somebody read along unseen"),
    "reply_to": _lazy("sends answers elsewhere"),
    "misleading_link": _lazy("has a link that says another place than it goes to"),
    "first_contact": _lazy("goes to a domain for the first time"),
    "new_domain": _lazy("goes to a domain that is new in the conversation"),
    "new_recipient": _lazy("goes to a new address"),
    "new_amount": _lazy("names a new amount"),
    "new_link": _lazy("links to a new place"),
    "attachments": _lazy("carries files"),
}
COMPARED_DOMAINS = 50
# The most consequential first. A note about bulk mail comes from `approvals.bulk`, which reads other drafts too.
ORDER = (
    "instructions",
    "hidden_text",
    "secret",
    "look_alike",
    "false_name",
    "bcc",
    "reply_to",
    "misleading_link",
    "wrong_thread",
    "hidden_inbound",
    "received_parts_differ",
    "first_contact",
    "new_domain",
    "new_recipient",
    "program",
    "other_kind",
    "parts_differ",
    "risky_words",
    "new_amount",
    "new_link",
    "invisible",
    "not_attached",
    "too_long",
    "bulk",
    "attachments",
    "compose",
)
_FIELDS = ("sender", "to", "cc", "bcc", "reply_to")
_ATTACHED = (
    "attached",
    "attachment*",
    "enclosed",
    "im anhang",
    "angehangt",
    "beigefugt",
    "ci joint",
    "en pj",
    "adjunto",
)
_GREETING = re.compile(
    r"\s*(?:dear|hello|hi|hey|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|good (?:morning|afternoon|evening)"
    r"|bonjour|hola|ciao|caro|cara|chere?)[ \t]+([^\n,!:.;?]{1,60})",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_][\w'\u2019-]*")
_NO_NAMES = frozenset(
    """mr mrs ms miss mx dr prof professor sir madam herr frau all team there everyone everybody customer customers
    friend friends folks colleague colleagues guest and und alle zusammen""".split()  # noqa: SIM905
)
_DOMAIN = re.compile(r"(?<![\w.-])(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,4}[^\W\d_]{2,24}(?![\w-])")
_GREETED_WORDS = 4
_HIDDEN_WORDS = 3
_SHOWN_HOST = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?=[/:?#\s]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A text that caused a note. `part` is a field of the revision, "links", "answered", "message" or "plain".

    `index` counts in a list; of "message", another one of the conversation, it is the primary key, and of "plain"
    that of the message in whose plain text it stands.
    `start` is where the text stands in `letter_text` or `letter_subject`, None where it is not written there.
    """

    part: str
    text: str
    index: int = 0
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """`heading` is a short sentence, `text` says more, `settings` is the address of where it is set.

    It points at the first `places`; `left` counts the others.
    """

    key: str
    heading: str
    text: str = ""
    places: tuple[Place, ...] = ()
    left: int = 0
    settings: str = ""

    @property
    def rank(self) -> int:
        """Its place in the order of risk, 0 for the highest."""
        return ORDER.index(self.key)


@dataclass(frozen=True, slots=True)
class Link:
    """A link of laid-out mail: what its reader sees, where it goes; `host` in its ASCII form.

    `host_as_read` is the host as a reader would see it, empty when that is the same.
    """

    text: str
    target: str
    host: str
    host_as_read: str
    is_misleading: bool


def notes_on(
    revision: Revision,
    messages: Sequence[Message],
    *,
    mailbox_address: str,
    contacts: Collection[str] = (),
    wrote: Mapping[str, int] | None = None,
    reasons: Sequence[Reason] = (),
) -> list[Note]:
    """Everything worth a second look, the most consequential first. It asks nothing and takes linear time.

    `messages` are the conversation, `contacts` domains the mailbox has sent to, in A-labels; `wrote` those
    that wrote to it, with the time of the first message known; `reasons` are what the
    classifier found. A text is looked at up to `TEXT_CHARACTERS`.
    """
    matter = _Matter.of(revision, messages, mailbox_address, contacts, wrote or {})
    found = [note for look in _LOOKS for note in look(matter)]
    steering = _steering(matter, [note.key for note in found])
    return sorted([*steering, *found, *_risky_words(matter, reasons)], key=lambda note: note.rank)


def letter_text(revision: Revision) -> str:
    """The text of the letter in which places are counted."""
    return with_line_feeds(revision.body_text or revision.body)


def letter_subject(revision: Revision) -> str:
    """The subject in which places are counted."""
    return one_line(revision.subject)


def links_in(revision: Revision) -> list[Link]:
    """The links of a laid-out draft in order; none for plain text."""
    if not revision.body_html:
        return []
    return [link_of(text, target) for text, target in links(revision.body)]


def link_of(text: str, target: str) -> Link:
    """A link by what its reader sees and where it leads."""
    host = host_of(target)
    shown = _shown_host(text)
    return Link(text, target, host, host_as_read(host), is_misleading=bool(shown) and shown != host)


def host_as_read(host: str) -> str:
    """A domain as a reader would see it, or "" when that is how it is written already."""
    if not any(label.lower().startswith("xn--") for label in host.split(".")):
        return ""
    try:
        shown = host.encode("ascii").decode("idna")
    except UnicodeError:
        return ""
    return "" if shown == host else shown


def unknown_recipients(revision: Revision, messages: Sequence[Message], mailbox_address: str) -> list[str]:
    """The recipients that do not occur in the thread; none when there is no thread to compare with."""
    if not messages:
        return []
    known = known_addresses(messages) | {mailbox_address.casefold()}
    return [address for address in revision.recipients() if address.casefold() not in known]


def compared_domains(revision: Revision, messages: Sequence[Message], mailbox_address: str) -> list[str]:
    """The domains of recipients, answers and the conversation, except the mailbox's own."""
    addresses = [*revision.recipients(), *_emails(revision.reply_to), *known_addresses(messages)]
    own = domains_of([mailbox_address])
    return [domain for domain in domains_of(addresses) if domain not in own]


@dataclass(slots=True)
class _Matter:
    """A draft and what it is compared with, each put together once."""

    revision: Revision
    messages: Sequence[Message]
    mailbox_address: str
    contacts: Collection[str]
    wrote: Mapping[str, int]
    text: str
    subject: str
    said: str
    links: list[Link]
    link_hosts: list[str]
    known_domains: set[str] = field(default_factory=set)
    looks: LookAlikes | None = None

    @classmethod
    def of(
        cls,
        revision: Revision,
        messages: Sequence[Message],
        mailbox_address: str,
        contacts: Collection[str],
        wrote: Mapping[str, int],
    ) -> _Matter:
        return cls(
            revision=revision,
            messages=messages,
            mailbox_address=mailbox_address,
            contacts=contacts,
            wrote=wrote,
            text=letter_text(revision)[:TEXT_CHARACTERS],
            subject=letter_subject(revision)[:TEXT_CHARACTERS],
            said=said_in(messages)[: 4 * TEXT_CHARACTERS],
            links=links_in(revision),
            link_hosts=link_hosts_of(revision),
            known_domains={*domains_of(known_addresses(messages)), *domains_of([mailbox_address])},
        )

    @property
    def is_compose(self) -> bool:
        return not self.revision.parent_message_id

    @property
    def has_comparison(self) -> bool:
        """Whether new means something: a thread is known, or there is none."""
        return bool(self.messages) or self.is_compose

    def addresses(self, *names: str) -> Iterator[tuple[Place, str, str]]:
        """Each entry of these fields as its place, name and address."""
        for name in names:
            for index, entry in enumerate(getattr(self.revision, name)):
                email = str(entry.get("email") or "")
                yield Place(name, email, index), str(entry.get("name") or ""), email

    def senders(self) -> Iterator[tuple[Place, str, str]]:
        """Who wrote in the conversation, as the place, the name and the address of each."""
        for message in _received(self):
            part = "answered" if message.provider_id == self.revision.parent_message_id else "message"
            for entry in message.sender:
                email = str(entry.get("email") or "")
                yield (
                    Place(part, email[:EXCERPT_CHARACTERS], message.pk or 0),
                    one_line(entry.get("name")),
                    email,
                )

    def look_alikes(self) -> LookAlikes:
        """What could be taken for a domain of the conversation, the mailbox or those it knows; put together once."""
        if self.looks is None:
            self.looks = LookAlikes({*self.known_domains, *self.contacts, *self.wrote})
        return self.looks

    def known_before(self, domain: str) -> set[str]:
        """The domains that were known when one of the conversation first wrote; none for one that is trusted itself."""
        trusted = {*self.contacts, *domains_of([self.mailbox_address])}
        times = [
            message.date or 0
            for message in self.messages
            if domain in domains_of([str(entry.get("email") or "") for entry in message.sender])
        ]
        if domain in trusted or not times:
            return set()
        since = min([*times, self.wrote.get(domain, times[0])])
        return trusted | {other for other, at in self.wrote.items() if at < since}

    def where(self, written: str) -> Place:
        """The first place in the letter where a text is written, the subject included; on word borders if possible."""
        for part, text in (("body", self.text), ("subject", self.subject)):
            start = _find(written, text)
            if start is not None:
                return Place(part, written[:EXCERPT_CHARACTERS], start=start)
        return Place("body", written[:EXCERPT_CHARACTERS])

    def where_host(self, host: str) -> Place:
        """The first link of the list that goes to a host, or where it is written."""
        index = next((index for index, link in enumerate(self.links) if link.host == host), None)
        if index is None:
            return self.where(host)
        return Place("links", host[:EXCERPT_CHARACTERS], index)


def _hidden_text(matter: _Matter) -> Iterator[Note]:
    texts = hidden_text(matter.revision.body[:TEXT_CHARACTERS]) if matter.revision.body_html else []
    if texts:
        heading = _("It holds text that its reader will not see.")
        yield _pointing(
            "hidden_text", heading, "", [text[:EXCERPT_CHARACTERS] for text in texts], matter.where
        )


def _steering(matter: _Matter, keys: Collection[str]) -> Iterator[Note]:
    """What others wrote that the agent read and people did not see, or that speaks to machines."""
    asked, hidden = [], []
    left = STEERING_CHARACTERS
    for message in _received(matter):
        known = domains_of([str(entry.get("email") or "") for entry in message.sender])
        texts = [
            (message.subject, False),
            *((text, True) for text in message.hidden_texts),
            (message.body_text, False),
        ]
        found: list[str] = []
        for text, is_hidden in texts:
            found += instructions_in(text[: max(0, left)], from_domains=known, is_hidden=is_hidden)
            left -= len(text)
        part = "answered" if message.provider_id == matter.revision.parent_message_id else "message"
        asked += [Place(part, text[:EXCERPT_CHARACTERS], message.pk or 0) for text in dict.fromkeys(found)]
        hidden += [
            Place(part, text[:EXCERPT_CHARACTERS], message.pk or 0)
            for text in message.hidden_texts
            if _says_more(text, found)
        ]
    fitting = [str(_STEERED_TO[key]) for key in ORDER if key in keys and key in _STEERED_TO]
    if fitting:
        consequence = _("What would fit: this draft %(what)s.") % {"what": ", ".join(fitting)}
    else:
        consequence = _("Nothing else of this draft stands out.")
    if asked:
        yield _pointing(
            "instructions",
            _("A message reads like instructions to a machine."),
            f"{_('The agent read it, and this draft may have been steered by it.')} {consequence}",
            asked,
        )
    if hidden:
        yield _pointing(
            "hidden_inbound",
            _("A message holds text that people do not see."),
            f"{_('The agent read it all the same, so this draft may have been steered by it.')} {consequence}",
            hidden,
        )


def _received(matter: _Matter) -> list[Message]:
    """What others wrote in the conversation, the answered message first."""
    answered = matter.revision.parent_message_id
    received = [message for message in reversed(matter.messages) if not message.is_outbound]
    return sorted(received, key=lambda message: message.provider_id != answered)


def _says_more(text: str, found: Collection[str]) -> bool:
    """Whether a hidden text says something, and is not told already; most mail hides single words and marks."""
    return len(_NAME.findall(text[:EXCERPT_CHARACTERS])) >= _HIDDEN_WORDS and not any(
        one in text or text in one for one in found
    )


def _secrets(matter: _Matter) -> Iterator[Note]:
    found = [
        Place(part, written[:EXCERPT_CHARACTERS], start=start)
        for part, text in (("subject", matter.subject), ("body", matter.text))
        for start, written in islice(secrets_in(text), 2 * PLACES)
    ]
    if found:
        yield _pointing(
            "secret",
            _("It seems to give away a secret."),
            _("This is written like a password, a key or the number of a card."),
            found,
        )


def _look_alikes(matter: _Matter) -> Iterator[Note]:
    places: dict[str, Place | None] = dict.fromkeys(matter.link_hosts)
    for place, _name, email in (*matter.senders(), *matter.addresses(*_FIELDS)):
        places |= dict.fromkeys(domains_of([email]), place)
    asked = [*reversed(places)][:COMPARED_DOMAINS]
    strangers = matter.look_alikes()
    found = [
        (domain, known)
        for domain in asked
        if (known := strangers.of(domain) or LookAlikes(matter.known_before(domain)).of(domain))
    ]
    if found:
        yield _pointing(
            "look_alike",
            ngettext("A domain reads like another one.", "Domains read like others.", len(found)),
            _listed([_("%(domain)s is not %(known)s") % {"domain": d, "known": k} for d, k in found]) + ".",
            [places[domain] or matter.where_host(domain) for domain, _known in found],
        )


def _false_names(matter: _Matter) -> Iterator[Note]:
    known: dict[str, set[str]] = {}
    for name, email in _people_of(matter.messages):
        known.setdefault(name.casefold(), set()).update(domains_of([email]))
    addresses, people, hosts = [], [], []
    looks = matter.look_alikes()
    asked: dict[str, bool] = {}
    for place, name, email in (*matter.addresses(*_FIELDS), *matter.senders()):
        named = Place(place.part, f"{name} <{email}>"[:EXCERPT_CHARACTERS], place.index)
        domains = known.get(one_line(name).casefold(), set())
        if hides_address(name, email):
            addresses.append(named)
        elif _names_other_domain(name, email, looks, asked):
            hosts.append(named)
        elif domains and not domains & set(domains_of([email])):
            people.append(named)
    if addresses:
        yield _pointing(
            "false_name",
            _("A name looks like another address."),
            _("Mail goes to what stands in angle brackets, not to what the name says."),
            addresses,
        )
    if hosts:
        yield _pointing(
            "false_name",
            _("A name looks like a domain that the address is not at."),
            _("Mail goes to what stands behind the @."),
            hosts,
        )
    if people:
        yield _pointing(
            "false_name",
            _("A known name stands at another domain."),
            _("Somebody of this name is in the conversation, with an address elsewhere."),
            people,
        )


def _names_other_domain(name: str, email: str, looks: LookAlikes, asked: dict[str, bool]) -> bool:
    """Whether a name, or what stands before the @, reads as a known domain that the address is not at.

    `asked` keeps what was found about the domains of other names; beyond `COMPARED_DOMAINS` only known ones are found.
    """
    local, _at, domain = email.casefold().rpartition("@")
    written = _DOMAIN.findall(f"{name.casefold()[:EXCERPT_CHARACTERS]} {local}")
    others = [one for one in written if one != domain and not f".{domain}".endswith(f".{one}")]
    for one in others[:LISTED]:
        if one not in asked and len(asked) < COMPARED_DOMAINS:
            asked[one] = bool(looks.of(one))
    return any(looks.is_known(one) or asked.get(one) for one in others[:LISTED])


def _hidden_readers(matter: _Matter) -> Iterator[Note]:
    places = [place for place, _name, _email in matter.addresses("bcc")]
    if places:
        yield _pointing(
            "bcc",
            _("Someone reads along unseen."),
            _("The other readers will not know who is in Bcc."),
            places,
        )


def _answers_elsewhere(matter: _Matter) -> Iterator[Note]:
    senders = {email.casefold() for email in _emails(matter.revision.sender)}
    places = [
        place for place, _name, email in matter.addresses("reply_to") if email.casefold() not in senders
    ]
    if places:
        yield _pointing(
            "reply_to",
            _("Answers go elsewhere."),
            _("Reply-To sends them to another address than this mailbox."),
            places,
        )


def _misleading_links(matter: _Matter) -> Iterator[Note]:
    places = [
        Place("links", f"{link.text} → {link.host or link.target}"[:EXCERPT_CHARACTERS], index)
        for index, link in enumerate(matter.links)
        if link.is_misleading
    ]
    if places:
        yield _pointing("misleading_link", _("A link says another place than it goes to."), "", places)


def _wrong_thread(matter: _Matter) -> Iterator[Note]:
    if matter.is_compose or not matter.messages:
        return
    sentences, places = [], []
    unknown = unknown_recipients(matter.revision, matter.messages, matter.mailbox_address)
    to = [place for place, _name, _email in matter.addresses("to")]
    if to and all(place.text in unknown for place in to):
        sentences.append(_("Nobody in To took part in the conversation."))
        places += to
    if matter.subject and not _shares_words(matter.subject, [message.subject for message in matter.messages]):
        sentences.append(_("Its subject has no word in common with that of the conversation."))
        places.append(Place("subject", matter.subject[:EXCERPT_CHARACTERS], start=0))
    greeted = _greeted(matter)
    if greeted is not None:
        sentences.append(_("It greets somebody who is neither a recipient nor in the conversation."))
        places.append(greeted)
    if sentences:
        yield _pointing(
            "wrong_thread",
            _("It may answer in the wrong conversation."),
            " ".join(sentences),
            places,
        )


def _strangers(matter: _Matter) -> Iterator[Note]:
    """Each recipient that is new, named once: by the largest thing that is new about it."""
    unknown = set(unknown_recipients(matter.revision, matter.messages, matter.mailbox_address))
    first, domains, addresses = [], [], []
    for place, _name, email in matter.addresses("to", "cc", "bcc"):
        domain = next(iter(domains_of([email])), "")
        if domain not in matter.known_domains and domain not in matter.contacts:
            first.append(place)
        elif email not in unknown:
            continue
        elif domain not in matter.known_domains:
            domains.append(place)
        else:
            addresses.append(place)
    if first:
        yield _pointing(
            "first_contact",
            _("It goes to a domain for the first time."),
            _("This mailbox never wrote there, and nobody from there is in a conversation with it here."),
            first,
        )
    if domains:
        yield _pointing(
            "new_domain",
            _("It goes to a domain that is new in the conversation."),
            _("Nobody there wrote or was written to in this conversation."),
            domains,
        )
    if addresses:
        yield _pointing(
            "new_recipient",
            ngettext("It goes to a new address.", "It goes to new addresses.", len(addresses)),
            _("It did not write and was not written to in this conversation."),
            addresses,
        )


def _files(matter: _Matter) -> Iterator[Note]:
    parts = [(index, _file_of(part)) for index, part in enumerate(matter.revision.attachments)]
    places = [Place("attachments", name[:EXCERPT_CHARACTERS], index) for index, (name, _kind) in parts]
    programs = [index for index, (name, _kind) in parts if runs_programs(name)]
    found = [str(part.get("kind") or "") for part in matter.revision.attachments]
    others = [
        index
        for index, (name, kind) in parts
        if is_of_another_kind(name, kind) or differs(found[index], name, kind)
    ]
    if programs:
        heading = _("A file can run programs or hide others.")
        yield _pointing("program", heading, "", [places[index] for index in programs])
    if others:
        yield _pointing(
            "other_kind",
            _("A file is of another kind than its name says."),
            _listed([str(KIND_WORDS.get(found[index]) or parts[index][1][1]) for index in others]) + ".",
            [places[index] for index in others],
        )
    if parts:
        heading = ngettext("It carries %(count)d file.", "It carries %(count)d files.", len(parts))
        text = _("Its reader gets what is in it, which the text does not show.")
        yield _pointing("attachments", heading % {"count": len(parts)}, text, places)
        return
    own = "\n".join(line for line in matter.text.split("\n") if not line.startswith(">"))
    words = Words.of(own)
    said = next(filter(None, map(words.find, _ATTACHED)), "")
    if said:
        yield Note(
            "not_attached",
            _("It speaks of a file and carries none."),
            places=(matter.where(said),),
        )


def _parts_that_differ(matter: _Matter) -> Iterator[Note]:
    """The plain text that was handed in beside the HTML, where its words are not those of the HTML."""
    if not matter.revision.plain_part:
        return
    plain, shown = sayings(matter.revision.plain_part[:TEXT_CHARACTERS], matter.text)
    found = [("plain_part", word) for word in plain.words[:PLACES]]
    found += [("body", word) for word in shown.words]
    if found:
        yield _pointing(
            "parts_differ",
            _("Its plain text says something else than its HTML."),
            _("Both were handed in. The HTML is shown and sent, the plain text is not."),
            found,
            lambda one: (
                matter.where(one[1]) if one[0] == "body" else Place(one[0], one[1][:EXCERPT_CHARACTERS])
            ),
        )


def _received_parts_that_differ(matter: _Matter) -> Iterator[Note]:
    """Messages whose plain text was compared with their HTML and says something else."""
    places = []
    for message in _received(matter):
        if message.parts_state == PartsState.DIFFER:
            part = "answered" if message.provider_id == matter.revision.parent_message_id else "message"
            for place, side in (("plain", "plain"), (part, "shown")):
                places += [
                    Place(place, text[:EXCERPT_CHARACTERS], message.pk or 0)
                    for text in message.parts_difference[side]["passages"]
                ]
    if places:
        yield _pointing(
            "received_parts_differ",
            _("The plain text of a message says something else than the formatted one."),
            _("Which of the two its reader sees depends on the program, and the agent may have read either."),
            places,
        )


def _risky_words(matter: _Matter, reasons: Sequence[Reason]) -> Iterator[Note]:
    found = [reason for reason in reasons if reason.is_risky and reason.words]
    if found:
        yield _pointing(
            "risky_words",
            _("It is about %(categories)s.")
            % {"categories": ", ".join(dict.fromkeys(one.name for one in found))},
            " ".join(reason.sentence for reason in found),
            [(word, reason.is_ours) for reason in found for word in reason.words],
            lambda one: matter.where(one[0]) if one[1] else Place("answered", one[0][:EXCERPT_CHARACTERS]),
        )


def _new_in_text(matter: _Matter) -> Iterator[Note]:
    if not matter.has_comparison:
        return
    amounts = new_amounts(f"{matter.subject}\n{matter.text}", matter.said)
    if amounts:
        yield _pointing(
            "new_amount",
            ngettext("It names an amount.", "It names amounts.", len(amounts)),
            _("It was not mentioned in the conversation before."),
            amounts,
            matter.where,
        )
    known = set(link_hosts_in(matter.said))
    hosts = [host for host in matter.link_hosts if host and host not in known]
    if hosts:
        yield _pointing(
            "new_link",
            ngettext("It links to a new place.", "It links to new places.", len(hosts)),
            _("It does not occur in the conversation."),
            hosts,
            matter.where_host,
        )


def _invisible(matter: _Matter) -> Iterator[Note]:
    texts = chain(
        [(Place("subject", ""), matter.subject), (Place("body", ""), matter.text)],
        ((place, name) for place, name, _email in matter.addresses(*_FIELDS)),
        (
            (Place("attachments", "", index), _file_of(part)[0])
            for index, part in enumerate(matter.revision.attachments)
        ),
    )
    held = [(place, text, count) for place, text in texts if (count := deceiving_count(text))]
    total = sum(count for _place, _text, count in held)
    if total:
        places = (
            Place(place.part, character, place.index, start=at)
            for place, text, _count in held
            for at, character in enumerate(text)
            if is_deceiving(character)
        )
        text = ngettext(
            "%(count)d invisible or direction-changing character is shown as a mark, such as [U+202E].",
            "%(count)d invisible or direction-changing characters are shown as marks, such as [U+202E].",
            total,
        )
        shown = tuple(islice(places, PLACES))
        heading = _("It holds characters that do not show.")
        yield Note("invisible", heading, text % {"count": total}, shown, left=total - len(shown))


def _compose(matter: _Matter) -> Iterator[Note]:
    if matter.is_compose:
        yield Note("compose", _("It answers nothing."), _("It starts a conversation of its own."))


def _too_long(matter: _Matter) -> Iterator[Note]:
    if max(len(matter.revision.body_text), len(matter.revision.body)) > TEXT_CHARACTERS:
        yield Note(
            "too_long",
            _("It is too long to be looked at in full."),
            _("These notes are about its first %(count)d characters.") % {"count": TEXT_CHARACTERS},
        )


_LOOKS = (
    _hidden_text,
    _secrets,
    _look_alikes,
    _false_names,
    _hidden_readers,
    _answers_elsewhere,
    _misleading_links,
    _wrong_thread,
    _strangers,
    _files,
    _parts_that_differ,
    _received_parts_that_differ,
    _new_in_text,
    _invisible,
    _compose,
    _too_long,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text; `notes` are the numbers of those that it caused, from 1, none for the rest of the text."""

    text: str
    start: int
    notes: tuple[int, ...] = ()


def passages(text: str, notes: Sequence[Note], part: str) -> list[Passage]:
    """A text cut where the places of notes begin and end; places that overlap become one passage."""
    spans = sorted(
        (place.start, min(place.start + max(1, len(place.text)), len(text)), number)
        for number, note in enumerate(notes, 1)
        for place in note.places
        if place.part == part and place.start is not None and place.start < len(text)
    )
    found: list[Passage] = []
    end = 0
    for start, stop, number in spans:
        if found and start < end:
            last = found.pop()
            end = max(end, stop)
            found.append(
                Passage(text[last.start : end], last.start, (*dict.fromkeys((*last.notes, number)),))
            )
            continue
        if start > end:
            found.append(Passage(text[end:start], end))
        found.append(Passage(text[start:stop], start, (number,)))
        end = stop
    if end < len(text):
        found.append(Passage(text[end:], end))
    return found


def noted_entries(notes: Sequence[Note]) -> dict[tuple[str, int], list[int]]:
    """The numbers of the notes, from 1, that each entry of a list caused, by part and index."""
    found: dict[tuple[str, int], list[int]] = {}
    for number, note in enumerate(notes, 1):
        for entry in dict.fromkeys((place.part, place.index) for place in note.places):
            found.setdefault(entry, []).append(number)
    return found


def anchor_of(place: Place, cut: Mapping[str, Sequence[Passage]]) -> str:
    """The id of the element in the letter that shows a place; `cut` are the passages of each text."""
    if place.part == "answered":
        return "answered"
    if place.part == "message":
        return f"message-{place.index}"
    if place.part == "plain":
        return f"message-{place.index}-plain"
    if place.part not in cut:
        return f"letter-{place.part}-{place.index}"
    start = next(
        (
            passage.start
            for passage in cut[place.part]
            if passage.notes
            and place.start is not None
            and passage.start <= place.start < passage.start + len(passage.text)
        ),
        None,
    )
    return f"letter-{place.part}" if start is None else f"letter-{place.part}-{start}"


def _pointing(
    key: str,
    heading: str,
    text: str,
    found: Sequence[Any],
    place_of: Callable[[Any], Place] = lambda place: place,
) -> Note:
    """A note that points at what was found; only so many places are looked for."""
    shown = found[:PLACES]
    places = dict.fromkeys(map(place_of, shown))
    return Note(key, heading, text, tuple(places), left=len(found) - len(shown))


def _find(written: str, text: str) -> int | None:
    if not written:
        return None
    found = re.search(rf"(?<!\w){re.escape(written)}(?!\w)", text)
    start = found.start() if found else text.find(written)
    return start if start >= 0 else None


def _greeted(matter: _Matter) -> Place | None:
    """Whom the first line greets by a name that nobody here has."""
    greeting = _GREETING.match(matter.text)
    if greeting is None:
        return None
    words = _NAME.findall(greeting.group(1))
    names = [word for word in words if word[0].isupper() and word.casefold() not in _NO_NAMES]
    if not names or len(words) > _GREETED_WORDS:
        return None
    recipients = ((name, email) for _place, name, email in matter.addresses(*_FIELDS))
    known = set(Words.of("\n".join(f"{n} {e}" for n, e in (*recipients, *_people_of(matter.messages)))).words)
    if set(Words.of(" ".join(names)).words) & known:
        return None
    if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", matter.said, re.IGNORECASE) for name in names):
        return None
    return Place("body", greeting.group(1).strip(), start=greeting.start(1))


def _shares_words(subject: str, others: Sequence[str]) -> bool:
    """Whether two subjects may be about the same; yes where one says nothing."""
    ours = set(Words.of(subject).words) - REPLY_PREFIXES
    theirs = {word for other in others for word in Words.of(other).words} - REPLY_PREFIXES
    return not ours or not theirs or bool(ours & theirs)


def _people_of(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    for message in messages:
        for entries in (message.sender, message.to, message.cc):
            for entry in entries:
                if isinstance(entry, Mapping) and entry.get("name"):
                    yield one_line(entry["name"]), str(entry.get("email") or "")


def _file_of(part: Mapping[str, Any]) -> tuple[str, str]:
    return str(part.get("filename") or ""), str(part.get("content_type") or "")


def _emails(entries: Sequence[dict[str, str]]) -> list[str]:
    return [str(entry.get("email", "")) for entry in entries]


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:LISTED])
    left = len(texts) - LISTED
    return shown if left <= 0 else _("%(shown)s and %(left)d more") % {"shown": shown, "left": left}


def _shown_host(text: str) -> str:
    found = _SHOWN_HOST.search(text)
    return found.group(1).casefold().removeprefix("www.") if found else ""
