"""Each class of reply of send-safety section 6 to its state, for both transports: H21 to H33 (I3, I4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail import replies
from agentmail.client import configured_client
from agentmail.models import Mailbox, RuleEvaluation
from agentmail.types import ReplyClass, SendReply
from approvals import dispatch, freshness, sweeps
from approvals.models import Attempt, Draft, FollowUp, Send
from approvals.transitions import sends
from audit.clock import database_now
from policies import switch
from tests.approvals.conftest import age, approve, claim_of, retry, sent


def api_error(error_type: str) -> dict[str, Any]:
    return {"request_id": "req-1", "error": {"type": error_type, "message": "No."}}


def answer(status: int, body: Any = None, **fields: Any) -> dict[str, Any]:
    return {"action": "reply", "options": {"status": status, "body": body or {}, **fields}}


# name: fault at the provider, state of the send, state of the attempt, class of the reply
UNKNOWN = ("unknown", "unknown", "ambiguous")
FAILED = ("failed", "refused", "refused")
BOTH: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "200_without_body": ({"action": "empty"}, UNKNOWN),
    "200_with_broken_json": ({"action": "wrong_json"}, UNKNOWN),
    "200_without_id": (answer(200, {"data": {}}), UNKNOWN),
    "200_cut_off": ({"action": "truncate"}, UNKNOWN),
    "202": (answer(202, {"request_id": "1", "data": {}}), UNKNOWN),
    "400": (answer(400, api_error("invalid_request_error")), FAILED),
    "400_of_a_proxy": (answer(400, "<h1>Bad request</h1>"), UNKNOWN),
    "401": (answer(401, api_error("unauthorized")), ("queued", "refused", "unauthenticated")),
    "402": (answer(402, api_error("provider_error")), UNKNOWN),
    "403": (answer(403, api_error("forbidden")), ("failed", "refused", "blocked")),
    "409_concurrent": (answer(409, api_error("api.concurrent_idempotent_request")), UNKNOWN),
    "409_payload": (
        answer(409, api_error("api.invalid_idempotent_request")),
        ("unknown", "unknown", "payload_mismatch"),
    ),
    "413": (answer(413, api_error("payload_too_large")), FAILED),
    "418": (answer(418, api_error("teapot")), UNKNOWN),
    "422": (answer(422, api_error("unprocessable")), FAILED),
    "429": (answer(429, api_error("rate_limit")), ("queued", "refused", "rate_limited")),
    "500": (answer(500), UNKNOWN),
    "502": (answer(502), UNKNOWN),
    "503": (answer(503), UNKNOWN),
    "504": (answer(504), UNKNOWN),
    "307": (answer(307, headers={"Location": "/v3/elsewhere"}), UNKNOWN),
    "reset_at_once": ({"action": "reset"}, UNKNOWN),
    "reset_before_the_body": ({"action": "reset", "options": {"after_bytes": 0}}, UNKNOWN),
    "reset_after_one_byte": ({"action": "reset", "options": {"after_bytes": 1}}, UNKNOWN),
    "reset_in_the_middle": ({"action": "reset", "options": {"after_bytes": "half"}}, UNKNOWN),
    "reset_after_all": ({"action": "reset", "options": {"after_bytes": "all"}}, UNKNOWN),
    "reset_after_accepting": ({"action": "reset", "when": "after"}, UNKNOWN),
    "502_after_accepting": (answer(502) | {"when": "after"}, UNKNOWN),
}
FROZEN_ONLY = {"404": (answer(404, api_error("not_found")), UNKNOWN)}
DRAFT_ONLY = {"404": (answer(404, api_error("not_found")), ("stopped", "refused", "gone"))}
CASES = [("frozen_message", name, *case) for name, case in (BOTH | FROZEN_ONLY).items()]
# The request that sends a draft has no body that could be cut.
CASES += [
    ("provider_draft", name, *case)
    for name, case in (BOTH | DRAFT_ONLY).items()
    if not name.startswith(("reset_after_one", "reset_in", "reset_before"))
]


@pytest.mark.parametrize(
    ("transport", "name", "fault", "expected"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
def test_reply_leads_to_its_state_after_exactly_one_post(
    pending: Draft,
    alice: User,
    mailbox: Mailbox,
    sandbox: Any,
    transport: str,
    name: str,
    fault: dict[str, Any],
    expected: tuple[str, str, str],
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(transport=transport)
    pending.refresh_from_db()
    sandbox.post("faults", route="send", **fault)

    send = sent(pending, alice)

    attempt = send.attempts.get()
    assert (send.state, attempt.state, attempt.reply_class) == expected
    assert send.ambiguous == (expected[0] == "unknown")
    assert len(sandbox.get("arrivals")["arrivals"]) == 1
    assert attempt.transport == transport
    if send.state == "unknown":
        assert send.next_lookup_at is not None
        assert dispatch.dispatch(send.pk) == "nothing"
        assert sweeps.due_sends() == []
        assert len(sandbox.get("arrivals")["arrivals"]) == 1


@pytest.mark.parametrize("transport", ["frozen_message", "provider_draft"])
def test_accepted_reply_keeps_what_the_provider_said(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, transport: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(transport=transport)
    pending.refresh_from_db()

    send = sent(pending, alice)

    (line,) = sandbox.sends()
    attempt = send.attempts.get()
    assert (send.state, attempt.state, attempt.reply_class) == ("accepted", "accepted", "accepted")
    assert (send.provider_message_id, send.provider_thread_id) == (line["message_id"], line["thread_id"])
    assert line["token"] == send.token
    assert send.evidence["source"] == "reply"
    assert attempt.provider_request_id
    assert send.draft_deleted_at is not None
    assert sandbox.get("state")["drafts"] == []


@pytest.mark.parametrize("transport", ["frozen_message", "provider_draft"])
def test_h21_silence_after_accepting_is_unknown(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, settings: Any, transport: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(transport=transport)
    pending.refresh_from_db()
    settings.SEND_READ_SECONDS = 1
    sandbox.post("faults", route="send", action="silence", when="after")

    send = sent(pending, alice)

    assert send.state == "unknown"
    assert len(sandbox.sends()) == 1


def test_refused_mail_opens_a_follow_up_with_the_providers_words(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send", **answer(400, api_error("invalid_request_error")))

    send = sent(pending, alice)

    follow_up = FollowUp.objects.get()
    assert (follow_up.send, follow_up.kind, follow_up.assigned_to) == (send, "failed", alice)
    assert "400" in send.stop_reason


def test_h29_mail_blocked_by_a_rule_shows_the_evaluation(pending: Draft, alice: User, sandbox: Any) -> None:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    customer = pending.current_revision.to[0]["email"]
    rule = {
        "name": "No customers",
        "trigger": "outbound",
        "match": {
            "operator": "all",
            "conditions": [{"field": "recipient.address", "operator": "is", "value": customer}],
        },
        "actions": [{"type": "block"}],
    }
    made = sandbox.session.post(f"{sandbox.url}/v3/rules", json=rule, headers=headers, timeout=10)
    assert made.ok, made.text
    rule_id = made.json()["data"]["id"]
    workspaces = sandbox.session.get(f"{sandbox.url}/v3/workspaces", headers=headers, timeout=10).json()
    for workspace in workspaces["data"]:
        address = f"{sandbox.url}/v3/workspaces/{workspace.get('workspace_id') or workspace['id']}"
        patched = sandbox.session.patch(address, json={"rule_ids": [rule_id]}, headers=headers, timeout=10)
        assert patched.ok, patched.text

    send = sent(pending, alice)

    assert send.state == "failed"
    assert sandbox.sends() == []
    assert [rule_id] in RuleEvaluation.objects.values_list("matched_rule_ids", flat=True)


@pytest.mark.parametrize("transport", ["frozen_message", "provider_draft"])
def test_h31_401_pauses_the_mailbox_and_keeps_the_send_until_it_is_resumed(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox, sandbox: Any, transport: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(transport=transport)
    pending.refresh_from_db()
    sandbox.post("faults", route="send", **answer(401, api_error("unauthorized")))

    send = sent(pending, alice)

    mailbox.refresh_from_db()
    assert (send.state, send.held, mailbox.grant_state) == ("queued", "blocked_grant", "invalid")
    assert retry(send) == "nothing"
    sweeps.poll_mailbox(mailbox.pk)
    mailbox.refresh_from_db()
    assert mailbox.grant_state == "valid"
    assert retry(send) == "nothing"
    sends.resume(send.pk, person=olga)
    assert retry(send) == "posted"
    assert send.state == "accepted"
    assert len(sandbox.sends()) == 1


@pytest.mark.row("000-24")
def test_h27_other_payload_under_the_same_key_stops_the_mailbox(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    sandbox.post("faults", route="send", **answer(409, api_error("api.invalid_idempotent_request")))

    send = sent(pending, alice)

    assert "another payload" in send.alarm
    assert not switch.read([mailbox.scope]).is_open


@pytest.mark.parametrize("retry_after", ["7", None], ids=["with_retry_after", "without"])
def test_h24_h25_rate_limited_sends_wait_and_take_a_new_key_each_time(
    pending: Draft, alice: User, sandbox: Any, retry_after: str | None
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    limited = answer(429, api_error("rate_limit"), headers=headers)
    sandbox.post("faults", route="send_message", times=5, **limited)
    before = database_now()

    send = sent(pending, alice)

    waits = (send.next_attempt_at - before).total_seconds()
    assert waits >= (7 if retry_after else 1)
    assert send.waiting_for
    assert dispatch.dispatch(send.pk) == "nothing"
    for _try in range(5):
        retry(send)
    keys = [arrival["idempotency_key"] for arrival in sandbox.get("arrivals")["arrivals"]]
    assert len(keys) == len(set(keys)) == 6
    assert send.state == "accepted"
    assert len(sandbox.sends()) == 1


def test_rate_limited_send_ends_with_its_approval(pending: Draft, alice: User, sandbox: Any) -> None:
    limited = answer(429, api_error("rate_limit"), headers={"Retry-After": "86400"})
    sandbox.post("faults", route="send_message", times=0, **limited)
    send = sent(pending, alice)
    age(send.decision, valid_until=timedelta(hours=1))

    assert sweeps.run_out_approvals() == 1

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state) == ("stopped", "pending")


def claimed(send: Send) -> Attempt:
    Send.objects.filter(pk=send.pk).update(next_attempt_at=send.queued_at)
    draft = Draft.objects.select_related("mailbox").get(pk=send.draft_id)
    look = freshness.look(draft, configured_client(), verify_attachments=True)
    claim = claim_of(send, look)
    assert isinstance(claim, sends.Claim)
    return claim.attempt


def test_unreachable_provider_is_tried_after_5_30_and_120_seconds_and_then_asks_a_person(
    pending: Draft, alice: User
) -> None:
    send = approve(pending, alice)
    waits = []
    for _try in range(3):
        attempt = claimed(send)
        before = database_now()
        sends.record_reply(attempt.pk, replies.not_started("Connection refused; nothing was sent."))
        send.refresh_from_db()
        assert send.state == "queued"
        waits.append((send.next_attempt_at - before).total_seconds())

    sends.record_reply(claimed(send).pk, replies.not_started("Connection refused; nothing was sent."))

    send.refresh_from_db()
    pending.refresh_from_db()
    assert all(planned <= wait < planned + 20 for wait, planned in zip(waits, [5, 30, 120], strict=True))
    assert (send.state, send.decision.void_reason, pending.state) == ("stopped", "unreachable", "pending")
    assert {attempt.state for attempt in send.attempts.all()} == {"not_started"}
    assert len({attempt.idempotency_key for attempt in send.attempts.all()}) == 1
    assert sent(pending, alice).state == "accepted"


def test_reply_that_comes_twice_is_written_once(pending: Draft, alice: User) -> None:
    attempt = claimed(approve(pending, alice))
    reply = SendReply(ReplyClass.REFUSED, "Refused.", status_code=400)

    sends.record_reply(attempt.pk, reply)
    sends.record_reply(attempt.pk, SendReply(ReplyClass.RATE_LIMITED, "Wait.", status_code=429))

    attempt.refresh_from_db()
    assert (attempt.reply_class, attempt.status_code) == ("refused", 400)
    assert Send.objects.get().state == "failed"


@pytest.mark.parametrize(
    "reply_class",
    [c for c in ReplyClass if c not in (ReplyClass.ACCEPTED, ReplyClass.AMBIGUOUS)],
)
def test_i4_no_reply_takes_a_send_out_of_unknown_but_an_acceptance(
    pending: Draft, alice: User, reply_class: ReplyClass
) -> None:
    attempt = claimed(approve(pending, alice))
    sends.record_reply(attempt.pk, SendReply(ReplyClass.AMBIGUOUS, "Timed out."))

    sends.record_reply(attempt.pk, SendReply(reply_class, "Says something definite."))

    send = Send.objects.get()
    assert (send.state, send.ambiguous, send.key_epoch) == ("unknown", True, 0)


@pytest.mark.row("000-22")
def test_payload_is_the_same_bytes_at_every_try(pending: Draft, alice: User, sandbox: Any) -> None:
    sandbox.post("faults", route="send_message", **answer(429, api_error("rate_limit")))

    send = sent(pending, alice)
    retry(send)

    lengths = {arrival["length"] for arrival in sandbox.get("arrivals")["arrivals"]}
    digests = {attempt.payload_sha256 for attempt in send.attempts.all()}
    assert len(lengths) == 1
    assert digests == {send.decision.content_sha256}
