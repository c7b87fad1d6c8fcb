"""Runs inside the environment of `benchmarks.sends`: fills a desk, hands its approvals over, times both."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import requests  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

from agentmail.client import configured_client  # noqa: E402
from approvals import decisions, dispatch, intake, mailboxes  # noqa: E402
from approvals.models import Draft, Membership, Role, Send  # noqa: E402
from approvals.transitions.drafts import seen_of  # noqa: E402
from audit.record import SYSTEM  # noqa: E402
from policies import caps, mailbox_settings  # noqa: E402

session = requests.Session()
session.trust_env = False


def control(path: str, **fields: Any) -> Any:
    answer = session.post(f"{settings.NYLAS_API_URI}/_sandbox/{path}", json=fields or {}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def main(count: int, provider_ms: int) -> None:
    call_command("migrate", verbosity=0)
    grant = control("grants", email="support@desk.example")["grant"]["id"]
    client = configured_client()
    mailbox = mailboxes.connect(client, grant, actor=SYSTEM, undo_seconds=0)
    policy = caps.add_policy(actor=SYSTEM, name="Benchmark", hour_cap=100_000, day_cap=100_000)
    mailbox_settings.write(mailbox.pk, version=0, actor=SYSTEM, policy=policy)
    person = User.objects.create_user("bench")
    Membership.objects.create(user=person, role=Role.REVIEWER)
    for number in range(count):
        customer = {"email": f"person{number}@customers.example"}
        asked = control("customer", **{"from": customer}, subject="Hello", body="<p>Where is it?</p>")
        control(
            "agent/drafts",
            to=[customer],
            subject="Re: Hello",
            body="<p>On its way.</p>",
            reply_to_message_id=asked["message_id"],
        )
    intake.poll(mailbox, client)
    for draft in Draft.objects.select_related("mailbox", "current_revision"):
        revision = draft.current_revision
        if revision is None:
            raise RuntimeError("a draft without content")
        seen = seen_of(draft)
        decisions.approve(draft, person=person, seen=seen, form_id=None)
    for route in ("send_message", "get_thread"):
        control("faults", route=route, times=0, action="delay", options={"ms": provider_ms})
    ids = list(Send.objects.values_list("pk", flat=True))
    ours = [_timed(lambda send_id=send_id: dispatch.dispatch(send_id)) for send_id in ids]
    bare = [_timed(lambda number=number: _bare_pair(grant, number)) for number in range(count)]
    accepted = Send.objects.filter(state="accepted").count()
    sent = len(session.get(f"{settings.NYLAS_API_URI}/_sandbox/log", timeout=30).json()["sends"]) - count
    print(
        json.dumps(
            {
                f"sends a second, one sender, provider takes {provider_ms} ms a call": round(
                    count / sum(ours), 1
                ),
                "bare GET and POST pairs a second": round(count / sum(bare), 1),
                "ratio": round(sum(bare) / sum(ours), 2),
                "accepted here / at the provider": f"{accepted}/{sent}",
            }
        )
    )


def _bare_pair(grant: str, number: int) -> None:
    headers = {"Authorization": f"Bearer {settings.NYLAS_API_KEY}"}
    thread = Send.objects.values_list("thread_id", flat=True)[number]
    session.get(f"{settings.NYLAS_API_URI}/v3/grants/{grant}/threads/{thread}", headers=headers, timeout=30)
    body = {"to": [{"email": "bare@customers.example"}], "subject": "Bare", "body": "<p>Bare.</p>"}
    session.post(
        f"{settings.NYLAS_API_URI}/v3/grants/{grant}/messages/send", headers=headers, json=body, timeout=30
    ).raise_for_status()


def _timed(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
