"""Our copy of the provider's mailboxes. Only what was fetched is written; no rule of the product is here."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice

from django.db import transaction
from django.utils import timezone

from agentmail.client import NylasClient
from agentmail.exceptions import ProviderError
from agentmail.mail_html import LARGEST_TEXT, clean, is_html, to_text
from agentmail.models import Mailbox, Message, RuleEvaluation, Thread
from agentmail.types import Address, MessageSnapshot, RuleEvaluationSnapshot, ThreadSnapshot

logger = logging.getLogger(__name__)

# What a mailbox held before it was connected is fetched with the thread it belongs to, not by the poll.
FIRST_LOOK_BACK = timedelta(days=7)
# A message may be listed later than the newest one already seen, with an earlier date.
OVERLAP_SECONDS = 3600

_LONGEST_ID = 255
_EVALUATIONS_AT_ONCE = 100
_MOST_EVALUATIONS = 5000


def store_message(mailbox: Mailbox, snapshot: MessageSnapshot, *, is_complete: bool = True) -> Message:
    """Write a message down and return its row; its HTML is sanitised when it is first stored in full.

    A complete message keeps its text: mail does not change, only its thread, metadata and folder do.
    """
    known = Message.objects.filter(mailbox=mailbox, provider_id=snapshot.id).first()
    if known is not None and (known.is_complete or not is_complete):
        return _refresh(mailbox, known, snapshot)
    fields = _envelope(mailbox, snapshot) | {"is_complete": is_complete}
    if is_complete:
        fields |= _content(snapshot)
    message, _is_new = Message.objects.update_or_create(
        mailbox=mailbox, provider_id=snapshot.id, defaults=fields
    )
    return message


def note_incomplete(mailbox: Mailbox, provider_message_id: str, thread_id: str) -> Message:
    """Remember that a message exists whose content could not be fetched yet; one that is known stays as it is."""
    message, _is_new = Message.objects.get_or_create(
        mailbox=mailbox,
        provider_id=provider_message_id,
        defaults={"thread_id": thread_id, "is_complete": False},
    )
    return message


def store_thread(mailbox: Mailbox, snapshot: ThreadSnapshot) -> Thread:
    thread, _is_new = Thread.objects.update_or_create(
        mailbox=mailbox,
        provider_id=snapshot.id,
        defaults={
            "subject": snapshot.subject,
            "participants": _json(snapshot.participants),
            "message_ids": list(snapshot.message_ids),
            "latest_message_received_date": snapshot.latest_message_received_date,
            "latest_message_sent_date": snapshot.latest_message_sent_date,
            "fetched_at": timezone.now(),
        },
    )
    return thread


def store_rule_evaluations(mailbox: Mailbox, snapshots: Iterable[RuleEvaluationSnapshot]) -> int:
    """Store evaluations, given newest first, until a known one is met; how many were new.

    All or none are written, so that a failure in between cannot hide older ones for ever.
    """
    new: list[RuleEvaluation] = []
    remaining = iter(snapshots)
    while chunk := list(islice(remaining, _EVALUATIONS_AT_ONCE)):
        known = set(
            RuleEvaluation.objects.filter(
                mailbox=mailbox, provider_id__in=[snapshot.id for snapshot in chunk]
            ).values_list("provider_id", flat=True)
        )
        new += [_evaluation(mailbox, snapshot) for snapshot in chunk if snapshot.id not in known]
        if known or len(new) >= _MOST_EVALUATIONS:
            break
    with transaction.atomic():
        # Another poll may have stored some of them meanwhile; the oldest gets the lowest id.
        before = RuleEvaluation.objects.filter(mailbox=mailbox).count()
        RuleEvaluation.objects.bulk_create(reversed(new), ignore_conflicts=True)
        return RuleEvaluation.objects.filter(mailbox=mailbox).count() - before


def find_sent_folder(mailbox: Mailbox, client: NylasClient) -> None:
    """Learn once which folder holds what was sent: a copy there is outbound, whatever sender it shows.

    Without an answer the sender alone tells, and the next call asks again.
    """
    if mailbox.sent_folder_id:
        return
    try:
        sent = next((found for found in client.list_folders(mailbox.grant_id) if found.role == "sent"), None)
    except ProviderError as error:
        logger.info("the folders of mailbox %s could not be read: %s", mailbox.pk, error)
        return
    if sent is not None and len(sent.id) <= _LONGEST_ID:
        mailbox.sent_folder_id = sent.id
        mailbox.save(update_fields=["sent_folder_id"])


def sync_messages(mailbox: Mailbox, client: NylasClient) -> list[Message]:
    """Fetch what arrived or was sent since the last call and return the messages that are new to us.

    The mailbox's mark moves on only when all pages were read, and never beyond the present, so that one
    message with a date in the future cannot hide others. Raises `ProviderError`; what was read stays stored.
    """
    since = mailbox.messages_received_until
    if since is None:
        since = int((mailbox.connected_at - FIRST_LOOK_BACK).timestamp())
    new: list[Message] = []
    newest = since
    listed = iter(client.list_messages(mailbox.grant_id, received_after=max(0, since - OVERLAP_SECONDS)))
    while chunk := list(islice(listed, 200)):
        complete = set(
            Message.objects.filter(
                mailbox=mailbox, provider_id__in=[snapshot.id for snapshot in chunk], is_complete=True
            ).values_list("provider_id", flat=True)
        )
        for snapshot in chunk:
            newest = max(newest, snapshot.date or 0)
            if len(snapshot.id) > _LONGEST_ID or len(snapshot.thread_id) > _LONGEST_ID:
                logger.warning("mailbox %s lists a message whose id is too long to store", mailbox.pk)
            elif snapshot.id not in complete:
                new.append(store_message(mailbox, snapshot))
    mailbox.messages_received_until = min(newest, int(timezone.now().timestamp()))
    mailbox.save(update_fields=["messages_received_until"])
    return new


def _refresh(mailbox: Mailbox, known: Message, snapshot: MessageSnapshot) -> Message:
    fields = _envelope(mailbox, snapshot)
    changing = ("thread_id", "metadata", "message_id", "is_outbound", "is_deleted")
    changed = {
        name: fields[name] for name in changing if name in fields and getattr(known, name) != fields[name]
    }
    if not changed.get("thread_id", True):
        del changed["thread_id"]
    if changed:
        Message.objects.filter(pk=known.pk).update(**changed)
        for name, value in changed.items():
            setattr(known, name, value)
    return known


def _envelope(mailbox: Mailbox, snapshot: MessageSnapshot) -> dict[str, object]:
    fields: dict[str, object] = {
        "thread_id": snapshot.thread_id,
        "is_outbound": is_outbound(mailbox, snapshot),
        "sender": _json(snapshot.from_),
        "to": _json(snapshot.to),
        "cc": _json(snapshot.cc),
        "bcc": _json(snapshot.bcc),
        "reply_to": _json(snapshot.reply_to),
        "subject": snapshot.subject,
        "snippet": snapshot.snippet,
        "attachments": [
            {
                "id": attachment.id,
                "filename": attachment.filename,
                "content_type": attachment.content_type,
                "size": attachment.size,
                "content_id": attachment.content_id,
                "is_inline": attachment.is_inline,
            }
            for attachment in snapshot.attachments
        ],
        "metadata": dict(snapshot.metadata),
        "date": snapshot.date,
        "is_deleted": False,
    }
    message_id = next((value for name, value in snapshot.headers if name.lower() == "message-id"), "")
    if message_id:
        fields["message_id"] = message_id.strip()[:998]
    return fields


def _content(snapshot: MessageSnapshot) -> dict[str, object]:
    if is_html(snapshot.body):
        return {"body_html": clean(snapshot.body), "body_text": to_text(snapshot.body)}
    return {"body_html": "", "body_text": snapshot.body[:LARGEST_TEXT]}


def is_outbound(mailbox: Mailbox, snapshot: MessageSnapshot) -> bool:
    """Whether a message left the mailbox, by its sender or by the folder of sent mail."""
    own = mailbox.address.casefold()
    if any(sender.email.casefold() == own for sender in snapshot.from_):
        return True
    return bool(mailbox.sent_folder_id) and mailbox.sent_folder_id in snapshot.folders


def _evaluation(mailbox: Mailbox, snapshot: RuleEvaluationSnapshot) -> RuleEvaluation:
    return RuleEvaluation(
        mailbox=mailbox,
        provider_id=snapshot.id[:_LONGEST_ID],
        provider_message_id=snapshot.message_id[:_LONGEST_ID],
        evaluated_at=snapshot.evaluated_at,
        stage=snapshot.stage[:32],
        evaluation_input=snapshot.evaluation_input,
        applied_actions=snapshot.applied_actions,
        matched_rule_ids=list(snapshot.matched_rule_ids),
    )


def _json(addresses: Iterable[Address]) -> list[dict[str, str]]:
    return [address.to_json() for address in addresses]
