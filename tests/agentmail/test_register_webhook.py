import io
import json
import stat

import pytest
from django.core.management import CommandError, call_command

from agentmail.management.commands.register_webhook import TRIGGER_TYPES

URL = "http://127.0.0.1:8000/webhooks/nylas"


@pytest.fixture
def provider(serve, settings):
    """A provider that keeps webhooks, as far as the command uses them."""

    def script(line):
        while (request := line.read_request()) is not None:
            line.answer(200, {"data": answer(request)})

    def answer(request):
        kept = server.webhooks
        content = json.loads(request.body) if request.body else {}
        if request.method == "GET":
            return [{**webhook, "webhook_secret": None} for webhook in kept]
        if "rotate-secret" in request.target:
            kept[0]["webhook_secret"] += "+"
            return kept[0]
        if request.method == "PUT":
            kept[0].update(content)
            return kept[0]
        kept.append({"id": f"w{len(kept)}", "status": "active", "webhook_secret": "s", **content})
        return kept[-1]

    server = serve(script)
    server.webhooks = []
    settings.NYLAS_API_URI = server.uri
    settings.NYLAS_API_KEY = "key"
    settings.NYLAS_WEBHOOK_SECRET = ""
    settings.NYLAS_WEBHOOK_SECRET_FILE = ""
    return server


def register(*arguments):
    out = io.StringIO()
    call_command("register_webhook", "--url", URL, *arguments, stdout=out)
    return out.getvalue()


def test_first_registration_writes_the_secret(provider, tmp_path):
    file = tmp_path / "deep" / "secret"

    register("--write-secret", str(file))

    assert file.read_text() == "s"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert provider.webhooks[0]["webhook_url"] == URL
    assert provider.webhooks[0]["trigger_types"] == TRIGGER_TYPES


def test_second_registration_changes_nothing(provider, tmp_path):
    file = tmp_path / "secret"
    register("--write-secret", str(file))

    said = register("--write-secret", str(file))

    assert "registered already" in said
    assert (len(provider.webhooks), file.read_text()) == (1, "s")


def test_rotation_keeps_the_secret_before(provider, tmp_path):
    file = tmp_path / "secret"
    register("--write-secret", str(file))

    register("--write-secret", str(file), "--rotate")
    register("--write-secret", str(file), "--rotate")

    assert file.read_text() == "s++,s+"


def test_unknown_secret_is_rotated(provider, tmp_path):
    register("--write-secret", str(tmp_path / "first"))

    register("--write-secret", str(tmp_path / "second"))

    assert (tmp_path / "second").read_text() == "s+"


def test_secret_goes_to_the_file_of_the_settings(provider, settings, tmp_path):
    settings.NYLAS_WEBHOOK_SECRET_FILE = str(tmp_path / "secret")

    said = register()

    assert (tmp_path / "secret").read_text() == "s"
    assert "NYLAS_WEBHOOK_SECRET=" not in said


def test_secret_without_a_file_is_printed(provider):
    assert "NYLAS_WEBHOOK_SECRET=s\n" in register()


def test_secret_of_the_environment_is_left_alone(provider, settings):
    register()
    settings.NYLAS_WEBHOOK_SECRET = "s"

    assert "stays as it is" in register()


def test_missing_triggers_and_a_pause_are_mended(provider, tmp_path):
    file = str(tmp_path / "secret")
    register("--write-secret", file)
    provider.webhooks[0].update(status="failed", trigger_types=["message.created", "thread.replied"])

    register("--write-secret", file)

    assert provider.webhooks[0]["status"] == "active"
    assert set(provider.webhooks[0]["trigger_types"]) == {*TRIGGER_TYPES, "thread.replied"}


@pytest.mark.parametrize(
    "url", ["desk.example", "ftp://desk.example/x", "http://desk.example/webhooks/nylas"]
)
def test_address_that_the_provider_cannot_use_is_refused(provider, url):
    with pytest.raises(CommandError, match="--url"):
        call_command("register_webhook", "--url", url)


def test_refusal_of_the_provider_is_told(serve, provider, settings):
    def refusing(line):
        line.read_request()
        line.answer(200, {"data": []})
        line.read_request()
        line.answer(
            400, {"request_id": "r1", "error": {"type": "70005", "message": "unable.verify.webhook_url"}}
        )

    settings.NYLAS_API_URI = serve(refusing).uri

    with pytest.raises(CommandError, match=r"70005 unable\.verify\.webhook_url"):
        register()


def test_missing_provider_is_told(provider, settings):
    settings.NYLAS_API_KEY = ""

    with pytest.raises(CommandError, match="NYLAS_API_KEY"):
        register()
