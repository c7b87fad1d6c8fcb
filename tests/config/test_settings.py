import re
import runpy
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "PRODUCTION": "true",
    "SECRET_KEY": "k" * 64,
    "ALLOWED_HOSTS": "desk.example",
    "BASE_URL": "https://desk.example",
}
Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Read the settings file anew with only the given variables set."""
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "PRODUCTION", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))

    def load_with(**variables: str) -> dict[str, Any]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "config/settings.py"))

    return load_with


def test_without_any_variable_the_desk_is_local_and_safe(load: Load, tmp_path: Path) -> None:
    settings = load()
    assert settings["DEBUG"] is False
    assert settings["PRODUCTION"] is False
    assert settings["DATABASES"]["default"]["NAME"] == str(tmp_path / "countersign.sqlite3")
    assert settings["NYLAS_API_KEY"] == ""


def test_the_local_key_is_made_once_and_only_its_owner_reads_it(load: Load, tmp_path: Path) -> None:
    first = load()["SECRET_KEY"]
    assert load()["SECRET_KEY"] == first
    assert len(first) >= 50
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600


def test_complete_production_settings_are_accepted(load: Load) -> None:
    settings = load(**SAFE)
    assert settings["SESSION_COOKIE_NAME"].startswith("__Host-")
    assert settings["SECURE_HSTS_SECONDS"] == 31536000


def test_a_server_database_means_production(load: Load) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY.*ALLOWED_HOSTS.*BASE_URL"):
        load(DATABASE_URL="postgres://desk@db.example/desk")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("BASE_URL", ""),
        ("BASE_URL", "http://desk.example"),
        ("DEBUG", "true"),
        ("FAILPOINT", "C7:1"),
        ("NYLAS_API_URI", "http://provider.example"),
    ],
)
def test_production_refuses_an_unsafe_value_by_name(load: Load, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        load(**{**SAFE, name: value})


def test_production_on_this_machine_may_do_without_https(load: Load) -> None:
    settings = load(**{**SAFE, "BASE_URL": "http://127.0.0.1:8000"})
    assert settings["SESSION_COOKIE_SECURE"] is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "maybe"),
        ("PRODUCTION", "sometimes"),
        ("SEND_READ_SECONDS", "fast"),
        ("SEND_READ_SECONDS", "-1"),
        ("SEND_FENCE_SECONDS", "10"),
        ("LOOKUP_SECONDS", "30,20"),
        ("LOOKUP_SECONDS", "soon"),
        ("LOG_FORMAT", "xml"),
        ("TRUSTED_PROXY_COUNT", "many"),
        ("DATABASE_URL", "mysql://desk@db.example/desk"),
        ("REDIS_URL", "amqp://localhost"),
        ("BASE_URL", "desk.example"),
        ("NYLAS_API_URI", "api.us.nylas.com"),
        ("SECRET_KEY_FILE", "/does/not/exist"),
        ("SMTP_PORT", "0"),
        ("SMTP_KEY_FILE", "/run/secrets/key.pem"),
    ],
)
def test_a_value_that_makes_no_sense_stops_the_start_and_is_named(load: Load, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        load(**{name: value})


def test_a_secret_can_come_from_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n")
    assert load(NYLAS_API_KEY_FILE=str(tmp_path / "key"))["NYLAS_API_KEY"] == "from-the-file"


def test_a_secret_given_twice_stops_the_start(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file")
    with pytest.raises(ImproperlyConfigured, match="NYLAS_API_KEY and NYLAS_API_KEY_FILE"):
        load(NYLAS_API_KEY="direct", NYLAS_API_KEY_FILE=str(tmp_path / "key"))


def test_a_password_in_a_bad_database_address_is_not_repeated(load: Load) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(DATABASE_URL="nonsense://desk:hunter2hunter2@db.example/desk")
    assert "hunter2" not in str(refusal.value)


def test_sqlite_commits_survive_a_power_cut_and_no_memory_map_is_used(load: Load) -> None:
    command = load()["DATABASES"]["default"]["OPTIONS"]["init_command"]
    assert "synchronous=FULL" in command
    assert "mmap_size" not in command


def test_every_variable_that_is_read_is_documented_and_the_other_way_round() -> None:
    source = (ROOT / "config/settings.py").read_text()
    read = set(re.findall(r'environment\.\w+\(\s*"([A-Z_]+)"', source))
    page = (ROOT / "docs/configuration.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    assert read - {"NYLAS_WEBHOOK_SECRET_FILE"} == documented
