"""The kill switch. Whatever cannot be read, is missing or is not understood means: stopped."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from audit.record import Actor, record
from policies import locks
from policies.models import Switch
from policies.scopes import GLOBAL

logger = logging.getLogger(__name__)

READ_LIMIT = "3s"
FLIP_TRIES = 3
STOP_FILE_REASON_CHARACTERS = 200

AGENT_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SCOPE = re.compile(
    rf"global|(?:mailbox|workspace):[1-9][0-9]{{0,18}}|agent:{AGENT_ID}"
    rf"|domain:(?=[a-z0-9.-]{{3,253}}\Z)(?:{_LABEL}\.)+{_LABEL}"
)
# Nobody sets these up: a scope of these kinds gets its row when it is first stopped, or first locked by a send.
_MADE_ON_DEMAND = ("workspace:", "agent:", "domain:")
# There are as many agents and domains as there are, so they share a bounded number of fences.
_SHARED_FENCES = 64


_SENTENCES: Mapping[str, Any] = {
    "global": _lazy("All sending was stopped by %(by)s."),
    "workspace": _lazy("Sending from this workspace was stopped by %(by)s."),
    "mailbox": _lazy("Sending from this mailbox was stopped by %(by)s."),
    "agent": _lazy("Sending for the agent %(name)s was stopped by %(by)s."),
    "domain": _lazy("Sending to %(name)s and the domains below it was stopped by %(by)s."),
}


class SwitchError(Exception):
    """The switch was not flipped; the text says why, for the person who tried."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`scope` is the one that stops; `since`, `by` and `reason` are empty where they are not known."""

    is_open: bool
    scope: str = ""
    sentence: str = ""
    since: datetime | None = None
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Flip:
    """`drained` is False when calls begun before the stop were still under way after `waited_seconds`.

    `changed_at` is empty for a scope that was open ever since it has a row.
    """

    scope: str
    is_engaged: bool
    changed_at: datetime | None
    drained: bool
    waited_seconds: float
    has_changed: bool = True


def agent_scope(agent_id: str) -> str:
    return f"agent:{agent_id}"


def domain_scope(domain: str) -> str:
    """The scope of a domain in lower-case A-labels; its stop covers the domains below it, too."""
    return f"domain:{domain}"


def is_scope(text: str) -> bool:
    return _SCOPE.fullmatch(text) is not None


def fences(scopes: Sequence[str]) -> list[str]:
    """The fences of `policies.locks` that a call to the provider in these scopes must be inside of."""
    return list(dict.fromkeys(map(_fence, scopes)))


def ensure_scope(scope: str) -> None:
    """Give the scope its row, open; an existing row stays as it is. A scope without a row counts as
    stopped.
    """
    Switch.objects.get_or_create(scope=_known(scope))


def read(scopes: Sequence[str], *, lock: bool = False, is_preview: bool = False) -> Reading:
    """Say whether sending is open in every one of the scopes. Never raises; any trouble is a "no" with
    its sentence.

    With `lock`, inside a transaction, a flip of these scopes waits for the end of that transaction;
    workspaces, agents and domains without a row get theirs then. A preview, after which nothing leaves,
    takes those for open instead. When the database refuses the question, the caller's transaction can
    still be used, unless the connection itself is gone.
    """
    stopped = _stop_file()
    if stopped is not None:
        return stopped
    if not scopes:
        return Reading(False, GLOBAL, _("Sending is stopped: no scope of the kill switch was asked for."))
    try:
        rows = _rows(list(dict.fromkeys(scopes)), lock=lock)
    except (AnyDatabaseError, OSError):
        logger.exception("the kill switch cannot be read")
        return Reading(False, scopes[0], _("Sending is stopped: the kill switch cannot be read."))
    for scope in scopes:
        row = rows.get(scope)
        if row is None and is_preview and scope.startswith(_MADE_ON_DEMAND):
            continue
        if row is None:
            return Reading(
                False, scope, _("Sending is stopped: the kill switch has no entry for %s.") % scope
            )
        if row.is_engaged is not False:
            return _engaged(row)
    return Reading(True)


def engage(
    scope: str,
    *,
    actor: Actor,
    reason: str,
    wait_seconds: float,
    within: Callable[[], None] | None = None,
) -> Flip:
    """Stop sending in the scope, then wait up to `wait_seconds` for calls to the provider that are under way.

    The row and its audit entry are committed before the wait. With `drained`, nothing more reaches the
    provider after this returns. `within` runs in that transaction, before the entry is recorded; it
    should lock what it changes before it records. It may run again when the database asks for a retry. A
    scope that was engaged already is left as it is, without an entry, and waited for again.
    """
    flip = _flip(scope, is_engaged=True, actor=actor, reason=reason, within=within)
    began = time.monotonic()
    try:
        is_drained = locks.fence_drain(_fence(scope), wait_seconds)
    except locks.LocksUnavailable:
        logger.exception("the fence of %s cannot be drained", scope)
        is_drained = False
    waited = round(time.monotonic() - began, 3)
    if flip.has_changed:
        _record_wait(scope, actor, is_drained, waited)
    return Flip(scope, True, flip.changed_at, is_drained, waited, flip.has_changed)


def release(scope: str, *, actor: Actor, reason: str, within: Callable[[], None] | None = None) -> Flip:
    """Allow sending in the scope again; a missing row is created. What was held stays held until a person
    resumes it.

    Raises `SwitchError` while the stop file exists: removing it is the way to lift that stop.
    """
    stopped = _stop_file()
    if stopped is not None:
        raise SwitchError(stopped.sentence + " " + _("Remove the file first, then allow sending again."))
    return _flip(scope, is_engaged=False, actor=actor, reason=reason, within=within)


def engaged() -> list[Reading]:
    """Every scope that is stopped now by its row, the latest stop first."""
    rows = Switch.objects.filter(is_engaged=True).order_by("-changed_sequence", "-pk")
    return [_engaged(row) for row in rows]


@dataclass(frozen=True, slots=True)
class ScopeStanding:
    """`released_at` is when sending was allowed again the last time; None where it never was stopped."""

    is_engaged: bool
    released_at: datetime | None


def standing(scope: str) -> ScopeStanding:
    """How the row of one scope stands; one without a row is engaged."""
    row = Switch.objects.filter(scope=scope).first()
    if row is None or row.is_engaged:
        return ScopeStanding(True, None)
    return ScopeStanding(False, row.changed_at)


def without_row(scopes: Sequence[str]) -> list[str]:
    """Those of the scopes that have no row, which counts as stopped."""
    there = set(Switch.objects.filter(scope__in=scopes).values_list("scope", flat=True))
    return [scope for scope in scopes if scope not in there]


def _known(scope: str) -> str:
    if not is_scope(scope):
        raise SwitchError(
            _(
                "%s is not a scope: use global, workspace:<number>, mailbox:<number>, agent:<id> or "
                "domain:<domain>."
            )
            % scope
        )
    return scope


def _fence(scope: str) -> str:
    if not scope.startswith(("agent:", "domain:")):
        return scope
    return f"shared:{hashlib.sha256(scope.encode()).digest()[0] % _SHARED_FENCES}"


def _flip(
    scope: str, *, is_engaged: bool, actor: Actor, reason: str, within: Callable[[], None] | None
) -> Flip:
    _known(scope)
    # A stop must not fail because the database chose it to break a deadlock, or was busy.
    for _try in range(FLIP_TRIES - 1):
        try:
            return _flip_once(scope, is_engaged=is_engaged, actor=actor, reason=reason, within=within)
        except OperationalError:
            if connection.in_atomic_block:
                raise
            logger.warning("flipping %s is tried again", scope)
    return _flip_once(scope, is_engaged=is_engaged, actor=actor, reason=reason, within=within)


def _flip_once(
    scope: str, *, is_engaged: bool, actor: Actor, reason: str, within: Callable[[], None] | None
) -> Flip:
    # Durable: inside another transaction the wait would begin before the flip can be seen.
    with transaction.atomic(durable=True):
        # Released scopes without a row were stopped, so the new row begins there.
        Switch.objects.get_or_create(scope=scope, defaults={"is_engaged": not is_engaged})
        row = Switch.objects.select_for_update().get(scope=scope)
        if row.is_engaged == is_engaged:
            return Flip(scope, is_engaged, row.changed_at, not is_engaged, 0.0, has_changed=False)
        if within is not None:
            within()
        entry = record(
            "policies.switch.engaged" if is_engaged else "policies.switch.released",
            actor=actor,
            mailbox_id=_mailbox_id(scope),
            reason=reason,
            data={"scope": scope},
        )
        row.is_engaged = is_engaged
        row.reason = reason
        row.changed_by = actor.name or actor.id
        row.changed_at = entry.at
        row.changed_sequence = entry.sequence
        row.save()
    return Flip(scope, is_engaged, entry.at, not is_engaged, 0.0)


def _record_wait(scope: str, actor: Actor, is_drained: bool, waited_seconds: float) -> None:
    try:
        with transaction.atomic():
            record(
                "policies.switch.waited",
                actor=actor,
                mailbox_id=_mailbox_id(scope),
                outcome="drained" if is_drained else "still_under_way",
                data={"scope": scope, "waited_seconds": waited_seconds},
            )
    except AnyDatabaseError:
        # The stop is committed and stands; failing now would tell its person that it did not work.
        logger.exception("the wait after the stop of %s could not be recorded", scope)


def _mailbox_id(scope: str) -> int | None:
    return int(scope.removeprefix("mailbox:")) if scope.startswith("mailbox:") else None


def _rows(scopes: list[str], *, lock: bool) -> dict[str, Switch]:
    rows = _rows_there(scopes, lock=lock)
    missing = sorted(
        scope
        for scope in scopes
        if scope not in rows and scope.startswith(_MADE_ON_DEMAND) and is_scope(scope)
    )
    if not lock or not missing:
        return rows
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # Another transaction may be making the same row, and this one waits for it.
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{READ_LIMIT}'")
        Switch.objects.bulk_create([Switch(scope=scope) for scope in missing], ignore_conflicts=True)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    return rows | _rows_there(missing, lock=True)


def _rows_there(scopes: list[str], *, lock: bool) -> dict[str, Switch]:
    if connection.vendor != "postgresql":
        # Transactions are immediate here, so one that reads has kept every flip out already.
        return {row.scope: row for row in Switch.objects.filter(scope__in=scopes)}
    if connection.in_atomic_block:
        # A savepoint, so that a refusal leaves the caller's transaction usable.
        with transaction.atomic():
            return _rows_in_time(scopes, lock=lock)
    return _rows_in_time(scopes, lock=lock)


def _rows_in_time(scopes: list[str], *, lock: bool) -> dict[str, Switch]:
    """Read rows on PostgreSQL, waiting for locks of others no longer than READ_LIMIT."""
    share = "FOR SHARE" if lock else ""
    # One round trip; three statements sent together are one transaction, where there is none yet.
    query = f"""
        SET LOCAL lock_timeout = '{READ_LIMIT}';
        SELECT id, scope, is_engaged, reason, changed_by, changed_at
            FROM policies_switch WHERE scope = ANY(%s) ORDER BY id {share};
        SET LOCAL lock_timeout TO DEFAULT
    """  # noqa: S608 - both insertions are constants of this module
    with connection.cursor() as cursor:
        cursor.execute(query, [scopes])
        cursor.nextset()
        columns = [column.name for column in cursor.description]
        found = [Switch(**dict(zip(columns, values, strict=True))) for values in cursor.fetchall()]
    return {row.scope: row for row in found}


def _engaged(row: Switch) -> Reading:
    by = row.changed_by or _("somebody")
    kind, _colon, name = row.scope.partition(":")
    sentence = _SENTENCES[kind] % {"by": by, "name": name}
    if row.reason:
        sentence += " " + _("Reason: %(reason)s") % {"reason": row.reason}
    return Reading(False, row.scope, sentence, row.changed_at, row.changed_by, row.reason)


def _stop_file() -> Reading | None:
    """Read the file whose mere presence stops everything, for when nothing else of the site works."""
    if not settings.KILL_SWITCH_FILE:
        return None
    path = Path(settings.KILL_SWITCH_FILE)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Reading(
            False,
            GLOBAL,
            _("All sending is stopped: the stop file %s cannot be looked for.") % path,
            None,
            _("stop file"),
        )
    sentence = _("All sending is stopped: the stop file %s exists.") % path
    since = datetime.fromtimestamp(found.st_mtime, UTC)
    return Reading(False, GLOBAL, sentence, since, _("stop file"), _first_line(path))


def _first_line(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        text = os.read(descriptor, STOP_FILE_REASON_CHARACTERS).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return text.partition("\n")[0].strip()
