from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.record import Actor
from gateway import tokens
from gateway.models import Token


class Command(BaseCommand):
    help = "Revoke a token. Its next request is refused."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("token", help="the beginning that lists and pages show, such as cs_agent_Ab12Cd")

    def handle(self, *args: Any, token: str, **options: Any) -> None:
        # A whole secret is not asked for: it would stay in the history of the shell.
        found = list(Token.objects.filter(beginning=token.removesuffix("…"))[:2])
        if len(found) != 1:
            raise CommandError(f"{len(found) or 'No'} tokens begin like this; see /tokens/.")
        if not tokens.revoke(found[0], actor=Actor("operator_command", "revoke_token", "revoke_token")):
            raise CommandError(f"{found[0].name} was revoked before.")
        self.stdout.write(f"Revoked {found[0].kind} {found[0].name}.")
