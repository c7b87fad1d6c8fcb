from __future__ import annotations

from collections.abc import Collection

from django.db.models import Max, QuerySet

from audit.models import Entry


def entries(
    *,
    mailbox_ids: Collection[int] | None = None,
    action: str | None = None,
    actor: str | None = None,
    before_sequence: int | None = None,
    limit: int = 50,
) -> list[Entry]:
    """Return entries, newest first, below `before_sequence`; the next page starts below the last one
    returned.

    `mailbox_ids` leaves out entries of other mailboxes and of none; None means all. `actor` is a kind
    ("person") or a kind and an id ("person:12").
    """
    found = _of_mailboxes(mailbox_ids)
    if action:
        found = found.filter(action=action)
    if actor:
        kind, colon, identity = actor.partition(":")
        found = found.filter(actor_kind=kind)
        if colon:
            found = found.filter(actor_id=identity)
    if before_sequence is not None:
        found = found.filter(sequence__lt=before_sequence)
    return list(found.defer("body").order_by("-sequence")[:limit])


def entries_for_draft(draft_id: int, *, limit: int = 500) -> list[Entry]:
    """Return the entries of a draft, newest first."""
    return list(Entry.objects.filter(draft_id=draft_id).defer("body").order_by("-sequence")[:limit])


def latest_sequence(mailbox_ids: Collection[int] | None = None) -> int:
    """Return the number of the newest entry of the mailboxes (of all, without), or 0."""
    return _of_mailboxes(mailbox_ids).aggregate(latest=Max("sequence"))["latest"] or 0


def latest_for_draft(draft_id: int, *, leave_out: Collection[str] = ()) -> int:
    """Return the number of the newest entry of a draft, but for those of some actions, or 0."""
    found = Entry.objects.filter(draft_id=draft_id).exclude(action__in=leave_out)
    return found.aggregate(latest=Max("sequence"))["latest"] or 0


def _of_mailboxes(mailbox_ids: Collection[int] | None) -> QuerySet[Entry]:
    return Entry.objects.all() if mailbox_ids is None else Entry.objects.filter(mailbox_id__in=mailbox_ids)
