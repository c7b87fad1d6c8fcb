"""A desk with mailboxes at the sandbox, people who decide, and drafts of an agent."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError
from agentmail.models import Mailbox, Transport
from approvals import decisions, dispatch, intake, mailboxes
from approvals.models import Draft, Membership, Role, Send
from approvals.states import SendState
from approvals.transitions.drafts import Seen, seen_of
from audit.clock import database_now
from audit.record import SYSTEM
from policies import caps, mailbox_settings
from policies.models import Policy
from tests.campaign import processes, worker
from tests.campaign.comparison import Findings, compare
from tests.campaign.processes import Child
from tests.processes import Sandbox

# Look-ups, sweeps and time limits of a run, in seconds: the same rules as in production, sooner.
SETTINGS: dict[str, Any] = {
    "SENDS_PER_SECOND": 0,
    "LOOKUP_SECONDS": (0.1, 0.4, 1.0),
    "SWEEP_SECONDS": 0.1,
    "SEND_CONNECT_SECONDS": 2.0,
    "SEND_READ_SECONDS": 20.0,
    "APPROVAL_FRESHNESS_SECONDS": 60.0,
    "SWITCH_DRAIN_SECONDS": 10.0,
}
REST_SECONDS = 120.0
READ_ATTEMPTS = 10
UNCAPPED = "Uncapped"

_numbers = itertools.count(1)


class Desk:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.alice = person("alice", Role.REVIEWER)
        self.bruno = person("bruno", Role.REVIEWER)
        self.olga = person("olga", Role.OPERATOR)

    def mailbox(self, transport: str = Transport.FROZEN_MESSAGE, *, capped: bool = False) -> Mailbox:
        """Connect a new mailbox whose approvals may leave at once, under the default caps only if `capped`."""
        grant = self.sandbox.post("grants", email=f"desk{next(_numbers)}@harbour.example", name="Harbour")[
            "grant"
        ]
        made = mailboxes.connect(
            configured_client(), grant["id"], actor=SYSTEM, undo_seconds=0, transport=transport
        )
        if capped:
            return made
        # A run hands over more mails in a few minutes than a mailbox may by default in a day.
        policy = Policy.objects.filter(name=UNCAPPED).first() or caps.add_policy(
            actor=SYSTEM, name=UNCAPPED, hour_cap=100_000, day_cap=100_000
        )
        mailbox_settings.write(made.pk, version=0, actor=SYSTEM, policy=policy)
        return made

    def draft(self, mailbox: Mailbox, **fields: Any) -> Draft:
        """Let a customer ask and the agent draft an answer, and take it in."""
        number = next(_numbers)
        customer = {"email": f"customer{number}@example.net", "name": f"Customer {number}"}
        question = self.sandbox.post(
            "customer",
            grant=mailbox.grant_id,
            **{"from": customer},
            subject=f"Order {number}",
            body=f"<p>Where is order {number}?</p>",
        )
        answer = {
            "to": [customer],
            "subject": f"Re: Order {number}",
            "body": f"<p>Order {number} left on Monday.</p>",
            "reply_to_message_id": question["message_id"],
        } | fields
        made = self.sandbox.post("agent/drafts", grant=mailbox.grant_id, **answer)["draft"]
        self._take_in(mailbox, made["id"])
        return Draft.objects.get(grant_id=mailbox.grant_id, provider_draft_id=made["id"])

    def _take_in(self, mailbox: Mailbox, provider_draft_id: str) -> None:
        client = configured_client()
        for attempts_left in range(READ_ATTEMPTS - 1, -1, -1):
            try:
                intake.observe(mailbox, client.get_draft(mailbox.grant_id, provider_draft_id), client)
                return
            except ProviderError:
                # A fault that was meant for a worker; the next poll would try again.
                if not attempts_left:
                    raise

    def approve(self, draft: Draft, person: User | None = None) -> Send:
        decisions.approve(draft, person=person or self.alice, seen=seen(draft), form_id=None)
        return Send.objects.get(draft=draft)

    def approved(self, mailbox: Mailbox, **fields: Any) -> Send:
        return self.approve(self.draft(mailbox, **fields))

    def start_worker(self, number: int = 0, *, failpoint: str = "") -> Child:
        return processes.start(lambda: worker.work_for_ever(number), failpoint=failpoint)

    def start_dispatch(self, send: Send, *, failpoint: str = "") -> Child:
        return processes.start(lambda: bool(dispatch.dispatch(send.pk)) and 0, failpoint=failpoint)

    def work_once(self) -> None:
        worker.work_once(random.Random(0))

    def come_to_rest(self, *, workers: int = 2) -> None:
        """Let healthy workers run until nothing is left to do for a process, waiting times cut short."""
        running = [self.start_worker(number) for number in range(workers)]
        try:
            deadline = time.monotonic() + REST_SECONDS
            while busy_sends().exists():
                if time.monotonic() > deadline:
                    left = list(busy_sends().values_list("pk", "state", "waiting_for"))
                    raise TimeoutError(f"these sends do not come to rest: {left}")
                hurry()
                time.sleep(0.05)
        finally:
            for child in running:
                child.kill()

    def compare(self) -> Findings:
        return compare(self.sandbox.sends(), self.olga)


def person(name: str, role: Role) -> User:
    user = User.objects.create_user(username=name, password="a long enough password", first_name=name.title())
    Membership.objects.create(user=user, role=role, mailbox=None)
    return user


def seen(draft: Draft) -> Seen:
    """What a person has on the screen who opens the draft now."""
    draft.refresh_from_db()
    revision = draft.current_revision
    assert revision is not None
    return seen_of(draft)


def busy_sends() -> Any:
    """The sends for which a worker has something to do, now or later."""
    return Send.objects.filter(
        Q(state=SendState.QUEUED, held="")
        | Q(state=SendState.DISPATCHED)
        | Q(state=SendState.UNKNOWN, next_lookup_at__isnull=False)
        | Q(state=SendState.ACCEPTED, draft_deleted_at__isnull=True)
        | Q(state=SendState.ACCEPTED, looked_after_at__isnull=True)
    )


def hurry() -> None:
    """Let the waiting time of every queued send be over."""
    now = database_now()
    Send.objects.filter(state=SendState.QUEUED, held="", next_attempt_at__gt=now).update(next_attempt_at=now)
