"""Fill a database with drafts: a share of them pending and scattered through time, in 50 mailboxes."""

from __future__ import annotations

import os
import random
import secrets
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from agentmail.models import Mailbox, Message  # noqa: E402
from approvals.models import Draft, Membership, Revision, Risk, Role  # noqa: E402
from audit.record import SYSTEM, record  # noqa: E402
from policies import switch  # noqa: E402

MAILBOXES = 50
BATCH = 5000
BODY = "<p>Thank you for writing. " + "Your order is on its way and should arrive soon. " * 12 + "</p>"


def fill(rows: int, pending: float) -> str:
    """Make the drafts and a reviewer; gives the session key with which that reviewer is signed in."""
    call_command("migrate", verbosity=0)
    random.seed(rows)
    mailboxes = [
        Mailbox.objects.create(grant_id=f"grant-{number}", address=f"box{number}@desk.example")
        for number in range(MAILBOXES)
    ]
    for mailbox in mailboxes:
        switch.ensure_scope(mailbox.scope)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for first in range(0, rows, BATCH):
        with transaction.atomic():
            _batch(mailboxes, range(first, min(first + BATCH, rows)), start, pending)
    with transaction.atomic():
        record("approvals.draft.arrived", actor=SYSTEM)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return _signed_in()


def _batch(mailboxes: list[Mailbox], numbers: range, start: datetime, pending: float) -> None:
    drafts = Draft.objects.bulk_create(
        _draft(mailboxes, number, start, is_pending=random.random() < pending) for number in numbers
    )
    revisions = Revision.objects.bulk_create(_revision(draft, start) for draft in drafts)
    for draft, revision in zip(drafts, revisions, strict=True):
        draft.current_revision = revision
    Draft.objects.bulk_update(drafts, ["current_revision"], batch_size=400)
    Message.objects.bulk_create(
        Message(
            mailbox_id=draft.mailbox_id,
            provider_id=draft.parent_message_id,
            thread_id=draft.thread_id,
            sender=[{"email": draft.counterpart}],
            to=[{"email": draft.mailbox.address}],
            subject=draft.subject.removeprefix("Re: "),
            body_html=BODY,
            body_text=BODY[3:-4],
            date=int(start.timestamp()),
        )
        for draft in drafts
    )


def _draft(mailboxes: list[Mailbox], number: int, start: datetime, *, is_pending: bool) -> Draft:
    mailbox = mailboxes[number % MAILBOXES]
    arrived = start + timedelta(seconds=number * 7)
    person = f"person{number}@customers.example"
    subject = f"Re: Order {number} arrived broken"
    return Draft(
        mailbox=mailbox,
        grant_id=mailbox.grant_id,
        provider_draft_id=f"draft-{number}",
        **_state("pending" if is_pending else "expired"),
        mode="gated_send",
        subject=subject,
        counterpart=person,
        search_text=f"{subject}\n{person}\n{mailbox.address}".casefold(),
        thread_id=f"thread-{number // 2}",
        parent_message_id=f"message-{number}",
        arrived_at=arrived,
        expires_at=datetime(2027, 1, 1, tzinfo=UTC) + timedelta(seconds=number * 7),
        risk=Risk.NORMAL,
        risk_reasons=["new_recipient", "new_amount"],
        queue_at=datetime(2027, 1, 1, tzinfo=UTC) + timedelta(seconds=number * 7),
        state_changed_at=arrived,
    )


def _state(state: str) -> dict[str, Any]:
    return {"state": state}


def _revision(draft: Draft, start: datetime) -> Revision:
    return Revision(
        draft=draft,
        number=1,
        author_kind="agent",
        created_at=start,
        sender=[{"email": draft.mailbox.address}],
        to=[{"email": draft.counterpart}],
        subject=draft.subject,
        body=BODY,
        parent_message_id=draft.parent_message_id,
        content_sha256=secrets.token_hex(32),
        body_html=BODY,
        body_text=BODY[3:-4],
    )


def _signed_in() -> str:
    user = User.objects.create_user("bench", password=secrets.token_urlsafe(20))
    Membership.objects.create(user=user, role=Role.REVIEWER)
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = "allauth.account.auth_backends.AuthenticationBackend"
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--pending", type=float, default=0.1, help="the share of drafts that is pending")
    options = parser.parse_args()
    print(fill(options.rows, options.pending))
