"""The history of evaluations: ours and the provider's in one list, and one evaluation in full."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from agentmail.models import Mailbox
from approvals import gates, inbound_rules
from approvals.judgements import keep
from approvals.models import Judgement, Stage
from approvals.transitions import sends as transitions
from audit.clock import database_now
from audit.record import SYSTEM
from policies import changes, switch
from policies.models import Rule
from tests.pages import scenes, sends
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
LIST = "/policies/history/"


def judged(draft, *, stage=Stage.ARRIVAL):
    facts = gates.facts_about(draft, draft.current_revision, now=database_now())
    return keep(facts, gates.evaluate(facts), stage)


def blocked(box, **fields):
    """A draft whose claim was refused by the kill switch."""
    draft = scenes.draft(box, **fields)
    switch.engage(box.scope, actor=SYSTEM, reason="wrong prices", wait_seconds=0)
    judgement = judged(draft)
    switch.release(box.scope, actor=SYSTEM, reason="mended")
    return judgement


def lines(person, query=""):
    response = browser(person).get(LIST + query)
    assert response.status_code == 200
    return response.context["lines"]


@pytest.mark.row("001-30")
def test_the_newest_evaluation_stands_on_top_whoever_made_it(support, bob):
    old = judged(scenes.draft(support))
    scenes.evaluation(support, "m-1", evaluated_at=int((old.at + timedelta(seconds=5)).timestamp()))
    Judgement.objects.filter(pk=old.pk).update(at=old.at - timedelta(minutes=1))
    new = judged(scenes.draft(support))
    Judgement.objects.filter(pk=new.pk).update(at=new.at + timedelta(minutes=1))

    shown = lines(bob)

    assert [line.get("judgement") and line["judgement"].pk for line in shown] == [new.pk, None, old.pk]


@pytest.mark.row("001-30")
def test_pages_lose_and_double_nothing_whatever_is_judged_meanwhile(support, bob):
    draft = scenes.draft(support)
    made = [judged(draft).pk for _ in range(60)]
    for number in range(60):
        scenes.evaluation(support, f"m-{number}", evaluated_at=int(database_now().timestamp()) - number)

    first = browser(bob).get(LIST)
    judged(draft)
    scenes.evaluation(support, "late", evaluated_at=int(datetime.now(UTC).timestamp()) + 60)
    seen, response = [], first
    while True:
        seen += response.context["lines"]
        following = response.context["paging"]["next_address"]
        if not following:
            break
        response = browser(bob).get(following)

    ours = [line["judgement"].pk for line in seen if line.get("judgement")]
    theirs = [line["evaluation"].pk for line in seen if line.get("evaluation")]
    assert sorted(ours) == sorted(made)
    assert len(theirs) == len(set(theirs)) == 60


@pytest.mark.row("001-32", "003-28")
def test_a_filter_by_result_leaves_what_was_blocked_by_either(support, bob):
    judged(scenes.draft(support))
    refused = blocked(support)
    scenes.evaluation(support, "m-1", applied_actions={"blocked": True})
    scenes.evaluation(support, "m-2", applied_actions={"blocked": False})

    shown = lines(bob, "?result=blocked")

    assert [line["judgement"].pk for line in shown if line.get("judgement")] == [refused.pk]
    assert [line["evaluation"].provider_message_id for line in shown if line.get("evaluation")] == ["m-1"]


def test_a_filter_by_rule_of_the_provider_finds_its_evaluations(support, bob):
    scenes.evaluation(support, "m-1", matched_rule_ids=["rule-press"])
    scenes.evaluation(support, "m-2", matched_rule_ids=["rule-press-2"])

    shown = lines(bob, "?rule=rule-press")

    assert [line["evaluation"].provider_message_id for line in shown] == ["m-1"]


def test_a_filter_by_draft_leaves_its_evaluations(support, bob, alice):
    type(support).objects.filter(pk=support.pk).update(undo_seconds=0)
    support.refresh_from_db()
    send = sends.accepted(scenes.draft(support), alice)
    judged(scenes.draft(support))
    scenes.evaluation(support, send.provider_message_id)
    scenes.evaluation(support, "of-another-mail")

    shown = lines(bob, f"?draft={send.draft.public_id}")

    assert {line["judgement"].draft_id for line in shown if line.get("judgement")} == {send.draft_id}
    assert [line["evaluation"].provider_message_id for line in shown if line.get("evaluation")] == [
        send.provider_message_id
    ]


@pytest.mark.row("001-31", "000-28")
def test_from_the_refused_draft_the_deciding_gate_is_two_clicks_away(support, alice):
    refused = blocked(support)
    desk = browser(alice)

    draft_page = desk.page(f"/drafts/{refused.draft.public_id}/")
    [first] = [a for a in draft_page.all("a") if draft_page.text(a) == "Every evaluation of this draft"]
    list_page = desk.page(first.get("href"))
    [second] = [a for a in list_page.all("a") if "Blocked by the kill switch" in list_page.text(a)]
    page = desk.page(second.get("href"))

    assert "Blocked by the gate switch" in page.text()
    assert "wrong prices" in page.text()


@pytest.mark.row("001-32")
def test_an_evaluation_shows_every_gate_those_behind_the_refusal_too(support, bob):
    refused = blocked(support)

    page = browser(bob).page(reverse("approvals:judgement", args=[refused.pk]))

    table = page.all("tbody")[0]
    assert len(list(table.iter("tr"))) == len(gates.GATES)


def test_evaluations_of_a_foreign_mailbox_do_not_exist(support, eve):
    refused = blocked(support)

    assert lines(eve) == []
    assert browser(eve).get(reverse("approvals:judgement", args=[refused.pk])).status_code == 404


@pytest.mark.parametrize(("who", "status"), [("mallory", 403), ("alice", 200), ("dave", 200), ("carol", 200)])
def test_reading_policies_opens_the_history(request, support, who, status):
    assert browser(request.getfixturevalue(who)).get(LIST).status_code == status


def test_a_list_editor_sees_no_evaluation(support):
    ed = scenes.person("ed", "list_editor", name="Ed Lists")

    assert browser(ed).get(LIST).status_code == 403


def test_a_damaged_place_is_told(support, bob):
    page = browser(bob).page(LIST + "?after=x%7Cy")

    assert "This page address is damaged" in page.text()


def test_an_approval_is_kept_as_what_it_made_of_every_open_question(support, alice):
    Mailbox.objects.filter(pk=support.pk).update(undo_seconds=0)
    support.refresh_from_db()
    send = sends.queued(scenes.draft_in_thread(support), alice)

    judgement = Judgement.objects.get(draft=send.draft, stage="approval")

    assert judgement.result == "passed"
    verdicts = {one["gate"]: one for one in judgement.verdicts}
    assert verdicts["decision"]["sentence"] == "Approved by Alice Reviewer."
    assert "Alice Reviewer approved knowing this." in verdicts["recipients"]["sentence"]


def test_a_send_that_waits_is_judged_often_and_kept_once(support, alice):
    Mailbox.objects.filter(pk=support.pk).update(undo_seconds=0)
    support.refresh_from_db()
    first = scenes.draft_in_thread(support)
    send = sends.queued(first, alice)
    for _ in range(3):
        transitions.claim(
            send.pk,
            decision_id=send.decision_id,
            transport=support.transport,
            look=None,
            trouble="The provider is silent.",
            worker="worker-1",
        )
        type(send).objects.filter(pk=send.pk).update(next_attempt_at=database_now())

    assert Judgement.objects.filter(draft=first, stage="claim").count() == 1


@pytest.mark.row("001-29")
def test_every_message_that_arrived_has_its_evaluation_in_the_list(support, bob):
    billing = {"field": "body", "operator": "contains", "value": "invoice"}
    rule = changes.create(
        Rule,
        actor=SYSTEM,
        name="Invoices",
        trigger="inbound",
        conditions=[billing],
        actions=[{"type": "set_category", "value": "Billing"}],
    )
    scenes.message(support, "t-1", body="Where is my invoice?")
    scenes.message(support, "t-2", body="Good morning")

    inbound_rules.judge_new(support)

    shown = lines(bob)
    assert [line["inbound"].category for line in shown] == ["", "Billing"]
    assert [line["inbound"].category for line in lines(bob, f"?rule=rule:{rule.pk}")] == ["Billing"]
    assert lines(bob, "?result=blocked") == []
    assert len(lines(bob, "?stage=inbox_processing")) == 2
    assert lines(bob, "?stage=claim") == []
    assert "Arrival of a message" in browser(bob).page(LIST).text()
    assert "Category Billing." in browser(bob).page(LIST).text()


def test_the_message_that_a_draft_answers_is_found_in_its_own_mailbox_only(support, orders):
    answered = scenes.message(support, "t-1", provider_id="m-1")
    scenes.message(orders, "t-9", provider_id="m-1")
    draft = scenes.draft(support, messages=[answered])
    for box in (support, orders):
        inbound_rules.judge_new(box)

    def shown(person):
        found = [line.get("inbound") for line in lines(person, f"?draft={draft.public_id}")]
        return [inbound.mailbox for inbound in found if inbound]

    assert shown(scenes.person("both", "operator", support, orders)) == [support]
    assert shown(scenes.person("other", "operator", orders)) == []


@pytest.mark.row("001-30")
def test_pages_of_three_sources_lose_and_double_nothing(support, bob):
    draft = scenes.draft(support)
    for number in range(25):
        judged(draft)
        scenes.message(support, f"t-{number}")
        scenes.evaluation(support, f"m-{number}", evaluated_at=int(database_now().timestamp()))
    inbound_rules.judge_new(support)

    seen, address = [], LIST
    while address:
        response = browser(bob).get(address)
        seen += response.context["lines"]
        address = response.context["paging"]["next_address"]

    for source in ("judgement", "inbound", "evaluation"):
        found = [line[source].pk for line in seen if line.get(source)]
        assert len(found) == len(set(found)) == 25
