from datetime import timedelta

import pytest
from django.test import Client

from approvals.models import Heartbeat
from audit.clock import database_now

pytestmark = pytest.mark.django_db


def report_worker(seconds_ago: float) -> None:
    Heartbeat.objects.create(
        kind="worker", name="worker@here", at=database_now() - timedelta(seconds=seconds_ago)
    )


def test_alive_needs_nothing(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"


def test_ready_when_database_and_worker_answer(client: Client) -> None:
    report_worker(seconds_ago=1)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True


def test_not_ready_without_a_worker_and_says_so(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "start the worker" in answer.json()["checks"]["worker"]["says"]


def test_not_ready_when_the_worker_went_silent(client: Client) -> None:
    report_worker(seconds_ago=600)
    assert client.get("/readyz").json()["checks"]["worker"]["ok"] is False


def test_numbers_are_given_to_this_machine(client: Client) -> None:
    page = client.get("/metrics").content.decode()
    assert 'countersign_drafts{state="pending"} 0.0' in page
    assert "countersign_worker_heartbeat_age_seconds -1.0" in page


def test_numbers_are_not_given_to_others(client: Client) -> None:
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.7").status_code == 404


def test_numbers_are_not_given_through_a_proxy_on_this_machine(client: Client) -> None:
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == 404


def test_a_token_opens_the_numbers_to_its_holder_only(client: Client, settings) -> None:
    settings.METRICS_TOKEN = "very-secret-token"
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer very-secret-token"}).status_code == 200
