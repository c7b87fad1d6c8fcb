"""How much may leave an hour and a day, and the reservations that count it.

A send counts once, in the window in which it was last handed over. It is reserved inside the transaction that claims
it, under the lock of its mailbox, so that two workers never pass together; only a send of which no byte left is
refunded. The clock is that of the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from audit.clock import database_now
from audit.record import Actor
from policies import changes, mailbox_settings
from policies.models import (
    CapLock,
    MailboxSettings,
    OrganisationCap,
    Policy,
    Reservation,
    Window,
    Workspace,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ORGANISATION = "organisation"
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


_LENGTHS = {
    Limit.HOUR: HOUR,
    Limit.DAY: DAY,
    Limit.ORGANISATION_HOUR: HOUR,
    Limit.ORGANISATION_DAY: DAY,
}


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


class CapReached(Exception):
    """A limit allows no further send; `answer` says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("a cap is reached")
        self.answer = answer


def effective(mailbox_id: int, *, now: datetime) -> Effective:
    """The policy of a mailbox: its own, that of its workspace, or the default; without any the shipped numbers."""
    settings = (
        MailboxSettings.objects.select_related("policy").filter(mailbox_id=mailbox_id).first()
        or MailboxSettings()
    )
    policy, source, workspace = settings.policy, Source.MAILBOX, ""
    if policy is None:
        of = Workspace.objects.filter(policy=OuterRef("pk"), members__mailbox_id=mailbox_id)
        wider = Policy.objects.annotate(workspace=Subquery(of.values("name")[:1])).filter(
            Q(is_default=True) | Q(workspace__isnull=False)
        )
        for found in wider:
            if found.workspace is not None:
                policy, source, workspace = found, Source.WORKSPACE, found.workspace
            elif policy is None:
                policy, source = found, Source.DEFAULT
    if policy is None:
        policy, source = Policy(name="Default", is_default=True), Source.DEFAULT
    hour_cap, ramp_until = policy.hour_cap, None
    if settings.live_since is not None and policy.ramp_hour_cap < policy.hour_cap:
        until = settings.live_since + timedelta(hours=policy.ramp_hours)
        if now < until:
            hour_cap, ramp_until = policy.ramp_hour_cap, until
    return Effective(policy, source, workspace, hour_cap, policy.day_cap, ramp_until)


def ask(mailbox_id: int, *, now: datetime, send_key: str = "") -> Answer:
    """Say whether every limit allows one more send of the mailbox, without reserving it.

    A reservation that `send_key` has already counts for that send itself, not against it.
    """
    of = effective(mailbox_id, now=now)
    rows = Reservation.objects.filter(refunded_at__isnull=True).exclude(send_key=send_key)
    mine = rows.filter(mailbox_id=mailbox_id)
    measure = _sliding if of.policy.window == Window.SLIDING else _fixed
    uses = measure(mine, {Limit.HOUR: of.hour_cap, Limit.DAY: of.day_cap}, now)
    if of.policy.spacing_seconds:
        uses.append(_spacing(mine, timedelta(seconds=of.policy.spacing_seconds), now))
    whole = organisation_cap()
    wanted = {Limit.ORGANISATION_HOUR: whole.hour_cap, Limit.ORGANISATION_DAY: whole.day_cap}
    uses += _fixed(rows, {limit: cap for limit, cap in wanted.items() if cap is not None}, now)
    return Answer(of, tuple(uses))


def lock(mailbox_id: int) -> None:
    """Keep everybody else from reserving for the mailbox until the end of the transaction."""
    if not connection.features.has_select_for_update:
        return  # the transactions of SQLite are immediate: this one is alone already
    names = [f"mailbox:{mailbox_id}"]
    whole = organisation_cap()
    if whole.hour_cap is not None or whole.day_cap is not None:
        names.append(ORGANISATION)
    for name in names:
        CapLock.objects.get_or_create(name=name)
        CapLock.objects.select_for_update().get(name=name)


def reserve(mailbox_id: int, send_key: str, *, keep: bool = False) -> None:
    """Count a send, in the transaction that claims it; a second call for the same send counts it once.

    With `keep` a reservation that the send has stays where it is, as that of a mail which may have left must. Raises
    CapReached, and has counted nothing then.
    """
    lock(mailbox_id)
    found = Reservation.objects.filter(send_key=send_key).first()
    if keep and found is not None and found.refunded_at is None:
        return
    now = database_now()
    answer = ask(mailbox_id, now=now, send_key=send_key)
    if answer.full is not None:
        raise CapReached(answer)
    _count(mailbox_id, send_key, now)


def count(mailbox_id: int, send_key: str) -> None:
    """Count a mail that turned out to have left, whatever the limits say, unless it counts already."""
    if not Reservation.objects.filter(send_key=send_key, refunded_at__isnull=True).exists():
        _count(mailbox_id, send_key, database_now())


def is_reserved(send_key: str) -> bool:
    return Reservation.objects.filter(send_key=send_key, refunded_at__isnull=True).exists()


def refund(send_key: str) -> None:
    """Let a send count no more, of which it is certain that nothing left."""
    Reservation.objects.filter(send_key=send_key, refunded_at__isnull=True).update(refunded_at=database_now())


def organisation_cap() -> OrganisationCap:
    """The cap over all mailboxes; not saved, with version 0 and no numbers, until somebody sets it."""
    return OrganisationCap.objects.filter(pk=ORGANISATION_ID).first() or OrganisationCap(version=0)


def set_organisation_cap(
    *, version: int, actor: Actor, hour_cap: int | None, day_cap: int | None, reason: str = ""
) -> OrganisationCap:
    """Set or lift the cap over all mailboxes; `version` is 0 for one that was never set.

    Raises ValidationError for a number outside its limits, and `changes.Conflict`.
    """
    fields = {"hour_cap": hour_cap, "day_cap": day_cap}
    OrganisationCap(**fields).clean_fields()
    current = organisation_cap()
    if current.pk is not None:
        return changes.change(
            OrganisationCap, current.pk, version=version, actor=actor, reason=reason, **fields
        )
    if version != 0:
        raise changes.Conflict(None, {})
    return changes.create(OrganisationCap, actor=actor, reason=reason, id=ORGANISATION_ID, **fields)


def add_policy(*, actor: Actor, reason: str = "", **fields: Any) -> Policy:
    """Add a policy. Raises ValidationError, which names each field that is outside its limits."""
    Policy(**fields).full_clean()
    return changes.create(Policy, actor=actor, reason=reason, **fields)


def change_policy(pk: int, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> Policy:
    """Change a policy whose `version` the editor saw. Raises ValidationError or `changes.Conflict`."""
    row = Policy.objects.filter(pk=pk).first()
    if row is None:
        raise changes.Conflict(None, {})
    for name, value in fields.items():
        setattr(row, name, value)
    row.full_clean()
    return changes.change(Policy, pk, version=version, actor=actor, reason=reason, **fields)


def make_default(pk: int, *, version: int, actor: Actor, reason: str = "") -> Policy:
    """Let a policy hold where nothing nearer is attached, in place of the one that did. Raises Conflict."""
    with transaction.atomic():
        before = Policy.objects.filter(is_default=True).exclude(pk=pk).first()
        if before is not None:
            changes.change(
                Policy, before.pk, version=before.version, actor=actor, reason=reason, is_default=False
            )
        return changes.change(Policy, pk, version=version, actor=actor, reason=reason, is_default=True)


def start_ramp(mailbox_id: int, *, actor: Actor, reason: str = "") -> MailboxSettings:
    """Begin the first day of a mailbox that starts to send live, or without a person: fewer sends an hour."""
    settings = mailbox_settings.of(mailbox_id)
    return mailbox_settings.write(
        mailbox_id, version=settings.version, actor=actor, reason=reason, live_since=database_now()
    )


def _count(mailbox_id: int, send_key: str, now: datetime) -> None:
    Reservation.objects.update_or_create(
        send_key=send_key, defaults={"mailbox_id": mailbox_id, "reserved_at": now, "refunded_at": None}
    )


def _fixed(rows: QuerySet[Reservation], limits: Mapping[Limit, int], now: datetime) -> list[Use]:
    if not limits:
        return []
    starts = {limit: _start(_LENGTHS[limit], now) for limit in limits}
    counts = rows.filter(reserved_at__gte=min(starts.values())).aggregate(
        **{limit.value: Count("pk", filter=Q(reserved_at__gte=start)) for limit, start in starts.items()}
    )
    found = []
    for limit, cap in limits.items():
        used, end = counts[limit.value], starts[limit] + _LENGTHS[limit]
        found.append(Use(limit, used, cap, None if used < cap else end, end))
    return found


def _sliding(rows: QuerySet[Reservation], limits: Mapping[Limit, int], now: datetime) -> list[Use]:
    # A send is inside as long as less than the whole length has passed since.
    times = list(
        rows.filter(reserved_at__gt=now - DAY).order_by("reserved_at").values_list("reserved_at", flat=True)
    )
    found = []
    for limit, cap in limits.items():
        length = _LENGTHS[limit]
        inside = [at for at in times if now - at < length]
        used = len(inside)
        resets_at = inside[0] + length if inside else None
        # The one whose leaving makes room; with a cap of 0 nothing does, and it is asked again later.
        leaver = inside[used - cap] if 0 < cap <= used else now
        found.append(Use(limit, used, cap, None if used < cap else leaver + length, resets_at))
    return found


def _start(length: timedelta, now: datetime) -> datetime:
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if length == HOUR else hour.replace(hour=0)


def _spacing(rows: QuerySet[Reservation], spacing: timedelta, now: datetime) -> Use:
    last = rows.order_by("-reserved_at").values_list("reserved_at", flat=True).first()
    opens_at = last + spacing if last is not None and last + spacing > now else None
    return Use(Limit.SPACING, int(opens_at is not None), 1, opens_at, opens_at)
