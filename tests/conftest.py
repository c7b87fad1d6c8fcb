"""The ground all tests stand on: their own state, their own database, a real provider process.

The environment is set before the settings are read, so this happens while the module is imported and not in a
fixture.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import django
import hypothesis
import pytest
import redis
from django.conf import settings

if settings.configured:
    raise pytest.UsageError(
        "unset DJANGO_SETTINGS_MODULE: the tests must set the environment before the settings"
    )

# How fast examples are made says something about the machine and nothing about the desk.
hypothesis.settings.register_profile(
    "desk", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("desk")

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if not WORKER:
    os.environ["COUNTERSIGN_TEST_DIR"] = tempfile.mkdtemp(prefix="countersign-tests-")
TEST_DIR = Path(os.environ["COUNTERSIGN_TEST_DIR"])
VAR_DIR = TEST_DIR / (WORKER or "main")
VAR_DIR.mkdir(exist_ok=True)

# What the developer's shell says about a real provider or a real desk must never reach a test.
for name in [
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "BASE_URL",
    "NYLAS_API_URI",
    "NYLAS_API_KEY",
    "NYLAS_WEBHOOK_SECRET",
    "KILL_SWITCH_FILE",
    "LOCKS_DIR",
    "INSTANCE_FILE",
    "SPOOL_DIR",
    "FAILPOINT",
    "METRICS_TOKEN",
    "TRUSTED_PROXY_COUNT",
    "LOG_FORMAT",
]:
    os.environ.pop(name, None)
    os.environ.pop(f"{name}_FILE", None)
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "VAR_DIR": str(VAR_DIR),
    "PRODUCTION": "false",
    "SECRET_KEY": "only-for-tests-" + "0" * 50,
    "LOG_LEVEL": "WARNING",
    # A worker process of one test must not take the messages of another run.
    "REDIS_PREFIX": f"{TEST_DIR.name}-{WORKER or 'main'}",
    # Playwright runs an event loop in the thread of the test; Django would refuse the database there.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}

# pytest-django would set up later, but the modules below already import models.
django.setup()

pytest_plugins = ["tests.database", "tests.processes", "tests.availability"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    # A worker that inherits this would load the settings of this process before its own conftest has run.
    del os.environ["DJANGO_SETTINGS_MODULE"]


def forget_redis_keys() -> None:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as server:
        for key in server.scan_iter(match=f"{os.environ['REDIS_PREFIX']}*", count=1000):
            server.delete(key)


def pytest_unconfigure() -> None:
    if os.environ.get("REDIS_URL"):
        with contextlib.suppress(redis.RedisError):
            forget_redis_keys()
    if not WORKER:
        shutil.rmtree(TEST_DIR, ignore_errors=True)
