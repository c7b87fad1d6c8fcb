"""People, mailboxes, conversations and drafts for page tests, made through the product's own transitions."""

import hashlib
import io
import itertools
from datetime import UTC, datetime, timedelta

from django.contrib.auth import get_user_model
from PIL import Image

from agentmail.mail_html import to_text
from agentmail.mirror import content_fields
from agentmail.models import Mailbox, Message, RuleEvaluation
from agentmail.types import Address, ThreadSnapshot
from approvals.content import Attachment, Content
from approvals.file_kinds import kind_of
from approvals.freshness import ThreadLook, fingerprint_of
from approvals.models import AttachmentBlob, Membership
from approvals.transitions import drafts
from audit.record import SYSTEM as SYSTEM
from policies import switch

PASSWORD = "a long enough phrase"
START = datetime(2026, 11, 18, 9, 12, tzinfo=UTC)
_numbers = itertools.count(1)


def person(username, role=None, *mailboxes, name=""):
    first, _, last = name.partition(" ")
    user = get_user_model().objects.create_user(username, password=PASSWORD, first_name=first, last_name=last)
    for mailbox in mailboxes or ([None] if role else []):
        Membership.objects.create(user=user, role=role, mailbox=mailbox)
    return user


def mailbox(address="support@example.com", **fields):
    made = Mailbox.objects.create(grant_id=f"grant-{next(_numbers)}", address=address, **fields)
    switch.ensure_scope(made.scope)
    return made


def message(
    box, thread_id, *, sender="priya.nair@example.org", name="Priya Nair", body="Hello", minutes=0, **fields
):
    number = next(_numbers)
    mine = sender == box.address
    return Message.objects.create(
        mailbox=box,
        provider_id=fields.pop("provider_id", f"message-{number}"),
        thread_id=thread_id,
        is_outbound=mine,
        sender=[{"email": sender, "name": name}],
        to=fields.pop("to", [{"email": "priya.nair@example.org" if mine else box.address}]),
        subject=fields.pop("subject", "Order 48213 arrived with two plates broken"),
        snippet=to_text(body)[:100],
        **content_fields(body),
        date=int((START + timedelta(minutes=minutes)).timestamp()),
        **fields,
    )


def file(data=b"%PDF-1.4 replacement note", filename="replacement-48213.pdf", content_type="application/pdf"):
    sha256 = hashlib.sha256(data).hexdigest()
    AttachmentBlob.objects.get_or_create(
        sha256=sha256, defaults={"size": len(data), "content": data, "kind": kind_of(data)}
    )
    return Attachment(
        id=f"file-{next(_numbers)}",
        filename=filename,
        content_type=content_type,
        size=len(data),
        sha256=sha256,
        kind=kind_of(data),
    )


def picture(width=3, height=2, filename="plate.png", content_type="image/png", kind="PNG"):
    drawn = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(drawn, kind)
    return file(drawn.getvalue(), filename, content_type)


def content(box, **fields):
    values = {
        "sender": (Address(box.address, "Harbour Lane Support"),),
        "to": (Address("priya.nair@example.org", "Priya Nair"),),
        "cc": (),
        "bcc": (),
        "reply_to": (),
        "subject": "Re: Order 48213 arrived with two plates broken",
        "body": "Dear Priya,\n\nthank you for the photographs.\n\nKind regards,\nHarbour Lane Support",
        "is_plaintext": True,
        "parent_message_id": "",
        "attachments": (),
    } | fields
    return Content(**values)


def thread_look(box, thread_id, messages):
    pinned = {"thread": "", "parent": None}
    snapshot = None
    if messages:
        dates = [m.date for m in messages]
        pinned = {
            "thread": thread_id,
            "parent": None,
            "messages": sorted(m.provider_id for m in messages),
            "received": max(dates),
            "sent": None,
        }
        snapshot = ThreadSnapshot(
            id=thread_id,
            grant_id=box.grant_id,
            subject=messages[0].subject,
            participants=(),
            message_ids=tuple(m.provider_id for m in messages),
            draft_ids=(),
            latest_message_received_date=max(dates),
            latest_message_sent_date=None,
        )
    return ThreadLook(thread=snapshot, pinned=pinned, fingerprint=fingerprint_of(pinned))


def draft(box, *, messages=(), incomplete_reason="", **fields):
    number = next(_numbers)
    thread_id = messages[0].thread_id if messages else ""
    if messages:
        fields = {"parent_message_id": messages[-1].provider_id} | fields
    return drafts.arrive(
        box,
        provider_draft_id=f"draft-{number}",
        content=content(box, **fields),
        thread_id=thread_id,
        thread=thread_look(box, thread_id, list(messages)),
        incomplete_reason=incomplete_reason,
    )


def draft_in_thread(box, length=3, **fields):
    thread_id = f"thread-{next(_numbers)}"
    messages = [
        message(box, thread_id, minutes=10 * n, body=f"Message {n + 1} of the thread") for n in range(length)
    ]
    return draft(box, messages=messages, **fields)


def evaluation(box, provider_message_id, **fields):
    return RuleEvaluation.objects.create(
        mailbox=box,
        provider_id=f"evaluation-{next(_numbers)}",
        provider_message_id=provider_message_id,
        **{"evaluated_at": int(START.timestamp()), "stage": "outbound_send"} | fields,
    )


def seen(of):
    of.refresh_from_db()
    return drafts.seen_of(of)
