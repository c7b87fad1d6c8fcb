"""Who is deciding about a draft: taking, keeping and losing a claim, and what it holds off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from agentmail.models import Mailbox
from approvals import decisions, presence, sweeps
from approvals.models import Claim, Decision, Draft, Membership, Presence
from approvals.transitions import claims, drafts
from approvals.transitions.drafts import Claimed, NotAllowed
from audit.models import Entry
from tests.approvals.conftest import actions, age, approve, at_once, seen


def verbs(draft: Draft, by: User) -> dict[str, Callable[[], Any]]:
    page = seen(draft)
    return {
        "approve": lambda: decisions.approve(draft, person=by, seen=page, form_id=None),
        "reject": lambda: decisions.reject(draft, person=by, seen=page, reason="No.", form_id=None),
        "request changes": lambda: decisions.request_changes(
            draft, person=by, seen=page, note="Shorter.", form_id=None
        ),
        "edit": lambda: decisions.edit(draft, person=by, seen=page, changes={"subject": "Re: Order"}),
    }


@pytest.mark.parametrize("verb", ["approve", "reject", "request changes", "edit"])
def test_while_somebody_else_is_deciding_nobody_decides(
    pending: Draft, alice: User, bruno: User, verb: str
) -> None:
    claim = claims.claim(pending.pk, person=alice)

    with pytest.raises(Claimed) as refusal:
        verbs(pending, bruno)[verb]()

    assert refusal.value.claim == claim
    assert "Alice is deciding about this" in str(refusal.value)
    pending.refresh_from_db()
    assert (pending.state, Decision.objects.count(), pending.revisions.count()) == ("pending", 0, 1)


def test_the_one_who_claimed_decides_and_the_claim_ends_with_it(pending: Draft, alice: User) -> None:
    claims.claim(pending.pk, person=alice)

    approve(pending, alice)

    assert not Claim.objects.exists()
    assert "approvals.draft.claim_released" not in actions(pending)


def test_a_draft_that_nobody_claimed_is_decided_by_anybody(pending: Draft, bruno: User) -> None:
    assert approve(pending, bruno).state == "queued"


def test_a_claim_is_recorded_once_and_prolonged_by_what_its_person_does(pending: Draft, alice: User) -> None:
    claim = claims.claim(pending.pk, person=alice)
    age(claim, until=timedelta(minutes=2))

    prolonged = claims.claim(pending.pk, person=alice)

    assert prolonged.until > claim.until
    assert actions(pending)[-1:] == ["approvals.draft.claimed"]
    assert actions(pending).count("approvals.draft.claimed") == 1


def test_prolonging_twice_in_a_moment_writes_once(pending: Draft, alice: User) -> None:
    first = claims.claim(pending.pk, person=alice)

    second = claims.claim(pending.pk, person=alice)

    assert second.until == first.until


def test_a_claim_of_another_person_is_refused_until_it_is_taken_over(
    pending: Draft, alice: User, bruno: User
) -> None:
    claims.claim(pending.pk, person=alice)
    with pytest.raises(Claimed):
        claims.claim(pending.pk, person=bruno)

    taken = claims.take_over(pending.pk, person=bruno)

    assert (taken.person, taken.taken_from) == (bruno, alice)
    entry = Entry.objects.get(action="approvals.draft.claim_taken_over")
    assert (entry.actor_name, entry.data) == ("Bruno", {"taken_from": "Alice"})
    with pytest.raises(Claimed):
        verbs(pending, alice)["approve"]()
    assert approve(pending, bruno).state == "queued"


def test_taking_over_what_nobody_holds_is_a_claim(pending: Draft, bruno: User) -> None:
    assert claims.take_over(pending.pk, person=bruno).taken_from is None
    assert actions(pending)[-1] == "approvals.draft.claimed"


def test_a_claim_whose_time_is_over_keeps_nobody_from_deciding(
    pending: Draft, alice: User, bruno: User
) -> None:
    age(claims.claim(pending.pk, person=alice), until=timedelta(minutes=5, seconds=1))

    assert approve(pending, bruno).state == "queued"


def test_the_sweep_ends_a_claim_whose_time_is_over(pending: Draft, alice: User) -> None:
    claim = claims.claim(pending.pk, person=alice)
    assert sweeps.lapsed_claims() == 0
    age(claim, until=timedelta(minutes=5, seconds=1))

    assert sweeps.lapsed_claims() == 1

    assert not Claim.objects.exists()
    assert Entry.objects.get(action="approvals.draft.claim_released").outcome == "timed_out"


def test_who_may_no_longer_decide_holds_nobody_off(pending: Draft, alice: User, bruno: User) -> None:
    claims.claim(pending.pk, person=alice)
    Membership.objects.filter(user=alice).delete()

    assert approve(pending, bruno).state == "queued"


@pytest.mark.parametrize("lost", ["rights", "account"])
def test_the_sweep_ends_the_claim_of_who_may_no_longer_decide(pending: Draft, alice: User, lost: str) -> None:
    claims.claim(pending.pk, person=alice)
    if lost == "rights":
        Membership.objects.filter(user=alice).update(role="auditor")
    else:
        User.objects.filter(pk=alice.pk).update(is_active=False)

    assert sweeps.lapsed_claims() == 1

    assert Entry.objects.get(action="approvals.draft.claim_released").outcome == "rights_lost"


def test_a_claim_is_let_go_by_its_person_alone(pending: Draft, alice: User, bruno: User) -> None:
    claims.claim(pending.pk, person=alice)

    assert claims.release(pending.pk, person=bruno) is False
    assert claims.release(pending.pk, person=alice) is True

    assert actions(pending)[-1] == "approvals.draft.claim_released"
    assert claims.claim(pending.pk, person=bruno).person == bruno


def test_signing_out_lets_go_of_claims_and_ends_presence(pending: Draft, alice: User) -> None:
    client = Client()
    client.force_login(alice)
    claims.claim(pending.pk, person=alice)
    presence.note(pending, alice, page="p1", is_editing=False)

    client.post("/accounts/logout/")

    assert not Claim.objects.exists()
    assert not Presence.objects.exists()
    assert Entry.objects.get(action="approvals.draft.claim_released").outcome == "signed_out"


def test_whoever_may_not_decide_claims_nothing(pending: Draft, olga: User) -> None:
    with pytest.raises(NotAllowed):
        claims.claim(pending.pk, person=olga)
    with pytest.raises(NotAllowed):
        claims.take_over(pending.pk, person=olga)

    assert not Claim.objects.exists()


def test_a_draft_that_is_decided_is_not_claimed(pending: Draft, alice: User) -> None:
    decisions.reject(pending, person=alice, seen=seen(pending), reason="No.", form_id=None)

    with pytest.raises(drafts.DecisionRefused):
        claims.claim(pending.pk, person=alice)


def test_a_stale_draft_can_be_claimed_and_is_then_returned_by_its_person_alone(
    pending: Draft, alice: User, bruno: User, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(thread_id=pending.thread_id, body="Never mind.")
    with pytest.raises(drafts.ThreadMoved):
        verbs(pending, alice)["approve"]()
    pending.refresh_from_db()
    claims.claim(pending.pk, person=alice)

    with pytest.raises(Claimed):
        decisions.look_again(pending, person=bruno)

    assert decisions.look_again(pending, person=alice).state == "pending"
    assert Claim.objects.get().person == alice


def test_a_claim_holds_up_neither_cancelling_nor_expiry_nor_withdrawal(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    cancelled, expired, withdrawn = agent_writes(), agent_writes(), agent_writes()
    for draft in (cancelled, expired, withdrawn):
        claims.claim(draft.pk, person=alice)
    olga = User.objects.create_user("olga2")
    Membership.objects.create(user=olga, role="operator", mailbox=mailbox)
    age(expired, expires_at=timedelta(hours=100))

    assert drafts.cancel(cancelled.pk, person=olga, reason="All of it.")
    assert sweeps.expired_drafts() == 1
    assert drafts.withdraw(withdrawn.pk)

    assert not Claim.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_does(
    transactional_db: None, pending: Draft, alice: User, bruno: User
) -> None:
    results = at_once(*[lambda who=who: claims.claim(pending.pk, person=who) for who in (alice, bruno) * 4])

    [claim] = Claim.objects.all()
    assert {result.person for result in results if isinstance(result, Claim)} == {claim.person}
    assert {type(result) for result in results} == {Claim, Claimed}
    assert actions(pending).count("approvals.draft.claimed") == 1


@pytest.mark.django_db(transaction=True)
def test_a_claim_and_a_decision_of_another_at_once_end_in_one_of_both(
    transactional_db: None, agent_writes: Callable[..., Draft], alice: User, bruno: User
) -> None:
    for _round in range(5):
        draft = agent_writes()

        claimed, decided = at_once(
            lambda draft=draft: claims.claim(draft.pk, person=alice), verbs(draft, bruno)["reject"]
        )

        draft.refresh_from_db()
        if isinstance(decided, Decision):
            assert (draft.state, Claim.objects.filter(draft=draft).count()) == ("rejected", 0)
        else:
            assert isinstance(claimed, Claim)
            assert (draft.state, type(decided)) == ("pending", Claimed)


def test_presence_is_written_once_in_some_seconds_while_nothing_differs(pending: Draft, alice: User) -> None:
    presence.note(pending, alice, page="p1", is_editing=False)
    first = Presence.objects.get()

    presence.note(pending, alice, page="p1", is_editing=False)
    assert Presence.objects.get().seen_at == first.seen_at

    presence.note(pending, alice, page="p1", is_editing=True)
    assert Presence.objects.get().is_editing
    assert Entry.objects.filter(actor_id=str(alice.pk)).count() == 0


def test_a_page_that_is_left_ends_what_it_said_and_not_what_a_later_page_says(
    pending: Draft, alice: User
) -> None:
    presence.note(pending, alice, page="letter", is_editing=False)
    presence.note(pending, alice, page="form", is_editing=True)

    presence.leave(pending, alice, page="letter")
    assert Presence.objects.get().is_editing

    presence.leave(pending, alice, page="form")
    assert not Presence.objects.exists()


def test_the_sweep_forgets_pages_that_fell_silent(pending: Draft, alice: User, bruno: User) -> None:
    presence.note(pending, alice, page="p1", is_editing=False)
    presence.note(pending, bruno, page="p2", is_editing=False)
    age(Presence.objects.get(person=alice), seen_at=timedelta(minutes=1))

    assert presence.forget_old() == 1

    assert Presence.objects.get().person == bruno
