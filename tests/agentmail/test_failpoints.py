import signal
import subprocess
import sys

import pytest

from agentmail import failpoints
from tests.agentmail.loopback import answering

WALK = "from agentmail import failpoints\nfor n in range(5):\n    failpoints.reach('C7')\n    print(n, flush=True)"
SEND = (
    "import sys\nfrom agentmail.client import NylasClient\n"
    "reply = NylasClient(sys.argv[1], 'k').send_message('g1', body=b'{}', content_type='application/json',"
    " idempotency_key='k1', attempt_id=1)\nprint(reply.reply_class)"
)


def run(program, failpoint, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"FAILPOINT": failpoint, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_nothing_happens_without_the_variable(monkeypatch):
    monkeypatch.delenv("FAILPOINT", raising=False)

    failpoints.reach("C7")

    assert not failpoints.is_armed()


def test_process_dies_at_the_named_pass():
    died = run(WALK, "C7:3")

    assert died.returncode == -signal.SIGKILL
    assert died.stdout.split() == ["0", "1"]


def test_another_failpoint_does_nothing():
    assert run(WALK, "C8:1").returncode == 0


@pytest.mark.parametrize("armed", ["C7", "C7:0", "C7:x", "C7:1:sleep", ":1"])
def test_unreadable_failpoint_is_an_error(monkeypatch, armed):
    monkeypatch.setenv("FAILPOINT", armed)

    with pytest.raises(ValueError, match="FAILPOINT"):
        failpoints.reach("C7")


def test_process_is_stopped_and_goes_on_when_continued():
    with subprocess.Popen(
        [sys.executable, "-c", WALK], env={"FAILPOINT": "C7:2:stop"}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "0\n"
        # It may not be stopped yet when the first signal comes.
        while process.poll() is None:
            process.send_signal(signal.SIGCONT)
        rest = process.stdout.read().split()

    assert rest == ["1", "2", "3", "4"]


@pytest.mark.parametrize("failpoint", ["C7:1", "C8:1"])
def test_sender_dies_after_the_request_was_written(serve, failpoint):
    server = serve(answering((200, {"data": {"id": "m1"}})))

    died = run(SEND, failpoint, server.uri)

    assert died.returncode == -signal.SIGKILL
    assert [request.body for request in server.requests] == [b"{}"]


def test_reads_do_not_pass_the_failpoints_of_a_send(serve):
    server = serve(answering((200, {"data": {"id": "g1"}})))
    program = (
        "import sys\nfrom agentmail.client import NylasClient\nNylasClient(sys.argv[1], 'k').get_grant('g1')"
    )

    assert run(program, "C7:1", server.uri).returncode == 0
