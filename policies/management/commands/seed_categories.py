from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from audit.record import SYSTEM
from policies import categories


class Command(BaseCommand):
    help = "Add the shipped mail categories that are missing; none of them is automatic. What is there stays."

    def handle(self, *args: Any, **options: Any) -> None:
        added = categories.restore_shipped(actor=SYSTEM)
        for category in added:
            self.stdout.write(f"{category.key}: {category.name} ({category.tier})")
        self.stdout.write(f"{len(added)} added.")
