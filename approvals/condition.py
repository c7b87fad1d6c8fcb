"""How everything is that the desk stands on: asked now, within a short time, in words with what to do.

Nothing here decides about a send. The gates and the transactions fail closed by themselves; this only says why.
"""

from __future__ import annotations

import queue
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import redis
from django.conf import settings
from django.db import DatabaseError, InternalError, OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _

from agentmail.probe import Condition, Probe, probe
from audit.clock import database_now
from audit.record import APPEND_LOCK

PROBE_SECONDS = 1.5
SLOW_SECONDS = 0.8
CLOCK_LIMIT_SECONDS = 30
DISK_LOW_BYTES = 500 * 1024 * 1024
DISK_FULL_BYTES = 50 * 1024 * 1024
OUR_APPS = frozenset({"agentmail", "approvals", "audit", "policies"})


class Standing(StrEnum):
    WELL = "well"
    LOOK = "look"  # works, and somebody should look at it
    BAD = "bad"  # does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing asked after. `says` is what is the case, `advice` what to do; both are sentences for people."""

    name: str
    standing: Standing
    says: str
    advice: str = ""


def examine(seconds: float = PROBE_SECONDS) -> list[Finding]:
    """Ask everything, what is far away at the same time. Never raises; takes little longer than `seconds`."""
    asked = _begin(lambda: probe(seconds))
    asked_broker = _begin(lambda: broker(seconds))
    found = [database(seconds), *versions(), disk()]
    answer = asked(seconds)
    reached = answer if isinstance(answer, Probe) else Probe(Condition.SILENT, seconds)
    said = asked_broker(seconds)
    found.append(said if isinstance(said, Finding) else _broker_gone())
    return [*found, provider(reached, seconds), clock(reached)]


def _begin(ask: Callable[[], object]) -> Callable[[float], object]:
    """Ask in a thread of its own: looking up a name has no time limit that could be set."""
    box: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=lambda: box.put(ask()), daemon=True).start()

    def answer(seconds: float) -> object:
        try:
            return box.get(timeout=seconds + 0.25)
        except queue.Empty:
            return None

    return answer


# Database


def database(seconds: float = PROBE_SECONDS) -> Finding:
    """Whether the database answers and takes a write, without writing anything that stays."""
    try:
        trouble = _sqlite_trouble(seconds) if connection.vendor == "sqlite" else _postgresql_trouble(seconds)
    except (DatabaseError, sqlite3.Error):
        return Finding(
            "database",
            Standing.BAD,
            _("The database does not answer as it should."),
            _("Nothing is decided and nothing is sent meanwhile. Look at its log."),
        )
    return trouble or Finding("database", Standing.WELL, _("The database answers and can be written."))


def _read_only() -> Finding:
    return Finding(
        "database",
        Standing.BAD,
        _("The database can be read and not written."),
        _(
            "Nothing is decided and nothing is sent: without its record nothing may leave. Make it writable "
            "(free its disk, end its recovery, give back the right to write)."
        ),
    )


def _locked(seconds: float) -> Finding:
    return Finding(
        "database",
        Standing.LOOK,
        _("Somebody has kept the database from being written for more than %(seconds).1f s.")
        % {"seconds": seconds},
        _(
            "Decisions and sends wait their turn; none is lost. If it lasts, find the process that holds it "
            "(a backup, a long import, a stopped program) and end it."
        ),
    )


def _sqlite_trouble(seconds: float) -> Finding | None:
    # Another connection, with a patience of its own: the one of the request waits twenty times as long.
    name = str(connection.settings_dict["NAME"])
    link = sqlite3.connect(
        f"{Path(name).resolve().as_uri()}?mode=rw", uri=True, timeout=seconds, isolation_level=None
    )
    try:
        link.execute("BEGIN IMMEDIATE")
        # To begin is not enough: on a file that may only be read that is taken for a reading transaction.
        version = int(link.execute("PRAGMA user_version").fetchone()[0])
        link.execute(f"PRAGMA user_version = {version}")
        link.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return _locked(seconds)
        if "readonly" in str(error):
            return _read_only()
        raise
    finally:
        link.close()
    return None


def _postgresql_trouble(seconds: float) -> Finding | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'")
        if cursor.fetchone()[0]:
            return _read_only()
    try:
        # Every change waits here for the one before it, so whoever cannot pass cannot decide or send.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(seconds * 1000)}ms"])
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPEND_LOCK])
            cursor.execute("SELECT set_config('lock_timeout', '0', true)")
    except OperationalError:
        return _locked(seconds)
    except InternalError:
        return _read_only()
    return None


def versions() -> list[Finding]:
    """Whether this program and the tables are of one version. Empty when the database cannot say."""
    try:
        applied = {key for key in MigrationRecorder(connection).applied_migrations() if key[0] in OUR_APPS}
    except DatabaseError:
        return []
    known = {key for key in MigrationLoader(None).disk_migrations or {} if key[0] in OUR_APPS}
    if applied - known:
        says = _("The tables are of a newer version than this program.")
        advice = _(
            "A newer version runs beside this one or ran before it. States it does not know are left "
            "alone. Bring every process to the same version."
        )
        return [Finding("versions", Standing.BAD, says, advice)]
    if known - applied:
        says = _("The tables are of an older version than this program.")
        return [
            Finding(
                "versions", Standing.BAD, says, _("Run `manage.py migrate`, then start every process again.")
            )
        ]
    return [Finding("versions", Standing.WELL, _("Program and tables are of one version."))]


# This machine


def disk() -> Finding:
    """Whether there is room, and whether the directory of the desk's own state can be written."""
    try:
        free = shutil.disk_usage(settings.VAR_DIR).free
        Path(settings.LOCKS_DIR).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=settings.LOCKS_DIR, prefix="room-") as file:
            file.write(b"\0" * 4096)
    except OSError:
        return Finding(
            "disk",
            Standing.BAD,
            _("The directory of the desk's own state cannot be written."),
            _(
                "Where the database is a file nothing can be decided or sent. Make room on its disk, or give the "
                "directory back to the user the desk runs as."
            ),
        )
    words = _("%(free)d MB are free.") % {"free": free // 1_000_000}
    if free < DISK_LOW_BYTES:
        standing = Standing.BAD if free < DISK_FULL_BYTES else Standing.LOOK
        advice = _("Make room. When the record cannot be written any more, nothing is sent.")
        return Finding("disk", standing, words, advice)
    return Finding("disk", Standing.WELL, words)


def broker(seconds: float = PROBE_SECONDS) -> Finding:
    """Whether nudges can be handed over. Without them everything happens, later."""
    if settings.REDIS_URL:
        try:
            link = redis.Redis.from_url(
                settings.REDIS_URL, socket_connect_timeout=seconds, socket_timeout=seconds
            )
            link.ping()
            link.close()
        except (redis.RedisError, OSError, ValueError):
            return _broker_gone()
        return Finding("broker", Standing.WELL, _("The broker answers."))
    try:
        Path(settings.SPOOL_DIR).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=settings.SPOOL_DIR, prefix=".room-"):
            pass
    except OSError:
        return _broker_gone()
    return Finding("broker", Standing.WELL, _("The embedded broker takes messages."))


def _broker_gone() -> Finding:
    return Finding(
        "broker",
        Standing.BAD,
        _("The broker does not answer."),
        _(
            "No mail is lost: the rows in the database are the queue. But workers are not woken, so nothing "
            "leaves until it is back. Start it again."
        ),
    )


def clock(reached: Probe) -> Finding:
    """How far apart the clocks of this machine, the database and the provider are."""
    try:
        from_database = time.time() - database_now().timestamp()
    except DatabaseError:
        return Finding(
            "clock", Standing.LOOK, _("The clocks cannot be compared: the database does not answer.")
        )
    advice = _(
        "Deadlines follow the database's clock, so nothing is sent too late; set the clocks right all "
        "the same (NTP)."
    )
    if abs(from_database) > CLOCK_LIMIT_SECONDS:
        says = _("This machine and the database are %(seconds)d s apart.") % {"seconds": abs(from_database)}
        return Finding("clock", Standing.LOOK, says, advice)
    if reached.apart_seconds is None:
        return Finding(
            "clock", Standing.WELL, _("This machine and the database agree; the provider gave no time.")
        )
    if abs(reached.apart_seconds) > CLOCK_LIMIT_SECONDS:
        says = _("This machine and the provider are %(seconds)d s apart.") % {
            "seconds": abs(reached.apart_seconds)
        }
        return Finding("clock", Standing.LOOK, says, advice)
    return Finding("clock", Standing.WELL, _("The clocks of machine, database and provider agree."))


# The provider


def provider(reached: Probe, seconds: float = PROBE_SECONDS) -> Finding:
    """What one short question to the provider says about it."""
    took = _("It answered after %(seconds).2f s.") % {"seconds": reached.seconds}
    waits = _(
        "Approved mail waits and is tried again; what was already handed over and not answered becomes "
        "unknown and is never sent again by itself."
    )
    match reached.condition:
        case Condition.WELL if reached.seconds > SLOW_SECONDS:
            return Finding("provider", Standing.LOOK, _("The provider is slow.") + " " + took, waits)
        case Condition.WELL:
            return Finding(
                "provider", Standing.WELL, _("The provider answers and knows our key.") + " " + took
            )
        case Condition.NOT_CONFIGURED:
            says = _("No provider is set up: nothing can be fetched or sent.")
            return Finding(
                "provider", Standing.BAD, says, _("Set NYLAS_API_URI and NYLAS_API_KEY, then start again.")
            )
        case Condition.SILENT:
            says = _("The provider does not answer within %(seconds).1f s.") % {"seconds": seconds}
            return Finding("provider", Standing.BAD, says, waits)
        case Condition.KEY_REFUSED:
            says = _("The provider refuses our key (%(status)d).") % {"status": reached.status_code or 0}
            advice = _(
                "It was revoked or is wrong. Set NYLAS_API_KEY to a valid one and start again. Until "
                "then nothing is fetched or sent."
            )
            return Finding("provider", Standing.BAD, says, advice)
        case Condition.BUSY:
            return Finding("provider", Standing.LOOK, _("The provider asks us to slow down (429)."), waits)
        case Condition.FAILING:
            says = _("The provider has trouble of its own (%(status)d).") % {
                "status": reached.status_code or 0
            }
            return Finding("provider", Standing.BAD, says, waits)
        case _:
            says = _("Something else than the provider answers at its address.")
            return Finding("provider", Standing.BAD, says, _("Check NYLAS_API_URI, and any proxy between."))
