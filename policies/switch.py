"""The kill switch. Whatever cannot be read, is missing or is not understood means: stopped."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _

from audit.record import Actor, record
from policies import locks
from policies.models import Switch

logger = logging.getLogger(__name__)

GLOBAL = "global"
READ_LIMIT = "3s"
FLIP_TRIES = 3
STOP_FILE_REASON_CHARACTERS = 200

_SCOPE = re.compile(r"global|mailbox:[1-9][0-9]{0,18}")


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


def mailbox_scope(mailbox_id: int) -> str:
    return f"mailbox:{mailbox_id}"


def ensure_scope(scope: str) -> None:
    """Give the scope its row, open; an existing row stays as it is. A scope without a row counts as
    stopped.
    """
    Switch.objects.get_or_create(scope=_known(scope))


def read(scopes: Sequence[str], *, lock: bool = False) -> Reading:
    """Say whether sending is open in every one of the scopes. Never raises; any trouble is a "no" with
    its sentence.

    With `lock`, inside a transaction, a flip of these scopes waits for the end of that transaction. When
    the database refuses the question, the caller's transaction can still be used, unless the connection
    itself is gone.
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
        is_drained = locks.fence_drain(scope, wait_seconds)
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


def _known(scope: str) -> str:
    if not _SCOPE.fullmatch(scope):
        raise SwitchError(_("%s is not a scope: use global or mailbox:<number>.") % scope)
    return scope


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
    return None if scope == GLOBAL else int(scope.removeprefix("mailbox:"))


def _rows(scopes: list[str], *, lock: bool) -> dict[str, Switch]:
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
    if row.scope == GLOBAL:
        sentence = _("All sending was stopped by %(by)s.") % {"by": by}
    else:
        sentence = _("Sending from this mailbox was stopped by %(by)s.") % {"by": by}
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
