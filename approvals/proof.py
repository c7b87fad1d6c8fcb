"""The proof of the kill switch: each stop with how long it took, what was under way, and what began after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from approvals import people, switch_scopes
from approvals.models import Attempt, Send
from approvals.people import Person, Right
from audit.models import Entry

STOPS_SHOWN = 20
ENGAGED, WAITED, RELEASED = "policies.switch.engaged", "policies.switch.waited", "policies.switch.released"


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of one scope. `acknowledged_at` is when the wait for POSTs under way was over, empty if that is not on
    record. `in_flight` are the attempts of the scope that had begun and had no reply yet; `begun_after` counts those
    that began after the acknowledgement and before the release: it must be 0.
    """

    sequence: int
    scope: str
    at: datetime
    actor_name: str
    reason: str
    acknowledged_at: datetime | None
    waited_seconds: float | None
    is_drained: bool
    released_at: datetime | None
    in_flight: Sequence[Attempt]
    begun_after: int


def may_see(person: Person) -> bool:
    return people.may(person, Right.AUDIT) or people.may(person, Right.RESUME)


def stops(person: Person, *, before: int | None = None) -> list[Stop]:
    """The latest stops that a person may know of, newest first, below the entry with the number `before`.

    Everybody with the right sees stops of everything, of workspaces, agents and domains; those of a mailbox only with
    the right on it.
    """
    found = Entry.objects.filter(action=ENGAGED)
    if not people.may_everywhere(person, Right.AUDIT):
        own = people.mailbox_ids_with(person, Right.AUDIT) + people.mailbox_ids_with(person, Right.RESUME)
        found = found.filter(Q(mailbox_id__isnull=True) | Q(mailbox_id__in=own))
    if before is not None:
        found = found.filter(sequence__lt=before)
    seen = _visible_attempts(person)
    return [_stop(entry, seen) for entry in found.order_by("-sequence")[:STOPS_SHOWN]]


def _stop(entry: Entry, seen: QuerySet[Attempt]) -> Stop:
    scope = str(entry.data.get("scope", ""))
    waited = _next(entry, WAITED, scope)
    released = _next(entry, RELEASED, scope)
    if waited is not None and released is not None and waited.sequence > released.sequence:
        waited = None
    acknowledged_at = waited.at if waited is not None else None
    of_scope = Q()
    for one in switch_scopes.sends_in(scope):
        of_scope |= Q(send__in=Send.objects.filter(**one).values("pk"))
    after = acknowledged_at or entry.at
    begun = Attempt.objects.filter(of_scope, request_started_at__gt=after)
    if released is not None:
        begun = begun.filter(request_started_at__lt=released.at)
    in_flight = (
        seen.filter(of_scope, request_started_at__lte=entry.at)
        .filter(Q(finished_at__isnull=True) | Q(finished_at__gt=entry.at))
        .select_related("send__draft", "send__mailbox")
        .order_by("request_started_at")
    )
    return Stop(
        sequence=entry.sequence,
        scope=scope,
        at=entry.at,
        actor_name=entry.actor_name,
        reason=entry.reason,
        acknowledged_at=acknowledged_at,
        waited_seconds=waited.data.get("waited_seconds") if waited is not None else None,
        is_drained=waited is not None and waited.outcome == "drained",
        released_at=released.at if released is not None else None,
        in_flight=list(in_flight[:STOPS_SHOWN]),
        begun_after=begun.count(),
    )


def _next(entry: Entry, action: str, scope: str) -> Entry | None:
    """The first entry of an action about the same scope after this one."""
    found = Entry.objects.filter(action=action, sequence__gt=entry.sequence, mailbox_id=entry.mailbox_id)
    return next(
        (one for one in found.order_by("sequence").iterator(chunk_size=50) if one.data.get("scope") == scope),
        None,
    )


def _visible_attempts(person: Person) -> QuerySet[Attempt]:
    if people.may_everywhere(person, Right.SEE):
        return Attempt.objects.all()
    return Attempt.objects.filter(send__mailbox_id__in=people.mailbox_ids_with(person, Right.SEE))
