"""A sent mail that a person confirms as wrong: it takes back what let its kind leave without a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals import comparisons, dispatch, evidence, rehearsal
from approvals.category_evidence import evidence_by_category
from approvals.models import Draft, ModeChange, OutcomeKind, Role
from approvals.outcomes import add_fact
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import categories
from policies.models import Category
from tests.approvals.conftest import actions, person, sent

pytestmark = pytest.mark.row("K19")
WRONG: dict[str, Any] = {"would_send": False, "wrong_kind": "fact", "note": "It left on Friday."}


@pytest.fixture
def autonomous(mailbox: Mailbox) -> Mailbox:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    return mailbox


@pytest.fixture
def left(routine_writes: Callable[..., Draft], autonomous: Mailbox) -> Draft:
    """A mail of an automatic category that nobody decided about, accepted by the provider."""
    draft = routine_writes()
    assert dispatch.dispatch(draft.send.pk) == "posted"
    return draft


def tier() -> str:
    return Category.objects.get(key="shipping_status").tier


def test_its_category_goes_back_to_approval_and_its_mailbox_to_gated_send(
    left: Draft, autonomous: Mailbox, alice: User
) -> None:
    kept = comparisons.compare(left.pk, person=alice, **WRONG)

    autonomous.refresh_from_db()
    change = ModeChange.objects.get()
    assert (tier(), autonomous.mode) == ("approve", "gated_send")
    assert kept.category is not None
    assert kept.mode == change
    assert change.person is None
    assert all(said in change.reason for said in ("Alice", "A fact is wrong", str(left.public_id)))
    assert actions(left)[-1] == "approvals.send.judged"


def test_what_is_queued_without_a_person_waits_for_one(
    left: Draft, routine_writes: Callable[..., Draft], alice: User
) -> None:
    queued = routine_writes()
    assert queued.state == "approved"

    comparisons.compare(left.pk, person=alice, **WRONG)

    queued.refresh_from_db()
    assert (queued.state, queued.send.state) == ("pending", "stopped")


def test_the_mode_stays_when_a_person_had_approved_it(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    draft = routine_writes()
    sent(draft, alice)
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")

    kept = comparisons.compare(draft.pk, person=alice, **WRONG)

    mailbox.refresh_from_db()
    assert (tier(), mailbox.mode, kept.mode) == ("approve", "autonomous", None)


def test_a_word_that_it_was_right_takes_nothing_back(left: Draft, autonomous: Mailbox, alice: User) -> None:
    kept = comparisons.compare(left.pk, person=alice, would_send=True)

    autonomous.refresh_from_db()
    assert (tier(), autonomous.mode) == ("auto", "autonomous")
    assert (kept.category, kept.mode) == (None, None)


def test_an_admin_s_later_choice_outlives_a_second_word_about_the_same_mail(
    left: Draft, alice: User, bruno: User
) -> None:
    comparisons.compare(left.pk, person=alice, **WRONG)
    row = Category.objects.get(key="shipping_status")
    categories.edit(row.pk, version=row.version, actor=SYSTEM, tier="auto")

    comparisons.compare(left.pk, person=bruno, **WRONG)

    assert tier() == "auto"


def test_a_mail_that_only_would_have_been_sent_takes_nothing_back(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    rehearsal.begin(mailbox.pk, version=0, person=person("ada", Role.ADMIN))
    draft = routine_writes()
    assert sent(draft, alice).state == "dry_run"

    comparisons.compare(draft.pk, person=alice, **WRONG)

    assert tier() == "auto"


def test_who_may_not_decide_confirms_nothing(left: Draft, autonomous: Mailbox) -> None:
    with pytest.raises(comparisons.ComparisonRefused):
        comparisons.compare(left.pk, person=person("audra", Role.AUDITOR), **WRONG)

    assert tier() == "auto"
    assert not Entry.objects.filter(action="approvals.send.judged").exists()


def test_one_mail_that_turned_out_wrong_in_two_ways_counts_once(
    left: Draft, autonomous: Mailbox, alice: User, bruno: User
) -> None:
    add_fact(left.send.pk, address="a@example.net", kind=OutcomeKind.COMPLAINT, source="test")
    for one in (alice, bruno):
        comparisons.compare(left.pk, person=one, **WRONG)

    found = evidence.of(autonomous)

    assert (found.turned_out_wrong, found.complaints, found.wrong) == (1, 1, 1)


def test_the_evidence_of_its_category_counts_it(
    routine_writes: Callable[..., Draft], mailbox: Mailbox, alice: User
) -> None:
    draft = routine_writes()
    sent(draft, alice)

    comparisons.compare(draft.pk, person=alice, **WRONG)

    assert evidence_by_category(alice, database_now())["shipping_status"].wrong == 1
