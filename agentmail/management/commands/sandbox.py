from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from agentmail.sandbox.program import add_arguments, run


class Command(BaseCommand):
    help = "Run the local mail provider for demonstrations and tests."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        store = next(action for action in parser._actions if action.dest == "store")
        store.required = False

    def handle(self, *args: Any, **options: Any) -> None:
        if options["store"] is None:
            options["store"] = Path(settings.VAR_DIR) / "sandbox" / "store.sqlite3"
        run(argparse.Namespace(**options))
