"""Our rules in the chain: in the preview, in the approval and in the claim; and mail that arrived, judged once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import decisions, dispatch, gates, inbound_rules, intake
from approvals.gates import Standing, Verdict
from approvals.models import Decision, Draft, InboundJudgement, Judgement, Stage
from approvals.transitions.drafts import GateRefused, QuestionsChanged, Seen
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import changes, lists, rules
from policies.models import Category, Rule, Workspace, WorkspaceMember
from tests.approvals.conftest import allow, approve, seen, sent


def make(*conditions: tuple[str, str, Any], action: str = "block", value: str = "", **fields: Any) -> Rule:
    said = {
        "name": "A rule",
        "conditions": [{"field": f, "operator": o, "value": v} for f, o, v in conditions],
        "actions": [{"type": action, "value": value} if value else {"type": action}],
    }
    return rules.create(said | fields, actor=SYSTEM)


def every_verdict(draft: Draft, *, is_reviewed: bool = True) -> dict[str, Verdict]:
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft.pk)
    facts = gates.facts_about(draft, draft.current_revision, now=database_now(), is_reviewed=is_reviewed)
    return {one.gate: one for one in gates.evaluate(facts)}


def verdict(draft: Draft, *, is_reviewed: bool = True) -> Verdict:
    return every_verdict(draft, is_reviewed=is_reviewed)["rules"]


def compose(agent_writes: Callable[..., Draft], **fields: Any) -> Draft:
    return agent_writes(reply_to_message_id="", **fields)


def test_mail_that_no_rule_matches_passes(pending: Draft) -> None:
    assert verdict(pending).standing is Standing.PASSED


@pytest.mark.row("001-16", "003-26")
def test_a_blocked_mail_cannot_be_approved_and_nothing_is_sent(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    rule = make(("body", "contains", "thursday"), name="No promises")

    with pytest.raises(GateRefused) as refusal:
        approve(pending, alice)

    assert refusal.value.verdict.result == "blocked_rule"
    assert str(refusal.value) == ("The rule “No promises” blocks it: body “thursday”.")
    assert sandbox.sends() == []
    judgement = Judgement.objects.get(draft=pending, stage=Stage.APPROVAL)
    assert (judgement.result, judgement.gate) == ("blocked_rule", "rules")
    assert f"rule:{rule.pk}:1" in judgement.rules


@pytest.mark.row("001-17", "003-27")
@pytest.mark.parametrize("field", ["to", "cc", "bcc"])
def test_one_hidden_recipient_blocks_the_whole_mail(agent_writes: Callable[..., Draft], field: str) -> None:
    make(("recipient.domain", "is", "blocked.test"))
    people = {"to": [{"email": "fine@example.net"}]} | {field: [{"email": "x@Blocked.test"}]}

    assert verdict(agent_writes(**people)).result == "blocked_rule"


@pytest.mark.row("001-17")
def test_an_address_that_answers_go_to_counts_as_recipient(agent_writes: Callable[..., Draft]) -> None:
    make(("recipient.domain", "is", "blocked.test"))

    assert verdict(agent_writes(reply_to=[{"email": "x@blocked.test"}])).result == "blocked_rule"


@pytest.mark.row("001-16")
def test_a_rule_made_after_the_approval_stops_the_send(pending: Draft, alice: User, sandbox: Any) -> None:
    send = approve(pending, alice)
    make(("body", "contains", "thursday"))

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state) == ("stopped", "pending")
    assert sandbox.sends() == []


@pytest.mark.row("001-19", "003-24")
def test_a_value_added_to_a_list_refuses_the_next_mail_and_changes_no_rule(
    agent_writes: Callable[..., Draft],
) -> None:
    blocked = lists.create({"name": "Blocked", "type": "domain"}, actor=SYSTEM)
    rule = make(("recipient.domain", "in_list", [str(blocked.public_id)]))
    to = [{"email": "x@rival.test"}]
    assert verdict(agent_writes(to=to)).standing is Standing.PASSED

    lists.add_items(blocked.pk, ["rival.test"], actor=SYSTEM)

    found = verdict(agent_writes(to=to))
    assert (found.result, found.rules) == ("blocked_rule", (f"rule:{rule.pk}:1",))


@pytest.mark.row("001-07")
def test_an_error_in_the_rules_refuses_the_mail_and_is_recorded(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    rule = make(("body", "contains", "nothing of the kind"))
    Rule.objects.filter(pk=rule.pk).update(conditions=[])

    send = approve(pending, alice)

    assert verdict(pending).result == "rule_engine_error"
    assert send.held == "rule_engine_error"
    assert dispatch.dispatch(send.pk) != "posted"
    assert sandbox.sends() == []
    assert Judgement.objects.filter(draft=pending, result="rule_engine_error").exists()
    assert Entry.objects.filter(draft_id=pending.pk, outcome="rule_engine_error").exists()


def test_a_list_that_is_gone_refuses_every_mail_that_asks_for_it(pending: Draft) -> None:
    gone = lists.create({"name": "Gone", "type": "domain"}, actor=SYSTEM)
    make(("recipient.domain", "in_list", [str(gone.public_id)]))
    gone.delete()

    assert verdict(pending).result == "rule_engine_error"


def test_a_draft_that_is_not_read_in_full_is_not_judged_on_its_subject(pending: Draft) -> None:
    Draft.objects.filter(pk=pending.pk).update(is_complete=False, incomplete_reason="Too large")

    found = verdict(pending)

    assert (found.standing, found.result) == (Standing.REFUSED, "blocked_rule")


@pytest.mark.row("003-29")
def test_a_draft_that_names_the_message_it_answers_is_a_reply(pending: Draft) -> None:
    assert verdict(pending).evaluation["evaluation_input"]["outbound_type"] == "reply"


@pytest.mark.row("003-29")
def test_a_draft_in_a_thread_of_references_is_a_reply(
    sandbox: Any, mailbox: Mailbox, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    # The provider gives neither In-Reply-To nor reply_to_message_id back, only the thread they lead to.
    question = customer_writes(**{"from": {"email": "kim@example.net"}}, subject="Hello", body="<p>Hello</p>")
    made = sandbox.post(
        "agent/drafts",
        grant=mailbox.grant_id,
        to=[{"email": "kim@example.net"}],
        subject="Re: Hello",
        body="<p>Hi</p>",
        reply_to_message_id=question["message_id"],
    )["draft"]
    client = configured_client()
    snapshot = client.get_draft(mailbox.grant_id, made["id"])
    assert snapshot.reply_to_message_id == ""

    intake.observe(mailbox, snapshot, client)

    draft = Draft.objects.get(provider_draft_id=made["id"])
    assert verdict(draft).evaluation["evaluation_input"]["outbound_type"] == "reply"


@pytest.mark.row("003-29", "003-30")
def test_a_draft_that_answers_nothing_is_a_compose_and_asks_a_person(
    agent_writes: Callable[..., Draft],
) -> None:
    shipped = Rule.objects.get(shipped_key="compose")

    found = verdict(compose(agent_writes))

    assert found.evaluation["evaluation_input"]["outbound_type"] == "compose"
    assert (found.standing, found.asks) == (Standing.OPEN, (f"rule:{shipped.pk}:{shipped.version}",))


@pytest.mark.row("003-30", "K13")
@pytest.mark.parametrize("is_shipped_rule_enabled", [True, False])
def test_a_compose_that_nobody_decides_is_refused_unless_a_rule_allows_it(
    agent_writes: Callable[..., Draft], is_shipped_rule_enabled: bool
) -> None:
    Rule.objects.filter(shipped_key="compose").update(is_enabled=is_shipped_rule_enabled)
    draft = compose(agent_writes)
    assert verdict(draft, is_reviewed=False).result == "blocked_rule"

    make(
        ("recipient.domain", "is", "example.net"),
        ("outbound.type", "is", "compose"),
        action="allow_compose",
    )

    assert verdict(draft, is_reviewed=False).standing is Standing.PASSED


@pytest.mark.row("003-30")
@pytest.mark.parametrize("mode", ["monitored", "autonomous"])
def test_a_compose_waits_in_every_mode(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, mode: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    mailbox.refresh_from_db()
    allow("example.net")

    draft = compose(agent_writes)

    assert draft.state == "pending"
    kept = Judgement.objects.filter(draft=draft, stage=Stage.WITHOUT_PERSON).latest("pk")
    assert (kept.result, kept.gate) == ("blocked_rule", "rules")


def test_an_approval_that_was_shown_the_hold_answers_it(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    shipped = Rule.objects.get(shipped_key="compose")
    draft = compose(agent_writes)

    send = sent(draft, alice)

    assert send.state == "accepted"
    assert f"rule:{shipped.pk}:{shipped.version}" in Decision.objects.get(draft=draft).answers


def test_an_approval_that_did_not_see_the_hold_is_refused(pending: Draft, alice: User) -> None:
    old = seen(pending)
    make(("body", "contains", "thursday"), action="hold")

    with pytest.raises(QuestionsChanged):
        decisions.approve(
            pending,
            person=alice,
            seen=Seen(old.revision_number, old.content_sha256, old.thread_fingerprint),
            form_id=None,
        )


def test_a_hold_that_changed_after_the_approval_stops_the_send(
    agent_writes: Callable[..., Draft], alice: User, sandbox: Any
) -> None:
    rule = make(("body", "contains", "thursday"), action="hold")
    send = approve(agent_writes(), alice)
    rules.change(
        rule.pk,
        {"name": "Other", "conditions": rule.conditions, "actions": rule.actions},
        version=1,
        actor=SYSTEM,
    )

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    assert send.state == "stopped"
    assert sandbox.sends() == []


@pytest.mark.row("K10", "001-06")
def test_a_rule_of_one_workspace_does_not_hit_a_mailbox_of_another(pending: Draft, mailbox: Mailbox) -> None:
    mine, other = (changes.create(Workspace, actor=SYSTEM, name=name) for name in ("Mine", "Other"))
    changes.create(WorkspaceMember, actor=SYSTEM, workspace=mine, mailbox_id=mailbox.pk)
    make(("outbound.type", "is", "reply"), scope=f"workspace:{other.pk}")
    assert verdict(pending).standing is Standing.PASSED

    make(("outbound.type", "is", "reply"), scope=f"workspace:{mine.pk}")

    assert verdict(pending).result == "blocked_rule"


@pytest.mark.row("001-32", "003-28")
def test_an_evaluation_is_kept_under_the_provider_s_keys(pending: Draft) -> None:
    rule = make(("outbound.type", "is", "reply"))

    evaluation = verdict(pending).to_json()["evaluation"]

    assert set(evaluation) == {
        "evaluation_stage",
        "evaluation_input",
        "matched_rule_ids",
        "applied_actions",
    }
    assert evaluation["evaluation_stage"] == "outbound_send"
    assert evaluation["matched_rule_ids"] == [str(rule.pk)]
    assert evaluation["applied_actions"] == {"blocked": True}


@pytest.mark.parametrize(
    ("body", "field", "value", "is_held"),
    [
        ("<p>We pay you 40 EUR.</p>", "money.new", True, True),
        ("<p>Order 48213.</p>", "money.new", True, False),
        ("<p>20 % off.</p>", "money.present", True, True),
        ('<p><a href="https://new.example/x">here</a></p>', "link.new_host", "new.example", True),
        ('<p><a href="https://known.example/y">here</a></p>', "link.new_host", "known.example", False),
        ('<p><a href="https://known.example/y">here</a></p>', "link.host", "known.example", True),
    ],
)
def test_a_draft_is_compared_with_its_thread(
    sandbox: Any,
    mailbox: Mailbox,
    customer_writes: Callable[..., dict[str, Any]],
    agent_writes: Callable[..., Draft],
    body: str,
    field: str,
    value: Any,
    is_held: bool,
) -> None:
    question = customer_writes(
        **{"from": {"email": "kim@example.net"}},
        subject="Order 48213",
        body="<p>See https://known.example/order</p>",
    )
    make((field, "is", value), action="hold")

    draft = agent_writes(
        to=[{"email": "kim@example.net"}], body=body, reply_to_message_id=question["message_id"]
    )

    assert (verdict(draft).standing is Standing.OPEN) is is_held


@pytest.mark.row("001-29")
def test_every_message_that_arrives_is_judged_once_whether_a_rule_matches_or_not(
    mailbox: Mailbox, customer_writes: Callable[..., dict[str, Any]]
) -> None:
    rule = make(("subject", "contains", "invoice"), action="set_category", value="Billing", trigger="inbound")
    for number, subject in enumerate(("Invoice 7", "Hello", "Bye")):
        customer_writes(**{"from": {"email": f"kim{number}@example.net"}}, subject=subject, body="<p>x</p>")

    for _ in range(2):
        intake.poll(mailbox, configured_client())

    arrived = Message.objects.filter(mailbox=mailbox, is_outbound=False)
    judged = {j.message.subject: (j.category, j.rules) for j in InboundJudgement.objects.all()}
    assert InboundJudgement.objects.count() == arrived.count() == 3
    assert judged == {"Invoice 7": ("billing", [f"rule:{rule.pk}:1"]), "Hello": ("", []), "Bye": ("", [])}


@pytest.mark.row("001-28", "001-29")
def test_a_message_known_by_a_cut_notification_is_judged_when_it_is_complete(
    pending: Draft, mailbox: Mailbox
) -> None:
    message = Message.objects.get(mailbox=mailbox)
    InboundJudgement.objects.all().delete()
    Message.objects.filter(pk=message.pk).update(is_complete=False)
    message.refresh_from_db()

    assert inbound_rules.judge(message) is None
    assert inbound_rules.judge_new(mailbox) == 0

    Message.objects.filter(pk=message.pk).update(is_complete=True)
    assert inbound_rules.judge_new(mailbox) == 1


def test_the_category_of_the_answered_message_decides_about_the_answer(
    agent_writes: Callable[..., Draft],
) -> None:
    make(("body", "contains", "48213"), action="set_category", value="orders", trigger="inbound")
    make(("inbound.category", "is", "orders"), action="hold")

    assert verdict(agent_writes()).standing is Standing.OPEN


def test_a_rule_about_a_category_refuses_while_the_answered_message_is_not_judged(pending: Draft) -> None:
    InboundJudgement.objects.all().delete()
    make(("inbound.category", "is", "orders"), action="hold")

    assert verdict(pending).result == "rule_engine_error"


@pytest.mark.row("001-32")
def test_an_inbound_evaluation_is_told_under_the_provider_s_keys(pending: Draft) -> None:
    told = inbound_rules.as_evaluation(InboundJudgement.objects.get())

    assert told["evaluation_stage"] == "inbox_processing"
    assert set(told["evaluation_input"]) == {"from_address", "from_domain", "from_tld"}
    assert (told["matched_rule_ids"], told["applied_actions"]) == ([], {})


def test_a_category_that_a_rule_gives_decides_the_tier(pending: Draft) -> None:
    strict = Category.objects.filter(tier="human_only").first()
    make(("body", "contains", "thursday"), action="set_category", value=strict.key)

    found = every_verdict(pending)["tier"]

    assert (found.standing, found.result) == (Standing.REFUSED, "blocked_rule")
    assert "A rule gives it this category." in found.sentence
