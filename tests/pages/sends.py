"""Sends in every state, moved there by the product's own transitions, and a browser-like reader of pages."""

import itertools
import re
import time
import uuid

from django.test import Client

from agentmail.types import DraftSnapshot, MessageSnapshot, ReplyClass, SendReply
from approvals.freshness import Look
from approvals.models import OutcomeKind, Send
from approvals.outcomes import add_fact
from approvals.transitions import drafts, sends
from audit.record import SYSTEM
from policies import caps, mailbox_settings
from tests.pages import pages, scenes
from tests.statements import statements

_numbers = itertools.count(1)


def look_at(draft):
    snapshot = DraftSnapshot(
        id=draft.provider_draft_id,
        grant_id=draft.grant_id,
        thread_id=draft.thread_id,
        from_=(),
        to=(),
        cc=(),
        bcc=(),
        reply_to=(),
        subject="",
        body="",
    )
    messages = list(draft.mailbox.messages.filter(thread_id=draft.thread_id)) if draft.thread_id else []
    return Look(
        draft=snapshot,
        upstream_sha256=draft.upstream_sha256,
        thread=scenes.thread_look(draft.mailbox, draft.thread_id, messages),
        looked_at=time.monotonic(),
    )


def queued(draft, person):
    drafts.approve(
        draft.pk, person=person, seen=scenes.seen(draft), look=look_at(draft), form_id=uuid.uuid4()
    )
    return Send.objects.get(draft=draft)


def dispatched(draft, person):
    send = queued(draft, person)
    claim = sends.claim(
        send.pk,
        decision_id=send.decision_id,
        transport=send.mailbox.transport,
        look=look_at(draft),
        trouble="",
        worker="worker-1",
    )
    assert isinstance(claim, sends.Claim), claim
    return claim


def answered(draft, person, reply_class, detail="", **fields):
    claim = dispatched(draft, person)
    sends.record_reply(claim.attempt.pk, SendReply(reply_class, detail, **fields))
    return Send.objects.get(draft=draft)


def accepted(draft, person, **outcomes):
    """A send the provider took; `outcomes` are facts by local part of the address, as (kind, code)."""
    number = next(_numbers)
    message = MessageSnapshot(
        id=f"sent-{number}",
        grant_id=draft.grant_id,
        thread_id=draft.thread_id,
        from_=(),
        to=(),
        cc=(),
        bcc=(),
        reply_to=(),
        subject="",
        body="",
        date=None,
    )
    send = answered(draft, person, ReplyClass.ACCEPTED, message=message, status_code=200)
    for address in send.decision.revision.recipients():
        for kind, code in outcomes.get(address.partition("@")[0].replace(".", "_"), []):
            add_fact(
                send.pk, address=address, kind=OutcomeKind(kind), source=f"test-{next(_numbers)}", code=code
            )
    return send


def unknown(draft, person):
    return answered(draft, person, ReplyClass.AMBIGUOUS, "The provider gave no complete reply.")


def failed(draft, person):
    return answered(
        draft, person, ReplyClass.BLOCKED, "An outbound rule of the provider refused it.", status_code=403
    )


class Reader(Client):
    """Looks at every whole page it gets, as `pages.Browser` does."""

    def request(self, **request):
        response = super().request(**request)
        if response.status_code in (200, 409, 422) and b"<!doctype html>" in response.content[:200]:
            pages.looked_at(response)
        return response


def signed_in(person):
    client = Reader()
    client.force_login(person)
    return client


def questions(person, address):
    """How often a page asks the database."""
    client = signed_in(person)
    client.get(address)
    with statements() as asked:
        client.get(address)
    return len(asked)


def words(response):
    """The text of a page as a reader sees it, tags dropped, white space as one space."""
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "", re.sub(r"</?(p|li|td|th|tr|dd|dt|h\d|br|div|section)\b[^>]*>", " ", body))
    return " ".join(text.split())


def uncapped(box):
    """Let a mailbox hand over more than the default caps allow."""
    policy = caps.add_policy(actor=SYSTEM, name="Uncapped", hour_cap=100_000, day_cap=100_000)
    mailbox_settings.write(box.pk, version=0, actor=SYSTEM, policy=policy)
