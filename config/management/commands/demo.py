import contextlib
import fcntl
import io
import os
import secrets
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config.processes import Program, Supervisor, die_with_parent

ROLES = {
    "reviewer": "reviewer",
    "reviewer2": "reviewer",
    "operator": "operator",
    "admin": "admin",
    "auditor": "auditor",
    "list_editor": "list_editor",
}
START_SECONDS = 60.0
MARK = "COUNTERSIGN_DEMO"
# A shell that is set up for a real desk must not turn the demo into one.
FOREIGN = [
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "BASE_URL",
    "NYLAS_API_URI",
    "NYLAS_API_KEY",
    "NYLAS_WEBHOOK_SECRET",
    "FAILPOINT",
    "EMAIL_HOST",
    "EMAIL_HOST_PASSWORD",
    "TRUSTED_PROXY_COUNT",
    "LOG_FORMAT",
    "STATIC_MANIFEST",
]


class Stopped(Exception):
    """Somebody asked the demo to end."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


class Command(BaseCommand):
    help = (
        "Run the whole desk with a sandbox provider and seeded mail in the foreground; Ctrl-C ends all of it."
    )
    requires_migrations_checks = False
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="where the site listens (default 8000)")
        parser.add_argument(
            "--sandbox-port", type=int, default=None, help="where the provider listens (default: port + 800)"
        )
        parser.add_argument(
            "--no-live", action="store_true", help="customers and the agent stay silent after the first mail"
        )
        parser.add_argument("--reset", action="store_true", help="forget the data of earlier runs and exit")
        parser.add_argument("--with-parent", action="store_true", help="end when the calling program ends")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["reset"]:
            self.reset()
            return
        if MARK not in os.environ:
            self.start_again(options)
        # Mail and passwords lie under VAR_DIR: for this user only.
        os.umask(0o077)
        if options["with_parent"]:
            die_with_parent(signal.SIGTERM)
        with only_one():
            self.refuse_foreign_state()
            self.run(options)

    def reset(self) -> None:
        with only_one():
            self.refuse_foreign_state()
            for entry in settings.VAR_DIR.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != "demo.lock":
                    entry.unlink()
        self.stdout.write(f"Forgot everything under {settings.VAR_DIR}")

    def start_again(self, options: dict[str, Any]) -> None:
        """Replace this process by one whose settings are the demo's."""
        port = options["port"]
        if not 1 <= port <= 65535:
            raise CommandError(
                f"{port} is no port: choose one from 1 to 65535, for example make demo PORT=8001"
            )
        if not is_free(port):
            raise CommandError(
                f"Port {port} is used by another program. "
                f"Choose another one: make demo PORT={min(port + 1, 65535)}"
            )
        sandbox_port = self.choose_sandbox_port(options["sandbox_port"], port)
        environment = {
            name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in FOREIGN
        }
        environment |= self.demo_environment(port, sandbox_port)
        arguments = [f"--port={port}", f"--sandbox-port={sandbox_port}"]
        arguments += ["--with-parent"] if options["with_parent"] else []
        arguments += ["--no-live"] if options["no_live"] else []
        self.stdout.flush()
        manage = str(settings.BASE_DIR / "manage.py")
        os.execve(sys.executable, [sys.executable, manage, "demo", *arguments], environment)

    def choose_sandbox_port(self, wanted: int | None, port: int) -> int:
        if wanted is not None:
            if wanted == port or not is_free(wanted):
                raise CommandError(f"Port {wanted} for the sandbox provider is used by another program")
            return wanted
        usual = port + 800
        if usual <= 65535 and is_free(usual):
            return usual
        other = any_free_port()
        self.stdout.write(f"Port {usual} is taken; the sandbox provider uses {other} instead")
        return other

    def demo_environment(self, port: int, sandbox_port: int) -> dict[str, str]:
        var = settings.VAR_DIR
        return {
            MARK: "1",
            "VAR_DIR": str(var),
            "PRODUCTION": "false",
            "BASE_URL": f"http://127.0.0.1:{port}",
            "NYLAS_API_URI": f"http://127.0.0.1:{sandbox_port}",
            "NYLAS_API_KEY": "sandbox-key",
            "NYLAS_WEBHOOK_SECRET_FILE": str(var / "webhook-secret"),
            "POLL_SECONDS": os.environ.get("POLL_SECONDS", "10"),
            "PYTHONUNBUFFERED": "1",
        }

    def refuse_foreign_state(self) -> None:
        if (settings.VAR_DIR / "countersign.sqlite3").exists() and not logins_file().exists():
            raise CommandError(
                f"{settings.VAR_DIR} holds a desk that the demo did not make. "
                "The demo does not touch it: set VAR_DIR to another directory."
            )

    def run(self, options: dict[str, Any]) -> None:
        var = settings.VAR_DIR
        supervisor = Supervisor(settings.BASE_DIR, os.environ, var / "logs")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop_running)
        try:
            passwords = kept_logins()
            supervisor.start(self.sandbox(options))
            call_command("migrate", verbosity=0, interactive=False)
            connections.close_all()
            supervisor.start(self.web(options["port"]))
            self.wait_for(f"{settings.NYLAS_API_URI}/v3/grants", supervisor)
            make_people(passwords)
            call_command("seed_demo", stdout=io.StringIO())
            self.wait_for(f"{settings.BASE_URL}/healthz", supervisor)
            call_command(
                "register_webhook",
                url=f"{settings.BASE_URL}/webhooks/nylas",
                write_secret=str(var / "webhook-secret"),
                stdout=io.StringIO(),
            )
            connections.close_all()
            supervisor.start(self.worker("worker", "celery"))
            supervisor.start(self.worker("webhooks", "webhooks"))
            supervisor.start(self.beat())
            self.wait_for(f"{settings.BASE_URL}{settings.LOGIN_REDIRECT_URL}", supervisor)
            self.announce(passwords)
            self.watch(supervisor)
        except Stopped:
            self.stdout.write("\nStopping")
        finally:
            connections.close_all()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda *ignored: supervisor.kill())
            supervisor.stop()
        self.stdout.write("Every process of the demo has ended. `make demo` goes on where you stopped.")

    def sandbox(self, options: dict[str, Any]) -> Program:
        return Program(
            "sandbox",
            [
                *manage("sandbox"),
                f"--port={options['sandbox_port']}",
                f"--store={settings.VAR_DIR / 'sandbox.sqlite3'}",
                f"--api-key={settings.NYLAS_API_KEY}",
                "--scenario=demo",
                "--no-live" if options["no_live"] else "--live",
            ],
        )

    def web(self, port: int) -> Program:
        return Program(
            "web",
            [
                sys.executable,
                "-m",
                "gunicorn",
                "config.wsgi",
                f"--bind=127.0.0.1:{port}",
                "--workers=1",
                "--threads=8",
                "--no-control-socket",
                f"--worker-tmp-dir={settings.VAR_DIR}",
            ],
        )

    def worker(self, name: str, queue: str) -> Program:
        flags = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
        command = [sys.executable, "-m", "celery", "--app=config", "worker", f"--queues={queue}"]
        return Program(name, [*command, *flags])

    def beat(self) -> Program:
        flags = ["--loglevel=WARNING", "--pidfile="]
        return Program("beat", [sys.executable, "-m", "celery", "--app=config", "beat", *flags])

    def wait_for(self, url: str, supervisor: Supervisor) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            self.check_alive(supervisor)
            if time.monotonic() > deadline:
                raise CommandError(
                    f"{url} did not answer within {START_SECONDS:.0f} s; see {supervisor.log_directory}"
                )
            time.sleep(0.05)

    def check_alive(self, supervisor: Supervisor) -> None:
        if dead := supervisor.first_dead():
            raise CommandError(
                f"The {dead} process ended by itself, so everything is stopped. "
                f"{last_lines(supervisor.log_path(dead))}"
            )

    def watch(self, supervisor: Supervisor) -> None:
        while True:
            self.check_alive(supervisor)
            time.sleep(0.5)

    def announce(self, passwords: dict[str, str]) -> None:
        var = settings.VAR_DIR
        lines = [
            "",
            f"Countersign runs at {settings.BASE_URL}/",
            "",
            *(f"  {name:<11} {password}" for name, password in passwords.items()),
            "",
            f"The sandbox provider is at {settings.NYLAS_API_URI} (docs/sandbox.md).",
            f"Logs are in {var / 'logs'}.",
            f"The file {settings.KILL_SWITCH_FILE} stops all sending while it exists.",
            f"Commands for this desk in another shell: set -a; . {environment_file()}; set +a",
            "Ctrl-C stops every process.",
        ]
        environment_file().write_text(
            "".join(
                f"{name}={os.environ[name]}\n" for name in sorted(self.demo_environment(0, 0)) if name != MARK
            )
        )
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def last_lines(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"Its log {log} cannot be read: {error.strerror}."
    return "\n".join([f"{log} ends with:", *lines[-15:]])


def stop_running(number: int, frame: FrameType | None) -> None:
    raise Stopped


def manage(command: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), command]


def logins_file() -> Path:
    return settings.VAR_DIR / "demo-logins"


def environment_file() -> Path:
    return settings.VAR_DIR / "demo.env"


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the demo's lock; it falls with the process. Raises CommandError while another demo runs here."""
    with (settings.VAR_DIR / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(
                f"A demo is already running on {settings.VAR_DIR}. "
                "Stop it first, or set VAR_DIR to another directory."
            ) from error
        yield


def kept_logins() -> dict[str, str]:
    """The passwords of the demo's people: each made once, kept in a file that only its owner can read."""
    file = logins_file()
    kept = {}
    if file.exists():
        kept = dict(line.split(maxsplit=1) for line in file.read_text().splitlines() if line.strip())
    logins = {name: kept.get(name) or secrets.token_urlsafe(12) for name in ROLES}
    if logins != kept:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            opened.writelines(f"{name} {password}\n" for name, password in logins.items())
    return logins


def make_people(passwords: dict[str, str]) -> None:
    known = set(get_user_model().objects.values_list("username", flat=True))
    for name, role in ROLES.items():
        if name in known:
            continue
        with replaced_input(passwords[name] + "\n"):
            call_command("create_user", name, role=role, stdout=io.StringIO())


@contextlib.contextmanager
def replaced_input(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before
