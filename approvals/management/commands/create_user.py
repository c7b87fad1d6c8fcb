from __future__ import annotations

import secrets
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from agentmail.models import Mailbox
from approvals import mailboxes
from approvals.models import Membership, Role
from audit.record import Actor, record


class Command(BaseCommand):
    help = (
        "Create a person with a role, or give a person another role. The password comes from standard input."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the name to sign in with")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument(
            "--mailbox",
            action="append",
            default=[],
            help="address or grant; may be repeated; none means all mailboxes",
        )
        parser.add_argument("--email", default="")
        parser.add_argument("--full-name", default="")

    def handle(self, *args: Any, name: str, role: str, mailbox: list[str], **options: Any) -> None:
        if role == Role.ADMIN and mailbox:
            raise CommandError("--mailbox: an admin is for all mailboxes; leave it out.")
        granted = [_mailbox(text) for text in mailbox]
        users = get_user_model()
        user = users.objects.filter(username=name).first()
        made = ""
        with transaction.atomic():
            if user is None:
                typed = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
                password = typed or secrets.token_urlsafe(12)
                made = "" if typed else password
                first, _, last = options["full_name"].partition(" ")
                user = users(username=name, email=options["email"], first_name=first, last_name=last)
                try:
                    validate_password(password, user)
                    user.set_password(password)
                    user.full_clean()
                except ValidationError as error:
                    raise CommandError("; ".join(error.messages)) from error
                user.save()
                action = "approvals.person.created"
            else:
                action = "approvals.person.changed"
            places: list[Mailbox | None] = [*granted] if granted else [None]
            for place in places:
                Membership.objects.get_or_create(user=user, role=role, mailbox=place)
            record(
                action,
                actor=Actor("operator_command", "create_user", "create_user"),
                data={"person": user.pk, "role": role, "mailboxes": [row.pk for row in granted]},
            )
        where = ", ".join(row.address for row in granted) or "all mailboxes"
        self.stdout.write(f"{name} is {role} on {where}.")
        if made:
            self.stdout.write(f"Password (shown this once): {made}")


def _mailbox(text: str) -> Mailbox:
    try:
        return mailboxes.named(text)
    except mailboxes.MailboxRefused as error:
        raise CommandError(f"--mailbox: {error}") from error
