"""Locks that fall when their holder dies: session advisory locks on PostgreSQL, locked files on SQLite.

Threads exclude each other as processes do. PostgreSQL must be reached directly: behind a pooler that
hands the session to others these locks mean nothing. On SQLite LOCKS_DIR must be on a local disk of the
one machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

# A prober of a locked file is in the way for a moment; a real holder stays.
FILE_TRIES = 4
FILE_PAUSE_SECONDS = 0.002
DRAIN_PAUSE_SECONDS = 0.001


class LocksUnavailable(Exception):
    """Whether a lock is free cannot be found out: the database or the directory of locks cannot be
    reached.
    """


class HeldLock(Protocol):
    def is_alive(self) -> bool: ...


def hold(name: str) -> AbstractContextManager[HeldLock | None]:
    """Take the named lock for the block, without waiting; None when anybody else, or this thread already,
    holds it.

    The lock belongs to this thread's session and falls when the process dies, but stays with a process
    that hangs. Raises `LocksUnavailable` when it cannot be asked for.
    """
    return _hold_session(name) if connection.vendor == "postgresql" else _hold_file(name)


def is_held(name: str) -> bool:
    """Say whether anybody holds the named lock now, without taking it. Raises `LocksUnavailable`."""
    return _is_session_lock_held(name) if connection.vendor == "postgresql" else _is_file_held(name)


def fence_shared(scopes: Sequence[str]) -> AbstractContextManager[None]:
    """Stay on the shared side of the fences of the scopes for the block; waits while one of them is being
    drained.

    Whoever is inside and then sees the switch open may begin one call to the provider: whoever stops
    sending waits for its end. Raises `LocksUnavailable`.
    """
    return _share_sessions(scopes) if connection.vendor == "postgresql" else _share_files(scopes)


def fence_drain(scope: str, timeout_seconds: float) -> bool:
    """Wait until nobody who was inside the fence is inside any more; False when that took longer than the
    limit.

    While this waits nobody else gets in, so a stream of newcomers cannot make it wait for ever.
    Raises `LocksUnavailable`.
    """
    if connection.vendor == "postgresql":
        return _drain_sessions(scope, timeout_seconds)
    return _drain_files(scope, timeout_seconds)


def _digest(name: str) -> bytes:
    return hashlib.sha256(f"countersign:{name}".encode()).digest()


# PostgreSQL: session advisory locks, on one own connection a thread.


class _Session:
    """A direct connection of one thread. Its end, or the end of the thread, frees every lock it holds."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.names: set[str] = set()
        self.shares = 0
        parameters = connection.get_connection_params()
        for name in ("cursor_factory", "context", "prepare_threshold"):
            parameters.pop(name, None)
        # A server that no longer answers must not hang whoever asks whether the lock is alive.
        limits = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "tcp_user_timeout": 10_000,
        }
        try:
            self.link = psycopg.connect(**{**limits, **parameters}, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise LocksUnavailable("no connection for locks") from error
        self.backend = self.link.info.backend_pid
        _sessions.add(self)

    def __del__(self) -> None:
        if hasattr(self, "link") and self.process == os.getpid():
            self.link.close()

    @property
    def is_usable(self) -> bool:
        return self.process == os.getpid() and not self.link.closed

    def ask(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        row = self.link.execute(query.encode(), parameters).fetchone()
        return None if row is None else row[0]

    def free(self, query: str, key: int | list[int]) -> None:
        if not self.is_usable:
            return
        try:
            self.ask(query, [key])
        except psycopg.Error:
            logger.warning("a lock could not be given back; its session is ended")
            self.link.close()


_local = threading.local()
_sessions: weakref.WeakSet[_Session] = weakref.WeakSet()
_inherited: list[object] = []


def _leave_sessions_to_parent() -> None:
    # A forked child that closed a session would end it for its parent, and one that kept the socket would keep
    # the locks of a parent that died. So it closes the socket only, and keeps the object from being tidied up.
    for session in list(_sessions):
        _inherited.append(session.link)
        with suppress(OSError, psycopg.Error):
            os.close(session.link.fileno())


os.register_at_fork(after_in_child=_leave_sessions_to_parent)


def _session() -> _Session:
    session: _Session | None = getattr(_local, "session", None)
    if session is None or not session.is_usable:
        session = _local.session = _Session()
    return session


def _ask(query: str, key: int | list[int]) -> tuple[_Session, Any]:
    """Ask over this thread's session; one that went away unnoticed, with nothing held on it, is renewed
    once.
    """
    session = _session()
    try:
        return session, session.ask(query, [key])
    except psycopg.Error as error:
        if not session.link.closed or session.names or session.shares:
            # Part of what was asked for may have been taken.
            session.link.close()
            raise LocksUnavailable("the session for locks broke") from error
    session = _session()
    try:
        return session, session.ask(query, [key])
    except psycopg.Error as error:
        session.link.close()
        raise LocksUnavailable("the session for locks broke") from error


class _SessionLock:
    def __init__(self, session: _Session) -> None:
        self._session = session

    def is_alive(self) -> bool:
        """Ask the server over the session that took the lock; a pooler that swapped the session shows too."""
        if not self._session.is_usable:
            return False
        try:
            backend: int = self._session.ask("SELECT pg_backend_pid()")
        except psycopg.Error:
            return False
        return backend == self._session.backend


def _key(name: str) -> int:
    return int.from_bytes(_digest(name)[:8]) >> 1


@contextmanager
def _hold_session(name: str) -> Iterator[HeldLock | None]:
    # The server would give a session its own lock a second time.
    if name in _session().names:
        yield None
        return
    key = _key(f"hold:{name}")
    session, is_taken = _ask("SELECT pg_try_advisory_lock(%s)", key)
    if not is_taken:
        yield None
        return
    session.names.add(name)
    try:
        yield _SessionLock(session)
    finally:
        session.names.discard(name)
        session.free("SELECT pg_advisory_unlock(%s)", key)


def _is_session_lock_held(name: str) -> bool:
    query = """
        SELECT EXISTS (
            SELECT 1 FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 1 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32) | objid::bigint = %s
        )
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, [_key(f"hold:{name}")])
            return bool(cursor.fetchone()[0])
    except DatabaseError as error:
        raise LocksUnavailable("the list of locks cannot be read") from error


@contextmanager
def _share_sessions(scopes: Sequence[str]) -> Iterator[None]:
    keys = [_key(f"fence:{scope}") for scope in dict.fromkeys(scopes)]
    session, _ = _ask("SELECT count(pg_advisory_lock_shared(key)) FROM unnest(%s::bigint[]) AS key", keys)
    session.shares += 1
    try:
        yield
    finally:
        session.shares -= 1
        session.free("SELECT count(pg_advisory_unlock_shared(key)) FROM unnest(%s::bigint[]) AS key", keys)


def _drain_sessions(scope: str, timeout_seconds: float) -> bool:
    # A session of its own, because one that shares the fence itself would not wait for itself. The server
    # keeps newcomers waiting behind this request. A limit of 0 would mean none.
    limit = f"{max(1, int(timeout_seconds * 1000))}ms"
    session = _Session()
    try:
        session.ask("SELECT set_config('lock_timeout', %s, false)", [limit])
        session.ask("SELECT pg_advisory_lock(%s)", [_key(f"fence:{scope}")])
    except psycopg.errors.LockNotAvailable:
        return False
    except psycopg.Error as error:
        raise LocksUnavailable("the session for locks broke") from error
    finally:
        session.link.close()
    return True


# SQLite: locks on open files. Each opening is a holder of its own, so threads exclude each other as well.


_descriptors: set[int] = set()


def _close_inherited_descriptors() -> None:
    # A lock belongs to every copy of its descriptor: a child that kept one would outlive the holder's lock.
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_inherited_descriptors)


def _open(path: Path, flags: int = os.O_CREAT) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not flags:
            raise
        raise LocksUnavailable(f"the lock file {path} cannot be opened: {error.strerror}") from error
    _descriptors.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    _descriptors.discard(descriptor)
    os.close(descriptor)


def _try(descriptor: int, operation: int) -> bool:
    try:
        _wait(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(descriptor: int, operation: int) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        raise LocksUnavailable(f"files cannot be locked in {settings.LOCKS_DIR}: {error.strerror}") from error


def _is_file_at(path: Path, descriptor: int) -> bool:
    try:
        there, here = os.stat(path), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _path(kind: str, name: str) -> Path:
    return Path(settings.LOCKS_DIR) / f"{kind}-{_digest(name).hex()[:40]}"


class _FileLock:
    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.process = os.getpid()
        self.is_over = False

    def is_alive(self) -> bool:
        """Look whether the locked file is still the one others would lock."""
        is_ours = self.process == os.getpid() and not self.is_over
        return is_ours and _is_file_at(self._path, self._descriptor)


@contextmanager
def _hold_file(name: str) -> Iterator[HeldLock | None]:
    path = _path("hold", name)
    descriptor = _taken(path)
    if descriptor is None:
        yield None
        return
    lock = _FileLock(path, descriptor)
    try:
        yield lock
    finally:
        if lock.process == os.getpid():
            # Only the holder removes the file, and only while it is the one at the path. Whoever opened
            # it before and locks it afterwards sees that it is gone, and opens the path again.
            if lock.is_alive():
                with suppress(FileNotFoundError):
                    path.unlink()
            lock.is_over = True
            _close(descriptor)


def _taken(path: Path) -> int | None:
    """Lock the file at the path and return its descriptor, or None when somebody else has it."""
    for _ in range(FILE_TRIES):
        descriptor = _open(path)
        is_locked = False
        try:
            is_locked = _try(descriptor, fcntl.LOCK_EX)
            if is_locked and _is_file_at(path, descriptor):
                return descriptor
        except BaseException:
            _close(descriptor)
            raise
        _close(descriptor)
        if not is_locked:
            time.sleep(FILE_PAUSE_SECONDS)
    return None


def _is_file_held(name: str) -> bool:
    try:
        descriptor = _open(_path("hold", name), flags=0)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_SH)
    finally:
        _close(descriptor)


# A fence is two files. Everybody passes the gate: those who share hold it for a moment, the one who
# drains keeps it shut while waiting for the exclusive side. They are few and never removed.


@contextmanager
def _share_files(scopes: Sequence[str]) -> Iterator[None]:
    with ExitStack() as shares:
        for scope in dict.fromkeys(scopes):
            with _locked(_path("gate", scope), fcntl.LOCK_SH):
                shares.enter_context(_locked(_path("fence", scope), fcntl.LOCK_SH))
        yield


@contextmanager
def _locked(path: Path, operation: int) -> Iterator[None]:
    process = os.getpid()
    descriptor = _open(path)
    try:
        _wait(descriptor, operation)
        yield
    finally:
        if process == os.getpid():
            _close(descriptor)


def _drain_files(scope: str, timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    gate = _open(_path("gate", scope))
    fence = _open(_path("fence", scope))
    try:
        for descriptor in (gate, fence):
            while not _try(descriptor, fcntl.LOCK_EX):
                if time.monotonic() >= deadline:
                    return False
                time.sleep(DRAIN_PAUSE_SECONDS)
        return True
    finally:
        _close(fence)
        _close(gate)
