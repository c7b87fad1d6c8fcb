"""Several drafts decided about together: what was shown is what is decided, item by item."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F

from agentmail.models import Mailbox
from approvals import batches, decisions, dispatch
from approvals.freshness import Staleness
from approvals.models import Batch, BatchItem, BatchKind, Decision, Draft, Revision, Send, StaleReason
from approvals.states import BatchState, DraftState, SendState
from approvals.transitions import claims, drafts
from audit.models import Entry
from audit.record import SYSTEM
from policies import switch
from tests.approvals.conftest import actions, seen

pytestmark = pytest.mark.django_db
RISKY = "<p>Our lawyer will answer the lawsuit about your refund.</p>"


def opened(by: User, *rows: Draft) -> Batch:
    return batches.open_batch(by, [draft.public_id for draft in rows])


def shown(batch: Batch) -> list[str]:
    return [batches.line_of(item) for item in batches.items_of(batch, batch.person)]


def decided(batch: Batch, kind: BatchKind = BatchKind.APPROVE, **given: Any) -> Batch:
    lines = given.pop("lines", shown(batch))
    values = {"proof": batches.proof_of(batch, lines)} | given
    return batches.decide(batch, person=batch.person, kind=kind, lines=lines, **values)


def approved(batch: Batch) -> dict[int, str]:
    """Decide and work on a batch; the result of each item by its draft."""
    decided(batch)
    batches.work(batch.pk)
    return results(batch)


def results(batch: Batch) -> dict[int, str]:
    return {item.draft_id: item.result or item.state for item in BatchItem.objects.filter(batch=batch)}


def obstacles(batch: Batch) -> dict[int, str]:
    return {item.draft_id: item.obstacle for item in BatchItem.objects.filter(batch=batch)}


def test_every_letter_that_was_shown_is_approved_by_itself(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    rows = [agent_writes() for _ in range(3)]

    found = approved(opened(alice, *rows))

    assert found == {draft.pk: "approved" for draft in rows}
    assert Send.objects.filter(state=SendState.QUEUED).count() == 3
    assert Decision.objects.filter(kind="approve", person=alice).count() == 3
    assert {"approvals.draft.approved", "approvals.batch.item_done"} <= set(actions(rows[0]))


def test_an_approved_letter_leaves_through_every_gate(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    draft = agent_writes()
    approved(opened(alice, draft))
    send = Send.objects.get(draft=draft)

    dispatch.dispatch(send.pk)

    send.refresh_from_db()
    assert send.state == SendState.ACCEPTED


def test_a_letter_that_cannot_be_looked_at_keeps_no_other_from_being_approved(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    broken, sound = agent_writes(), agent_writes()
    Revision.objects.filter(draft=broken).update(attachments=[7])

    batch = opened(alice, broken, sound)

    assert obstacles(batch)[broken.pk].startswith("It could not be checked, so it is not approved here")
    assert approved(batch) == {broken.pk: "left_out", sound.pk: "approved"}


def test_a_list_that_no_page_showed_decides_nothing(agent_writes: Callable[..., Draft], alice: User) -> None:
    batch = opened(alice, agent_writes(), agent_writes())

    with pytest.raises(batches.BatchRefused, match="not the list"):
        decided(batch, lines=shown(batch)[:1], proof=batches.proof_of(batch, shown(batch)))

    batch.refresh_from_db()
    assert batch.state == BatchState.READING
    assert not Decision.objects.exists()


def test_a_letter_that_the_page_did_not_show_is_left_out(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    first, second = agent_writes(), agent_writes()
    batch = opened(alice, first, second)
    decided(batch, lines=shown(batch)[:1])
    batches.work(batch.pk)

    assert results(batch) == {first.pk: "approved", second.pk: "left_out"}


def test_a_new_wording_is_not_approved_by_the_old_page(
    agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    kept, changed = agent_writes(), agent_writes()
    batch = opened(alice, kept, changed)
    decided(batch)
    decisions.edit(changed, person=bruno, seen=seen(changed), changes={"subject": "Another"})

    batches.work(batch.pk)

    assert results(batch) == {kept.pk: "approved", changed.pk: "changed"}
    changed.refresh_from_db()
    assert changed.state == DraftState.PENDING


def test_a_wording_that_changed_before_the_word_is_left_out_with_its_reason(
    agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    kept, changed = agent_writes(), agent_writes()
    batch = opened(alice, kept, changed)
    decisions.edit(changed, person=bruno, seen=seen(changed), changes={"subject": "Another"})

    decided(batch)

    item = BatchItem.objects.get(batch=batch, draft=changed)
    assert (item.state, item.sentence) == ("left_out", "It has another wording by now.")


def test_a_colleague_who_was_faster_is_named(
    agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    draft, other = agent_writes(), agent_writes()
    batch = opened(alice, draft, other)
    decided(batch)
    decisions.reject(draft, person=bruno, seen=seen(draft), reason="No", form_id=None)

    batches.work(batch.pk)

    item = BatchItem.objects.get(batch=batch, draft=draft)
    assert item.result == "already_decided"
    assert "Bruno" in item.sentence
    assert results(batch)[other.pk] == "approved"


def test_a_draft_that_a_colleague_claimed_is_left_to_them(
    agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    before, between, free = agent_writes(), agent_writes(), agent_writes()
    claims.claim(before.pk, person=bruno)
    batch = opened(alice, before, between, free)
    decided(batch)
    claims.claim(between.pk, person=bruno)

    batches.work(batch.pk)

    assert results(batch) == {before.pk: "left_out", between.pk: "claimed", free.pk: "approved"}
    assert BatchItem.objects.get(draft=before).sentence == "Bruno is deciding about it."


def test_a_conversation_that_moved_makes_its_item_stale_and_no_other(
    agent_writes: Callable[..., Draft], customer_writes: Callable[..., Any], alice: User
) -> None:
    kept, moved = agent_writes(), agent_writes()
    batch = opened(alice, kept, moved)
    decided(batch)
    customer_writes(
        thread_id=moved.thread_id, body="<p>One more thing.</p>", **{"from": {"email": "c@example.net"}}
    )

    batches.work(batch.pk)

    assert results(batch) == {kept.pk: "approved", moved.pk: "stale"}


def test_a_silent_provider_is_said_for_each_item(
    agent_writes: Callable[..., Draft], alice: User, connected_settings: Any
) -> None:
    draft = agent_writes()
    batch = opened(alice, draft)
    decided(batch)
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"

    batches.work(batch.pk)

    assert results(batch) == {draft.pk: "silent"}
    assert not Decision.objects.exists()


def test_a_stop_in_the_middle_holds_what_comes_after_it(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    draft = agent_writes()
    batch = opened(alice, draft)
    decided(batch)
    switch.engage("global", actor=SYSTEM, reason="wrong prices", wait_seconds=0)

    batches.work(batch.pk)

    assert results(batch) == {draft.pk: "held"}
    assert Send.objects.get(draft=draft).held == "blocked_kill_switch"


def test_mail_of_high_risk_is_shown_with_its_reason_and_not_approved(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    plain, risky = agent_writes(), agent_writes(body=RISKY)

    batch = opened(alice, plain, risky)

    assert obstacles(batch)[plain.pk] == ""
    assert obstacles(batch)[risky.pk]
    decided(batch)
    batches.work(batch.pk)
    assert results(batch) == {plain.pk: "approved", risky.pk: "left_out"}


def test_a_stale_draft_can_be_rejected_together_and_not_approved(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    draft, stale = agent_writes(), agent_writes()
    drafts.mark_stale(stale.pk, _moved())
    batch = opened(alice, draft, stale)

    decided(batch, BatchKind.REJECT, reason="Not today.")
    batches.work(batch.pk)

    assert results(batch) == {draft.pk: "rejected", stale.pk: "rejected"}
    assert set(Decision.objects.values_list("reason", flat=True)) == {"Not today."}


def test_what_a_person_takes_out_is_left(agent_writes: Callable[..., Draft], alice: User) -> None:
    kept, out = agent_writes(), agent_writes()
    batch = opened(alice, kept, out)

    decided(batch, left_out=[shown(batch)[1]])
    batches.work(batch.pk)

    assert results(batch) == {kept.pk: "approved", out.pk: "left_out"}


def test_a_batch_is_decided_once(agent_writes: Callable[..., Draft], alice: User) -> None:
    batch = opened(alice, agent_writes())
    decided(batch)

    with pytest.raises(batches.BatchRefused, match="before"):
        decided(batch)


def test_letters_that_were_shown_long_ago_are_shown_again(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    batch = opened(alice, agent_writes())
    Batch.objects.update(opened_at=F("opened_at") - timedelta(minutes=61))
    batch.refresh_from_db()

    with pytest.raises(batches.BatchRefused, match="hour"):
        decided(batch)


def test_an_item_that_nobody_got_to_in_time_is_not_decided(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    draft = agent_writes()
    batch = opened(alice, draft)
    decided(batch)
    Batch.objects.update(decided_at=F("decided_at") - timedelta(minutes=16))

    batches.work(batch.pk)

    assert results(batch) == {draft.pk: "ran_out"}
    assert not Decision.objects.exists()


def test_a_batch_that_is_stopped_leaves_the_rest_alone(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    batch = opened(alice, agent_writes(), agent_writes())
    decided(batch)
    batches.stop(batch)

    batches.work(batch.pk)

    batch.refresh_from_db()
    assert batch.state == BatchState.ENDED
    assert set(results(batch).values()) == {"left_out"}
    assert not Decision.objects.exists()


def test_all_approvals_of_a_batch_are_taken_back_within_the_hold(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox
) -> None:
    Mailbox.objects.update(undo_seconds=60)
    rows = [agent_writes(), agent_writes()]
    batch = opened(alice, *rows)
    approved(batch)

    undone = batches.undo(batch, person=alice)

    assert undone.count == 2
    assert set(Draft.objects.values_list("state", flat=True)) == {DraftState.PENDING}


def test_one_approval_of_a_batch_is_taken_back_and_the_other_stays(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox
) -> None:
    Mailbox.objects.update(undo_seconds=60)
    first, second = agent_writes(), agent_writes()
    batch = opened(alice, first, second)
    approved(batch)

    batches.undo(batch, person=alice, places=[2])

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (DraftState.APPROVED, DraftState.PENDING)


def test_a_right_that_was_taken_away_counts_at_the_turn_of_each_item(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    draft = agent_writes()
    batch = opened(alice, draft)
    decided(batch)
    alice.memberships.all().delete()

    batches.work(batch.pk)

    assert results(batch) == {draft.pk: "refused"}


def test_drafts_of_a_mailbox_without_the_right_are_none_of_the_batch(
    agent_writes: Callable[..., Draft], charlie: User, olga: User
) -> None:
    draft = agent_writes()

    for who in (charlie, olga):
        with pytest.raises(batches.BatchRefused, match="at least one"):
            opened(who, draft)


def test_more_than_fifty_are_refused_with_the_limit(alice: User) -> None:
    with pytest.raises(batches.BatchRefused, match="You chose 51 drafts; 50"):
        batches.open_batch(alice, [Draft._meta.get_field("public_id").get_default() for _ in range(51)])


def test_the_record_names_each_draft_that_was_decided_together(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    rows = [agent_writes(), agent_writes()]
    approved(opened(alice, *rows))

    told = list(Entry.objects.filter(action__startswith="approvals.batch.").values_list("action", flat=True))
    assert sorted(told) == sorted(
        [
            "approvals.batch.opened",
            "approvals.batch.decided",
            "approvals.batch.item_done",
            "approvals.batch.item_done",
            "approvals.batch.ended",
        ]
    )
    said = Entry.objects.get(action="approvals.batch.decided")
    assert set(said.data["drafts"]) == {str(draft.public_id) for draft in rows}


def test_a_batch_that_was_never_decided_is_forgotten_after_a_day(
    agent_writes: Callable[..., Draft], alice: User
) -> None:
    batch = opened(alice, agent_writes())
    Batch.objects.update(opened_at=F("opened_at") - timedelta(days=2))

    assert batches.forget_unread() == 1
    assert not Batch.objects.filter(pk=batch.pk).exists()


def _moved() -> Any:
    return Staleness(StaleReason.NEW_INBOUND, ())
