"""Browser and service tests: skipped by name where something lacks, an error where it was promised."""

import os
import shutil
from importlib.util import find_spec
from typing import Any

import psycopg
import pytest
import redis
from django.db import connection

BROWSER_REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def missing_for_browser() -> str:
    if find_spec("playwright") is None:
        return "needs playwright: make test-browser installs it"
    if CHROMIUM is None:
        return "needs a chromium on PATH"
    return ""


def require_services() -> None:
    if connection.vendor != "postgresql":
        raise pytest.UsageError("DATABASE_URL must be a postgres:// address")
    of_connection = connection.settings_dict
    try:
        psycopg.connect(
            host=of_connection["HOST"],
            port=of_connection["PORT"] or 5432,
            user=of_connection["USER"],
            password=of_connection["PASSWORD"],
            dbname="postgres",
            connect_timeout=5,
        ).close()
    except psycopg.OperationalError as error:
        raise pytest.UsageError(f"PostgreSQL of DATABASE_URL does not answer: {error}") from error
    try:
        with redis.Redis.from_url(os.environ.get("REDIS_URL", ""), socket_connect_timeout=5) as server:
            server.ping()
    except (redis.RedisError, ValueError) as error:
        raise pytest.UsageError(f"Redis of REDIS_URL does not answer: {error}") from error


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("REQUIRE_SERVICES") == "1":
        require_services()
    if BROWSER_REQUIRED and missing_for_browser():
        raise pytest.UsageError(f"the browser tests cannot run: {missing_for_browser()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    browser = missing_for_browser() or ("" if BROWSER_REQUIRED else "runs in make test-browser")
    for item in items:
        if item.get_closest_marker("browser") and browser:
            item.add_marker(pytest.mark.skip(reason=f"browser test: {browser}"))
        if item.get_closest_marker("postgresql") and connection.vendor != "postgresql":
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL: make test-services"))
        if item.get_closest_marker("sqlite") and connection.vendor != "sqlite":
            item.add_marker(pytest.mark.skip(reason="is about SQLite: make test"))
        if item.get_closest_marker("redis") and not os.environ.get("REDIS_URL"):
            item.add_marker(pytest.mark.skip(reason="needs Redis: make test-services"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = [report.nodeid for report in terminalreporter.getreports("skipped")]
    if skipped:
        terminalreporter.section("skipped, by name")
        for name in sorted(skipped):
            terminalreporter.line(name)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": CHROMIUM, "headless": True}


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "UTC"}
