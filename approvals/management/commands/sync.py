from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentmail.models import Mailbox
from approvals import mailboxes, sweeps


class Command(BaseCommand):
    help = "Read messages, drafts and rule evaluations of the connected mailboxes from the provider now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailbox", help="the address or grant of one mailbox")

    def handle(self, *args: Any, mailbox: str | None, **options: Any) -> None:
        rows = Mailbox.objects.filter(is_enabled=True)
        if mailbox is not None:
            try:
                rows = rows.filter(pk=mailboxes.named(mailbox).pk)
            except mailboxes.MailboxRefused as error:
                raise CommandError(f"--mailbox: {error}") from error
            if not rows:
                raise CommandError(f"--mailbox: {mailbox} is disabled here.")
        failed = []
        for row in rows:
            result = sweeps.poll_mailbox(row.pk)
            if result is None:
                row.refresh_from_db()
                failed.append(row.address)
                self.stderr.write(f"{row.address}: not read. {row.trouble}")
                continue
            self.stdout.write(
                f"{row.address}: {result.arrived} drafts arrived, {result.revised} revised, {result.withdrawn} "
                f"withdrawn, {result.stale} became stale, {result.messages} messages."
            )
        if failed:
            raise CommandError(f"{len(failed)} of {len(rows)} mailboxes could not be read.")
