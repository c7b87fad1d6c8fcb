import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from approvals.models import Heartbeat

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 60
FLAGS = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]


@pytest.mark.slow
def test_the_scheduler_wakes_the_worker_through_the_broker(process_environment: dict[str, str]) -> None:
    environment = {**process_environment, "SWEEP_SECONDS": "0.5"}
    celery = [sys.executable, "-m", "celery", "--app=config"]
    with (
        subprocess.Popen([*celery, "worker", *FLAGS], cwd=ROOT, env=environment) as worker,
        subprocess.Popen([*celery, "beat", "--pidfile="], cwd=ROOT, env=environment) as beat,
    ):
        deadline = time.monotonic() + LIMIT_SECONDS
        while not Heartbeat.objects.filter(kind="worker").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in (beat, worker):
            process.terminate()
        codes = [process.wait(LIMIT_SECONDS) for process in (beat, worker)]
    assert Heartbeat.objects.filter(kind="worker").exists()
    assert codes == [0, 0]
    connection.close()
