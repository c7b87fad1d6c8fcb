from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError
from agentmail.models import Mailbox
from approvals import decisions, mailboxes, sweeps
from approvals.models import Draft
from approvals.states import DraftState
from approvals.transitions.drafts import DecisionRefused, Seen, seen_of
from audit.record import Actor

ACTOR = Actor("operator_command", "seed_demo", "seed_demo")


class Command(BaseCommand):
    help = (
        "Connect every mailbox of the configured provider, read its drafts, and take a few decisions as the second "
        "reviewer, so that no page is empty. Does nothing to a desk that has mailboxes."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if Mailbox.objects.exists():
            self.stdout.write("This desk has mailboxes already; nothing was changed.")
            return
        try:
            client = configured_client()
            for grant in client.list_grants():
                mailboxes.connect(client, grant.id, actor=ACTOR)
        except ProviderError as error:
            raise CommandError(f"The provider gave no usable answer: {error}") from error
        for mailbox in Mailbox.objects.all():
            if sweeps.poll_mailbox(mailbox.pk) is None:
                mailbox.refresh_from_db()
                raise CommandError(f"{mailbox.address} could not be read: {mailbox.trouble}")
        reviewer = User.objects.filter(username="reviewer2").first()
        if reviewer is not None:
            self._decide(reviewer)
        self.stdout.write(
            f"{Mailbox.objects.count()} mailboxes connected, "
            f"{Draft.objects.filter(state=DraftState.PENDING).count()} drafts wait."
        )

    def _decide(self, person: User) -> None:
        waiting = Draft.objects.filter(state=DraftState.PENDING).select_related("mailbox", "current_revision")
        for draft, decide in zip(
            waiting.order_by("arrived_at", "id"), (_approve, _reject, _send_back), strict=False
        ):
            try:
                decide(draft, person)
            except DecisionRefused as error:
                self.stderr.write(f"Draft {draft.public_id} was not decided: {error}")


def _seen(draft: Draft) -> Seen:
    revision = draft.current_revision
    if revision is None:
        raise DecisionRefused("no content")
    return seen_of(draft)


def _approve(draft: Draft, person: User) -> None:
    decisions.approve(draft, person=person, seen=_seen(draft), form_id=None)


def _reject(draft: Draft, person: User) -> None:
    reason = "We do not promise this; the customer gets a call instead."
    decisions.reject(draft, person=person, seen=_seen(draft), reason=reason, form_id=None)


def _send_back(draft: Draft, person: User) -> None:
    note = "Please name the delivery date and leave out the second paragraph."
    decisions.request_changes(draft, person=person, seen=_seen(draft), note=note, form_id=None)
