"""Our copy of the provider's mailboxes. Only what was fetched is written; no rule of the product is here."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import islice

from django.db import transaction
from django.utils import timezone

from agentmail.client import NylasClient
from agentmail.exceptions import ProviderError
from agentmail.mail_html import LARGEST_TEXT, cleaned, hidden_text, is_html, links, text_in_tags, to_text
from agentmail.models import Mailbox, Message, RuleEvaluation, Thread
from agentmail.types import Address, MessageSnapshot, RuleEvaluationSnapshot, ThreadSnapshot

logger = logging.getLogger(__name__)

# What a mailbox held before it was connected is fetched with the thread it belongs to, not by the poll.
FIRST_LOOK_BACK = timedelta(days=7)
# A message may be listed later than the newest one already seen, with an earlier date.
OVERLAP_SECONDS = 3600

_LONGEST_ID = 255
# A line of a mail is no longer (RFC 5322 section 2.1.1), and an index of PostgreSQL takes little more.
_LONGEST_MESSAGE_ID_BYTES = 998
# What is kept of the texts and links of a message for showing them beside it.
_LONGEST_FINDING, _LONGEST_LINK, _MOST_FINDINGS = 500, 2000, 100
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
        fields |= content_fields(snapshot.body)
    message, _is_new = Message.objects.update_or_create(
        mailbox=mailbox, provider_id=snapshot.id, defaults=fields
    )
    return message


def store_new(mailbox: Mailbox, snapshots: Sequence[MessageSnapshot]) -> list[Message]:
    """Store the messages that are not stored in full yet and return them.

    One that was stored without its headers gets its Message-ID, and nothing else of it changes.
    """
    known = dict(
        Message.objects.filter(
            mailbox=mailbox, provider_id__in=[snapshot.id for snapshot in snapshots], is_complete=True
        ).values_list("provider_id", "message_id")
    )
    for snapshot in snapshots:
        if known.get(snapshot.id) == "" and (message_id := _message_id(snapshot)):
            Message.objects.filter(mailbox=mailbox, provider_id=snapshot.id).update(message_id=message_id)
    return [store_message(mailbox, snapshot) for snapshot in snapshots if snapshot.id not in known]


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


def find_folders(mailbox: Mailbox, client: NylasClient) -> None:
    """Learn once which folders hold what was sent and what arrived: a sender can be forged, a folder cannot.

    Without an answer the sender alone tells what was sent, and the next call asks again.
    """
    if mailbox.sent_folder_id and mailbox.inbox_folder_id:
        return
    try:
        folders = [one for one in client.list_folders(mailbox.grant_id) if len(one.id) <= _LONGEST_ID]
    except ProviderError as error:
        logger.info("the folders of mailbox %s could not be read: %s", mailbox.pk, error)
        return
    mailbox.sent_folder_id = next((one.id for one in folders if one.role == "sent"), "")
    mailbox.inbox_folder_id = next((one.id for one in folders if one.role == "inbox"), "")
    mailbox.save(update_fields=["sent_folder_id", "inbox_folder_id"])


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
    listed = client.list_messages(
        mailbox.grant_id, received_after=max(0, since - OVERLAP_SECONDS), with_headers=True
    )
    remaining = iter(listed)
    while chunk := list(islice(remaining, 200)):
        fits = []
        for snapshot in chunk:
            newest = max(newest, snapshot.date or 0)
            if len(snapshot.id) > _LONGEST_ID or len(snapshot.thread_id) > _LONGEST_ID:
                logger.warning("mailbox %s lists a message whose id is too long to store", mailbox.pk)
            else:
                fits.append(snapshot)
        new += store_new(mailbox, fits)
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
    if not _is_in(mailbox.sent_folder_id, snapshot):
        # What arrived was not sent by leaving the inbox, and what was sent did not arrive by being put there.
        changed.pop("is_outbound", None)
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
    if message_id := _message_id(snapshot):
        fields["message_id"] = message_id
    return fields


def _message_id(snapshot: MessageSnapshot) -> str:
    found = next((value for name, value in snapshot.headers if name.lower() == "message-id"), "").strip()
    return found if len(found.encode()) <= _LONGEST_MESSAGE_ID_BYTES else ""


def content_fields(body: str) -> dict[str, object]:
    """The fields of a message that are made from its body when it is stored."""
    tagged = text_in_tags(body[:LARGEST_TEXT])
    if not is_html(body):
        return {
            "body_html": "",
            "body_text": body[:LARGEST_TEXT],
            "hidden_texts": [text[:_LONGEST_FINDING] for text in tagged[:_MOST_FINDINGS]],
        }
    shown = cleaned(body)
    hidden = [*tagged, *hidden_text(body)]
    return {
        "body_html": shown.html,
        "body_text": to_text(body),
        "hidden_texts": [text[:_LONGEST_FINDING] for text in hidden[:_MOST_FINDINGS]],
        "links": [[text[:_LONGEST_FINDING], target[:_LONGEST_LINK]] for text, target in links(body)],
        "remote_images": list(shown.remote_images),
    }


def is_outbound(mailbox: Mailbox, snapshot: MessageSnapshot) -> bool:
    """Whether a message left the mailbox: it lies with the sent mail, or has its sender and does not lie in the inbox.

    In the inbox is what the mailbox wrote to itself, as it came back, and what a stranger wrote in its name.
    """
    if _is_in(mailbox.sent_folder_id, snapshot):
        return True
    return is_in_its_name(mailbox, snapshot) and not _is_in(mailbox.inbox_folder_id, snapshot)


def is_in_its_name(mailbox: Mailbox, snapshot: MessageSnapshot) -> bool:
    """Whether a message shows the mailbox as its sender, rightly or not."""
    own = mailbox.address.casefold()
    return any(sender.email.casefold() == own for sender in snapshot.from_)


def _is_in(folder_id: str, snapshot: MessageSnapshot) -> bool:
    return bool(folder_id) and folder_id in snapshot.folders


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
