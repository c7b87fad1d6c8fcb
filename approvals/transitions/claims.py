"""Who is deciding about a draft. A claim keeps other people from deciding, and holds nothing else up."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from approvals import people, together
from approvals.models import Claim, Draft
from approvals.states import DECIDABLE_STATES
from approvals.transitions.drafts import (
    AlreadyDecided,
    Claimed,
    DraftExpired,
    NotOpen,
    check_right,
    live_decision,
    say_expired,
)
from approvals.transitions.moves import lock_draft
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record

# One's own claim is prolonged at most this often.
RENEWAL_SECONDS = 30


def claim(draft_id: int, *, person: User) -> Claim:
    """Take the claim on a draft that waits, or keep one's own for its full time from now.

    Raises Claimed while somebody else's stands, and NotAllowed, AlreadyDecided, NotOpen or DraftExpired.
    """
    with transaction.atomic():
        draft, now = _claimable(draft_id, person)
        standing = together.standing_claim(draft, now)
        if standing is not None and standing.person_id != person.pk:
            raise Claimed(standing)
        if standing is not None:
            return _prolonged(standing, now)
        made = _held_by(draft, person, None, now)
        _record("approvals.draft.claimed", draft, people.actor_for(person))
        return made


def take_over(draft_id: int, *, person: User) -> Claim:
    """Take the claim on a draft from whoever holds it; their page says so. Raises as `claim`, but for Claimed."""
    with transaction.atomic():
        draft, now = _claimable(draft_id, person)
        standing = together.standing_claim(draft, now)
        if standing is None or standing.person_id == person.pk:
            return claim(draft_id, person=person)
        made = _held_by(draft, person, standing.person, now)
        _record(
            "approvals.draft.claim_taken_over",
            draft,
            people.actor_for(person),
            taken_from=people.name_of(standing.person),
        )
        return made


def release(draft_id: int, *, person: User, outcome: str = "released") -> bool:
    """Let go of one's own claim; whether there was one. `outcome` is "released", "left" or "signed_out"."""
    with transaction.atomic():
        draft = lock_draft(draft_id)
        if not Claim.objects.filter(draft=draft, person=person).delete()[0]:
            return False
        _record("approvals.draft.claim_released", draft, people.actor_for(person), outcome=outcome)
        return True


def release_all(person: User) -> int:
    """Let go of every claim of a person who signs out; how many there were."""
    ids = list(Claim.objects.filter(person=person).values_list("draft_id", flat=True))
    return sum(release(draft_id, person=person, outcome="signed_out") for draft_id in ids)


def lapse(draft_id: int) -> bool:
    """End a claim that stands no longer; whether it was so."""
    with transaction.atomic():
        draft = lock_draft(draft_id)
        now = database_now()
        lapsed = together.lapsed_claims(now).select_related("person").filter(draft=draft).first()
        if lapsed is None:
            return False
        lapsed.delete()
        _record(
            "approvals.draft.claim_released",
            draft,
            SYSTEM,
            outcome="timed_out" if lapsed.until <= now else "rights_lost",
            held_by=people.name_of(lapsed.person),
        )
        return True


def _claimable(draft_id: int, person: User) -> tuple[Draft, datetime]:
    draft = lock_draft(draft_id)
    check_right(person, draft)
    decision = live_decision(draft)
    if decision is not None:
        raise AlreadyDecided(decision)
    if draft.state not in DECIDABLE_STATES:
        raise NotOpen(draft.state)
    now = database_now()
    if draft.expires_at <= now:
        raise DraftExpired(say_expired())
    return draft, now


def _prolonged(standing: Claim, now: datetime) -> Claim:
    until = now + timedelta(seconds=settings.CLAIM_SECONDS)
    if until - standing.until >= timedelta(seconds=RENEWAL_SECONDS):
        Claim.objects.filter(pk=standing.pk).update(until=until)
        standing.until = until
    return standing


def _held_by(draft: Draft, person: User, taken_from: User | None, now: datetime) -> Claim:
    until = now + timedelta(seconds=settings.CLAIM_SECONDS)
    fields = {"person": person, "began_at": now, "until": until, "taken_from": taken_from}
    return Claim.objects.update_or_create(draft=draft, defaults=fields)[0]


def _record(action: str, draft: Draft, actor: Actor, *, outcome: str = "", **data: str) -> None:
    record(
        action,
        actor=actor,
        mailbox_id=draft.mailbox_id,
        draft_id=draft.pk,
        thread_id=draft.thread_id,
        outcome=outcome,
        data=data,
    )
