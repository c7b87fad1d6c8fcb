import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.processes import ROOT

from .conftest import Desk, Program


def test_first_line_names_the_address_and_requests_are_answered(program: Program) -> None:
    url = program.start()

    assert url.startswith("http://127.0.0.1:")
    assert program.get("/_sandbox/health")["ok"] is True


def test_mail_and_logs_outlive_the_process(program: Program) -> None:
    url = program.start()
    requests.post(f"{url}/_sandbox/reset", json={"grants": [{"email": "a@lindenhof.example"}]}, timeout=10)
    requests.post(f"{url}/_sandbox/customer", json={"subject": "Stays"}, timeout=10)
    requests.post(
        f"{url}/_sandbox/mail-client", json={"to": [{"email": "x@example.net"}], "body": "Sent"}, timeout=10
    )

    assert program.stop() == 0
    program.start()

    state = program.get("/_sandbox/state")
    assert [message["subject"] for message in state["messages"]] == ["Stays", ""]
    assert [line["by"] for line in program.get("/_sandbox/log")["sends"]] == ["mail_client"]


def test_keys_and_planned_reports_outlive_the_process(program: Program) -> None:
    program.start()
    [grant] = program.control("POST", "reset", grants=[{"email": "a@lindenhof.example"}])["grants"]
    program.control("PATCH", "switches", delivery_seconds=1.0)

    def send() -> requests.Response:
        return requests.post(
            f"{program.url}/v3/grants/{grant['id']}/messages/send",
            data=b'{"to":[{"email":"x@example.net"}],"body":"Once"}',
            headers={
                "Authorization": "Bearer any",
                "Content-Type": "application/json",
                "Idempotency-Key": "k",
            },
            timeout=10,
        )

    first = send()
    program.stop()
    program.start()
    again = send()

    assert (again.content, again.headers["Idempotent-Response"]) == (first.content, "true")
    assert program.get("/_sandbox/idle")["idle"] is True
    types = [event["type"] for event in program.get("/_sandbox/events")["events"]]
    assert types == ["message.delivered"]


def test_log_with_a_torn_last_line_is_read_up_to_it(program: Program) -> None:
    log = program.store.with_name(program.store.name + ".sends.jsonl")
    log.write_text('{"n":1,"body":"whole"}\n{"n":2,"bo')

    program.start()

    assert program.get("/_sandbox/log")["sends"] == [{"n": 1, "body": "whole"}]


def test_log_holds_the_send_although_the_process_is_killed(program: Program) -> None:
    url = program.start()
    reset = {"grants": [{"email": "a@lindenhof.example"}]}
    requests.post(f"{url}/_sandbox/reset", json=reset, timeout=10)
    requests.post(
        f"{url}/_sandbox/mail-client", json={"to": [{"email": "x@example.net"}], "body": "Sent"}, timeout=10
    )
    assert program.process is not None

    program.process.send_signal(signal.SIGKILL)
    program.process.wait(10)

    log = program.store.with_name(program.store.name + ".sends.jsonl")
    assert [json.loads(line)["body"] for line in log.read_text().splitlines()] == ["Sent"]


def test_client_killed_in_mid_request_leaves_nothing(desk: Desk) -> None:
    script = (
        "import socket, sys, time\n"
        "connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "connection.sendall(sys.argv[3].encode())\n"
        "print('sent', flush=True)\n"
        "time.sleep(60)\n"
    )
    host, port = desk.sandbox.url.removeprefix("http://").split(":")
    head = (
        f"POST /v3/grants/{desk.grant_id}/messages/send HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {desk.sandbox.api_key}\r\nContent-Length: 1000\r\n\r\n"
        '{"to":[{"email":"a@example.net"}]'
    )
    with subprocess.Popen([sys.executable, "-c", script, host, port, head], stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        client.kill()

    assert desk.send().status_code == 200
    assert len(desk.log()) == 1


def test_the_command_of_the_site_takes_the_same_options(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "agentmail.sandbox", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    command = subprocess.run(
        [sys.executable, "manage.py", "sandbox", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    for option in ("--host", "--port", "--store", "--seed", "--scenario", "--api-key", "--sends-per-second"):
        assert option in answer.stdout
        assert option in command.stdout


def test_only_the_given_key_is_taken(program: Program) -> None:
    url = program.start("--api-key=right")

    statuses = [
        requests.get(f"{url}/v3/grants", headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code
        for key in ("right", "wrong")
    ]

    assert statuses == [200, 401]


def test_pages_of_a_browser_cannot_control_the_sandbox(desk: Desk) -> None:
    url = f"{desk.sandbox.url}/_sandbox/health"

    of_page = requests.get(url, headers={"Origin": "https://elsewhere.example"}, timeout=10)
    of_rebound_name = requests.get(url, headers={"Host": "elsewhere.example"}, timeout=10)

    assert (of_page.status_code, of_rebound_name.status_code) == (403, 403)


def test_end_comes_at_once_although_a_request_is_kept_silent(program: Program) -> None:
    url = program.start()
    program.control("POST", "faults", route="list_grants", action="silence")
    with pytest.raises(requests.Timeout):
        requests.get(f"{url}/v3/grants", headers={"Authorization": "Bearer any"}, timeout=0.2)
    with ThreadPoolExecutor(1) as pool:
        program.control("POST", "faults", route="list_grants", action="silence")
        waiting = pool.submit(
            requests.get, f"{url}/v3/grants", headers={"Authorization": "Bearer any"}, timeout=30
        )
        while not all(fault["fired"] for fault in program.get("/_sandbox/faults")["faults"]):
            time.sleep(0.02)

        assert program.stop() == 0
        assert isinstance(waiting.exception(), requests.ConnectionError)
