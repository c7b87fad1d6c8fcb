from __future__ import annotations

import re
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from audit import chain, triggers


class Command(BaseCommand):
    help = "Check every entry of the record: numbers, links, hashes, columns. Exits with 1 at a bad one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--head",
            metavar="HASH",
            help="a head noted down earlier; without one a cut end of the record cannot be noticed",
        )

    def handle(self, *, head: str | None, **options: object) -> None:
        if head is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", head.strip()):
            raise CommandError("--head must be 64 hexadecimal digits, as this command printed them.")
        found = chain.verify(known_head=head.strip().lower() if head else None)
        self.stdout.write(f"entries: {found.count}")
        self.stdout.write(f"head: {found.head_hash}")
        if not triggers.is_protected(connection):
            self.stderr.write("warning: the triggers that refuse changes are missing; migrate installs them")
        if not found.ok:
            raise CommandError(f"first bad entry: {found.first_bad_sequence}. {found.problem}", returncode=1)
        self.stdout.write("the record is whole")
