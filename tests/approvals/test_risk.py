"""The risk of a draft: told from its notes and its category, kept with each revision, and its place in the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmail.types import Address
from approvals import notes, risk, sweeps
from approvals.models import Draft, Risk
from approvals.transitions import drafts
from policies import categories
from tests.pages import scenes

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
SHIPPING = {
    "key": "shipping",
    "name": "Shipping",
    "tier": "approve",
    "position": 5,
    "is_high_risk": False,
    "outbound_words": ["parcel*"],
}
BODY = "Dear Priya,\n\nyour parcel leaves today."


@pytest.fixture
def support(db: None) -> Any:
    return scenes.mailbox("support@example.com")


@pytest.fixture
def shipping(db: None) -> Any:
    from policies.models import Category  # noqa: PLC0415

    return Category.objects.create(**SHIPPING)


def kept(draft: Draft) -> tuple[int | None, list[str]]:
    draft.refresh_from_db()
    return draft.risk, draft.risk_reasons


def test_every_note_has_words_and_stands_in_the_same_order() -> None:
    assert [key for key in risk.WORDS if key in notes.ORDER] == list(notes.ORDER)


def test_an_answer_to_who_wrote_in_a_category_of_low_risk_is_low(support: Any, shipping: Any) -> None:
    draft = scenes.draft_in_thread(support, body=BODY)

    assert kept(draft) == (Risk.LOW, [])
    assert draft.is_low_risk


def test_an_answer_in_no_category_is_not_low(support: Any) -> None:
    draft = scenes.draft_in_thread(support, body="Dear Priya,\n\nthank you.")

    assert kept(draft) == (Risk.NORMAL, ["no_category"])


def test_files_alone_keep_a_draft_low(support: Any, shipping: Any) -> None:
    draft = scenes.draft_in_thread(support, body=BODY, attachments=(scenes.file(),))

    assert kept(draft) == (Risk.LOW, ["attachments"])


def test_a_mail_that_answers_nothing_is_not_low(support: Any, shipping: Any) -> None:
    draft = scenes.draft(support, body=BODY, to=(Address("support2@example.com"),))

    assert kept(draft) == (Risk.NORMAL, ["compose"])


def test_a_draft_whose_answered_message_is_not_known_is_not_low(support: Any, shipping: Any) -> None:
    draft = scenes.draft_in_thread(support, body=BODY, parent_message_id="elsewhere")

    level, reasons = kept(draft)
    assert level != Risk.LOW
    assert "unknown_thread" in reasons


def test_a_draft_that_is_not_read_in_full_is_not_low(support: Any, shipping: Any) -> None:
    draft = scenes.draft_in_thread(support, body=BODY, incomplete_reason="Too large.")

    assert kept(draft) == (Risk.NORMAL, ["incomplete"])


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("bcc", {"bcc": (Address("priya.nair@example.org"),)}),
        ("first_contact", {"cc": (Address("sam@elsewhere.example"),)}),
        ("secret", {"body": BODY + " The password is hunter22."}),
        ("wrong_thread", {"body": "Dear Oskar,\n\nyour parcel leaves today."}),
    ],
)
def test_one_grave_note_makes_a_draft_high(
    support: Any, shipping: Any, reason: str, fields: dict[str, Any]
) -> None:
    draft = scenes.draft_in_thread(support, **{"body": BODY} | fields)

    level, reasons = kept(draft)
    assert level == Risk.HIGH
    assert reason in reasons


def test_words_of_a_category_of_high_risk_make_a_draft_high(support: Any) -> None:
    from policies.models import Category  # noqa: PLC0415

    Category.objects.create(**SHIPPING | {"is_high_risk": True})
    draft = scenes.draft_in_thread(support, body=BODY)

    assert kept(draft) == (Risk.HIGH, ["risky_words:Shipping"])
    assert risk.said_in_row(draft) == (["about Shipping"], 0)


def test_a_new_amount_alone_is_of_normal_risk(support: Any, shipping: Any) -> None:
    draft = scenes.draft_in_thread(support, body=BODY + " It costs 12 CHF.")

    assert kept(draft) == (Risk.NORMAL, ["new_amount"])


def test_the_most_consequential_reason_is_said_first_and_the_rest_counted(support: Any) -> None:
    draft = scenes.draft_in_thread(
        support,
        body="Dear Oskar,\n\nthe password is hunter22. It costs 12 EUR.",
        bcc=(Address("priya.nair@example.org"),),
    )
    draft.refresh_from_db()

    assert risk.said_in_row(draft) == (["may hold a secret", "reader in Bcc"], 3)


def test_an_edit_is_told_anew(support: Any, shipping: Any) -> None:
    person = scenes.person("alice", "reviewer", support)
    draft = scenes.draft_in_thread(support, body=BODY)
    low_place = draft.queue_at

    edited = scenes.content(
        support, body=BODY + " The password is hunter22.", parent_message_id=draft.parent_message_id
    )
    drafts.edit(draft.pk, person=person, seen=scenes.seen(draft), content=edited)

    assert kept(draft) == (Risk.HIGH, ["secret"])
    assert draft.queue_at < low_place


def test_a_defect_while_it_is_told_is_high_risk_and_loses_no_draft(
    support: Any, shipping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(categories, "rulebook", broken)
    draft = scenes.draft_in_thread(support, body=BODY)

    assert kept(draft) == (Risk.HIGH, ["untold"])


def test_the_sweep_tells_what_was_never_told(support: Any, shipping: Any) -> None:
    draft = scenes.draft_in_thread(support, body=BODY, bcc=(Address("priya.nair@example.org"),))
    Draft.objects.filter(pk=draft.pk).update(risk=None, risk_reasons=[], queue_at=draft.expires_at)

    assert sweeps.untold_risks() == 1
    assert sweeps.untold_risks() == 0

    assert kept(draft) == (Risk.HIGH, ["bcc"])
    assert draft.queue_at == draft.expires_at - timedelta(hours=support.expiry_hours) * risk.ADVANCE


LEVELS = st.sampled_from(Risk)
HOURS = st.integers(min_value=1, max_value=240)


def place(arrived_at: datetime, hours: int, level: Risk) -> datetime:
    life = timedelta(hours=hours)
    return risk.place_of(arrived_at + life, life, level)


@given(hours=HOURS, level=LEVELS, later=st.integers(min_value=0), other_hours=HOURS, other_level=LEVELS)
def test_nothing_that_arrives_after_the_place_of_a_draft_stands_before_it(
    hours: int, level: Risk, later: int, other_hours: int, other_level: Risk
) -> None:
    mine = place(NOON, hours, level)
    arrival = mine + timedelta(seconds=later % 10**7)

    assert NOON <= mine <= NOON + timedelta(hours=hours)
    assert place(arrival, other_hours, other_level) > mine


@given(hours=HOURS, share=st.floats(min_value=0, max_value=1))
def test_high_risk_goes_before_what_has_not_used_three_quarters_of_the_same_time(
    hours: int, share: float
) -> None:
    life = timedelta(hours=hours)
    is_before = place(NOON + life * share, hours, Risk.HIGH) < place(NOON, hours, Risk.NORMAL)

    assert is_before == (life * share < life * risk.ADVANCE)


def test_a_list_made_by_hand_stands_in_the_order_of_the_rule() -> None:
    hand_made = {
        "high, now": place(NOON, 72, Risk.HIGH),
        "high, an hour ago": place(NOON - timedelta(hours=1), 72, Risk.HIGH),
        "normal, now": place(NOON, 72, Risk.NORMAL),
        "low, an hour ago": place(NOON - timedelta(hours=1), 72, Risk.LOW),
        "normal, 53 hours ago": place(NOON - timedelta(hours=53), 72, Risk.NORMAL),
        "normal, 56 hours ago": place(NOON - timedelta(hours=56), 72, Risk.NORMAL),
    }

    assert sorted(hand_made, key=hand_made.__getitem__) == [
        "normal, 56 hours ago",
        "high, an hour ago",
        "high, now",
        "normal, 53 hours ago",
        "low, an hour ago",
        "normal, now",
    ]
