import io
import shutil

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.record import SYSTEM
from config.management.commands import doctor
from gateway.tasks import sweep_webhooks
from gateway.webhooks import endpoints
from tests.processes import Sandbox

pytestmark = pytest.mark.django_db


def said_by_doctor() -> str:
    output = io.StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("doctor", stdout=output)
    return f"{output.getvalue()}\n{refusal.value}"


def test_a_desk_without_a_provider_is_told_what_to_set() -> None:
    said = said_by_doctor()
    assert "WRONG provider    NYLAS_API_URI and NYLAS_API_KEY are not set" in said
    assert "ok    database" in said


def test_a_desk_without_a_worker_is_told_to_start_one() -> None:
    assert "start the worker and beat processes" in said_by_doctor()


def test_webhooks_without_a_worker_are_told_of_once_somebody_is_to_be_told(settings) -> None:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    before = doctor.check_webhooks_worker()
    endpoints.make(
        actor=SYSTEM, name="Shop", url="http://127.0.0.1:9/hook", types=["email.sent"], mailboxes=[]
    )

    check = doctor.check_webhooks_worker()

    assert before.is_well
    assert (check.is_well, "start the webhooks process" in check.says) == (False, True)


def test_a_worker_that_takes_webhooks_is_seen() -> None:
    sweep_webhooks()

    assert "last sign of life" in doctor.check_webhooks_worker().says


def test_the_provider_and_its_clock_are_asked(sandbox: Sandbox, connected_settings: object) -> None:
    assert doctor.check_provider().is_well
    assert doctor.check_clock().is_well


def test_a_wrong_key_is_reported(sandbox: Sandbox, connected_settings) -> None:
    connected_settings.NYLAS_API_KEY = "wrong"
    check = doctor.check_provider()
    assert (check.is_well, "Unauthenticated" in check.says) == (False, True)


def test_a_webhook_that_is_not_registered_is_reported_with_the_command(
    sandbox: Sandbox, connected_settings
) -> None:
    connected_settings.BASE_URL = "http://127.0.0.1:9"
    connected_settings.NYLAS_WEBHOOK_SECRET = "a-secret-of-the-provider"
    check = doctor.check_webhook()
    assert not check.is_well
    assert "register_webhook --url http://127.0.0.1:9/webhooks/nylas" in check.says


def test_a_provider_that_does_not_listen_is_reported(settings) -> None:
    settings.NYLAS_API_URI, settings.NYLAS_API_KEY = "http://127.0.0.1:9", "key"
    assert not doctor.check_provider().is_well
    assert not doctor.check_clock().is_well


def test_an_engaged_stop_file_is_reported(settings) -> None:
    settings.KILL_SWITCH_FILE.touch()
    try:
        check = doctor.check_switch()
    finally:
        settings.KILL_SWITCH_FILE.unlink()
    assert not check.is_well


def test_a_full_disk_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    assert "make room" in doctor.check_state_directory().says
