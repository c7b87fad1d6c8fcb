"""The restore guard (send-safety I20): a database that lost commits, or a copy of it, sends nothing by itself.

The database carries an identity; a small file beside the installation carries the same identity, and the number and
the hash of the last audit entry before a send. A restored database has no such entry, or writes another one under its
number as it goes on; a copied one has no file or another.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Subquery
from django.utils.translation import gettext as _

from approvals.models import Instance
from audit.models import Entry

# As long as a hash, so that a later mark replaces every byte of the file.
NO_ENTRY = "-" * 64


class MarkUnreadable(Exception):
    """The file is there and cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`entry_hash` is empty before the first send, and in a file of an older release."""

    identity: uuid.UUID
    sequence: int
    entry_hash: str = ""


def trouble() -> str:
    """Why this database must not be sent from now; empty when it may."""
    try:
        mark = _read()
    except MarkUnreadable as error:
        return _("The instance file cannot be read: %(why)s") % {"why": error}
    marked = Entry.objects.filter(pk=mark.sequence if mark else 0).values("hash")
    row = Instance.objects.annotate(entry_hash=Subquery(marked)).first()
    if row is None and mark is None:
        return ""
    if mark is None:
        return _(
            "This machine has no instance file, so this may be a copy of the database. Copy the file from the "
            "installation, or reconcile after a restore."
        )
    if row is None or row.identity != mark.identity:
        return _("The instance file belongs to another database. Reconcile before anything is sent.")
    if mark.sequence and (not row.entry_hash or mark.entry_hash not in ("", row.entry_hash)):
        return _("The database was restored to an earlier moment. Reconcile before anything is sent.")
    return ""


def ensure() -> None:
    """Give a new database its identity and this machine its file; anything half there is left to a person."""
    if Instance.objects.exists() or _path().exists():
        return
    row, _created = Instance.objects.get_or_create(pk=1, defaults={"identity": uuid.uuid4()})
    _write(Mark(row.identity, 0))


def advance() -> None:
    """Note beside the database how far it is, before something leaves that a restored one would not know.

    Raises MarkUnreadable when that cannot be written: then nothing may leave.
    """
    row = Instance.objects.first()
    if row is None:
        raise MarkUnreadable(_("the database has no identity"))
    _write(_mark_of(row))


def adopt() -> None:
    """Take the database as it is now for the one of this installation, once it was reconciled."""
    row, _created = Instance.objects.get_or_create(pk=1, defaults={"identity": uuid.uuid4()})
    _path().unlink(missing_ok=True)
    _write(_mark_of(row))


def _mark_of(row: Instance) -> Mark:
    latest = Entry.objects.order_by("-pk").values_list("pk", "hash").first()
    return Mark(row.identity, *(latest or (0,)))


def _path() -> Path:
    return Path(settings.INSTANCE_FILE)


def _read() -> Mark | None:
    try:
        with _path().open(encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            identity, sequence, *entry_hash = file.read().split()
        if len(entry_hash) > 1:
            raise ValueError("it holds more than an identity, a number and a hash")
        return Mark(uuid.UUID(identity), int(sequence), "".join(entry_hash).replace(NO_ENTRY, ""))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise MarkUnreadable(str(error)) from error


def _write(mark: Mark) -> None:
    # Fixed width and in place: one short write, and a number that never goes back under the lock.
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            known = os.read(descriptor, 200).split()
            if len(known) in (2, 3) and int(known[1]) >= mark.sequence:
                return
            os.lseek(descriptor, 0, os.SEEK_SET)
            line = f"{mark.identity} {mark.sequence:020d} {mark.entry_hash or NO_ENTRY}\n"
            os.write(descriptor, line.encode("ascii"))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise MarkUnreadable(str(error)) from error
