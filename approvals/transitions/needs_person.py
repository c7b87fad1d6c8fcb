"""Mail that only a person may answer: the agent's draft is turned away and an item without its text is opened."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from approvals import people
from approvals.models import Draft, NeedsPerson, NeedsPersonState
from approvals.states import DECIDABLE_STATES, DraftState
from approvals.transitions.moves import close_needs_person, lock_draft, move_draft
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record
from policies.classifier import Classification

OUTCOME = "human_only"


class NeedsPersonRefused(Exception):
    """The item cannot be changed in this way; the message says why."""


def turn_away(draft_id: int, found: Classification) -> NeedsPerson | None:
    """Reject a waiting draft because only a person may answer, and open an item for its conversation.

    None when the draft does not wait any more. A conversation has one open item at most: another draft of it is
    turned away too and noted there.
    """
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if draft.state not in DECIDABLE_STATES:
            return None
        now = database_now()
        move_draft(draft, DraftState.REJECTED, now=now)
        reasons: list[dict[str, object]] = [
            {"sentence": reason.sentence, "words": list(reason.words)} for reason in found.reasons
        ]
        _record(
            "approvals.draft.turned_away",
            draft,
            SYSTEM,
            outcome=OUTCOME,
            data={"category": found.key, "reasons": reasons, "rules": list(found.rules)},
        )
        item, is_new = _item_of(draft, found, reasons, now)
        if is_new:
            _record(
                "approvals.needs_person.opened",
                draft,
                SYSTEM,
                outcome=OUTCOME,
                data={"item": str(item.public_id), "category": found.key},
            )
        else:
            NeedsPerson.objects.filter(pk=item.pk).update(draft=draft)
        return item


def close(item_id: int, *, person: User, reason: str, is_answered_elsewhere: bool) -> NeedsPerson:
    """Close an open item, because a person answered by other means or because there is nothing to answer.

    Raises NeedsPersonRefused.
    """
    with transaction.atomic():
        item = NeedsPerson.objects.select_for_update(of=("self",)).select_related("draft").get(pk=item_id)
        if not people.is_still_allowed(person.pk, people.Right.FOLLOW_UP, item.mailbox_id):
            raise NeedsPersonRefused(_("You have no rights on this mailbox."))
        if item.state != NeedsPersonState.OPEN:
            by = people.name_of(item.closed_by) if item.closed_by else _("the desk itself")
            raise NeedsPersonRefused(_("This was already closed by %(name)s.") % {"name": by})
        close_needs_person(
            item,
            closed_at=database_now(),
            closed_by=person,
            close_reason=reason,
            is_answered_elsewhere=is_answered_elsewhere,
        )
        _record(
            "approvals.needs_person.closed",
            item.draft,
            people.actor_for(person),
            outcome="answered_elsewhere" if is_answered_elsewhere else "closed",
            reason=reason,
            data={"item": str(item.public_id)},
        )
        return item


def _item_of(
    draft: Draft, found: Classification, reasons: list[dict[str, object]], now: datetime
) -> tuple[NeedsPerson, bool]:
    fields = {
        "draft": draft,
        "message_id": draft.parent_message_id,
        "category": found.key,
        "category_name": found.name,
        "reasons": reasons,
        "opened_at": now,
    }
    if not draft.thread_id:
        return NeedsPerson.objects.create(mailbox=draft.mailbox, **fields), True
    return NeedsPerson.objects.get_or_create(
        mailbox=draft.mailbox, thread_id=draft.thread_id, state=NeedsPersonState.OPEN, defaults=fields
    )


def _record(
    action: str, draft: Draft, actor: Actor, *, outcome: str, reason: str = "", data: dict[str, object]
) -> None:
    record(
        action,
        actor=actor,
        mailbox_id=draft.mailbox_id,
        draft_id=draft.pk,
        inbound_message_id=draft.parent_message_id,
        thread_id=draft.thread_id,
        outcome=outcome,
        reason=reason,
        data=data,
    )
