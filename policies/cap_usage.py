"""What the limits say about one more send of each of some mailboxes, in a fixed number of questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.db.models import Count, Max, Q, QuerySet

from policies.models import (
    MailboxSettings,
    OrganisationCap,
    Policy,
    Reservation,
    Window,
    WorkspaceMember,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ORGANISATION_ID = 1


class Source(StrEnum):
    MAILBOX = "mailbox"
    WORKSPACE = "workspace"
    DEFAULT = "default"


class Limit(StrEnum):
    HOUR = "hour"
    DAY = "day"
    SPACING = "spacing"
    ORGANISATION_HOUR = "organisation_hour"
    ORGANISATION_DAY = "organisation_day"


@dataclass(frozen=True, slots=True)
class Effective:
    """The policy in force for a mailbox and why: attached to it, to its `workspace`, or the default.

    `hour_cap` is that of the ramp while `ramp_until` is set.
    """

    policy: Policy
    source: Source
    workspace: str
    hour_cap: int
    day_cap: int
    ramp_until: datetime | None


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one limit is used, and when it allows the next send; `opens_at` is empty while it does.

    `resets_at` is when the window ends, or for a sliding one when its oldest send leaves it; empty when nothing does.
    """

    limit: Limit
    used: int
    cap: int
    opens_at: datetime | None
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What every limit says about one more send. `opens_at` is when all of them would allow it; empty: now."""

    effective: Effective
    uses: Sequence[Use]

    @property
    def full(self) -> Use | None:
        """The limit that keeps a send back the longest, or None."""
        closed = [use for use in self.uses if use.opens_at is not None]
        return max(closed, key=lambda use: use.opens_at or datetime.min.replace(tzinfo=UTC), default=None)


@dataclass(frozen=True, slots=True)
class _Counted:
    """The sends of a mailbox: in the UTC hour, in the UTC day, the latest, and the times of the last day."""

    hour: int = 0
    day: int = 0
    last: datetime | None = None
    times: Sequence[datetime] = ()


def organisation_cap() -> OrganisationCap:
    """The cap over all mailboxes; not saved, with version 0 and no numbers, until somebody sets it."""
    return OrganisationCap.objects.filter(pk=ORGANISATION_ID).first() or OrganisationCap(version=0)


def ask_each(
    settings: Mapping[int, MailboxSettings], *, now: datetime, send_key: str = ""
) -> dict[int, Answer]:
    """What every limit says about one more send of each mailbox, whose settings are given by its id.

    A reservation of `send_key` is that of the send itself and does not count.
    """
    in_force = effective_each(settings, now=now)
    counted = _counted(in_force, now, send_key)
    whole = organisation_uses(now=now, send_key=send_key)
    return {
        pk: Answer(of, (*_uses(of, counted.get(pk, _Counted()), now), *whole)) for pk, of in in_force.items()
    }


def organisation_uses(*, now: datetime, send_key: str = "") -> list[Use]:
    """How much of the cap over all mailboxes is used; empty where there is none."""
    whole = organisation_cap()
    limits = {Limit.ORGANISATION_HOUR: (whole.hour_cap, HOUR), Limit.ORGANISATION_DAY: (whole.day_cap, DAY)}
    if whole.hour_cap is None and whole.day_cap is None:
        return []
    rows = _counting(send_key).filter(reserved_at__gte=_start(DAY, now))
    counts = rows.aggregate(hour=Count("pk", filter=Q(reserved_at__gte=_start(HOUR, now))), day=Count("pk"))
    used = {Limit.ORGANISATION_HOUR: counts["hour"], Limit.ORGANISATION_DAY: counts["day"]}
    return [
        _fixed(limit, used[limit], cap, length, now)
        for limit, (cap, length) in limits.items()
        if cap is not None
    ]


def effective_each(settings: Mapping[int, MailboxSettings], *, now: datetime) -> dict[int, Effective]:
    """The policy in force for each mailbox: its own, that of its workspace, or the default."""
    of_workspace = {
        member.mailbox_id: member.workspace
        for member in WorkspaceMember.objects.filter(mailbox_id__in=list(settings)).select_related(
            "workspace__policy"
        )
    }
    attached = [row.policy_id for row in settings.values() if row.policy_id is not None]
    policies = Policy.objects.filter(Q(pk__in=attached) | Q(is_default=True)).in_bulk()
    shipped = Policy(name="Default", is_default=True)
    default = next((one for one in policies.values() if one.is_default), shipped)
    found = {}
    for pk, row in settings.items():
        workspace = of_workspace.get(pk)
        policy = policies[row.policy_id] if row.policy_id is not None else None
        source, name = Source.MAILBOX, ""
        if policy is None and workspace is not None and workspace.policy is not None:
            policy, source, name = workspace.policy, Source.WORKSPACE, workspace.name
        if policy is None:
            policy, source = default, Source.DEFAULT
        hour_cap, ramp_until = policy.hour_cap, None
        if row.live_since is not None and policy.ramp_hour_cap < policy.hour_cap:
            until = row.live_since + timedelta(hours=policy.ramp_hours)
            if now < until:
                hour_cap, ramp_until = policy.ramp_hour_cap, until
        found[pk] = Effective(policy, source, name, hour_cap, policy.day_cap, ramp_until)
    return found


def _counting(send_key: str) -> QuerySet[Reservation]:
    return Reservation.objects.filter(refunded_at__isnull=True).exclude(send_key=send_key)


def _counted(in_force: Mapping[int, Effective], now: datetime, send_key: str) -> dict[int, _Counted]:
    rows = _counting(send_key)
    # The longest spacing there can be is an hour, which may begin before the day does.
    since = min(_start(DAY, now), now - HOUR)
    counts = (
        rows.filter(mailbox_id__in=list(in_force), reserved_at__gte=since)
        .order_by()
        .values("mailbox_id")
        .annotate(
            hour=Count("pk", filter=Q(reserved_at__gte=_start(HOUR, now))),
            day=Count("pk", filter=Q(reserved_at__gte=_start(DAY, now))),
            last=Max("reserved_at"),
        )
    )
    sliding = [pk for pk, of in in_force.items() if of.policy.window == Window.SLIDING]
    times: dict[int, list[datetime]] = {}
    if sliding:
        inside = rows.filter(mailbox_id__in=sliding, reserved_at__gt=now - DAY).order_by("reserved_at")
        for pk, at in inside.values_list("mailbox_id", "reserved_at"):
            times.setdefault(pk, []).append(at)
    found = {
        row["mailbox_id"]: _Counted(row["hour"], row["day"], row["last"], times.pop(row["mailbox_id"], ()))
        for row in counts
    }
    return found | {pk: _Counted(times=some) for pk, some in times.items()}


def _uses(of: Effective, counted: _Counted, now: datetime) -> list[Use]:
    uses = []
    for limit, used, cap, length in (
        (Limit.HOUR, counted.hour, of.hour_cap, HOUR),
        (Limit.DAY, counted.day, of.day_cap, DAY),
    ):
        if of.policy.window == Window.SLIDING:
            uses.append(_sliding(limit, counted.times, cap, length, now))
        else:
            uses.append(_fixed(limit, used, cap, length, now))
    if of.policy.spacing_seconds:
        opens_at = counted.last and counted.last + timedelta(seconds=of.policy.spacing_seconds)
        opens_at = opens_at if opens_at is not None and opens_at > now else None
        uses.append(Use(Limit.SPACING, int(opens_at is not None), 1, opens_at, opens_at))
    return uses


def _fixed(limit: Limit, used: int, cap: int, length: timedelta, now: datetime) -> Use:
    end = _start(length, now) + length
    return Use(limit, used, cap, None if used < cap else end, end)


def _sliding(limit: Limit, times: Sequence[datetime], cap: int, length: timedelta, now: datetime) -> Use:
    # A send is inside as long as less than the whole length has passed since.
    inside = [at for at in times if now - at < length]
    used = len(inside)
    resets_at = inside[0] + length if inside else None
    # The one whose leaving makes room; with a cap of 0 nothing does, and it is asked again later.
    leaver = inside[used - cap] if 0 < cap <= used else now
    return Use(limit, used, cap, None if used < cap else leaver + length, resets_at)


def _start(length: timedelta, now: datetime) -> datetime:
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if length == HOUR else hour.replace(hour=0)
