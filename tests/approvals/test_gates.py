"""The gate chain: one order, each gate alone, in the preview and in the claim by the same code (I6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import decisions, dispatch, freshness, gates, mailboxes, sweeps, switchboard
from approvals.gates import Consequence, Standing
from approvals.models import Draft, Membership, Role
from approvals.transitions import sends
from approvals.transitions.drafts import GateRefused
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import switch
from policies.models import Switch
from tests.approvals.conftest import actions, approve, claim_of, person, retry, seen, sent


@pytest.mark.row("000-34", "K2")
def test_gates_are_asked_in_this_order() -> None:
    assert [name for name, _gate in gates.GATES] == [
        "switch",
        "restore",
        "grant",
        "mailbox",
        "mode",
        "decision",
        "recipients",
        "content",
        "rules",
        "tier",
        "thread",
        "fresh",
        "caps",
        "dry_run",
    ]


def preview(draft: Draft) -> dict[str, gates.Verdict]:
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft.pk)
    look = freshness.look(draft, configured_client(), verify_attachments=False)
    facts = gates.facts_about(draft, draft.current_revision, now=database_now(), look=look)
    return {verdict.gate: verdict for verdict in gates.evaluate(facts)}


def test_preview_of_a_healthy_draft_waits_for_a_person_only(pending: Draft) -> None:
    standings = {name: verdict.standing for name, verdict in preview(pending).items()}

    assert standings.pop("decision") is Standing.OPEN
    # The customer is on no list of a fresh desk; an approval answers that.
    assert standings.pop("recipients") is Standing.OPEN
    assert set(standings.values()) == {Standing.PASSED}


def test_open_gate_does_not_pass(pending: Draft) -> None:
    assert not gates.may_leave(list(preview(pending).values()))


@pytest.mark.row("K30")
def test_gates_behind_a_refusal_are_asked_too(pending: Draft, mailbox: Mailbox) -> None:
    mailboxes.pause(mailbox.pk)
    Mailbox.objects.filter(pk=mailbox.pk).update(is_enabled=False)

    refused = [name for name, verdict in preview(pending).items() if verdict.standing is Standing.REFUSED]

    assert refused == ["grant", "mailbox"]


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"grant_state": "invalid"}, "grant"),
        ({"grant_state": "removed"}, "grant"),
        ({"is_enabled": False}, "mailbox"),
    ],
    ids=["h31_grant_revoked", "h60_grant_removed", "h60_mailbox_disabled"],
)
def test_mailbox_that_closes_between_approval_and_dispatch_holds_the_send(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox, sandbox: Any, change: dict[str, Any], gate: str
) -> None:
    before = {name: getattr(mailbox, name) for name in change}
    send = approve(pending, alice)
    Mailbox.objects.filter(pk=mailbox.pk).update(**change)

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    assert (send.state, send.held) == ("queued", "blocked_grant")
    assert Entry.objects.filter(action="approvals.send.held", send_id=send.pk).exists()
    assert sandbox.sends() == []
    Mailbox.objects.filter(pk=mailbox.pk).update(**before)
    assert retry(send) == "nothing"
    sends.resume(send.pk, person=olga)
    assert retry(send) == "posted"
    assert "approvals.send.resumed" in actions(pending)


def test_resumed_send_is_held_again_while_the_gate_is_shut(
    pending: Draft, alice: User, olga: User, mailbox: Mailbox
) -> None:
    send = approve(pending, alice)
    Mailbox.objects.filter(pk=mailbox.pk).update(is_enabled=False)
    dispatch.dispatch(send.pk)
    sends.resume(send.pk, person=olga)

    assert retry(send) == "refused"

    assert (send.state, send.held) == ("queued", "blocked_grant")


def test_grant_that_the_provider_revoked_is_seen_at_the_last_look_and_holds(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    send = approve(pending, alice)
    sandbox.control("PATCH", f"grants/{mailbox.grant_id}", grant_status="invalid")

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    mailbox.refresh_from_db()
    assert (send.state, send.held, mailbox.grant_state) == ("queued", "blocked_grant", "invalid")
    assert sandbox.get("arrivals")["arrivals"] == []


def test_h31_grant_revoked_between_the_last_look_and_the_post_holds(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    sandbox.post("faults", route="send_message", action="revoke_grant")

    send = sent(pending, alice)

    assert (send.state, send.held) == ("queued", "blocked_grant")
    assert sandbox.sends() == []


def test_mailbox_recovers_with_its_grant_and_its_sends_stay_held(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    send = approve(pending, alice)
    sandbox.control("PATCH", f"grants/{mailbox.grant_id}", grant_status="invalid")
    assert sweeps.poll_mailbox(mailbox.pk) is None
    dispatch.dispatch(send.pk)
    sandbox.control("PATCH", f"grants/{mailbox.grant_id}", grant_status="valid")

    assert sweeps.poll_mailbox(mailbox.pk) is not None

    mailbox.refresh_from_db()
    send.refresh_from_db()
    assert (mailbox.grant_state, send.held) == ("valid", "blocked_grant")


def test_removed_grant_is_noted_by_the_poll(mailbox: Mailbox, sandbox: Any) -> None:
    answer = sandbox.session.delete(
        f"{sandbox.url}/v3/grants/{mailbox.grant_id}",
        headers={"Authorization": f"Bearer {sandbox.api_key}"},
        timeout=10,
    )
    assert answer.ok

    assert sweeps.poll_mailbox(mailbox.pk) is None

    mailbox.refresh_from_db()
    assert mailbox.grant_state == "removed"


# The kill switch


@pytest.mark.parametrize("scope", ["global", "mailbox"])
def test_h54_engaged_switch_holds_what_is_queued_and_its_release_sends_nothing(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, scope: str
) -> None:
    admin = person("admin", Role.ADMIN)
    name = switch.GLOBAL if scope == "global" else mailbox.scope
    send = approve(pending, alice)

    acknowledged = switchboard.stop(name, person=alice, reason="Something is wrong.")

    assert (acknowledged.held, acknowledged.is_drained) == (1, True)
    assert dispatch.dispatch(send.pk) == "nothing"
    assert switchboard.release(name, person=admin, reason="Fine.") == 1
    assert retry(send) == "nothing"
    assert switchboard.resume_held([send.pk], person=admin) == 1
    assert retry(send) == "posted"


@pytest.mark.row("000-32")
def test_approval_while_the_switch_is_engaged_is_kept_and_held(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any
) -> None:
    switchboard.stop(mailbox.scope, person=alice, reason="Something is wrong.")

    send = approve(pending, alice)

    assert (send.state, send.held) == ("queued", "blocked_kill_switch")
    assert dispatch.dispatch(send.pk) == "nothing"
    assert sandbox.sends() == []


@pytest.mark.parametrize("scope", ["global", "mailbox"])
def test_h55_missing_switch_row_means_stopped(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, scope: str
) -> None:
    send = approve(pending, alice)
    Switch.objects.filter(scope="global" if scope == "global" else mailbox.scope).delete()

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    assert (send.state, send.held) == ("queued", "blocked_kill_switch")
    assert sandbox.get("arrivals")["arrivals"] == []


def test_stop_file_stops_and_what_was_queued_stays_held_without_it(
    pending: Draft, alice: User, connected_settings: Any, tmp_path: Path, sandbox: Any
) -> None:
    connected_settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    send = approve(pending, alice)
    connected_settings.KILL_SWITCH_FILE.write_text("by hand")

    assert sweeps.hold_while_stopped() == 1
    connected_settings.KILL_SWITCH_FILE.unlink()

    assert sweeps.hold_while_stopped() == 0
    assert retry(send) == "nothing"
    assert (send.held, sandbox.sends()) == ("blocked_kill_switch", [])


@pytest.mark.row("K24", "000-01")
def test_switch_that_is_engaged_between_claim_and_post_lets_nothing_out(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    draft = Draft.objects.select_related("mailbox").get(pk=pending.pk)
    look = freshness.look(draft, configured_client(), verify_attachments=True)
    claim = claim_of(send, look)
    assert isinstance(claim, sends.Claim)

    sends.not_started(claim.attempt.pk, "Sending is stopped.", held="blocked_kill_switch")

    send.refresh_from_db()
    assert (send.state, send.held, send.ambiguous) == ("queued", "blocked_kill_switch", False)
    assert send.attempts.get().state == "not_started"
    assert sandbox.sends() == []


# What is in the mail


@pytest.mark.parametrize(
    "email",
    [
        "two@@example.net",
        "a@b@example.net",
        '"quoted"@example.net',
        "comment(x)@example.net",
        "no-domain@",
        "@x.net",
    ],
)
@pytest.mark.row("001-17")
def test_h52_address_that_is_not_plain_is_refused(pending: Draft, alice: User, email: str) -> None:
    for field in ("to", "cc", "bcc", "reply_to"):
        addresses = (Address("casey@example.net"), Address(email))
        decisions.edit(pending, person=alice, seen=seen(pending), changes={field: addresses})
        with pytest.raises(GateRefused):
            decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
        pending.refresh_from_db()
        decisions.edit(
            pending, person=alice, seen=seen(pending), changes={field: (Address("casey@example.net"),)}
        )


def test_more_recipients_than_the_provider_takes_are_refused(pending: Draft, alice: User) -> None:
    many = tuple(Address(f"reader{number}@example.net") for number in range(51))
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"bcc": many})

    with pytest.raises(GateRefused, match="50"):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)


def test_line_break_in_a_subject_is_refused(pending: Draft, alice: User) -> None:
    changes = {"subject": "Re:\r\nBcc: eve@example.net"}
    decisions.edit(pending, person=alice, seen=seen(pending), changes=changes)

    with pytest.raises(GateRefused, match="line break"):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)


def test_revision_whose_stored_text_was_altered_is_not_sent(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    pending.revisions.update(body="<p>Pay to another account.</p>")

    assert dispatch.dispatch(send.pk) == "refused"

    assert sandbox.sends() == []


@pytest.mark.row("K8", "001-07")
def test_error_in_a_gate_is_a_no(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, caplog: pytest.LogCaptureFixture
) -> None:
    send = approve(pending, alice)
    # A role that this version does not know: asking for the right raises.
    Membership.objects.filter(user=alice).update(role="sorcerer")

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    assert send.held == "rule_engine_error"
    assert sandbox.sends() == []
    assert "gate decision failed" in caplog.text


@pytest.mark.row("000-26", "000-29", "001-29", "001-33", "004-03", "004-11", "004-27", "000-01")
def test_refusal_and_claim_keep_every_verdict_in_the_record(pending: Draft, alice: User) -> None:
    sent(pending, alice)

    entry = Entry.objects.get(action="approvals.send.claimed")
    assert [verdict["gate"] for verdict in entry.gates] == [name for name, _ in gates.GATES]
    assert {verdict["standing"] for verdict in entry.gates} == {"passed"}


@pytest.mark.row("000-35")
def test_refusal_has_a_consequence(pending: Draft, mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(is_enabled=False)

    verdict = preview(pending)["mailbox"]

    assert (verdict.consequence, verdict.result) == (Consequence.HOLD, "blocked_grant")


# Connecting


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"undo_seconds": 61}, "undo_seconds"),
        ({"expiry_hours": 0}, "expiry_hours"),
        ({"approval_minutes": 0}, "approval_minutes"),
        ({"mode": "monitored"}, "mode"),
        ({"mode": "root"}, "mode"),
        ({"transport": "pigeon"}, "transport"),
        ({"colour": "red"}, "colour"),
    ],
)
@pytest.mark.row("003-37")
def test_mailbox_setting_outside_its_limits_names_the_field(
    mailbox: Mailbox, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(mailboxes.MailboxRefused) as refusal:
        mailboxes.change(mailbox.pk, actor=SYSTEM, **options)

    assert refusal.value.field == field


def test_change_of_a_mailbox_is_recorded_with_old_and_new(mailbox: Mailbox) -> None:
    mailboxes.change(mailbox.pk, actor=SYSTEM, undo_seconds=30)

    entry = Entry.objects.get(action="agentmail.mailbox.changed")
    assert entry.data["changes"] == {"undo_seconds": ["0", "30"]}


def test_unknown_grant_is_not_connected(mailbox: Mailbox) -> None:
    with pytest.raises(mailboxes.MailboxRefused, match="does not know"):
        mailboxes.connect(configured_client(), "no-such-grant", actor=SYSTEM)

    assert Mailbox.objects.count() == 1


def test_connecting_again_keeps_the_mailbox_and_its_drafts(
    mailbox: Mailbox, agent_writes: Callable[..., Draft]
) -> None:
    agent_writes()

    again = mailboxes.connect(configured_client(), mailbox.grant_id, actor=SYSTEM, undo_seconds=10)

    assert (again.pk, again.undo_seconds, again.drafts.count()) == (mailbox.pk, 10, 1)
