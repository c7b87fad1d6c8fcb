"""What agents may read of a mailbox: messages that arrived and are released, and the people it has written with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import QuerySet

from agentmail.addresses import is_well_formed
from agentmail.models import Mailbox, Message
from approvals import contacts, inbound, recipients
from approvals.submissions import Blocked
from gateway import standing
from gateway.callers import Caller, NotThere
from gateway.fences import Fenced, fenced
from gateway.models import Scope
from policies import modes

PAGE = 50
TEXT_CHARACTERS = 20_000
SNIPPET_CHARACTERS = 200
_LINE_CHARACTERS = 998
_ATTACHMENTS = 50
_ADDRESSES = 100
# How many of the newest messages are looked through for people.
_LOOKED_THROUGH = 2000
_cursors = Signer(salt="countersign.inbox")


class NotReleased(Exception):
    """The message waits until a person releases it to the agent."""


class BadCursor(Exception):
    """The cursor is none that this desk gave."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`facts` are of a form in which nobody can write sentences; all words of strangers are in `words`."""

    facts: dict[str, Any]
    words: Fenced


def arrived(
    caller: Caller, mailbox: Mailbox, *, thread_id: str = "", cursor: str = "", limit: int = PAGE
) -> Answer:
    """A page of the messages that arrived in a mailbox and may be read, the newest first. Raises BadCursor."""
    _check(caller, mailbox, modes.CHECK_INBOX)
    rows = _received(mailbox)
    if thread_id:
        rows = rows.filter(thread_id=thread_id)
    if cursor:
        rows = rows.filter(pk__lt=_position(cursor))
    found = list(rows.defer("body_html", "body_text").order_by("-pk")[: limit + 1])
    shown = found[:limit]
    return Answer(
        {
            "messages": [_facts(message) for message in shown],
            "next_cursor": _cursors.sign(str(shown[-1].pk)) if len(found) > limit else None,
        },
        fenced("\n\n".join(_listed(message) for message in shown) or "(no messages)"),
    )


def read(caller: Caller, mailbox: Mailbox, message_id: str, *, offset: int = 0) -> Answer:
    """A message with its text from a character on. Raises NotThere, and NotReleased for one that is held."""
    _check(caller, mailbox, modes.READ_EMAIL)
    found = Message.objects.filter(
        mailbox=mailbox, provider_id=message_id, is_outbound=False, is_complete=True, is_deleted=False
    )
    message = found.first()
    if message is None:
        raise NotThere
    if not inbound.is_released(message):
        raise NotReleased(str(modes.ruling(mailbox.mode, modes.READ_EMAIL).sentence))
    text = message.body_text
    end = offset + TEXT_CHARACTERS
    return Answer(
        _facts(message)
        | {
            "to": _well_formed(message.to),
            "cc": _well_formed(message.cc),
            "text_characters": len(text),
            "next_offset": end if end < len(text) else None,
        },
        fenced(f"{_head(message)}\n\n{text[offset:end]}"),
    )


def people(caller: Caller, mailbox: Mailbox, *, search: str = "", limit: int = PAGE) -> Answer:
    """Who wrote to a mailbox or was written to, the latest first, with what the lists say about each."""
    _check(caller, mailbox, modes.MANAGE_CONTACTS)
    wanted = search.casefold()
    found = [
        person
        for person in _correspondents(mailbox)
        if wanted in person.address.casefold() or any(wanted in name.casefold() for name in person.names)
    ]
    shown = found[:limit]
    addresses = [person.address for person in shown]
    verdicts = {
        one["address"]: one["verdict"] for one in standing.verdicts(recipients.judged(mailbox, addresses))
    }
    known = contacts.known_among(mailbox.pk, contacts.domains_of(addresses))
    return Answer(
        {
            "contacts": [
                {
                    "address": person.address,
                    "received": person.received,
                    "sent": person.sent,
                    "last_at": _time(person.last),
                    "verdict": verdicts.get(person.address, "unknown"),
                    "is_known_domain": not known.isdisjoint(contacts.domains_of([person.address])),
                }
                for person in shown
            ],
            "found": len(found),
        },
        fenced("\n".join(f"{one.address}: {_joined(one.names)}" for one in shown) or "(nobody)"),
    )


@dataclass(slots=True)
class _Correspondent:
    address: str
    names: list[str] = field(default_factory=list)
    received: int = 0
    sent: int = 0
    last: int | None = None


def _correspondents(mailbox: Mailbox) -> list[_Correspondent]:
    messages = inbound.released(Message.objects.filter(mailbox=mailbox, is_deleted=False))
    own = mailbox.address.casefold()
    found: dict[str, _Correspondent] = {}
    columns = ("is_outbound", "sender", "to", "cc", "date")
    for is_outbound, sender, to, cc, date in messages.order_by("-pk").values_list(*columns)[:_LOOKED_THROUGH]:
        for party in [*to, *cc] if is_outbound else sender:
            address = str(party.get("email") or "")
            if address.casefold() == own or not is_well_formed(address):
                continue
            person = found.setdefault(address.casefold(), _Correspondent(address.casefold()))
            person.received += not is_outbound
            person.sent += is_outbound
            person.last = max(person.last or 0, date or 0) or None
            name = str(party.get("name") or "")[:_LINE_CHARACTERS]
            if name and name not in person.names and len(person.names) < 3:
                person.names.append(name)
    return list(found.values())


def _check(caller: Caller, mailbox: Mailbox, action: str) -> None:
    caller.need(Scope.READ, mailbox=mailbox)
    ruling = modes.ruling(mailbox.mode, action)
    if ruling.answer is modes.Answer.BLOCKED:
        raise Blocked("blocked_mode", str(ruling.sentence))


def _received(mailbox: Mailbox) -> QuerySet[Message]:
    return inbound.released(
        Message.objects.filter(mailbox=mailbox, is_outbound=False, is_complete=True, is_deleted=False)
    )


def _position(cursor: str) -> int:
    try:
        return int(_cursors.unsign(cursor))
    except (BadSignature, ValueError) as error:
        raise BadCursor from error


def _facts(message: Message) -> dict[str, Any]:
    return {
        "id": message.provider_id,
        "thread_id": message.thread_id,
        "from": _well_formed(message.sender),
        "date": _time(message.date),
        "attachments": len(message.attachments),
    }


def _listed(message: Message) -> str:
    snippet = " ".join(message.snippet.split())[:SNIPPET_CHARACTERS]
    return f"Id: {message.provider_id}\nFrom: {_parties(message.sender)}\nSubject: {_line(message.subject)}\n{snippet}"


def _head(message: Message) -> str:
    lines = [
        f"From: {_parties(message.sender)}",
        f"To: {_parties(message.to)}",
        f"Cc: {_parties(message.cc)}" if message.cc else "",
        f"Reply-To: {_parties(message.reply_to)}" if message.reply_to else "",
        f"Subject: {_line(message.subject)}",
        *(
            f"Attachment: {_line(str(part.get('filename') or ''))} ({_line(str(part.get('content_type') or ''))}, "
            f"{part.get('size')} bytes)"
            for part in message.attachments[:_ATTACHMENTS]
        ),
    ]
    return "\n".join(line for line in lines if line)


def _parties(parties: Iterable[Mapping[str, str]]) -> str:
    return _line(", ".join(f"{one.get('name') or ''} <{one.get('email') or ''}>".strip() for one in parties))


def _joined(names: Iterable[str]) -> str:
    return _line("; ".join(names)) or "(no name)"


def _line(text: str) -> str:
    return " ".join(text.split())[:_LINE_CHARACTERS]


def _well_formed(parties: Iterable[Mapping[str, str]]) -> list[str]:
    addresses = (str(one.get("email") or "") for one in parties)
    return [address for address in addresses if is_well_formed(address)][:_ADDRESSES]


def _time(seconds: int | None) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds is not None else None
    except (OverflowError, ValueError, OSError):
        return None
