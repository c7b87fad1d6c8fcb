"""For every pair of gates: the earlier one is named as the reason, and the refusal of the later one is kept, too."""

import uuid
from datetime import timedelta
from itertools import combinations

import pytest
from django.db import transaction

from agentmail.models import Mailbox
from approvals import gates, people
from approvals.gates import Standing
from approvals.models import Decision, Draft, Send
from audit.clock import database_now
from audit.record import SYSTEM
from policies import caps, changes, mailbox_settings, modes, switch
from policies.models import Category, Delivery, MailboxSettings, RecipientEntry, Rule, Tier
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db

BODY = "Dear Priya,\n\nthank you for the photographs.\n\nHarbour Lane"


def settings_of(send, **fields):
    version = mailbox_settings.of(send.mailbox_id).version
    mailbox_settings.write(send.mailbox_id, version=version, actor=SYSTEM, **fields)


def stop(send, settings):
    switch.engage(send.mailbox.scope, actor=SYSTEM, reason="Test", wait_seconds=0)


def restore(send, settings):
    settings.INSTANCE_FILE.write_text(f"{uuid.UUID(int=7)} {1:020d}\n")


def grant(send, settings):
    Mailbox.objects.filter(pk=send.mailbox_id).update(grant_state="invalid")


def disable(send, settings):
    Mailbox.objects.filter(pk=send.mailbox_id).update(is_enabled=False)


def read_only(send, settings):
    Mailbox.objects.filter(pk=send.mailbox_id).update(mode=modes.READ_ONLY)
    settings_of(send, read_only_refuses_approved=True)


def run_out(send, settings):
    Decision.objects.filter(pk=send.decision_id).update(valid_until=database_now() - timedelta(minutes=1))


def deny(send, settings):
    changes.create(RecipientEntry, actor=SYSTEM, kind="deny", scope="global", pattern="example.org")


def leave_unread(send, settings):
    first = send.mailbox.messages.order_by("pk").first()
    send.mailbox.messages.filter(pk=first.pk).update(is_complete=False)


def block(send, settings):
    condition = {"field": "subject", "operator": "contains", "value": "plates"}
    changes.create(Rule, actor=SYSTEM, name="Plates", conditions=[condition], actions=[{"type": "block"}])


def only_people(send, settings):
    changes.create(
        Category,
        actor=SYSTEM,
        key="photographs",
        name="Photographs",
        tier=Tier.HUMAN_ONLY,
        position=1,
        outbound_words=["photographs"],
    )


def another_under_way(send, settings):
    other = scenes.draft(send.mailbox, messages=list(send.mailbox.messages.order_by("pk")), body=BODY)
    found = sends.queued(other, send.decision.person)
    Send.objects.filter(pk=found.pk).update(state="unknown", ambiguous=True)


def stale(send, settings):
    """Without a look at the thread: see `asked`."""


def full_hour(send, settings):
    policy = caps.add_policy(actor=SYSTEM, name="One", hour_cap=1, day_cap=1)
    settings_of(send, policy=policy)
    with transaction.atomic():
        caps.reserve(send.mailbox_id, "another send")


def rehearse(send, settings):
    settings_of(send, delivery=Delivery.DRY_RUN)


# In the order of the chain.
REFUSALS = {
    "switch": stop,
    "restore": restore,
    "grant": grant,
    "mailbox": disable,
    "mode": read_only,
    "decision": run_out,
    "recipients": deny,
    "content": leave_unread,
    "rules": block,
    "tier": only_people,
    "thread": another_under_way,
    "fresh": stale,
    "caps": full_hour,
    "dry_run": rehearse,
}


@pytest.fixture
def send(db):
    box = scenes.mailbox(undo_seconds=0)
    MailboxSettings.objects.filter(mailbox_id=box.pk).delete()
    mara = scenes.person("mara", "reviewer", box, name="Mara Okafor")
    return sends.queued(scenes.draft_in_thread(box, body=BODY), mara)


def asked(send, *, with_look):
    """Every verdict of the claim, as it would be now."""
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=send.draft_id)
    now = Send.objects.select_related("decision__revision", "mailbox").get(pk=send.pk)
    with transaction.atomic():
        facts = gates.facts_about(
            draft,
            now.decision.revision,
            now=database_now(),
            decision=now.decision,
            send=now,
            look=sends.look_at(draft) if with_look else None,
            is_claim=True,
        )
        return gates.evaluate(facts)


def refused(verdicts):
    return [verdict.gate for verdict in verdicts if verdict.standing is Standing.REFUSED]


def test_every_gate_has_its_refusal_here():
    assert list(REFUSALS) == [name for name, _gate in gates.GATES]


def test_a_healthy_send_passes_every_gate(send):
    assert refused(asked(send, with_look=True)) == []
    assert people.is_still_allowed(send.decision.person_id, people.Right.DECIDE, send.mailbox_id)


@pytest.mark.parametrize("name", REFUSALS)
def test_each_gate_refuses_by_itself(send, settings, name):
    REFUSALS[name](send, settings)

    assert name in refused(asked(send, with_look=name != "fresh"))


@pytest.mark.row("K2", "000-34")
@pytest.mark.parametrize(("earlier", "later"), list(combinations(REFUSALS, 2)))
def test_the_earlier_of_two_refusals_is_the_reason_and_the_later_is_kept(send, settings, earlier, later):
    for name in (later, earlier):
        REFUSALS[name](send, settings)

    verdicts = asked(send, with_look="fresh" not in (earlier, later))

    assert gates.first_refusal(verdicts).gate == earlier
    assert later in refused(verdicts)


@pytest.mark.row("K16")
@pytest.mark.parametrize("mode", modes.LADDER)
@pytest.mark.parametrize("tier", [Tier.APPROVE, Tier.HUMAN_ONLY])
def test_a_tier_tightens_every_mode_and_loosens_none(mode, tier):
    changes.create(
        Category,
        actor=SYSTEM,
        key="photographs",
        name="Photographs",
        tier=tier,
        position=1,
        outbound_words=["photographs"],
    )
    arrived = scenes.draft_in_thread(scenes.mailbox(), body=BODY)
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=arrived.pk)
    draft.mode = draft.mailbox.mode = mode
    is_reviewed = modes.needs_person(mode)
    facts = gates.facts_about(draft, draft.current_revision, now=database_now(), is_reviewed=is_reviewed)

    verdicts = {verdict.gate: verdict.standing for verdict in gates.evaluate(facts)}

    assert (verdicts["tier"] is Standing.PASSED) is (tier == Tier.APPROVE and is_reviewed)
    assert (verdicts["mode"] is Standing.REFUSED) is (mode == modes.READ_ONLY)
