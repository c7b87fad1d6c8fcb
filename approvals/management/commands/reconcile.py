from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentmail.exceptions import ProviderError
from approvals import lookup, sweeps
from approvals.models import Send
from approvals.states import SendState


class Command(BaseCommand):
    help = "Look for evidence about every unknown send now, and finish what a crash left undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--due", action="store_true", help="only those whose next look-up is due")
        parser.add_argument(
            "--after-restore",
            action="store_true",
            help="look for mail that a restored database has forgotten, then allow sending from it again",
        )

    def handle(self, *args: Any, due: bool, after_restore: bool, **options: Any) -> None:
        if after_restore:
            self._after_restore()
        abandoned = sweeps.abandoned_sends()
        if due:
            found = sweeps.unknown_sends()
        else:
            unknown = Send.objects.filter(state=SendState.UNKNOWN).values_list("pk", flat=True)
            found = sum(lookup.look_up(send_id) for send_id in list(unknown))
        sweeps.unfinished_sends()
        left = Send.objects.filter(state=SendState.UNKNOWN).count()
        self.stdout.write(f"{abandoned} were abandoned by their worker, {found} found, {left} stay unknown.")

    def _after_restore(self) -> None:
        try:
            asked, found = lookup.after_restore()
        except ProviderError as error:
            raise CommandError(
                f"The provider gave no usable answer, so nothing is allowed yet: {error}"
            ) from error
        self.stdout.write(
            f"Asked after {asked} drafts: {found} had been sent. Sending from this database is allowed again; "
            "what is held stays held until somebody resumes it."
        )
