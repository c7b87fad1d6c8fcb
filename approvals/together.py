"""Reads about people who work side by side: who decides about a draft, has it open, is to look at it, or put it off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, TextChoices
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from approvals import expiry, people
from approvals.models import Claim, Draft, Membership, Presence, Role, Snooze
from approvals.people import Person, Right

# A page says every `PRESENCE_BEAT_SECONDS` that it is open, and counts as left once it has been silent for so long.
PRESENCE_SECONDS = 25
PRESENCE_ROWS = 20
# A draft is in sight again before so much of its time is over, however long somebody wants it away.
SNOOZE_SHARE = 0.75
# What these say stands in parts of the page that refresh by themselves, so the letter under a reader keeps still.
QUIET_ACTIONS = (
    "approvals.draft.claimed",
    "approvals.draft.claim_released",
    "approvals.draft.claim_taken_over",
)


class Only(TextChoices):
    """A view of the queue."""

    MINE = "mine", _("Mine")
    UNASSIGNED = "unassigned", _("Unassigned")
    ESCALATED = "escalated", _("Escalated")
    SNOOZED = "snoozed", _("Snoozed")


@dataclass(frozen=True, slots=True)
class Here:
    """Somebody who has a draft open."""

    name: str
    is_editing: bool


def standing_claim(draft: Draft, now: datetime) -> Claim | None:
    """The claim on a draft, read afresh, while it stands: in time, of somebody who may still decide."""
    claim = Claim.objects.select_related("person").filter(draft_id=draft.pk, until__gt=now).first()
    if claim is None or not people.is_still_allowed(claim.person_id, Right.DECIDE, draft.mailbox_id):
        return None
    return claim


def shown_claim(draft: Draft, now: datetime) -> Claim | None:
    """The claim that came with a draft of `queries`, as a page shows it: None once its time is over."""
    claim: Claim | None = getattr(draft, "claim", None)
    return claim if claim is not None and claim.until > now else None


def lapsed_claims(now: datetime) -> QuerySet[Claim]:
    """The claims that stand no longer: their time is over, or their person may not decide any more."""
    granted = Membership.objects.filter(
        Q(mailbox__isnull=True) | Q(mailbox_id=OuterRef("draft__mailbox_id")),
        user_id=OuterRef("person_id"),
        role__in=people.roles_with(Right.DECIDE),
    )
    return Claim.objects.filter(Q(until__lte=now) | Q(person__is_active=False) | ~Exists(granted))


def blocker_of(claim: Claim | None, person: Person) -> str:
    """Whose claim keeps a person from deciding, as a short text; empty for nobody's and their own."""
    return "" if claim is None or claim.person_id == person.pk else f"p{claim.person_id}"


def beside_version(claim: Claim | None, here: Sequence[Here], person: Person) -> str:
    """What the parts about others show, as a short text that begins with the one who keeps the person from deciding."""
    until = claim.until.isoformat() if claim is not None else ""
    holder = claim.person_id if claim is not None else ""
    shown = salted_hmac("countersign.beside", f"{holder}|{until}|{list(here)}").hexdigest()[:12]
    return f"{blocker_of(claim, person)}.{shown}"


def others_here(draft: Draft, person: Person, now: datetime) -> Sequence[Here]:
    """Who else has a draft open, those who edit first, at most `PRESENCE_ROWS`."""
    rows = (
        Presence.objects.filter(draft_id=draft.pk, seen_at__gt=now - timedelta(seconds=PRESENCE_SECONDS))
        .exclude(person_id=person.pk)
        .select_related("person")
        .order_by("-is_editing", "person_id")[:PRESENCE_ROWS]
    )
    return [Here(people.name_of(row.person), row.is_editing) for row in rows]


def deciders_of(draft: Draft) -> QuerySet[User]:
    """Everybody who may decide about a draft, by name."""
    return _with_roles(draft, people.roles_with(Right.DECIDE)).order_by("first_name", "last_name", "username")


def seniors_of(draft: Draft) -> QuerySet[User]:
    """The admins and operators of its mailbox who may decide about a draft too."""
    return deciders_of(draft).filter(pk__in=_with_roles(draft, [Role.ADMIN, Role.OPERATOR]))


def _with_roles(draft: Draft, roles: Sequence[Role]) -> QuerySet[User]:
    held = Membership.objects.filter(
        Q(mailbox__isnull=True) | Q(mailbox_id=draft.mailbox_id), user_id=OuterRef("pk"), role__in=roles
    )
    return User.objects.filter(Exists(held), is_active=True)


def latest_snooze(draft: Draft) -> datetime:
    """Until when a draft can be put off at most."""
    return draft.expires_at - expiry.life_of(draft) * (1 - SNOOZE_SHARE)


def snoozes_in_force(person: Person, now: datetime) -> QuerySet[Snooze]:
    """A person's snooze of the draft of an outer query, unless something happened to the draft since."""
    return Snooze.objects.filter(
        person_id=person.pk,
        draft_id=OuterRef("pk"),
        until__gt=now,
        revision_id=OuterRef("current_revision_id"),
        made_at__gte=OuterRef("state_changed_at"),
    )


def snoozed_until(person: Person, now: datetime) -> Subquery:
    """Until when the draft of an outer query is put off by a person, or None."""
    return Subquery(snoozes_in_force(person, now).values("until")[:1])


def narrowed(drafts: QuerySet[Draft], person: Person, only: str, now: datetime) -> QuerySet[Draft]:
    """Those of some drafts that a view of the queue shows; what a person put off is in the view of that alone."""
    put_off = Exists(snoozes_in_force(person, now))
    if only == Only.SNOOZED:
        return drafts.filter(put_off)
    shown = drafts.filter(~put_off)
    if only == Only.MINE:
        return shown.filter(assigned_to_id=person.pk)
    if only == Only.UNASSIGNED:
        return shown.filter(assigned_to__isnull=True)
    return shown.filter(escalated_at__isnull=False) if only == Only.ESCALATED else shown
