from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentmail.client import NylasClient, configured_client
from agentmail.exceptions import ProviderError, ProviderNotConfigured
from agentmail.types import WebhookSnapshot
from agentmail.webhooks import webhook_secrets

TRIGGER_TYPES = [
    "grant.created",
    "grant.updated",
    "grant.deleted",
    "grant.expired",
    "message.created",
    "message.updated",
    "message.deleted",
    "message.send_success",
    "message.send_failed",
    "message.bounce_detected",
    "message.delivered",
    "message.bounced",
    "message.complaint",
    "message.rejected",
]
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


class Command(BaseCommand):
    help = (
        "Register this desk's webhook at the provider, or bring the registered one up to date. "
        "Running it again changes nothing that is right already."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", required=True, help="the public address, ending in /webhooks/nylas")
        parser.add_argument(
            "--write-secret",
            metavar="FILE",
            default="",
            help="keep the secret in this file (default: NYLAS_WEBHOOK_SECRET_FILE, else it is printed)",
        )
        parser.add_argument(
            "--rotate", action="store_true", help="ask for a new secret even if the present one is known"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        url = _checked_url(options["url"])
        file = options["write_secret"] or settings.NYLAS_WEBHOOK_SECRET_FILE
        target = Path(file) if file else None
        known = _read(target) if target else webhook_secrets()
        try:
            client = configured_client()
            webhook = next((found for found in client.list_webhooks() if found.url == url), None)
            if webhook is None:
                webhook = client.create_webhook(url, TRIGGER_TYPES, description="Countersign")
                self.stdout.write(f"Registered webhook {webhook.id}.")
                secret = webhook.secret or client.rotate_webhook_secret(webhook.id)
            else:
                self.update(client, webhook)
                if known and not options["rotate"]:
                    self.stdout.write("The secret is known and stays as it is.")
                    return
                secret = client.rotate_webhook_secret(webhook.id)
                self.stdout.write("The provider made a new secret; the old one is no longer used.")
        except ProviderNotConfigured as error:
            raise CommandError(str(error)) from error
        except ProviderError as error:
            raise CommandError(
                f"The provider did not do it: {error} {error.error_type} {error.error_message} "
                f"It calls {url} first, so the site must be running and reachable there."
            ) from error
        self.keep(secret, known, target)

    def update(self, client: NylasClient, webhook: WebhookSnapshot) -> None:
        missing = [name for name in TRIGGER_TYPES if name not in webhook.trigger_types]
        is_paused = webhook.status not in ("", "active")
        if not missing and not is_paused:
            self.stdout.write(f"Webhook {webhook.id} is registered already.")
            return
        client.update_webhook(
            webhook.id,
            trigger_types=[*webhook.trigger_types, *missing] if missing else None,
            status="active" if is_paused else None,
        )
        self.stdout.write(f"Webhook {webhook.id} was registered already and is now up to date.")

    def keep(self, secret: str, known: tuple[str, ...], target: Path | None) -> None:
        if target is None:
            self.stdout.write(f"NYLAS_WEBHOOK_SECRET={secret}")
            self.stdout.write("Set it in the environment of the site: it is not shown again.")
            return
        # The one before stays valid for notifications that are under way.
        valid = [secret, *(other for other in known if other != secret)][:2]
        try:
            _write(target, ",".join(valid))
        except OSError as error:
            raise CommandError(
                f"The secret could not be written to {target} ({error.strerror}). "
                "Make the file writable and run this again with --rotate."
            ) from error
        self.stdout.write(f"The secret is in {target}.")


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError("--url must look like https://desk.example/webhooks/nylas")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise CommandError("--url must begin with https://; http is accepted for this machine only")
    return url


def _read(file: Path) -> tuple[str, ...]:
    try:
        return tuple(
            secret for secret in file.read_text(encoding="utf-8").replace(",", " ").split() if secret
        )
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error


def _write(file: Path, content: str) -> None:
    # Put in place whole, so that a site reading it meanwhile sees the old or the new secrets.
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        os.replace(temporary, file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
