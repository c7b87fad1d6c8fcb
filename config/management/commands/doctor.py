import shutil
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from agentmail.client import configured_client
from agentmail.exceptions import ProviderError, ProviderNotConfigured
from agentmail.webhooks import webhook_secrets
from approvals import switchboard
from approvals.models import Membership
from audit.clock import database_now
from config.celery import app
from config.health import (
    HEARTBEAT_LIMIT_SECONDS,
    Check,
    check_database,
    check_migrations,
    check_queue,
    check_worker,
    heartbeat_age_seconds,
)
from gateway.models import WebhookEndpoint
from policies import switch
from policies.models import Channel

CLOCK_LIMIT_SECONDS = 5.0
DISK_LIMIT_BYTES = 500 * 1024 * 1024
ASK_SECONDS = 10.0


def check_settings() -> Check:
    missing = []
    if not settings.BASE_URL:
        missing.append("BASE_URL: the provider needs it to reach /webhooks/nylas")
    if not settings.PRODUCTION and settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        missing.append("PRODUCTION is off although the database is a server: unsafe settings go unnoticed")
    if settings.PRODUCTION and not settings.REDIS_URL:
        missing.append("REDIS_URL: without it sign-in limits count per process, and nudges go through files")
    if missing:
        return Check("settings", False, "; ".join(missing))
    return Check("settings", True, "production" if settings.PRODUCTION else "local use")


def check_state_directory() -> Check:
    probe = settings.LOCKS_DIR / "doctor"
    try:
        settings.LOCKS_DIR.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
        free = shutil.disk_usage(settings.VAR_DIR).free
    except OSError as error:
        return Check(
            "disk", False, f"{settings.VAR_DIR} cannot be written ({error.strerror}): give it to this user"
        )
    if free < DISK_LIMIT_BYTES:
        return Check(
            "disk",
            False,
            f"{free // 1024**2} MiB free, less than 500: make room before the database fills it",
        )
    return Check("disk", True, f"{free // 1024**2} MiB free")


def check_broker() -> Check:
    name = urlsplit(settings.CELERY_BROKER_URL).scheme
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except (OperationalError, OSError) as error:
        return Check(
            "broker", False, f"{name} does not answer ({type(error).__name__}): mail waits for the sweep"
        )
    return Check("broker", True, f"{name} answers")


def check_provider() -> Check:
    try:
        grants = list(configured_client().list_grants())
    except ProviderNotConfigured:
        return Check(
            "provider", False, "NYLAS_API_URI and NYLAS_API_KEY are not set: nothing can be fetched or sent"
        )
    except ProviderError as error:
        return Check(
            "provider",
            False,
            f"{settings.NYLAS_API_URI} does not serve us ({type(error).__name__}): nothing is sent until it does; "
            "see whether it can be reached from here and NYLAS_API_KEY is valid",
        )
    return Check("provider", True, f"{settings.NYLAS_API_URI} answers, {len(grants)} grants")


def check_webhook() -> Check:
    if not settings.NYLAS_API_URI or not settings.NYLAS_API_KEY:
        return Check("webhook", False, "no provider")
    if not webhook_secrets():
        return Check(
            "webhook", False, "no secret: run `manage.py register_webhook`, then set NYLAS_WEBHOOK_SECRET"
        )
    wanted = f"{settings.BASE_URL}/webhooks/nylas"
    try:
        found = [webhook for webhook in configured_client().list_webhooks() if webhook.url == wanted]
    except ProviderError as error:
        return Check("webhook", False, f"cannot be asked for ({type(error).__name__})")
    if not found:
        return Check(
            "webhook", False, f"{wanted} is not registered: run `manage.py register_webhook --url {wanted}`"
        )
    broken = [webhook.status for webhook in found if webhook.status != "active"]
    if broken:
        return Check("webhook", False, f"{wanted} is {broken[0]} at the provider: activate it there")
    return Check("webhook", True, f"{wanted} is registered and active")


def check_clock() -> Check:
    try:
        database_apart = abs(database_now().timestamp() - time.time())
    except DatabaseError as error:
        return Check("clock", False, f"the database does not answer ({type(error).__name__})")
    if database_apart > CLOCK_LIMIT_SECONDS:
        return Check(
            "clock", False, f"this machine and the database are {database_apart:.0f} s apart: set the clocks"
        )
    if not settings.NYLAS_API_URI:
        return Check(
            "clock", True, f"{database_apart:.1f} s apart from the database; no provider to compare with"
        )
    try:
        answer = requests.head(settings.NYLAS_API_URI, timeout=ASK_SECONDS, allow_redirects=False)
        provider_at = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except requests.RequestException as error:
        return Check("clock", False, f"the provider does not answer ({type(error).__name__})")
    except (KeyError, ValueError):
        return Check("clock", False, "the provider's answer has no usable Date header")
    # The header has whole seconds.
    provider_apart = max(0.0, abs(provider_at + 0.5 - time.time()) - 0.5)
    if provider_apart > CLOCK_LIMIT_SECONDS:
        return Check(
            "clock", False, f"this machine and the provider are {provider_apart:.0f} s apart: set the clock"
        )
    return Check(
        "clock", True, f"{database_apart:.1f} s from the database, {provider_apart:.1f} s from the provider"
    )


def check_webhooks_worker() -> Check:
    age = heartbeat_age_seconds(database_now(), "webhooks")
    if age is not None and age <= HEARTBEAT_LIMIT_SECONDS:
        return Check("webhooks", True, f"last sign of life of their worker {age:.0f} s ago")
    told = (WebhookEndpoint.objects.filter(is_enabled=True), Channel.objects.all(), Membership.objects.all())
    if not any(rows.exists() for rows in told):
        return Check("webhooks", True, "nobody is to be told anything")
    seen = "never reported" if age is None else f"gave its last sign of life {age:.0f} s ago"
    return Check("webhooks", False, f"their worker {seen}, so nobody is told: start the webhooks process")


def check_switch() -> Check:
    reading = switch.read([switch.GLOBAL])
    if not reading.is_open:
        return Check("sending", False, f"stopped: {reading.sentence}")
    stopped = [
        f"{one.words}: {one.reading.sentence}" for one in switchboard.stopped() if one.scope != switch.GLOBAL
    ]
    if stopped:
        return Check("sending", False, "; ".join(stopped))
    return Check("sending", True, "not stopped")


BEFORE_DATABASE: list[Callable[[], Check]] = [check_settings, check_state_directory, check_database]
WITH_DATABASE: list[Callable[[], Check]] = [check_migrations]
WITH_TABLES: list[Callable[[], Check]] = [
    lambda: check_worker(database_now()),
    lambda: check_queue(database_now()),
    check_webhooks_worker,
    check_switch,
]
AFTERWARDS: list[Callable[[], Check]] = [check_broker, check_provider, check_webhook, check_clock]


def examine() -> Iterator[Check]:
    """Ask every check in order; those that need the database are left out when it does not answer."""
    is_well = True
    for ask in BEFORE_DATABASE:
        check = ask()
        is_well = is_well and (check.is_well or check.name != "database")
        yield check
    for group in (WITH_DATABASE, WITH_TABLES):
        for ask in group if is_well else []:
            check = ask()
            is_well = is_well and (check.is_well or check.name != "migrations")
            yield check
    for ask in AFTERWARDS:
        yield ask()


class Command(BaseCommand):
    help = "Check settings, database, broker, provider, webhook, clock and disk, and say what to do."
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        failed = []
        for check in examine():
            self.stdout.write(f"{'ok   ' if check.is_well else 'WRONG'} {check.name:<11} {check.says}")
            if not check.is_well:
                failed.append(check.name)
        if failed:
            raise CommandError("not well: " + ", ".join(failed))
        self.stdout.write("All is well.")
