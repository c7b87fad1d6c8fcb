from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from approvals import sweeps


class Command(BaseCommand):
    help = "Cancel the drafts and void the approvals whose time is over, now."

    def handle(self, *args: Any, **options: Any) -> None:
        voided = sweeps.run_out_approvals()
        expired = sweeps.expired_drafts()
        self.stdout.write(f"{expired} drafts expired, {voided} approvals ran out.")
