"""How a person wants to be told: what at once, what in the digest, and when not to be disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from approvals import people
from approvals.notices.kinds import CHOSEN, KINDS
from approvals.notices.models import DigestRhythm, How, NoticeKind, NoticeSettings
from audit.clock import database_now
from audit.record import record


def wishes_of(person: User) -> NoticeSettings:
    """The settings of a person, not yet stored where there are none; those read along with the person are taken."""
    found: NoticeSettings | None = getattr(person, "notice_settings", None)
    return found or NoticeSettings(person_id=person.pk, zone=settings.TIME_ZONE)


def stored_for(person: User) -> NoticeSettings:
    """The stored settings of a person: where there are none the defaults, whose digest comes from now on."""
    fresh, now = NoticeSettings(zone=settings.TIME_ZONE), database_now()
    defaults = {"zone": fresh.zone, "last_digest_at": now, "next_digest_at": next_digest(fresh, now)}
    found, _is_new = NoticeSettings.objects.get_or_create(person=person, defaults=defaults)
    return found


def zone_of(person: User) -> ZoneInfo:
    """The time zone that a person chose, else that of the desk."""
    return zone_in(wishes_of(person))


def how_of(wishes: NoticeSettings, kind: str) -> How:
    """How a person is mailed about a kind; what would go into a digest that never comes is not mailed."""
    if kind == NoticeKind.DIGEST:
        return How.NOT if wishes.digest == DigestRhythm.OFF else How.AT_ONCE
    how = How(wishes.hows.get(kind, KINDS[NoticeKind(kind)].how))
    return How.NOT if how is How.DIGEST and wishes.digest == DigestRhythm.OFF else how


def keep(person: User, *, email: str, hows: Mapping[str, str], **fields: Any) -> NoticeSettings:
    """Keep how a person wants to be told, and where; the record says that it changed, and not what it is now."""
    with transaction.atomic():
        found = NoticeSettings.objects.select_for_update().get(pk=stored_for(person).pk)
        before = _plain(found) | {"email": person.email}
        found.hows = {kind: how for kind, how in hows.items() if how != KINDS[NoticeKind(kind)].how}
        for name, value in fields.items():
            setattr(found, name, value)
        now = database_now()
        found.next_digest_at = next_digest(found, now)
        found.save()
        if email != person.email:
            User.objects.filter(pk=person.pk).update(email=email)
            person.email = email
        after = _plain(found) | {"email": email}
        changed = sorted(name for name, value in after.items() if value != before[name])
        if changed:
            record(
                "approvals.notice_settings.changed",
                actor=people.actor_for(person),
                data={"fields": changed},
            )
        return found


def _plain(found: NoticeSettings) -> dict[str, Any]:
    names = ("hows", "digest", "digest_at", "zone", "quiet_from", "quiet_until", "urgent_breaks_quiet")
    return {name: getattr(found, name) for name in names} | {
        "hows": {kind: str(how_of(found, kind)) for kind in CHOSEN}
    }


def next_digest(wishes: NoticeSettings, now: datetime) -> datetime | None:
    """When the digest after `now` is due: at the full hour, or at the person's own time of day; None for never."""
    if wishes.digest == DigestRhythm.OFF:
        return None
    if wishes.digest == DigestRhythm.HOURLY:
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return _next(wishes.digest_at, wishes, now)


def quiet_until(wishes: NoticeSettings, now: datetime, *, is_urgent: bool) -> datetime | None:
    """When the quiet hours end that hold back a mail now; None when it may go."""
    begin, end = wishes.quiet_from, wishes.quiet_until
    if begin is None or end is None or begin == end or (is_urgent and wishes.urgent_breaks_quiet):
        return None
    here = now.astimezone(zone_in(wishes)).time()
    is_quiet = begin <= here < end if begin < end else here >= begin or here < end
    return _next(end, wishes, now) if is_quiet else None


def _next(at: time, wishes: NoticeSettings, now: datetime) -> datetime:
    """The first moment after `now` at which a clock in the person's zone shows `at`."""
    zone = zone_in(wishes)
    here = now.astimezone(zone)
    for days in (0, 1, 2):
        found = datetime.combine(here.date() + timedelta(days=days), at, zone).astimezone(now.tzinfo)
        if found > now:
            return found
    raise AssertionError("a day has an end")


def zone_in(wishes: NoticeSettings) -> ZoneInfo:
    """The time zone of the settings, UTC for one that is not known here any more."""
    try:
        return ZoneInfo(wishes.zone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
