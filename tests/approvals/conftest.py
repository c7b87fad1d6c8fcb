"""Scenes: a desk with a mailbox at the real sandbox provider, and people with and without rights on it."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import F

from agentmail import webhooks
from agentmail.client import configured_client
from agentmail.models import Mailbox, ProviderEvent
from approvals import decisions, dispatch, intake, mailboxes, outcomes
from approvals.freshness import Look
from approvals.models import Decision, Draft, Membership, Role, Send
from approvals.transitions import sends
from approvals.transitions.drafts import DecisionRefused, Seen, seen_of
from approvals.transitions.follow_ups import FollowUpRefused
from approvals.transitions.sends import SendRefused
from audit.models import Entry
from audit.record import SYSTEM
from policies import categories, recipients
from policies.models import Category
from policies.recipients import NewEntry

WEBHOOK_SECRET = "secret-of-the-webhook"

_numbers = itertools.count(1)


def seen(draft: Draft) -> Seen:
    """What a person has on the screen who opens the draft now."""
    draft.refresh_from_db()
    return seen_of(draft)


def person(name: str, *roles: Role, mailbox: Mailbox | None = None) -> User:
    user = User.objects.create_user(username=name, password="a long enough password", first_name=name.title())
    for role in roles:
        Membership.objects.create(user=user, role=role, mailbox=None if role == Role.ADMIN else mailbox)
    return user


def approve(draft: Draft, by: User) -> Send:
    """Approve what the draft says now; its send, due at once unless the mailbox has an undo hold."""
    decisions.approve(draft, person=by, seen=seen(draft), form_id=None)
    draft.refresh_from_db()
    return Send.objects.get(draft=draft)


def sent(draft: Draft, by: User) -> Send:
    """Approve and dispatch a draft; its send as it is afterwards."""
    send = approve(draft, by)
    dispatch.dispatch(send.pk)
    send.refresh_from_db()
    draft.refresh_from_db()
    return send


def retry(send: Send) -> dispatch.Result:
    """Dispatch a send as if the time it waits for had come."""
    Send.objects.filter(pk=send.pk).update(next_attempt_at=F("queued_at"))
    result = dispatch.dispatch(send.pk)
    send.refresh_from_db()
    return result


def claim_of(
    send: Send, look: Look | None, *, is_rehearsal: bool = False
) -> sends.Claim | sends.Refusal | None:
    """Claim a send as a worker does that prepared what is approved now."""
    return sends.claim(
        send.pk,
        decision_id=send.decision_id,
        transport=send.mailbox.transport,
        look=look,
        trouble="",
        worker="test",
        is_rehearsal=is_rehearsal,
    )


def allow(*patterns: str) -> None:
    """Put addresses or domains on the allow list of every mailbox, as mail that nobody decides needs it."""
    entries = [NewEntry(kind="allow", scope="global", pattern=pattern) for pattern in patterns]
    recipients.add(entries, actor=SYSTEM)


def age(row: Draft | Send | Decision, **back: timedelta) -> None:
    """Move times of a row into the past, which to the database is the same as waiting."""
    changes: dict[str, Any] = {name: F(name) - by for name, by in back.items()}
    type(row).objects.filter(pk=row.pk).update(**changes)
    row.refresh_from_db()


def actions(draft: Draft) -> list[str]:
    """What the record says about a draft, oldest first."""
    return list(Entry.objects.filter(draft_id=draft.pk).order_by("pk").values_list("action", flat=True))


REFUSALS = (DecisionRefused, SendRefused, FollowUpRefused)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do all works at the same moment, each on a connection of its own; what each gave or refused."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(index: int, work: Callable[[], Any]) -> None:
        try:
            barrier.wait(30)
            results[index] = work()
        except REFUSALS as refusal:
            results[index] = refusal
        except Exception as error:  # noqa: BLE001 - a thread's end: whatever it is, the test must see it
            results[index] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=run, args=(index, work), daemon=True) for index, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    unexpected = [r for r in results if isinstance(r, Exception) and not isinstance(r, REFUSALS)]
    if unexpected:
        raise unexpected[0]
    return results


class Notifications:
    """The provider's notifications, signed and handed to the desk as the webhook does, one by one."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.taken: set[str] = set()

    def made(self, *types: str) -> list[dict[str, Any]]:
        """What the provider has to say by now, of these types or all, oldest first."""
        self.sandbox.get("idle?timeout=20")
        found = self.sandbox.get("events")["events"]
        return [envelope for envelope in found if not types or envelope["type"] in types]

    def deliver(self, envelope: dict[str, Any], *, secret: str = WEBHOOK_SECRET) -> ProviderEvent:
        """Take one notification and act on it."""
        body = json.dumps(envelope).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        webhooks.receive(body, signature=signature)
        event = ProviderEvent.objects.get(notification_id=envelope["id"])
        outcomes.process(event.pk)
        event.refresh_from_db()
        return event

    def deliver_new(self, *types: str) -> list[ProviderEvent]:
        new = [envelope for envelope in self.made(*types) if envelope["id"] not in self.taken]
        self.taken |= {envelope["id"] for envelope in new}
        return [self.deliver(envelope) for envelope in new]


@pytest.fixture
def notifications(sandbox: Any, connected_settings: Any, mailbox: Mailbox) -> Notifications:
    connected_settings.NYLAS_WEBHOOK_SECRET = WEBHOOK_SECRET
    connected_settings.NYLAS_WEBHOOK_SECRET_FILE = ""
    return Notifications(sandbox)


def report(kind: str, send: Send, addresses: Sequence[str], *, notification_id: str, code: str = "") -> Any:
    """A delivery report about a send as the provider makes it: one of the agent-account types."""
    blocks = {
        "delivered": ("delivered", {"recipients": list(addresses)}),
        "bounced": (
            "bounce",
            {
                "type": "Permanent",
                "recipients": [{"email": address, "diagnostic_code": code} for address in addresses],
            },
        ),
        "complaint": ("complaint", {"complained_recipients": [{"email": a} for a in addresses]}),
    }
    name, block = blocks[kind]
    message = {
        "id": send.provider_message_id,
        "grant_id": send.grant_id,
        "metadata": {"key1": send.token},
        "to": [{"email": address} for address in addresses],
    }
    return {
        "specversion": "1.0",
        "id": notification_id,
        "type": f"message.{kind}",
        "time": 1_790_000_000,
        "data": {"grant_id": send.grant_id, "object": {"message": message, name: block}},
    }


@pytest.fixture
def mailbox(db: None, sandbox: Any, connected_settings: Any) -> Mailbox:
    """A connected mailbox whose approvals leave at once, at a provider without a limit of sends per second."""
    connected_settings.SENDS_PER_SECOND = 0
    # A crowded test machine must not make a look too old.
    connected_settings.APPROVAL_FRESHNESS_SECONDS = 60
    grant = sandbox.post("grants", email="support@harbour.example", name="Harbour Support")["grant"]
    return mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM, undo_seconds=0)


@pytest.fixture
def alice(mailbox: Mailbox) -> User:
    """Reviews the mailbox."""
    return person("alice", Role.REVIEWER, mailbox=mailbox)


@pytest.fixture
def bruno(mailbox: Mailbox) -> User:
    """Reviews the mailbox too."""
    return person("bruno", Role.REVIEWER, mailbox=mailbox)


@pytest.fixture
def olga(mailbox: Mailbox) -> User:
    """Operates the mailbox."""
    return person("olga", Role.OPERATOR, mailbox=mailbox)


@pytest.fixture
def charlie(mailbox: Mailbox) -> User:
    """Has an account and no rights."""
    return person("charlie")


@pytest.fixture
def customer_writes(sandbox: Any, mailbox: Mailbox) -> Callable[..., dict[str, Any]]:
    def write(**fields: Any) -> dict[str, Any]:
        return sandbox.post("customer", grant=mailbox.grant_id, **fields)

    return write


@pytest.fixture
def agent_writes(sandbox: Any, mailbox: Mailbox) -> Callable[..., Draft]:
    """The agent drafts an answer to a fresh question, and the desk takes it in."""

    def write(**fields: Any) -> Draft:
        customer = {"email": f"customer{next(_numbers)}@example.net", "name": "Casey Customer"}
        question = sandbox.post(
            "customer",
            grant=mailbox.grant_id,
            **{"from": customer},
            subject="Where is my order?",
            body="<p>Hello, where is order 48213?</p>",
        )
        answer = {
            "to": [customer],
            "subject": "Re: Where is my order?",
            "body": "<p>It left on Monday and arrives on Thursday.</p>",
            "reply_to_message_id": question["message_id"],
        } | fields
        draft = sandbox.post("agent/drafts", grant=mailbox.grant_id, **answer)["draft"]
        client = configured_client()
        intake.observe(mailbox, client.get_draft(mailbox.grant_id, draft["id"]), client)
        return Draft.objects.get(grant_id=mailbox.grant_id, provider_draft_id=draft["id"])

    return write


@pytest.fixture
def pending(agent_writes: Callable[..., Draft]) -> Draft:
    return agent_writes()


@pytest.fixture
def routine_writes(agent_writes: Callable[..., Draft]) -> Callable[..., Draft]:
    """The agent drafts what may leave without a person: a known template of an automatic category, to listed people."""
    allow("example.net")
    row = Category.objects.get(key="shipping_status")
    row = categories.edit(row.pk, version=row.version, actor=SYSTEM, tier="auto")
    categories.add_family(
        row,
        actor=SYSTEM,
        name="On its way",
        subject_glob="Re: *",
        body_globs=["It left on * and arrives on *."],
    )

    def write(**fields: Any) -> Draft:
        return agent_writes(**{"metadata": {"confidence": "0.95"}} | fields)

    return write
