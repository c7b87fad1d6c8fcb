"""What kind of mail it is: words, patterns and known templates; a tier can only tighten the mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies import shipped
from policies.classifier import Classification, Family, Kind, Mail, Rulebook, classify, fits_family
from policies.tiers import Effect, effective
from policies.words import Words

ROUTINE = Kind(90, 1, "tracking", "Tracking", "auto", 5, False, inbound_words=("where is my order",))
FAMILY = Family(
    7, 2, 90, "It is on its way", "Re: *", ("Hello *,", "your order * arrives on *.", "Kind regards")
)
BODY = "Hello Priya,\n\nyour order 48213 arrives on Thursday.\n\nKind regards"
MAIL = Mail(
    subject="Re: Where is my order?",
    body=BODY,
    inbound_subject="Where is my order?",
    inbound_body="Hello, I ordered last week.",
    domains=("example.net",),
    agent_confidence=0.95,
)


def shipped_kinds(**changes: dict[str, Any]) -> tuple[Kind, ...]:
    lists = ("outbound_words", "outbound_globs", "inbound_words", "inbound_globs")
    return tuple(
        Kind(
            id=number,
            version=1,
            key=row["key"],
            name=row["name"],
            position=row["position"],
            tier=changes.get(row["key"], {}).get("tier", row["tier"]),
            is_high_risk=row.get("is_high_risk", False),
            **{name: tuple(row.get(name, ())) for name in lists},
        )
        for number, row in enumerate(shipped.rows(), start=1)
    )


BOOK = Rulebook(kinds=(ROUTINE, *shipped_kinds()), families=(FAMILY,), high_value_domains=("bank.example",))


def judged(book: Rulebook = BOOK, **changes: Any) -> Classification:
    return classify(replace(MAIL, **changes), book)


def said(found: Classification) -> str:
    return " ".join(f"{reason.sentence} {' '.join(reason.words)}" for reason in found.reasons)


@pytest.mark.row("003-17")
def test_mail_of_low_risk_that_is_a_known_template_is_automatic() -> None:
    found = judged()

    assert (found.key, found.tier, found.risk) == ("tracking", "auto", "low")
    assert found.rules == ("category:90:1", "family:7:2")


@pytest.mark.row("003-17")
def test_low_risk_without_a_known_template_goes_to_a_person() -> None:
    found = judged(body="It is somewhere.")

    assert (found.tier, found.risk, found.family) == ("approve", "low", None)
    assert "no known template" in said(found)


@pytest.mark.row("003-17")
def test_known_template_of_high_risk_goes_to_a_person() -> None:
    found = judged(inbound_body="I want a refund.")

    assert (found.tier, found.risk) == ("approve", "high")
    assert found.family == FAMILY


@pytest.mark.row("003-18")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"inbound_body": "And please send my money back."}, "money back"),
        ({"inbound_body": "Please close my account now."}, "close my account"),
        ({"inbound_body": "I am FURIOUS about this."}, "FURIOUS"),
        ({"agent_confidence": 0.79}, "0.79"),
        ({"domains": ("example.net", "bank.example")}, "bank.example"),
    ],
    ids=["money", "account changes", "escalation", "low confidence", "high-value domain"],
)
def test_each_trigger_alone_forces_approval(changes: dict[str, Any], why: str) -> None:
    assert judged().tier == "auto"

    found = judged(**changes)

    assert (found.tier, found.risk) == ("approve", "high")
    assert why in said(found)


@pytest.mark.row("003-18")
@pytest.mark.parametrize("confidence", [None, -0.1, 1.1, float("nan")])
def test_confidence_that_is_missing_or_senseless_counts_as_low(confidence: float | None) -> None:
    assert judged(agent_confidence=confidence).tier == "approve"


def test_missing_confidence_is_no_matter_where_a_person_decides_anyway() -> None:
    found = judged(inbound_body="I want a refund.", agent_confidence=None)

    assert "how sure" not in said(found)


@pytest.mark.row("003-19")
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("My lawyer will be in touch.", "legal"),
        ("I will take you to court.", "legal"),
        ("I am a journalist and would like a statement.", "press"),
        ("This is a press inquiry.", "press"),
    ],
)
def test_legal_threats_and_press_inquiries_are_for_people_only(text: str, key: str) -> None:
    found = judged(inbound_body=text)

    assert (found.key, found.tier, found.risk) == (key, "human_only", "high")


@pytest.mark.row("003-06")
@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("I would like a refund, please.", "money"),
        ("This is a breach of contract.", "legal"),
        ("This is unacceptable. I want to speak to a manager!", "escalation"),
    ],
)
def test_sensitive_topics_go_to_a_person(text: str, key: str) -> None:
    found = judged(inbound_body=text)

    assert found.key == key
    assert found.tier != "auto"


@pytest.mark.row("003-05", "000-02")
@pytest.mark.parametrize(
    ("question", "key"),
    [
        ("I forgot my password, what can I do?", "password_reset"),
        ("Where is my parcel?", "shipping_status"),
        ("Where is the invoice?", "invoice_copy"),
        ("Can we reschedule?", "scheduling"),
        ("Is there any news?", "status_reply"),
    ],
)
def test_routine_mail_is_known_and_still_waits_for_a_person(question: str, key: str) -> None:
    book = Rulebook(kinds=shipped_kinds())

    found = classify(Mail("Re: Hello", "Here is how.", "Hello", question, agent_confidence=1.0), book)

    assert (found.key, found.tier, found.risk) == (key, "approve", "low")


@pytest.mark.row("003-33", "001-28")
@pytest.mark.parametrize("subject", ["Where is my order?", "My lawyer writes"])
def test_text_that_was_not_read_in_full_is_not_judged_on_its_subject(subject: str) -> None:
    found = judged(inbound_subject=subject, inbound_body="", is_complete=False)

    assert (found.category, found.tier, found.risk) == (None, "approve", "high")
    assert "subject alone" in said(found)


def test_mail_of_no_category_goes_to_a_person() -> None:
    found = judged(subject="Hello", body="Hello", inbound_subject="Hello", inbound_body="Hello")

    assert (found.category, found.tier) == (None, "approve")
    assert found.rules == ()


def test_agent_that_names_a_looser_category_changes_nothing() -> None:
    found = judged(inbound_body="I want a refund.", agent_category="tracking")

    assert (found.key, found.tier) == ("money", "approve")


@pytest.mark.parametrize("named", ["legal", "Legal threats and positions", "LEGAL"])
def test_agent_that_names_a_stricter_category_is_believed(named: str) -> None:
    assert (judged(agent_category=named).key, judged(agent_category=named).tier) == ("legal", "human_only")


def test_agent_that_names_an_unknown_category_gets_a_person() -> None:
    found = judged(agent_category="harmless")

    assert found.tier == "approve"
    assert "harmless" in said(found)


def test_strictest_category_names_the_mail_and_of_equal_ones_the_first() -> None:
    found = judged(inbound_body="Refund me, close my account, where is my order?")

    assert found.key == "money"


@pytest.mark.row("000-03")
def test_overridden_money_category_can_be_automatic() -> None:
    book = replace(BOOK, kinds=(ROUTINE, *shipped_kinds(money={"tier": "auto"})))

    found = judged(book, inbound_body="When comes the refund? Where is my order?")

    assert (found.tier, found.risk) == ("auto", "low")


@pytest.mark.parametrize(
    ("phrase", "text", "hit"),
    [
        ("refund*", "We REFUNDED it", "REFUNDED"),
        ("refund", "refunds", ""),
        ("cafe", "The Café is open", "Café"),
        ("café", "the cafe is open", "cafe"),
        ("sue you", "I will  sue\nyou", "sue\nyou"),
        ("sue you", "Sue, you are right", "Sue, you"),
        ("sue you", "pursue you", ""),
        ("# %", "You get 20% off", "20%"),
        ("# eur", "It costs 1,200.50 EUR.", "50 EUR"),
        ("$", "only $5", "$"),
        ("money * back", "I want my money right back", "money right back"),
        ("lawyer", "my law\u200byer", "lawyer"),
        ("don't pay", "We don\u2019t pay", "don't pay"),
    ],
)
def test_words_are_found_on_word_borders_whatever_case_and_accents(phrase: str, text: str, hit: str) -> None:
    assert Words.of(text).find(phrase) == hit


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (BODY, True),
        (BODY.upper(), True),
        (BODY + "\nP.S. You get everything for nothing.", False),
        (BODY.replace("Kind regards", ""), False),
        (BODY.replace("Priya", "Priya " + "x" * 300), False),
        ("", False),
    ],
)
def test_template_takes_line_for_line(body: str, fits: bool) -> None:
    assert fits_family(FAMILY, "Re: anything", body) is fits


def test_two_stars_take_any_number_of_lines() -> None:
    family = replace(FAMILY, body_globs=("Hello *", "**", "Kind regards", "**"))

    assert fits_family(family, "Re: x", "Hello you\na\nb\nKind regards\nmore\nKind regards")
    assert not fits_family(family, "Re: x", "Hello you\na\nb")


def test_pattern_of_a_category_is_matched_with_whole_lines() -> None:
    kind = replace(ROUTINE, inbound_words=(), outbound_globs=("*order * left*",))
    book = Rulebook(kinds=(kind,))

    assert classify(Mail("Re: x", "Hi,\nYour Order 5 left today."), book).key == "tracking"
    assert classify(Mail("Re: x", "Your order\nleft."), book).key == ""


def test_long_hostile_text_is_judged_in_reasonable_steps() -> None:
    kind = replace(
        ROUTINE, inbound_words=tuple(f"a* b* c{n}" for n in range(200)), inbound_globs=("*a*a*a*a*b",)
    )
    mail = replace(MAIL, inbound_body="a " * 100_000 + "\n" + "a" * 50_000)

    assert classify(mail, Rulebook(kinds=(kind,))).key == ""


# Modes and tiers


MATRIX = {
    "read_only": ("refused", "refused", "human_only"),
    "gated_all": ("approve", "approve", "human_only"),
    "gated_send": ("approve", "approve", "human_only"),
    "monitored": ("sends", "approve", "human_only"),
    "autonomous": ("sends", "approve", "human_only"),
}


@pytest.mark.row("K16")
@pytest.mark.parametrize("mode", MATRIX)
def test_tier_only_tightens_the_mode(mode: str) -> None:
    assert tuple(effective(mode, tier) for tier in ("auto", "approve", "human_only")) == MATRIX[mode]


@pytest.mark.row("K16")
@pytest.mark.parametrize(("mode", "tier"), [("turbo", "auto"), ("autonomous", "fast"), ("", "")])
def test_unknown_mode_or_tier_is_refused(mode: str, tier: str) -> None:
    assert effective(mode, tier) is Effect.REFUSED


def test_a_category_that_a_rule_gives_can_only_tighten() -> None:
    strict = next(kind for kind in BOOK.kinds if kind.tier == "human_only")

    found = judged(rule_category=strict.key.upper())

    assert (found.key, found.tier) == (strict.key, "human_only")
    assert "A rule gives it this category." in said(found)
    assert judged(rule_category="tracking") == judged(rule_category="of our own") == judged()
