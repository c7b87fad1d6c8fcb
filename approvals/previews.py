"""What the whole chain and the notes say about a wording, kept or only typed. Nothing is written and nobody is asked.

The page of a draft and the page that edits it both ask here, so that they cannot say different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext as _

from agentmail.models import Message
from approvals import bulk, gates, people, recipients, risk, wording
from approvals.content import Content
from approvals.freshness import Look
from approvals.gates import Verdict
from approvals.models import Decision, Draft, Revision, Send
from approvals.notes import Note
from approvals.people import Right
from approvals.queries import known_addresses
from approvals.recipients import Addressee
from approvals.states import DECIDABLE_STATES, DraftState, SendState
from policies.in_force import InForce


def verdicts_on(
    draft: Draft,
    revision: Revision,
    *,
    policies: InForce,
    now: datetime,
    decision: Decision | None = None,
    send: Send | None = None,
    look: Look | None = None,
    trouble: str = "",
) -> list[Verdict]:
    """What every gate says about a wording of a draft that waits or is queued; nothing for any other draft."""
    is_waiting = draft.state in DECIDABLE_STATES
    is_queued = send is not None and draft.state == DraftState.APPROVED and send.state == SendState.QUEUED
    if not is_waiting and not is_queued:
        return []
    facts = gates.facts_about(
        draft,
        revision,
        now=now,
        decision=decision,
        send=send,
        look=look,
        trouble=trouble,
        policies=policies,
    )
    return gates.evaluate(facts)


def notes_about(
    draft: Draft, revision: Revision, messages: Sequence[Message], verdicts: Sequence[Verdict], person: User
) -> list[Note]:
    """Why a wording of a pending draft needs a second look, the most consequential first; none for any other."""
    if draft.state != DraftState.PENDING:
        return []
    reasons = [reason for verdict in verdicts for reason in verdict.reasons]
    notes = risk.notes_about(draft, revision, messages, reasons)
    found = bulk.judge(draft, revision)
    if found is None:
        return notes
    sentences = [*found.signs, *(found.missing or [_("It says who sends it and how to unsubscribe.")])]
    settings = ""
    if not found.is_set and people.may(person, Right.MANAGE, draft.mailbox_id):
        settings = reverse("approvals:mailbox", args=[draft.mailbox.public_id]) + "#settings"
    elif not found.is_set:
        sentences.append(_("An admin sets this on the page of the mailbox."))
    heading = _("It looks like bulk mail and lacks what such mail must say.")
    complete = _("It looks like bulk mail.")
    said = Note("bulk", heading if found.missing else complete, " ".join(sentences), settings=settings)
    return sorted([*notes, said], key=lambda note: note.rank)


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be said if a wording were kept now. `revision` is not saved; its difference is to the current one."""

    revision: Revision
    verdicts: Sequence[Verdict]
    notes: Sequence[Note]
    addressees: Sequence[Addressee]


def of_wording(
    draft: Draft, content: Content, messages: Sequence[Message], *, person: User, now: datetime
) -> Preview:
    """Ask the chain and the notes about a wording that nobody kept. `messages` are the conversation.

    The provider is not read: what depends on it is answered when the draft is approved.
    """
    revision = wording.revision_of(draft, content, author=person, at=now)
    supposed = copy(draft)
    # What is kept beside the current revision, as it would be beside this one.
    supposed.family = bulk.family_of(content, revision.body_text)
    supposed.audience = bulk.audience_of(content)
    policies = InForce(draft.mailbox_id)
    verdicts = verdicts_on(supposed, revision, policies=policies, now=now)
    return Preview(
        revision=revision,
        verdicts=verdicts,
        notes=notes_about(supposed, revision, messages, verdicts, person),
        addressees=recipients.addressees(
            content, draft.mailbox, policies=policies, known=known_addresses(messages)
        ),
    )
