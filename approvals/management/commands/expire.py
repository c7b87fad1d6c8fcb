from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import ngettext

from approvals import sweeps


class Command(BaseCommand):
    help = "Cancel the drafts and void the approvals whose time is over, now."

    def handle(self, *args: Any, **options: Any) -> None:
        voided = sweeps.run_out_approvals()
        expired = sweeps.expired_drafts()
        drafts = ngettext("%d draft expired", "%d drafts expired", expired) % expired
        approvals = ngettext("%d approval ran out", "%d approvals ran out", voided) % voided
        self.stdout.write(f"{drafts}, {approvals}.")
