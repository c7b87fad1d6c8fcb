"""The files that exports leave: below VAR_DIR, for the desk's user only, one for each run of a job."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from approvals.models import Job


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, with its digest in hexadecimal digits."""

    size: int
    sha256: str


def path_of(job: Job) -> Path:
    return _folder() / f"{job.public_id}.{job.run}"


def write(job: Job, parts: Iterable[str]) -> Written:
    """Write the parts as the file of a run, in UTF-8, and wait until the disk has it. Raises OSError."""
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    path, digest, size = path_of(job), hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for part in parts:
            data = part.encode()
            file.write(data)
            digest.update(data)
            size += len(data)
        file.flush()
        os.fsync(file.fileno())
    return Written(size, digest.hexdigest())


def opened(job: Job) -> BinaryIO:
    """The file of a job that is done, to be read. Raises FileNotFoundError when it is gone, or not whole."""
    file = path_of(job).open("rb")
    if os.fstat(file.fileno()).st_size != job.file_bytes:
        file.close()
        raise FileNotFoundError(f"the file of job {job.pk} is not the one that was written")
    return file


def remove(job: Job) -> None:
    # What cannot be removed now is found by the sweep.
    with suppress(OSError):
        path_of(job).unlink()


def every() -> set[Path]:
    """The files there are, also of jobs that are over."""
    return set(_folder().iterdir()) if _folder().is_dir() else set()


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "exports"
