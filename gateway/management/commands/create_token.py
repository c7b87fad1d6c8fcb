from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from approvals import mailboxes
from audit.record import Actor
from gateway import tokens
from gateway.models import SCOPES_OF, Scope, TokenKind


class Command(BaseCommand):
    help = "Make a token for an agent or an operator's program. Its secret is printed once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the token is for, as the record names it")
        parser.add_argument("--kind", choices=TokenKind.values, default=TokenKind.AGENT)
        parser.add_argument("--owner", required=True, help="the person who answers for it, by sign-in name")
        parser.add_argument(
            "--mailbox", action="append", default=[], help="address or grant; may be repeated"
        )
        parser.add_argument("--scope", action="append", default=[], choices=Scope.values)
        parser.add_argument(
            "--test", action="store_true", help="works only while the provider is a sandbox on this machine"
        )
        parser.add_argument("--days", type=int, help="ends after so many days; without it, never")

    def handle(self, *args: Any, name: str, kind: str, owner: str, **options: Any) -> None:
        person = get_user_model().objects.filter(username=owner, is_active=True).first()
        if person is None:
            raise CommandError(f"--owner: there is no active person {owner}.")
        try:
            found = [mailboxes.named(text) for text in options["mailbox"]]
            made = tokens.make(
                kind=kind,
                name=name,
                owner=person,
                actor=Actor("operator_command", "create_token", "create_token"),
                scopes=options["scope"] or sorted(SCOPES_OF[TokenKind(kind)]),
                mailboxes=found,
                days=options["days"],
                is_test=options["test"],
            )
        except mailboxes.MailboxRefused as error:
            raise CommandError(f"--mailbox: {error}") from error
        except tokens.TokenRefused as error:
            raise CommandError(f"{error.field}: {error}") from error
        self.stdout.write(made.secret)
        self.stderr.write(
            f"Token {made.token.beginning}… for {kind} {made.token.name}. It is not shown again."
        )
