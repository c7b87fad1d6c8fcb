"""What the provider enforces by itself, made and kept by the desk, at the real sandbox provider."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F

from agentmail.client import configured_client
from agentmail.models import Mailbox
from agentmail.types import ReplyClass
from approvals import mailboxes, provider_drift, provider_rules
from approvals.models import Draft
from approvals.provider_drift import Standing, StepOutcome
from approvals.provider_rules import ChangedMeanwhile, Held, ProviderRefused
from audit.models import Entry
from audit.record import SYSTEM
from policies import changes, lists, recipients
from policies.models import ProviderIntent, ProviderKind, ProviderLook, Rule, Workspace
from policies.scopes import GLOBAL, workspace_scope
from tests.approvals.conftest import sent

BLOCKED = "press@blocked.example"


def block(*domains: str, name: str = "No mail there", **fields: Any) -> Held:
    conditions = [{"field": "recipient.domain", "operator": "is", "value": domain} for domain in domains]
    rule = {
        "name": name,
        "trigger": "outbound",
        "match": {"operator": "any", "conditions": conditions},
        "actions": [{"type": "block"}],
    }
    return provider_rules.create(ProviderKind.RULE, rule | fields, actor=SYSTEM)


def around_us(mailbox: Mailbox, to: str = BLOCKED) -> ReplyClass:
    """A send by whoever has the key, straight at the provider."""
    body = json.dumps({"to": [{"email": to}], "subject": "Hello", "body": "Text"}).encode()
    reply = configured_client().send_message(
        mailbox.grant_id,
        body=body,
        content_type="application/json",
        idempotency_key=str(uuid.uuid4()),
        attempt_id=1,
    )
    return reply.reply_class


def in_sent_folder(mailbox: Mailbox) -> int:
    client = configured_client()
    [folder] = [one for one in client.list_folders(mailbox.grant_id) if one.role == "sent"]
    return len(list(client.list_messages(mailbox.grant_id, folder=folder.id)))


def workspace(name: str, *boxes: Mailbox) -> Held:
    made = provider_rules.create(ProviderKind.WORKSPACE, {"name": name, "auto_group": False}, actor=SYSTEM)
    if boxes:
        provider_rules.assign(made.id, boxes, actor=SYSTEM)
    return made


def the_default() -> Held:
    return next(one for one in provider_rules.listed(ProviderKind.WORKSPACE) if one.is_default)


def push() -> list[tuple[str, str]]:
    return [(step.sentence, step.outcome.value) for step in provider_drift.push(actor=SYSTEM)]


@pytest.fixture
def other(sandbox: Any, mailbox: Mailbox) -> Mailbox:
    grant = sandbox.post("grants", email="orders@harbour.example")["grant"]
    return mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM)


# The backstop


@pytest.mark.row("001-01", "001-16", "003-23", "003-26")
def test_a_pushed_rule_refuses_a_send_that_goes_around_the_desk(mailbox: Mailbox) -> None:
    provider_drift.keep(block("blocked.example"), actor=SYSTEM, scope=GLOBAL)
    push()

    refused = around_us(mailbox)
    taken = around_us(mailbox, "casey@example.net")

    assert (refused, taken) == (ReplyClass.BLOCKED, ReplyClass.ACCEPTED)
    assert in_sent_folder(mailbox) == 1


@pytest.mark.row("003-26")
def test_an_approved_draft_that_the_provider_s_rule_refuses_is_failed_with_the_rule_named(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox, transactional_db: None
) -> None:
    rule = block("blocked.example")
    provider_drift.keep(rule, actor=SYSTEM, scope=GLOBAL)
    push()
    draft = agent_writes(to=[{"email": BLOCKED}])

    send = sent(draft, alice)

    assert send.state == "failed"
    assert send.attempts.get().rule_evaluation.matched_rule_ids == [rule.id]
    assert in_sent_folder(mailbox) == 0


@pytest.mark.row("003-24")
def test_the_values_of_a_list_decide_in_a_rule(mailbox: Mailbox) -> None:
    made = provider_rules.create(ProviderKind.LIST, {"name": "Free mail", "type": "domain"}, actor=SYSTEM)
    in_list = {"field": "recipient.domain", "operator": "in_list", "value": [made.id]}
    rule = block("x.example", match={"operator": "all", "conditions": [in_list]})
    provider_rules.change(
        ProviderKind.WORKSPACE, the_default().id, {"rule_ids": [rule.id]}, seen=None, actor=SYSTEM
    )
    before = around_us(mailbox)

    provider_rules.add_items(made.id, ["blocked.example"], actor=SYSTEM)

    assert (before, around_us(mailbox)) == (ReplyClass.ACCEPTED, ReplyClass.BLOCKED)


@pytest.mark.row("001-09")
def test_the_daily_cap_of_a_policy_refuses_the_fourth_send(mailbox: Mailbox) -> None:
    policy = provider_rules.create(
        ProviderKind.POLICY, {"name": "Small", "limits": {"limit_count_daily_email_sent": 3}}, actor=SYSTEM
    )
    provider_rules.change(
        ProviderKind.WORKSPACE, the_default().id, {"policy_id": policy.id}, seen=None, actor=SYSTEM
    )

    replies = [around_us(mailbox, "casey@example.net") for _ in range(4)]

    assert replies == [ReplyClass.ACCEPTED] * 3 + [ReplyClass.RATE_LIMITED]


# Where a rule holds


@pytest.mark.row("K10", "003-25", "001-05")
def test_a_rule_of_one_workspace_does_not_hold_in_another(mailbox: Mailbox, other: Mailbox) -> None:
    workspace("A", mailbox)
    workspace("B", other)
    provider_drift.take_over_workspaces(actor=SYSTEM)
    scope = workspace_scope(Workspace.objects.get(name="A").pk)
    provider_drift.keep(block("blocked.example"), actor=SYSTEM, scope=scope)

    push()

    assert (around_us(mailbox), around_us(other)) == (ReplyClass.BLOCKED, ReplyClass.ACCEPTED)


@pytest.mark.row("K10", "001-06")
def test_a_global_rule_holds_in_every_workspace(mailbox: Mailbox, other: Mailbox) -> None:
    workspace("A", mailbox)
    provider_drift.keep(block("blocked.example"), actor=SYSTEM, scope=GLOBAL)

    push()

    assert (around_us(mailbox), around_us(other)) == (ReplyClass.BLOCKED, ReplyClass.BLOCKED)


@pytest.mark.row("001-06")
def test_a_provider_that_applies_outbound_rules_everywhere_needs_no_attachment(
    mailbox: Mailbox, other: Mailbox, sandbox: Any
) -> None:
    block("blocked.example")
    sandbox.control("PATCH", "switches", outbound_rule_scope="application")

    assert (around_us(mailbox), around_us(other)) == (ReplyClass.BLOCKED, ReplyClass.BLOCKED)


def test_a_workspace_made_later_lacks_the_global_rule_and_is_shown(mailbox: Mailbox) -> None:
    provider_drift.keep(block("blocked.example"), actor=SYSTEM, scope=GLOBAL)
    push()
    workspace("Made by hand")

    differing = [one for one in provider_drift.compare() if one.standing != Standing.SAME]

    assert [(one.kind, one.name) for one in differing] == [(ProviderKind.WORKSPACE, "Made by hand")]
    assert push() == [("Change: Workspace “Made by hand”", "done")]


def test_a_rule_scoped_to_one_workspace_is_detached_from_the_others(mailbox: Mailbox) -> None:
    workspace("A", mailbox)
    provider_drift.take_over_workspaces(actor=SYSTEM)
    rule = block("blocked.example")
    provider_rules.change(
        ProviderKind.WORKSPACE, the_default().id, {"rule_ids": [rule.id]}, seen=None, actor=SYSTEM
    )
    scope = workspace_scope(Workspace.objects.get(name="A").pk)
    provider_drift.keep(rule, actor=SYSTEM, scope=scope)

    push()

    assert the_default().fields["rule_ids"] == []


# Wanted and held


def test_what_somebody_deleted_at_the_provider_is_made_again_with_everything_that_refers_to_it(
    mailbox: Mailbox,
) -> None:
    made = provider_rules.create(ProviderKind.LIST, {"name": "Free mail", "type": "domain"}, actor=SYSTEM)
    provider_rules.add_items(made.id, ["blocked.example"], actor=SYSTEM)
    provider_drift.keep(provider_rules.held(ProviderKind.LIST, made.id), actor=SYSTEM)
    in_list = {"field": "recipient.domain", "operator": "in_list", "value": [made.id]}
    rule = block("x.example", match={"operator": "all", "conditions": [in_list]})
    provider_drift.keep(rule, actor=SYSTEM, scope=GLOBAL)
    push()
    client = configured_client()
    client.delete_rule(rule.id)
    client.delete_list(made.id)
    assert around_us(mailbox) == ReplyClass.ACCEPTED

    steps = push()

    assert {outcome for _sentence, outcome in steps} == {"done"}
    assert around_us(mailbox) == ReplyClass.BLOCKED
    assert push() == []


def test_a_push_whose_answer_was_lost_adopts_what_it_made(mailbox: Mailbox) -> None:
    rule = block("blocked.example")
    intent = provider_drift.keep(rule, actor=SYSTEM)
    ProviderIntent.objects.filter(pk=intent.pk).update(provider_id="")

    assert push() == []

    assert len(provider_rules.listed(ProviderKind.RULE)) == 1
    assert ProviderIntent.objects.get().provider_id == rule.id


def test_a_list_longer_than_a_request_is_pushed_in_parts(mailbox: Mailbox) -> None:
    made = provider_rules.create(ProviderKind.LIST, {"name": "Long", "type": "domain"}, actor=SYSTEM)
    values = [f"d{number:04}.example" for number in range(2300)]
    intent = provider_drift.keep(made, actor=SYSTEM)
    ProviderIntent.objects.filter(pk=intent.pk).update(wanted={**intent.wanted, "items": values})

    steps = push()

    assert [outcome for _sentence, outcome in steps] == ["done"] * 3
    assert provider_rules.items_of(made.id) == values


def test_a_refusal_ends_the_push_and_leaves_what_is_wanted_as_it_was(mailbox: Mailbox) -> None:
    policy = provider_rules.create(ProviderKind.POLICY, {"name": "Kept"}, actor=SYSTEM)
    intent = provider_drift.keep(policy, actor=SYSTEM)
    wanted = {"name": "Kept", "limits": {"limit_inbox_retention_period": 9000}}
    ProviderIntent.objects.filter(pk=intent.pk).update(wanted=wanted)

    [step] = provider_drift.push(actor=SYSTEM)

    assert (step.outcome, "above the maximum of the plan" in step.why) == (StepOutcome.REFUSED, True)
    assert ProviderIntent.objects.get().wanted == wanted
    assert provider_rules.held(ProviderKind.POLICY, policy.id).fields == policy.fields


def test_the_hourly_look_notes_what_differs_and_is_not_repeated_within_the_hour(mailbox: Mailbox) -> None:
    policy = provider_rules.create(ProviderKind.POLICY, {"name": "Kept"}, actor=SYSTEM)
    provider_drift.keep(policy, actor=SYSTEM)
    assert provider_drift.look_when_due().drifts == []
    provider_rules.change(ProviderKind.POLICY, policy.id, {"name": "Other"}, seen=None, actor=SYSTEM)

    assert provider_drift.look_when_due() is None
    ProviderLook.objects.update(at=F("at") - timedelta(hours=1))

    [drift] = provider_drift.look_when_due().drifts
    assert drift["differences"] == [["name", "Kept", "Other"]]


def test_a_silent_provider_leaves_the_last_look_and_notes_the_trouble(
    mailbox: Mailbox, connected_settings: Any
) -> None:
    policy = provider_rules.create(ProviderKind.POLICY, {"name": "Kept"}, actor=SYSTEM)
    provider_drift.keep(policy, actor=SYSTEM)
    provider_rules.change(ProviderKind.POLICY, policy.id, {"name": "Other"}, seen=None, actor=SYSTEM)
    provider_drift.look()
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"

    look = provider_drift.look()

    assert (len(look.drifts), look.trouble != "") == (1, True)


# Made from our own rows


def deny(*patterns: str) -> None:
    entries = [recipients.NewEntry("deny", GLOBAL, pattern) for pattern in patterns]
    recipients.add(entries, actor=SYSTEM)


@pytest.mark.row("003-24", "003-23", "001-01")
def test_the_global_deny_list_becomes_two_lists_and_one_rule_that_block_around_the_desk(
    mailbox: Mailbox,
) -> None:
    deny("blocked.example", "eve@example.net", "*.sub.example")
    provider_drift.want_denied(actor=SYSTEM)

    assert [outcome for _sentence, outcome in push()] == ["done"] * 6

    refused = [around_us(mailbox, to) for to in (BLOCKED, "eve@example.net", "x@deep.sub.example")]
    assert refused == [ReplyClass.BLOCKED] * 3
    assert around_us(mailbox, "casey@example.net") == ReplyClass.ACCEPTED
    [rule] = provider_rules.listed(ProviderKind.RULE)
    conditions = rule.fields["match"]["conditions"]
    assert [(one["field"], one["operator"]) for one in conditions] == [
        ("recipient.domain", "in_list"),
        ("recipient.address", "in_list"),
        ("recipient.domain", "contains"),
    ]
    assert push() == []


def test_an_entry_denied_later_is_drift_until_it_is_pushed(mailbox: Mailbox) -> None:
    provider_drift.want_denied(actor=SYSTEM)
    push()
    deny("blocked.example")

    [differing] = [one for one in provider_drift.compare() if one.standing != Standing.SAME]
    assert differing.lacks == ("blocked.example",)
    push()

    assert around_us(mailbox) == ReplyClass.BLOCKED


def test_more_wide_patterns_than_a_rule_has_room_for_are_counted() -> None:
    denials = provider_drift.denials_of(f"*.d{number:02}.example" for number in range(50))

    assert (len(denials.subdomains_of), denials.left_out) == (48, 2)


def test_the_deny_list_is_wanted_no_longer_as_a_whole_and_stays_at_the_provider(mailbox: Mailbox) -> None:
    deny("blocked.example")
    provider_drift.want_denied(actor=SYSTEM)
    push()
    intent = ProviderIntent.objects.get(source=provider_drift.DENY_ADDRESSES)

    provider_drift.forget(intent.pk, version=intent.version, actor=SYSTEM)

    assert not ProviderIntent.objects.exists()
    assert push() == []
    assert around_us(mailbox) == ReplyClass.BLOCKED


def own_rule(**fields: Any) -> Rule:
    given = {
        "name": "Ours",
        "trigger": "outbound",
        "enforced_at": "both",
        "conditions": [{"field": "recipient.domain", "operator": "is", "value": "blocked.example"}],
        "actions": [{"type": "block"}],
    }
    return changes.create(Rule, actor=SYSTEM, **given | fields)


@pytest.mark.row("001-01", "001-18")
def test_our_rule_that_is_enforced_at_the_provider_too_is_pushed_and_follows_our_row(
    mailbox: Mailbox,
) -> None:
    rule = own_rule()
    push()
    assert around_us(mailbox) == ReplyClass.BLOCKED

    changes.change(Rule, rule.pk, version=rule.version, actor=SYSTEM, is_enabled=False)
    assert [sentence for sentence, _outcome in push()] == ["Change: Rule “Ours”"]

    assert around_us(mailbox) == ReplyClass.ACCEPTED


def test_the_list_of_our_rule_goes_along(mailbox: Mailbox) -> None:
    row = lists.create({"name": "Rivals", "type": "domain", "items": []}, actor=SYSTEM)
    lists.add_items(row.pk, ["blocked.example"], actor=SYSTEM)
    own_rule(conditions=[{"field": "recipient.domain", "operator": "in_list", "value": [str(row.public_id)]}])

    push()

    assert around_us(mailbox) == ReplyClass.BLOCKED
    assert push() == []


def test_our_rule_that_is_enforced_here_only_from_now_on_is_deleted_at_the_provider(mailbox: Mailbox) -> None:
    rule = own_rule()
    push()
    changes.change(Rule, rule.pk, version=rule.version, actor=SYSTEM, enforced_at="here")

    assert push() == [("Delete: Rule “Ours”", "done")]

    assert provider_rules.listed(ProviderKind.RULE) == []
    assert push() == []


# One change


def test_a_change_asks_only_for_what_differs_and_nothing_when_nothing_does(mailbox: Mailbox) -> None:
    policy = provider_rules.create(ProviderKind.POLICY, {"name": "Kept"}, actor=SYSTEM)
    Entry.objects.filter(action="approvals.provider.asked").count()

    provider_rules.change(ProviderKind.POLICY, policy.id, {"name": "Kept"}, seen=policy.seen, actor=SYSTEM)
    provider_rules.change(
        ProviderKind.POLICY,
        policy.id,
        {"name": "Kept", "limits": {"limit_count_daily_email_sent": 5}},
        seen=policy.seen,
        actor=SYSTEM,
    )

    created, changed = Entry.objects.filter(action="approvals.provider.asked").order_by("pk")
    assert created.data["operation"] == "create"
    assert changed.data["after"] == {"limits.limit_count_daily_email_sent": 5}


def test_a_refusal_names_the_field_and_changes_nothing(mailbox: Mailbox) -> None:
    rule = block("blocked.example")
    in_list = {"field": "recipient.domain", "operator": "in_list", "value": ["gone"]}

    with pytest.raises(ProviderRefused) as refused:
        provider_rules.change(
            ProviderKind.RULE,
            rule.id,
            {"match": {"operator": "all", "conditions": [in_list]}},
            seen=rule.seen,
            actor=SYSTEM,
        )

    assert refused.value.field == "match.conditions.value"
    assert provider_rules.held(ProviderKind.RULE, rule.id) == rule
    assert Entry.objects.filter(action="approvals.provider.answered").latest("pk").outcome == "refused"


def test_an_object_changed_meanwhile_is_not_written(mailbox: Mailbox) -> None:
    rule = block("blocked.example")
    provider_rules.change(ProviderKind.RULE, rule.id, {"priority": 3}, seen=rule.seen, actor=SYSTEM)

    with pytest.raises(ChangedMeanwhile) as meanwhile:
        provider_rules.change(ProviderKind.RULE, rule.id, {"priority": 7}, seen=rule.seen, actor=SYSTEM)

    assert [(one.field, one.wanted, one.held) for one in meanwhile.value.differences] == [("priority", 7, 3)]
    assert provider_rules.held(ProviderKind.RULE, rule.id).fields["priority"] == 3


def test_a_policy_whose_reply_to_a_change_has_no_id_is_read_all_the_same(
    mailbox: Mailbox, sandbox: Any
) -> None:
    policy = provider_rules.create(ProviderKind.POLICY, {"name": "Kept"}, actor=SYSTEM)
    sandbox.control("PATCH", "switches", policy_put_id="absent")

    changed = provider_rules.change(
        ProviderKind.POLICY, policy.id, {"name": "Other"}, seen=policy.seen, actor=SYSTEM
    )

    assert (changed.id, changed.name) == (policy.id, "Other")


def test_lists_of_rules_in_both_shapes_are_read(mailbox: Mailbox, sandbox: Any) -> None:
    assert provider_rules.listed(ProviderKind.RULE) == []
    rule = block("blocked.example")
    nested = provider_rules.listed(ProviderKind.RULE)
    sandbox.control("PATCH", "switches", rules_list="flat", last_page_cursor="present")

    assert provider_rules.listed(ProviderKind.RULE) == nested == [rule]
