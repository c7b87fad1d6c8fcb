import hmac
import ipaddress
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agentmail.models import EventState, ProviderEvent
from approvals.models import Draft, FollowUp, FollowUpState, Heartbeat, Send
from approvals.states import OPEN_DRAFT_STATES, SendState
from audit.clock import database_now
from policies import switch

HEARTBEAT_LIMIT_SECONDS = 90.0
QUEUE_LAG_LIMIT_SECONDS = 60.0
SHOWN_SEND_STATES = (SendState.QUEUED, SendState.DISPATCHED, SendState.UNKNOWN)


@dataclass(frozen=True)
class Check:
    name: str
    is_well: bool
    says: str


def check_database() -> Check:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        return Check("database", False, f"does not answer ({type(error).__name__})")
    return Check("database", True, f"{connection.vendor} answers")


def check_migrations() -> Check:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, MigrationSchemaMissing) as error:
        return Check("migrations", False, f"cannot be read ({type(error).__name__})")
    if missing:
        return Check("migrations", False, f"{len(missing)} not applied: run `manage.py migrate`")
    return Check("migrations", True, "all applied")


def heartbeat_age_seconds(now: datetime, kind: str = "worker") -> float | None:
    newest = Heartbeat.objects.filter(kind=kind).order_by("-at").values_list("at", flat=True).first()
    return None if newest is None else max(0.0, (now - newest).total_seconds())


def oldest_due_seconds(now: datetime) -> float:
    due = Send.objects.filter(state=SendState.QUEUED, held="", next_attempt_at__lte=now)
    oldest = due.aggregate(oldest=Min("next_attempt_at"))["oldest"]
    return 0.0 if oldest is None else (now - oldest).total_seconds()


def check_worker(now: datetime) -> Check:
    age = heartbeat_age_seconds(now)
    if age is None:
        return Check("worker", False, "no worker has reported yet: start the worker and beat processes")
    if age > HEARTBEAT_LIMIT_SECONDS:
        return Check(
            "worker", False, f"last sign of life {age:.0f} s ago: start the worker and beat processes"
        )
    return Check("worker", True, f"last sign of life {age:.0f} s ago")


def check_queue(now: datetime) -> Check:
    lag = oldest_due_seconds(now)
    if lag > QUEUE_LAG_LIMIT_SECONDS:
        return Check("queue", False, f"a send has been due for {lag:.0f} s")
    return Check("queue", True, f"oldest due send {lag:.0f} s")


def readiness() -> list[Check]:
    """Ask everything the desk needs to do its whole job; never raises for trouble of the database."""
    checks = [check_database()]
    if checks[0].is_well:
        checks.append(check_migrations())
    if all(check.is_well for check in checks):
        try:
            now = database_now()
            checks += [check_worker(now), check_queue(now)]
        except DatabaseError as error:
            checks.append(Check("database", False, f"stopped answering ({type(error).__name__})"))
    return checks


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    checks = readiness()
    is_ready = all(check.is_well for check in checks)
    answers = {check.name: {"ok": check.is_well, "says": check.says} for check in checks}
    return JsonResponse({"ready": is_ready, "checks": answers}, status=200 if is_ready else 503)


def may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode())
    # A proxy on this machine also connects from loopback; whatever it forwards is not local.
    if settings.TRUSTED_PROXY_COUNT or "X-Forwarded-For" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class DeskCollector(Collector):
    """The numbers of the desk, read from the database at each scrape: all processes give the same answer."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = database_now()
        yield labelled(
            "countersign_drafts", "Drafts that wait for somebody, by state", "state", draft_counts()
        )
        yield labelled("countersign_sends", "Sends that are not settled, by state", "state", send_counts())
        yield plain(
            "countersign_sends_held",
            "Queued sends that a person must resume",
            Send.objects.filter(state=SendState.QUEUED).exclude(held="").count(),
        )
        yield plain(
            "countersign_oldest_due_send_seconds",
            "How long the oldest due send has waited",
            oldest_due_seconds(now),
        )
        yield plain(
            "countersign_follow_ups_open",
            "Follow-ups that nobody has closed",
            FollowUp.objects.filter(state=FollowUpState.OPEN).count(),
        )
        yield labelled(
            "countersign_events_waiting",
            "Provider events that are stored and not yet worked on, by state",
            "state",
            event_counts(),
        )
        age = heartbeat_age_seconds(now)
        yield plain(
            "countersign_worker_heartbeat_age_seconds",
            "Seconds since a worker last gave a sign of life; -1 when none ever did",
            -1 if age is None else age,
        )
        yield plain(
            "countersign_sending_stopped",
            "1 while the kill switch for everything is engaged or cannot be read",
            int(not switch.read([switch.GLOBAL]).is_open),
        )
        yield plain(
            "countersign_disk_free_bytes",
            "Free space where the state is kept",
            shutil.disk_usage(settings.VAR_DIR).free,
        )


def plain(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, value=value)


def labelled(name: str, says: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def draft_counts() -> dict[str, int]:
    rows = Draft.objects.filter(state__in=OPEN_DRAFT_STATES).values_list("state").annotate(Count("id"))
    return {**dict.fromkeys((state.value for state in OPEN_DRAFT_STATES), 0), **dict(rows.order_by("state"))}


def send_counts() -> dict[str, int]:
    rows = Send.objects.filter(state__in=SHOWN_SEND_STATES).values_list("state").annotate(Count("id"))
    return {**dict.fromkeys((state.value for state in SHOWN_SEND_STATES), 0), **dict(rows.order_by("state"))}


def event_counts() -> dict[str, int]:
    waiting = (EventState.STORED, EventState.FAILING)
    rows = ProviderEvent.objects.filter(state__in=waiting).values_list("state").annotate(Count("id"))
    return {**dict.fromkeys((state.value for state in waiting), 0), **dict(rows.order_by("state"))}


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not may_read_metrics(request):
        return HttpResponseNotFound()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeskCollector())
    try:
        page = generate_latest(registry)
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse(page, content_type=CONTENT_TYPE_LATEST)
