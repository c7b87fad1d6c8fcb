"""What a reviewer should look at before signing: plain observations about a draft and its thread.

They decide nothing; gates do. Each is true of the texts as they are, without a model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agentmail.mail_html import hidden_text, links
from agentmail.models import Message
from approvals.characters import deceiving_count
from approvals.mentions import host_of, link_hosts_in, new_amounts, said_in
from approvals.models import Revision
from approvals.queries import known_addresses

_SHOWN_HOST = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?=[/:?#\s]|$)", re.IGNORECASE)
_LISTED = 4


@dataclass(frozen=True, slots=True)
class Note:
    """`heading` is a short sentence, `text` says what it is about."""

    heading: str
    text: str


def notes_on(revision: Revision, messages: Sequence[Message], *, mailbox_address: str) -> list[Note]:
    """Everything worth a second look, the most consequential first."""
    found = [
        _hidden_readers(revision),
        _new_recipients(revision, messages, mailbox_address),
        _answers_elsewhere(revision),
        _misleading_links(revision),
        *_not_in_thread(revision, messages),
        _unseen(revision),
        _deceiving(revision),
    ]
    return [note for note in found if note is not None]


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a laid-out draft: what its reader sees, where it goes; `host` in its ASCII form."""

    text: str
    target: str
    host: str
    is_misleading: bool


def links_in(revision: Revision) -> list[Link]:
    """The links of a laid-out draft in order; none for plain text."""
    if not revision.body_html:
        return []
    return [
        Link(text, target, host_of(target), bool(shown := _shown_host(text)) and shown != host_of(target))
        for text, target in links(revision.body)
    ]


def unknown_recipients(revision: Revision, messages: Sequence[Message], mailbox_address: str) -> list[str]:
    """The recipients that do not occur in the thread; none when there is no thread to compare with."""
    if not messages:
        return []
    known = known_addresses(messages) | {mailbox_address.casefold()}
    return [address for address in revision.recipients() if address.casefold() not in known]


def _hidden_readers(revision: Revision) -> Note | None:
    if not revision.bcc:
        return None
    return Note(
        _("Someone reads along unseen."),
        _("%(addresses)s in Bcc: the other readers will not know.")
        % {"addresses": _listed(_emails(revision.bcc))},
    )


def _new_recipients(revision: Revision, messages: Sequence[Message], mailbox_address: str) -> Note | None:
    unknown = unknown_recipients(revision, messages, mailbox_address)
    if not unknown:
        return None
    return Note(
        ngettext("It goes to a new address.", "It goes to new addresses.", len(unknown)),
        _("%(addresses)s did not write and was not written to in this conversation.")
        % {"addresses": _listed(unknown)},
    )


def _answers_elsewhere(revision: Revision) -> Note | None:
    senders = {email.casefold() for email in _emails(revision.sender)}
    elsewhere = [email for email in _emails(revision.reply_to) if email.casefold() not in senders]
    if not elsewhere:
        return None
    return Note(
        _("Answers go elsewhere."),
        _("Reply-To sends them to %(addresses)s instead of this mailbox.")
        % {"addresses": _listed(elsewhere)},
    )


def _not_in_thread(revision: Revision, messages: Sequence[Message]) -> list[Note]:
    if not messages:
        return []
    said = said_in(messages)
    text = revision.body_text or revision.body
    notes = []
    known_hosts = set(link_hosts_in(said))
    hosts = [host for host in link_hosts_in(f"{text}\n{revision.body}") if host not in known_hosts]
    if hosts:
        notes.append(
            Note(
                ngettext("It links to a new place.", "It links to new places.", len(hosts)),
                _("%(hosts)s does not occur in the conversation.") % {"hosts": _listed(hosts)},
            )
        )
    amounts = new_amounts(text, said)
    if amounts:
        notes.append(
            Note(
                ngettext("It names an amount.", "It names amounts.", len(amounts)),
                _("%(amounts)s was not mentioned in the conversation before.")
                % {"amounts": _listed(amounts)},
            )
        )
    return notes


def _misleading_links(revision: Revision) -> Note | None:
    misleading = [
        f"{link.text} → {link.host or link.target}" for link in links_in(revision) if link.is_misleading
    ]
    if not misleading:
        return None
    return Note(
        _("A link says another place than it goes to."),
        _("%(links)s.") % {"links": _listed(misleading)},
    )


def _unseen(revision: Revision) -> Note | None:
    if not revision.body_html:
        return None
    texts = hidden_text(revision.body)
    if not texts:
        return None
    return Note(
        _("It holds text that its reader will not see."),
        "“" + _listed([one[:120] for one in texts]) + "”",
    )


def _deceiving(revision: Revision) -> Note | None:
    names = [part.get("filename", "") for part in revision.attachments]
    count = sum(map(deceiving_count, [revision.subject, revision.body_text, *names]))
    if not count:
        return None
    return Note(
        _("It holds characters that do not show."),
        ngettext(
            "%(count)d invisible or direction-changing character is shown as a mark, such as [U+202E].",
            "%(count)d invisible or direction-changing characters are shown as marks, such as [U+202E].",
            count,
        )
        % {"count": count},
    )


def _emails(entries: Sequence[dict[str, str]]) -> list[str]:
    return [str(entry.get("email", "")) for entry in entries]


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_LISTED])
    left = len(texts) - _LISTED
    return shown if left <= 0 else _("%(shown)s and %(left)d more") % {"shown": shown, "left": left}


def _shown_host(text: str) -> str:
    found = _SHOWN_HOST.search(text)
    return found.group(1).casefold().removeprefix("www.") if found else ""
