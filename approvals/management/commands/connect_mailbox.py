from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError
from agentmail.models import OversightMode, Transport
from approvals import mailboxes
from audit.record import Actor


class Command(BaseCommand):
    help = (
        "Connect a grant of the provider as a mailbox of this desk, or change how a connected one is treated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--grant", required=True, help="the id of the grant at the provider")
        parser.add_argument("--mode", choices=OversightMode.values)
        parser.add_argument("--transport", choices=Transport.values)
        parser.add_argument("--undo-seconds", type=int, help="0 to 60; 15 without it")
        parser.add_argument("--expiry-hours", type=int, help="1 to 720; 72 without it")
        parser.add_argument("--approval-minutes", type=int, help="1 to 1440; 30 without it")

    def handle(self, *args: Any, grant: str, **options: Any) -> None:
        names = ("mode", "transport", "undo_seconds", "expiry_hours", "approval_minutes")
        chosen = {name: options[name] for name in names if options[name] is not None}
        try:
            mailbox = mailboxes.connect(
                configured_client(),
                grant,
                actor=Actor("operator_command", "connect_mailbox", "connect_mailbox"),
                **chosen,
            )
        except mailboxes.MailboxRefused as error:
            raise CommandError(f"--{error.field.replace('_', '-')}: {error}") from error
        except ProviderError as error:
            raise CommandError(f"The provider gave no usable answer: {error}") from error
        self.stdout.write(
            f"{mailbox.address} is connected: {mailbox.mode}, {mailbox.transport}, undo {mailbox.undo_seconds} s, "
            f"expiry {mailbox.expiry_hours} h."
        )
