"""Resuming held sends in stages: a few at a time, oldest first, each through every gate again."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from approvals import people, switch_scopes, switchboard, wake
from approvals.models import Send, StagedRelease
from approvals.states import SendState
from approvals.transitions import sends
from audit.clock import database_now
from audit.record import SYSTEM, Actor, record
from policies import switch

logger = logging.getLogger(__name__)

PER_HOUR = 50
PER_HOUR_LIMITS = (1, 3600)
_HELD = "blocked_kill_switch"


class StagesRefused(Exception):
    """Nothing was begun or ended; the message says why."""


def held_in(scope: str) -> int:
    """How many sends of a scope wait behind a stop."""
    return sum(
        Send.objects.filter(state=SendState.QUEUED, held=_HELD, **one).count()
        for one in switch_scopes.sends_in(scope)
    )


def start(scope: str, *, person: User, per_hour: int, count: int) -> StagedRelease:
    """Begin to resume up to `count` held sends of a scope, `per_hour` of them an hour.

    An approval that is valid now does not run out before the turn of its send. Raises StagesRefused without the right,
    while the scope or everything is stopped, where nothing is held, and while another release of the scope runs.
    """
    if not switchboard.may_release(person, scope):
        raise StagesRefused(_("Only an operator or an admin can resume held mail."))
    reading = switch.read([switch.GLOBAL, scope], is_preview=True)
    if not reading.is_open:
        raise StagesRefused(reading.sentence)
    total = min(count, held_in(scope))
    if not total:
        raise StagesRefused(_("Nothing is held there by a stop."))
    now = database_now()
    try:
        with transaction.atomic():
            made = StagedRelease.objects.create(
                scope=scope, per_hour=per_hour, total=total, started_by=person, started_at=now, next_at=now
            )
            _record("approvals.stages.started", made, people.actor_for(person))
    except IntegrityError as error:
        raise StagesRefused(_("Held mail is resumed in stages there already.")) from error
    for place, send_id in enumerate(_oldest_held(scope)[:total]):
        sends.plan_resume(send_id, at=now + (place // _step(per_hour) + 1) * _pause(per_hour))
    return made


def stop(release_id: int, *, person: User) -> None:
    """End a release; what it has not resumed stays held. Raises StagesRefused."""
    found = StagedRelease.objects.get(pk=release_id)
    if not people.may(person, people.Right.STOP):
        raise StagesRefused(_("You may not stop sending here."))
    reason = _("Ended by %(name)s.") % {"name": people.name_of(person)}
    if not _end(found, reason, people.actor_for(person)):
        raise StagesRefused(_("It ended before."))


def visible(person: User, *, limit: int = 20) -> list[StagedRelease]:
    """The releases a person may see, running ones first, then the latest."""
    rows = StagedRelease.objects.select_related("started_by").order_by(
        F("ended_at").desc(nulls_first=True), "-pk"
    )
    return [row for row in rows[: limit * 2] if switchboard.may_see(person, row.scope)][:limit]


def advance_all() -> int:
    """Let every running release take its next step when that is due; how many sends were resumed."""
    rows = StagedRelease.objects.filter(ended_at__isnull=True, next_at__lte=database_now())
    return sum(_advance(row) for row in rows.select_related("started_by").order_by("pk"))


def _advance(release: StagedRelease) -> int:
    step = _step(release.per_hour)
    now = database_now()
    # No catching up: a worker that was away for an hour must not let out an hour's mail at once.
    taken = StagedRelease.objects.filter(
        pk=release.pk, ended_at__isnull=True, next_at=release.next_at
    ).update(next_at=now + _pause(release.per_hour))
    if not taken:
        return 0
    reading = switch.read([switch.GLOBAL, release.scope], is_preview=True)
    if not reading.is_open:
        _end(release, reading.sentence, SYSTEM)
        return 0
    resumed = 0
    for send_id in _oldest_held(release.scope):
        if resumed == min(step, release.total - release.resumed):
            break
        try:
            if sends.resume(send_id, person=release.started_by):
                resumed += 1
                wake.sender(send_id)
        except sends.SendRefused as error:
            _end(release, str(error), SYSTEM)
            break
    StagedRelease.objects.filter(pk=release.pk).update(resumed=F("resumed") + resumed)
    release.refresh_from_db()
    if release.ended_at is None and release.resumed >= release.total:
        _end(release, _("All of them were resumed."), SYSTEM)
    elif release.ended_at is None and not resumed:
        _end(release, _("Nothing more is held there that may be resumed."), SYSTEM)
    return resumed


def _step(per_hour: int) -> int:
    return max(1, per_hour // 60)


def _pause(per_hour: int) -> timedelta:
    return timedelta(seconds=3600 * _step(per_hour) / per_hour)


def _oldest_held(scope: str) -> list[int]:
    """Held sends of a scope, oldest first; some may be stopped by another scope and stay held."""
    rows = [
        row
        for one in switch_scopes.sends_in(scope)
        for row in Send.objects.filter(state=SendState.QUEUED, held=_HELD, **one).values_list(
            "queued_at", "pk"
        )
    ]
    return [send_id for _queued_at, send_id in sorted(rows)]


def _end(release: StagedRelease, reason: str, actor: Actor) -> bool:
    with transaction.atomic():
        ended = StagedRelease.objects.filter(pk=release.pk, ended_at__isnull=True).update(
            ended_at=database_now(), end_reason=reason[:300]
        )
        if ended:
            release.refresh_from_db()
            _record("approvals.stages.ended", release, actor, reason=reason)
        return bool(ended)


def _record(action: str, release: StagedRelease, actor: Actor, *, reason: str = "") -> None:
    kind, _colon, name = release.scope.partition(":")
    record(
        action,
        actor=actor,
        mailbox_id=int(name) if kind == "mailbox" else None,
        reason=reason,
        data={
            "scope": release.scope,
            "per_hour": release.per_hour,
            "total": release.total,
            "resumed": release.resumed,
        },
    )
