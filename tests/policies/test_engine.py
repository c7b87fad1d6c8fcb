"""The rule engine as a pure function: fields, operators, order, block, hold, and what is an error."""

from __future__ import annotations

import pytest

from policies import engine
from policies.engine import Subject
from policies.models import Rule
from policies.rules import FIELDS, OPERATORS


class Lists:
    """Lists in memory; one that is not there is a KeyError."""

    def __init__(self, **lists):
        self.lists = lists

    def among(self, list_id, values):
        return frozenset(self.lists[list_id]) & frozenset(values)

    def all_of(self, list_id):
        return frozenset(self.lists[list_id])


MAIL = Subject(
    sender=("agent@harbour.example",),
    recipients=("Anna@Example.NET", "boss@blocked.test"),
    reply_to=("elsewhere@third.test",),
    outbound_type="reply",
    subject="Your REFUND",
    body="We will refund 40 EUR, see the policy.",
    amounts=("40 EUR",),
    link_hosts=("shop.example",),
    attachment_names=("Invoice.pdf",),
    attachment_types=("application/pdf",),
    attachment_count=1,
    size=1200,
    new_amounts=("40 EUR",),
    new_link_hosts=(),
    answered_category="billing",
    answered_subject="Broken plates",
    answered_body="I want my money back",
)


def rule(*conditions, action="block", operator="all", priority=10, pk=1, value=""):
    made = [{"field": f, "operator": o, "value": v} for f, o, v in conditions]
    actions = [{"type": action, "value": value}] if value else [{"type": action}]
    return Rule(
        pk=pk,
        name=f"rule {pk}",
        priority=priority,
        match_operator=operator,
        conditions=made,
        actions=actions,
        version=3,
    )


def matches(field, operator, value, mail=MAIL, **lists):
    return bool(engine.evaluate(mail, [rule((field, operator, value))], Lists(**lists)).matches)


@pytest.mark.row("001-17", "003-27")
@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("from.address", "is", "agent@harbour.example", True),
        ("from.domain", "is", "harbour.example", True),
        ("from.tld", "is", "example", True),
        ("recipient.address", "is", "anna@example.net", True),
        ("recipient.domain", "is", "blocked.test", True),
        ("recipient.domain", "is", "test", False),
        ("recipient.domain", "is", "third.test", True),
        ("recipient.tld", "is", "net", True),
        ("recipient.domain", "is_not", "blocked.test", False),
        ("recipient.domain", "is_not", "nowhere.test", True),
        ("recipient.address", "contains", "boss@", True),
        ("recipient.address", "matches", "*@blocked.*", True),
        ("recipient.address", "matches", "@blocked", False),
        ("outbound.type", "is", "reply", True),
        ("outbound.type", "is_not", "compose", True),
        ("subject", "contains", "refund", True),
        ("subject", "is", "your refund", True),
        ("body", "matches", "*refund*", True),
        ("money.present", "is", True, True),
        ("money.new", "is", True, True),
        ("money.new", "is_not", True, False),
        ("link.host", "is", "shop.example", True),
        ("link.new_host", "contains", "a", False),
        ("attachment.count", "greater_than", 0, True),
        ("attachment.count", "greater_than", 1, False),
        ("attachment.type", "matches", "application/*", True),
        ("attachment.name", "matches", "*.pdf", True),
        ("size", "less_than", 1200, False),
        ("size", "less_than", 1201, True),
        ("size", "is", 1200, True),
        ("inbound.category", "is", "billing", True),
        ("inbound.subject", "contains", "plates", True),
        ("inbound.body", "contains", "money back", True),
    ],
)
def test_a_condition_holds_or_not(field, operator, value, holds):
    assert matches(field, operator, value) is holds


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_and_operator_can_be_evaluated(field):
    value = {"number": 1, "truth": True}.get(FIELDS[field].kind, "x")

    for operator in OPERATORS[FIELDS[field].kind]:
        found = engine.evaluate(
            MAIL,
            [rule((field, operator, ["known"] if operator == "in_list" else value))],
            Lists(known={"x"}),
        )
        assert isinstance(found.references, tuple)


def test_a_list_is_looked_up_by_the_normalised_value():
    assert matches("recipient.domain", "in_list", ["l"], l={"blocked.test"})
    assert not matches("recipient.domain", "in_list", ["l"], l={"mail.blocked.test"})


def test_a_list_of_words_finds_whole_words_side_by_side():
    assert matches("body", "in_list", ["l"], l={"refund"})
    assert matches("body", "in_list", ["l"], l={"will refund 40"})
    assert not matches("body", "in_list", ["l"], l={"fund"})
    assert not matches("body", "in_list", ["l"], l={"refund policy"})


@pytest.mark.parametrize(
    "body",
    ["a RE\u200bFUND", "a re\u00adfund", "a \uff52\uff45\uff46\uff55\uff4e\uff44", "a\n\trefund"],
    ids=["zero-width", "soft hyphen", "full width", "other space"],
)
def test_words_are_found_however_they_are_dressed(body):
    mail = Subject(outbound_type="reply", body=body)

    assert matches("body", "contains", "refund", mail=mail)
    assert matches("body", "in_list", ["l"], mail=mail, l={"refund"})


def test_a_list_that_is_gone_is_an_error_even_after_one_that_matches():
    with pytest.raises(KeyError):
        matches("recipient.domain", "in_list", ["l", "gone"], l={"blocked.test"})


@pytest.mark.parametrize("field", ["money.new", "link.new_host", "inbound.category"])
def test_what_is_not_known_of_a_mail_is_an_error(field):
    value = True if field == "money.new" else "x"

    with pytest.raises(ValueError, match="not known"):
        matches(field, "is", value, mail=Subject(outbound_type="reply"))


def test_a_rule_without_conditions_is_an_error():
    with pytest.raises(ValueError, match="no conditions"):
        engine.evaluate(MAIL, [rule()], Lists())


def test_all_needs_every_condition_and_any_needs_one():
    true, false = ("outbound.type", "is", "reply"), ("subject", "is", "nothing")

    assert not engine.evaluate(MAIL, [rule(true, false)], Lists()).matches
    assert engine.evaluate(MAIL, [rule(false, true, operator="any")], Lists()).matches[0].condition == 1
    assert not engine.evaluate(MAIL, [rule(false, operator="any")], Lists()).matches


def test_lower_priority_is_asked_first_and_ties_go_by_id():
    reply = ("outbound.type", "is", "reply")
    asked = [
        rule(reply, action="hold", priority=9, pk=3),
        rule(reply, action="hold", priority=0, pk=9),
        rule(reply, action="hold", priority=9, pk=2),
    ]

    found = engine.evaluate(MAIL, asked, Lists())

    assert found.references == ("rule:9:3", "rule:2:3", "rule:3:3")


def test_a_block_ends_the_evaluation():
    reply = ("outbound.type", "is", "reply")
    asked = [
        rule(reply, action="hold", priority=1, pk=1),
        rule(reply, priority=2, pk=2),
        rule(reply, action="hold", priority=3, pk=3),
    ]

    found = engine.evaluate(MAIL, asked, Lists())

    assert [match.rule.pk for match in found.matches] == [1, 2]
    assert found.block is not None
    assert found.applied_actions() == {"blocked": True}


@pytest.mark.row("003-30")
def test_a_permission_to_compose_answers_only_rules_about_composing():
    mail = Subject(outbound_type="compose", subject="refund")
    compose = ("outbound.type", "is", "compose")
    asked = [
        rule(compose, action="hold", pk=1),
        rule(compose, ("subject", "contains", "refund"), action="hold", pk=2),
        rule(compose, action="allow_compose", pk=3, priority=900),
    ]

    assert [match.rule.pk for match in engine.evaluate(mail, asked, Lists()).holds] == [2]
    assert [match.rule.pk for match in engine.evaluate(mail, asked[:2], Lists()).holds] == [1, 2]


def test_the_first_rule_that_gives_a_category_gives_it():
    reply = ("outbound.type", "is", "reply")
    asked = [
        rule(reply, action="set_category", value="billing", pk=2),
        rule(reply, action="set_category", value="orders", pk=1),
    ]

    assert engine.evaluate(MAIL, asked, Lists()).category == "orders"


def test_a_match_tells_the_condition_and_the_text():
    [match] = engine.evaluate(MAIL, [rule(("money.new", "is", True))], Lists()).matches

    assert (match.field, match.text) == ("money.new", "40 EUR")


@pytest.mark.row("001-32", "003-28")
def test_the_input_of_an_evaluation_has_the_provider_s_keys():
    assert MAIL.to_json() == {
        "from_address": "agent@harbour.example",
        "from_domain": "harbour.example",
        "from_tld": "example",
        "recipient_addresses": ["anna@example.net", "boss@blocked.test", "elsewhere@third.test"],
        "recipient_domains": ["example.net", "blocked.test", "third.test"],
        "recipient_tlds": ["net", "test"],
        "outbound_type": "reply",
    }


def test_international_domains_compare_in_their_ascii_form():
    mail = Subject(recipients=("anna@BÜCHER.example",), outbound_type="compose")

    assert matches("recipient.domain", "is", "xn--bcher-kva.example", mail=mail)
