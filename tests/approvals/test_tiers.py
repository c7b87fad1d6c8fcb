"""Categories on real drafts: kept at arrival, asked in the chain, and turned away where only people answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import decisions, dispatch, gates, intake
from approvals.gates import Standing, Verdict
from approvals.models import Draft, Judgement, NeedsPerson
from approvals.transitions import needs_person
from approvals.transitions.drafts import DecisionRefused
from approvals.transitions.needs_person import NeedsPersonRefused
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import categories
from policies.models import Category
from tests.approvals.conftest import actions, approve, seen, sent
from tests.statements import statements

Writes = Callable[..., Draft]
BODY = "<p>It left on Monday and arrives on Thursday.</p>"


def verdict(draft: Draft, *, is_reviewed: bool = True) -> Verdict:
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft.pk)
    assert draft.current_revision is not None
    facts = gates.facts_about(draft, draft.current_revision, now=database_now(), is_reviewed=is_reviewed)
    return {one.gate: one for one in gates.evaluate(facts)}["tier"]


def change(key: str, **fields: Any) -> Category:
    row = Category.objects.get(key=key)
    return categories.edit(row.pk, version=row.version, actor=SYSTEM, **fields)


@pytest.fixture
def automatic(mailbox: Mailbox) -> Category:
    """Shipping status is automatic, with one known template."""
    row = change("shipping_status", tier="auto")
    categories.add_family(
        row,
        actor=SYSTEM,
        name="On its way",
        subject_glob="Re: *",
        body_globs=["It left on * and arrives on *."],
    )
    return row


SURE = {"metadata": {"confidence": "0.95"}}


@pytest.mark.row("003-09", "003-16")
def test_draft_keeps_its_category_and_a_person_decides(pending: Draft, alice: User) -> None:
    pending.refresh_from_db()

    assert pending.category == "shipping_status"
    found = verdict(pending)
    assert (found.standing, found.rules[0].split(":")[0]) == (Standing.PASSED, "category")
    assert "Shipping status, approval." in found.sentence
    assert sent(pending, alice).state == "accepted"


def test_a_draft_that_arrives_is_classified_once_for_the_queue_and_once_for_the_gates(
    agent_writes: Writes,
) -> None:
    table = Category._meta.db_table
    with statements() as sent:
        agent_writes()

    read = [sql for sql in sent if f'FROM "{table}"' in sql]
    assert len(read) == 2


def test_new_wording_and_a_persons_edit_get_their_own_category(pending: Draft, alice: User) -> None:
    decisions.edit(pending, person=alice, seen=seen(pending), changes={"body": "We refund 5 EUR."})

    pending.refresh_from_db()
    assert pending.category == "money"


@pytest.mark.row("003-17", "K16")
def test_known_template_of_an_automatic_category_needs_nobody(
    agent_writes: Writes, automatic: Category
) -> None:
    found = verdict(agent_writes(body=BODY, **SURE), is_reviewed=False)

    assert found.standing is Standing.PASSED
    assert [rule.split(":")[0] for rule in found.rules] == ["category", "family"]


@pytest.mark.row("003-17", "003-18", "K16")
@pytest.mark.parametrize(
    "fields",
    [
        {"body": "<p>It is somewhere.</p>", **SURE},
        {"body": BODY},
        {"body": BODY, "metadata": {"confidence": "0.5"}},
        {"body": BODY, "metadata": {"confidence": "very"}},
        {"body": BODY, "metadata": {"confidence": "0.95", "category": "money"}},
        {"body": BODY + "<p>You get a refund.</p>", **SURE},
    ],
    ids=["no template", "no confidence", "unsure", "senseless", "said to be money", "money"],
)
def test_whatever_else_waits_for_a_person_in_every_mode(
    agent_writes: Writes, automatic: Category, fields: dict[str, Any]
) -> None:
    draft = agent_writes(**fields)

    unreviewed = verdict(draft, is_reviewed=False)

    assert (unreviewed.standing, unreviewed.result) == (Standing.REFUSED, "blocked_decision")
    assert verdict(draft).standing is Standing.PASSED


@pytest.mark.row("003-18")
def test_recipient_of_a_high_value_domain_needs_a_person(agent_writes: Writes, automatic: Category) -> None:
    categories.add_domain("*.bank.example", actor=SYSTEM)
    draft = agent_writes(body=BODY, bcc=[{"email": "anna@mail.bank.example"}], **SURE)

    assert "mail.bank.example" in verdict(draft, is_reviewed=False).sentence


@pytest.mark.row("003-33")
def test_answered_message_that_was_not_read_in_full_is_not_judged(
    agent_writes: Writes, automatic: Category
) -> None:
    draft = agent_writes(body=BODY, **SURE)
    Message.objects.filter(provider_id=draft.parent_message_id).update(is_complete=False)

    found = verdict(draft, is_reviewed=False)

    assert (found.standing, found.rules) == (Standing.REFUSED, ())
    assert "subject alone" in found.sentence


def test_mail_of_no_category_says_so_once(agent_writes: Writes) -> None:
    change("shipping_status", is_enabled=False)
    draft = agent_writes(body="<p>Yes.</p>")

    assert verdict(draft, is_reviewed=False).sentence == (
        "It waits for a person, whatever the mode. No category fits this mail, so it needs an approval."
    )


@pytest.fixture
def legal(agent_writes: Writes) -> Draft:
    draft = agent_writes(body="<p>Our secret answer: please tell your lawyer to wait.</p>")
    draft.refresh_from_db()
    return draft


@pytest.mark.row("003-19")
def test_draft_that_only_a_person_may_write_is_turned_away_and_an_item_opened_without_its_text(
    legal: Draft, alice: User
) -> None:
    assert legal.state == "rejected"
    item = NeedsPerson.objects.get()
    assert (item.draft, item.thread_id, item.message_id) == (legal, legal.thread_id, legal.parent_message_id)
    assert (item.category, item.state, item.assigned_to) == ("legal", "open", None)
    assert "secret answer" not in str(item.reasons)
    assert actions(legal)[-2:] == ["approvals.draft.turned_away", "approvals.needs_person.opened"]
    with pytest.raises(DecisionRefused):
        decisions.approve(legal, person=alice, seen=seen(legal), form_id=None)


@pytest.mark.row("003-19", "K16")
@pytest.mark.parametrize("mode", ["read_only", "gated_all", "gated_send", "monitored", "autonomous"])
def test_human_only_beats_every_mode(agent_writes: Writes, mailbox: Mailbox, mode: str) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    mailbox.refresh_from_db()

    draft = agent_writes(body="<p>Tell your lawyer.</p>")

    draft.refresh_from_db()
    assert draft.state == "rejected"
    found = verdict(draft, is_reviewed=False)
    assert (found.standing, found.result) == (Standing.REFUSED, "blocked_rule")
    assert "human_only" in found.sentence


def test_the_judgement_of_its_arrival_names_the_category(legal: Draft) -> None:
    judgement = Judgement.objects.get(draft=legal)

    category = Category.objects.get(key="legal")
    assert (judgement.gate, judgement.result) == ("tier", "blocked_rule")
    assert f"category:{category.pk}" in judgement.named_rules.values_list("rule", flat=True)


def test_another_draft_of_the_conversation_joins_the_open_item(
    legal: Draft, mailbox: Mailbox, sandbox: Any
) -> None:
    again = sandbox.post(
        "agent/drafts",
        grant=mailbox.grant_id,
        to=[{"email": "casey@example.net"}],
        subject="Re: Where is my order?",
        body="<p>Your lawyer again.</p>",
        reply_to_message_id=legal.parent_message_id,
    )["draft"]
    client = configured_client()

    intake.observe(mailbox, client.get_draft(mailbox.grant_id, again["id"]), client)

    second = Draft.objects.get(provider_draft_id=again["id"])
    assert second.state == "rejected"
    assert NeedsPerson.objects.get().draft == second


def test_draft_is_turned_away_when_its_category_became_human_only_while_it_waited(
    pending: Draft, alice: User
) -> None:
    change("shipping_status", tier="human_only")

    with pytest.raises(DecisionRefused, match="human_only"):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    pending.refresh_from_db()
    assert pending.state == "rejected"
    assert NeedsPerson.objects.get().category == "shipping_status"


def test_approval_does_not_outlive_a_category_that_became_human_only(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    change("shipping_status", tier="human_only")

    assert dispatch.dispatch(send.pk) == "refused"

    assert sandbox.sends() == []


def test_closing_an_item_is_recorded_with_its_reason(legal: Draft, olga: User) -> None:
    item = NeedsPerson.objects.get()

    needs_person.close(item.pk, person=olga, reason="Called them.", is_answered_elsewhere=True)

    item.refresh_from_db()
    entry = Entry.objects.get(action="approvals.needs_person.closed")
    assert (item.state, item.closed_by, item.close_reason) == ("closed", olga, "Called them.")
    assert (entry.outcome, entry.reason) == ("answered_elsewhere", "Called them.")


def test_an_item_is_closed_once(legal: Draft, olga: User, alice: User) -> None:
    item = NeedsPerson.objects.get()
    needs_person.close(item.pk, person=olga, reason="Called them.", is_answered_elsewhere=True)

    with pytest.raises(NeedsPersonRefused, match="Olga"):
        needs_person.close(item.pk, person=alice, reason="Nothing to do.", is_answered_elsewhere=False)


def test_somebody_without_rights_closes_nothing(legal: Draft, charlie: User) -> None:
    with pytest.raises(NeedsPersonRefused):
        needs_person.close(
            NeedsPerson.objects.get().pk, person=charlie, reason="x", is_answered_elsewhere=False
        )
