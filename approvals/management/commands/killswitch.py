from __future__ import annotations

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import ngettext

from approvals import switchboard
from audit.record import Actor
from policies import switch


class Command(BaseCommand):
    help = "Stop all sending, allow it again, or say how it stands. Works while the site is down."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["engage", "release", "status"])
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--mailbox", help="the address or grant of one mailbox; without any of these, all sending"
        )
        which.add_argument("--workspace", help="the name of one workspace")
        which.add_argument("--agent", help="the id of one agent")
        which.add_argument("--domain", help="one domain that mail goes to, and the domains below it")
        parser.add_argument("--reason", default="", help="why; kept in the audit")

    def handle(self, *args: Any, action: str, reason: str, **options: Any) -> None:
        if action in ("engage", "release") and not reason.strip():
            raise CommandError(
                f"--reason is missing: say why, as in killswitch {action} --reason 'wrong prices'."
            )
        try:
            scope = _scope(options)
            {"engage": self._engage, "release": self._release, "status": self._status}[action](scope, reason)
        except DatabaseError as error:
            if action != "engage":
                raise CommandError(f"The database cannot be reached: {type(error).__name__}.") from error
            self._write_stop_file(reason)

    def _engage(self, scope: str, reason: str) -> None:
        given = switchboard.stop_as(_actor(), scope, reason=reason)
        self.stdout.write(f"Sending is stopped ({scope}) since {given.at:%Y-%m-%d %H:%M:%S} UTC.")
        held = ngettext("%d send is held.", "%d sends are held.", given.held) % given.held
        self.stdout.write(f"{held} Waited {given.waited_seconds:.2f} s for those under way.")
        for send in given.in_flight:
            self.stdout.write(f"still under way: draft {send.draft.public_id} of {send.mailbox.address}")
        if not given.is_drained and not given.in_flight:
            self.stdout.write("Whether anything is still under way could not be found out.")

    def _release(self, scope: str, reason: str) -> None:
        try:
            held = switchboard.release_as(_actor(), scope, reason=reason)
        except switchboard.SwitchRefused as error:
            raise CommandError(str(error)) from error
        stay = ngettext(
            "%d send stays held until somebody resumes it.",
            "%d sends stay held until somebody resumes them.",
            held,
        )
        self.stdout.write(f"Sending is allowed again ({scope}). {stay % held}")

    def _status(self, scope: str, reason: str) -> None:
        scopes = [switch.GLOBAL] if scope == switch.GLOBAL else [switch.GLOBAL, scope]
        reading = switch.read(scopes, is_preview=True)
        self.stdout.write("Sending is on." if reading.is_open else reading.sentence)
        if scope == switch.GLOBAL:
            for one in switchboard.stopped():
                if one.scope != switch.GLOBAL:
                    self.stdout.write(f"stopped, {one.words}: {one.reading.sentence}")

    def _write_stop_file(self, reason: str) -> None:
        path = Path(settings.KILL_SWITCH_FILE)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{reason}\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"Neither the database nor {path} can be written ({error.strerror}). Stop the workers."
            ) from error
        self.stdout.write(
            f"The database cannot be reached, so the stop file {path} was written: while it exists every send "
            "on this machine is refused. Remove it and use release when the database is back."
        )


def _scope(options: dict[str, Any]) -> str:
    for kind in ("mailbox", "workspace", "agent", "domain"):
        text = options.get(kind)
        if text is not None:
            try:
                return switchboard.named(kind, text)
            except switchboard.NoSuchScope as error:
                raise CommandError(f"--{kind}: {error}") from error
    return switch.GLOBAL


def _actor() -> Actor:
    return Actor("operator_command", "killswitch", getpass.getuser())
