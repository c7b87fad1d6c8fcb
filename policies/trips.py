"""At which bounces, complaints, failures and pace the desk stops a mailbox by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from audit.record import Actor
from policies import changes, scopes
from policies.models import TripLimits

# Smallest and largest value of each limit, shown at the field.
LIMITS: Mapping[str, tuple[int, int]] = {
    "window_hours": (1, 168),
    "bounce_percent": (1, 100),
    "bounce_sample": (5, 10_000),
    "complaint_hours": (1, 720),
    "complaints_per_thousand": (1, 1000),
    "complaint_sample": (20, 100_000),
    "failures_in_a_row": (2, 100),
    "pace_factor": (2, 100),
    "pace_minimum": (5, 10_000),
}


def of(mailbox_id: int) -> TripLimits:
    """The limits in force for a mailbox: its own, else its workspace's, else the desk's."""
    return of_scope(*reversed(scopes.scopes_of(mailbox_id)))


def of_scope(*narrowest_first: str) -> TripLimits:
    """The limits of the first scope that has some; not saved, with version 0, where none has."""
    rows = {row.scope: row for row in TripLimits.objects.filter(scope__in=narrowest_first)}
    for scope in narrowest_first:
        if scope in rows:
            return rows[scope]
    return TripLimits(scope=narrowest_first[0], version=0)


def write(scope: str, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> TripLimits:
    """Set the limits of a scope whose `version` the editor saw, 0 for none. Raises `changes.Conflict`."""
    current = TripLimits.objects.filter(scope=scope).first()
    if current is not None:
        return changes.change(TripLimits, current.pk, version=version, actor=actor, reason=reason, **fields)
    if version != 0:
        raise changes.Conflict(None, {})
    try:
        with transaction.atomic():
            return changes.create(TripLimits, actor=actor, reason=reason, scope=scope, **fields)
    except IntegrityError as error:
        raise changes.Conflict(TripLimits.objects.filter(scope=scope).first(), {}) from error


def remove(scope: str, *, version: int, actor: Actor, reason: str = "") -> None:
    """Let a scope go by the limits around it again. Raises `changes.Conflict`."""
    current = TripLimits.objects.filter(scope=scope).first()
    if current is None:
        raise changes.Conflict(None, {})
    changes.remove(TripLimits, current.pk, version=version, actor=actor, reason=reason)
