"""Mail as the rules see it: the texts of a draft and of its thread, put together once per evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agentmail.addresses import ascii_form
from agentmail.models import Message
from approvals import mentions
from approvals.content import Content
from approvals.models import Draft, InboundJudgement, Revision
from policies.engine import Subject

_OF_THE_THREAD = frozenset({"money.new", "link.new_host"})
_OF_LINKS = frozenset({"link.host", "link.new_host"})
_OF_THE_ANSWERED = frozenset({"inbound.category", "inbound.subject", "inbound.body"})


class NotJudged(Exception):
    """A rule asks for the category of the answered message, which has none yet."""


def outbound(draft: Draft, revision: Revision, content: Content, fields: Collection[str]) -> Subject:
    """A draft as mail that would leave. Links and the thread are read only when one of `fields` is about them.

    Raises `NotJudged`.
    """
    text = revision.body_text or revision.body
    hosts = mentions.link_hosts_of(revision) if _OF_LINKS & set(fields) else []
    more: dict[str, Any] = {}
    if _OF_THE_THREAD & set(fields):
        said = mentions.said_in(_thread(draft))
        known = set(mentions.link_hosts_in(said))
        more |= {
            "new_amounts": tuple(mentions.new_amounts(f"{revision.subject}\n{text}", said)),
            "new_link_hosts": tuple(host for host in hosts if host not in known),
        }
    if _OF_THE_ANSWERED & set(fields):
        more |= _answered(draft, content, fields)
    return Subject(
        sender=tuple(ascii_form(address.email) for address in content.sender),
        recipients=tuple(ascii_form(email) for email in content.recipients()),
        reply_to=tuple(ascii_form(address.email) for address in content.reply_to),
        outbound_type="reply" if content.parent_message_id else "compose",
        subject=content.subject,
        body=text,
        amounts=tuple(mentions.amounts_in(f"{content.subject}\n{text}")),
        link_hosts=tuple(hosts),
        attachment_names=tuple(part.filename for part in content.attachments),
        attachment_types=tuple(part.content_type for part in content.attachments),
        attachment_count=len(content.attachments),
        size=len(content.body.encode()) + sum(part.size for part in content.attachments),
        **more,
    )


def inbound(message: Message) -> Subject:
    """A message that arrived, read in full."""
    text = f"{message.subject}\n{message.body_text}"
    return Subject(
        sender=_emails(message.sender),
        subject=message.subject,
        body=message.body_text,
        amounts=tuple(mentions.amounts_in(text)),
        link_hosts=tuple(mentions.link_hosts_in(f"{text}\n{message.body_html}")),
        attachment_names=tuple(str(part.get("filename", "")) for part in message.attachments),
        attachment_types=tuple(str(part.get("content_type", "")) for part in message.attachments),
        attachment_count=len(message.attachments),
        size=len((message.body_html or message.body_text).encode())
        + sum(int(part.get("size") or 0) for part in message.attachments),
    )


def _thread(draft: Draft) -> list[Message]:
    if not draft.thread_id:
        return []
    return list(
        Message.objects.filter(mailbox_id=draft.mailbox_id, thread_id=draft.thread_id, is_deleted=False)
    )


def _answered(draft: Draft, content: Content, fields: Collection[str]) -> dict[str, Any]:
    if not content.parent_message_id:
        return {"answered_category": "", "answered_subject": "", "answered_body": ""}
    # Without the message that it answers nothing is said about it, and a rule that asks is an error.
    message = Message.objects.filter(
        mailbox_id=draft.mailbox_id, provider_id=content.parent_message_id, is_complete=True
    ).first()
    if message is None:
        return {}
    more = {"answered_subject": message.subject, "answered_body": message.body_text}
    if "inbound.category" in fields:
        if message.is_outbound:
            return more | {"answered_category": ""}
        judged = InboundJudgement.objects.filter(message=message).first()
        if judged is None:
            raise NotJudged(f"message {message.pk} has not been judged yet")
        more["answered_category"] = judged.category
    return more


def _emails(entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(ascii_form(str(entry.get("email", ""))) for entry in entries)
