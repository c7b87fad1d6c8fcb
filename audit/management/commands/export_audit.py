from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import export
from audit.models import Entry


def moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not a moment: write 2026-11-21 or 2026-11-21T13:30 (UTC unless an offset is given)"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Write the record as JSON lines or CSV, oldest entry first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=["jsonl", "csv"], required=True, dest="form")
        parser.add_argument("--since", type=moment, help="first moment, included")
        parser.add_argument("--until", type=moment, help="last moment, not included")
        parser.add_argument("--mailbox", type=int, metavar="NUMBER", help="only entries of this mailbox")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="a new file, readable by its owner only"
        )

    def handle(
        self,
        *,
        form: str,
        since: datetime | None,
        until: datetime | None,
        mailbox: int | None,
        output: Path | None,
        **options: object,
    ) -> None:
        if since and until and since >= until:
            raise CommandError("--since must be before --until.")
        chosen: dict[str, Any] = {"since": since, "until": until, "mailbox_id": mailbox}
        entries = export.selected(**chosen)
        if output is not None:
            entries = self._counted(entries, export.count(**chosen))
        lines = {"jsonl": export.json_lines, "csv": export.csv_lines}[form](entries)
        if output is None:
            for line in lines:
                self.stdout.write(line, ending="")
            return
        try:
            write_new(output, lines)
        except FileExistsError:
            raise CommandError(f"--output {output} exists already; name a new file.") from None
        except OSError as error:
            raise CommandError(f"--output {output} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"written: {output}")

    def _counted(self, entries: Iterable[Entry], total: int) -> Iterator[Entry]:
        """The entries as they are, while standard error says how many were written, in steps of a twentieth."""
        step = max(export.CHUNK, total // 20)
        number = 0
        for number, entry in enumerate(entries, start=1):
            yield entry
            if number % step == 0:
                self.stderr.write(f"{number:,} of {total:,} entries")
        self.stderr.write(f"{number:,} of {max(number, total):,} entries, all of them")


def write_new(path: Path, lines: Iterable[str]) -> None:
    """Write the lines to a file that is not there yet; a failed export leaves none behind."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
