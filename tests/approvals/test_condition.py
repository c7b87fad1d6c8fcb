import http.server
import json
import os
import shutil
import socket
import sqlite3
import threading
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from agentmail.probe import Condition, Probe, probe
from approvals import condition
from approvals.condition import Standing


@pytest.fixture
def answering(settings):
    """Starts a provider that gives one answer to everything."""
    servers = []

    def start(status=200, body='{"data": []}', date=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response_only(status)
                self.send_header("Date", date or formatdate(time(), usegmt=True))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        settings.NYLAS_API_URI = f"http://127.0.0.1:{server.server_port}"
        settings.NYLAS_API_KEY = "a key"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent(settings):
    """A provider that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.NYLAS_API_URI = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings.NYLAS_API_KEY = "a key"
        yield


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, '{"data": []}', Condition.WELL),
        (200, "<html>Welcome</html>", Condition.FOREIGN),
        (200, json.dumps({"grants": []}), Condition.FOREIGN),
        (302, "", Condition.FOREIGN),
        (401, "{}", Condition.KEY_REFUSED),
        (429, "{}", Condition.BUSY),
        (503, "{}", Condition.FAILING),
    ],
)
def test_what_answers_at_the_providers_address_is_told_apart(answering, status, body, found):
    answering(status, body)

    assert probe(2).condition is found


def test_a_silent_provider_is_given_up_in_time(silent):
    assert probe(0.1).condition is Condition.SILENT


def test_without_an_address_no_provider_is_asked(settings):
    settings.NYLAS_API_URI = ""

    assert probe(2).condition is Condition.NOT_CONFIGURED


@pytest.mark.parametrize("reason", list(Condition))
def test_every_condition_of_the_provider_has_words_and_only_well_needs_no_advice(reason):
    finding = condition.provider(Probe(reason, 0.1, 401))

    assert finding.says
    assert bool(finding.advice) == (reason is not Condition.WELL)
    assert (finding.standing is Standing.WELL) == (reason is Condition.WELL)


def test_a_slow_provider_is_worth_a_look():
    assert condition.provider(Probe(Condition.WELL, 1.2, 200)).standing is Standing.LOOK


@pytest.mark.django_db
def test_a_clock_of_the_provider_that_is_hours_off_is_said(answering):
    answering(date=formatdate(time() - 26 * 3600, usegmt=True))

    finding = condition.clock(probe(2))

    assert finding.standing is Standing.LOOK
    assert "provider are 93" in finding.says


@pytest.mark.django_db
def test_clocks_that_agree_are_well(answering):
    answering()

    assert condition.clock(probe(2)).standing is Standing.WELL


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_a_write_is_well():
    assert condition.database().standing is Standing.WELL


@pytest.mark.django_db(transaction=True)
def test_a_database_that_somebody_keeps_is_said_to_be_locked():
    kept, done = threading.Event(), threading.Event()

    def keep():
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [condition.APPEND_LOCK])
            kept.set()
            done.wait(20)
        connection.close()

    keeper = threading.Thread(target=keep)
    keeper.start()
    kept.wait(20)
    finding = condition.database(0.1)
    done.set()
    keeper.join()

    assert finding.standing is Standing.LOOK
    assert "kept the database" in finding.says


@pytest.mark.django_db(transaction=True)
def test_a_database_that_can_only_be_read_is_said_to_be_so():
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        try:
            finding = condition.database()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = off")
    else:
        finding = _of_read_only_file()

    assert finding.standing is Standing.BAD
    assert "read and not written" in finding.says


def _of_read_only_file():
    name = connection.settings_dict["NAME"]
    path = Path(name).with_name("read-only.sqlite3")
    with sqlite3.connect(path) as link:
        link.execute("CREATE TABLE one (id)")
    link.close()
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        path.unlink()
        pytest.skip("this user may write every file, so none is read-only")
    connection.settings_dict["NAME"] = str(path)
    try:
        return condition.database(0.1)
    finally:
        connection.settings_dict["NAME"] = name
        path.unlink()


@pytest.mark.django_db
def test_tables_of_a_newer_version_are_noticed():
    MigrationRecorder(connection).record_applied("approvals", "0999_of_next_year")

    [finding] = condition.versions()

    assert finding.standing is Standing.BAD
    assert "newer version" in finding.says


@pytest.mark.django_db
def test_tables_of_an_older_version_are_noticed():
    MigrationRecorder(connection).record_unapplied("audit", "0002_refuse_changes")

    [finding] = condition.versions()

    assert "manage.py migrate" in finding.advice


def test_a_state_directory_that_cannot_be_used_is_said(settings, tmp_path):
    (tmp_path / "locks").write_text("a file where a directory should be")
    settings.LOCKS_DIR = tmp_path / "locks"

    assert condition.disk().standing is Standing.BAD


def test_a_full_disk_is_said(settings, tmp_path, monkeypatch):
    settings.LOCKS_DIR = tmp_path
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))

    finding = condition.disk()

    assert finding.standing is Standing.BAD
    assert "10 MB" in finding.says


def test_a_broker_that_is_gone_is_said_and_that_no_mail_is_lost(settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings.REDIS_URL = f"redis://127.0.0.1:{port}/5"

    finding = condition.broker(0.2)

    assert finding.standing is Standing.BAD
    assert "No mail is lost" in finding.advice


@pytest.mark.django_db(transaction=True)
def test_everything_is_asked_and_nothing_raises_when_the_provider_is_silent(silent):
    names = [finding.name for finding in condition.examine(0.2)]

    assert names == ["database", "versions", "disk", "broker", "provider", "clock"]
