"""Rules and lists as JSON: out and in again, all or nothing, with a report by item."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import exchange, lists, rules, scopes
from policies.faults import Invalid
from policies.models import Change, Rule, Trigger, ValueList
from tests.policies.conftest import OPERATOR

LIST_ID = "0d6f2f0e-5c1c-4b7e-9a4f-0c9f0f1d2e3a"
LIST = {"id": LIST_ID, "name": "Blocked", "type": "domain", "items": ["blocked.test", "Rival.TEST"]}
RULE = {
    "name": "No mail there",
    "trigger": "outbound",
    "match": {
        "operator": "any",
        "conditions": [{"field": "recipient.domain", "operator": "in_list", "value": [LIST_ID]}],
    },
    "actions": [{"type": "block"}],
}


def mine():
    return Rule.objects.filter(shipped_key="")


def taken(*given_rules, lists_=(LIST,)):
    return exchange.imported(json.dumps({"lists": list(lists_), "rules": list(given_rules)}), actor=OPERATOR)


@pytest.mark.row("003-24")
def test_rules_and_their_lists_are_taken_in(db):
    taken(RULE)

    [rule] = mine()
    [value_list] = ValueList.objects.all()
    assert str(value_list.public_id) == LIST_ID
    assert [item.value for item in value_list.items.all()] == ["blocked.test", "rival.test"]
    assert rule.conditions == RULE["match"]["conditions"]
    assert rule in rules.in_force(scopes.scopes_of(1), Trigger.OUTBOUND)


@pytest.mark.row("001-18")
def test_one_rule_of_the_provider_is_a_file_and_what_it_adds_is_passed_over(db):
    given = {
        **RULE,
        "id": "c1aa",
        "enabled": False,
        "application_id": "a",
        "organization_id": "o",
        "created_at": 1,
        "updated_at": 2,
        "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "x.test"}]},
    }

    exchange.imported(json.dumps(given), actor=OPERATOR)

    [rule] = mine()
    assert (rule.is_enabled, rule.match_operator, rule.enforced_at) == (False, "all", "here")


def test_a_rule_that_only_the_provider_can_do_is_kept_for_it(db):
    given = {
        "name": "Spam",
        "match": {"conditions": [{"field": "from.domain", "operator": "is", "value": "spam.test"}]},
        "actions": [{"type": "mark_as_spam"}],
    }

    exchange.imported(json.dumps([given]), actor=OPERATOR)

    [rule] = mine()
    assert (rule.trigger, rule.enforced_at) == ("inbound", "provider")


def test_an_export_is_taken_in_again_as_it_was(db):
    taken(RULE)
    told = exchange.exported(mine())
    before = [exchange.rule_json(rule) for rule in mine()]
    mine().delete()
    ValueList.objects.all().delete()

    exchange.imported(told, actor=OPERATOR)

    assert [exchange.rule_json(rule) for rule in mine()] == before
    assert ValueList.objects.get().items.count() == 2


def test_a_list_that_is_known_gets_what_it_lacks(db):
    taken(RULE)

    plan = taken(lists_=[{**LIST, "items": ["blocked.test", "new.test"]}])

    assert plan.lists[0].new_count == 1
    assert ValueList.objects.get().items.count() == 3


@pytest.mark.parametrize(
    ("text", "path", "named"),
    [
        ("{", "", "line 1, column 2"),
        ("3", "", "lists and rules"),
        ('{"rules": ["\\ud800"]}', "", "half of a character"),
        (json.dumps([{**RULE, "name": "a\0b", "match": {}}]), "rules[0].name", "control character"),
        ("{}", "", "lists and rules"),
        ('{"rules": [], "more": 1}', "", "lists and rules"),
        ('{"rules": {}}', "rules", "at most 500"),
        ('{"rules": [3]}', "rules[0]", "object"),
        ('{"rules": [{"name": "x"}]}', "rules[0].match", "conditions"),
        (json.dumps([{**RULE, "colour": 1}]), "rules[0].colour", "Nothing"),
        (json.dumps([RULE]), "rules[0].match.conditions[0].value", "no list"),
        (json.dumps([{**RULE, "enabled": 1, "match": {}}]), "rules[0].enabled", "true or false"),
        (json.dumps([{**RULE, "priority": 5000}]), "rules[0].priority", "1000"),
        (json.dumps({"lists": [{**LIST, "items": ["ok.test", "no"]}]}), "lists[0].items[1]", "no dot"),
        (json.dumps({"lists": [{**LIST, "type": "x"}]}), "lists[0].type", "domain"),
        (json.dumps({"lists": [LIST, {**LIST, "id": ""}]}), "lists[1].name", "two lists"),
        (json.dumps({"lists": [LIST, {**LIST, "name": "Other"}]}), "lists[1].id", "two lists"),
        (
            json.dumps({"lists": [LIST, {**LIST, "name": "Other", "id": LIST_ID.upper()}]}),
            "lists[1].id",
            "two lists",
        ),
        (json.dumps({"lists": [{**LIST, "name": ["Blocked"]}]}), "lists[0].name", "text"),
        (json.dumps({"lists": [{**LIST, "description": {"a": 1}}]}), "lists[0].description", "text"),
        (json.dumps({"lists": [{**LIST, "id": 7}]}), "lists[0].id", "text"),
        ('{"rules": [], "rules": []}', "", "“rules” twice"),
        ('{"lists": [{"name": "A", "type": "word", "name": "B"}]}', "", "“name” twice"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_by_its_place(db, text, path, named):
    with pytest.raises(Invalid) as refusal:
        exchange.imported(text, actor=OPERATOR)

    [fault] = [fault for fault in refusal.value.faults if fault.path == path]
    assert named in fault.sentence


def test_each_fault_names_the_line_on_which_its_object_begins(db):
    bad = {**RULE, "name": "", "actions": [{"type": "dance"}]}
    text = json.dumps({"lists": [LIST], "rules": [RULE, bad]}, indent=2)

    with pytest.raises(Invalid) as refusal:
        exchange.planned(text)

    lines = text.splitlines()
    begins = {fault.path: lines[fault.line - 1 : fault.line + 1] for fault in refusal.value.faults}
    assert begins == {
        "rules[1].name": ["    {", '      "name": "",'],
        "rules[1].actions[0].type": ["        {", '          "type": "dance"'],
    }


def test_a_rule_finds_its_list_however_the_id_is_written(db):
    written = {"field": "recipient.domain", "operator": "in_list", "value": [LIST_ID.upper()]}

    taken({**RULE, "match": {"conditions": [written]}}, lists_=[{**LIST, "id": f"urn:uuid:{LIST_ID}"}])

    assert mine().get().conditions[0]["value"] == [LIST_ID]


@pytest.mark.parametrize("count", [1, 3])
def test_an_export_reads_the_lists_at_one_query_count(db, count, django_assert_num_queries):
    for number in range(count):
        taken(lists_=[{"name": f"List {number}", "type": "domain", "items": ["a.test"]}])

    with django_assert_num_queries(2):
        exchange.exported([])


def test_one_bad_rule_keeps_everything_out(db):
    before = Change.objects.count()
    bad = {**RULE, "name": ""}

    with pytest.raises(Invalid) as refusal:
        taken(RULE, bad, {**bad, "actions": []})

    assert [fault.path for fault in refusal.value.faults] == [
        "rules[1].name",
        "rules[2].name",
        "rules[2].actions",
    ]
    assert not mine().exists()
    assert not ValueList.objects.exists()
    assert Change.objects.count() == before


def test_a_plan_writes_nothing(db):
    plan = exchange.planned(json.dumps({"lists": [LIST], "rules": [RULE]}))

    assert [one.name for one in plan.lists] == ["Blocked"]
    assert [one["name"] for one in plan.rules] == ["No mail there"]
    assert not mine().exists()
    assert not ValueList.objects.exists()
    assert not Change.objects.exists()


def test_a_plan_names_rules_that_are_there_already(db):
    taken(RULE)

    assert exchange.planned(json.dumps([RULE])).known_names == {"No mail there"}


def test_a_scope_that_is_not_there_is_refused(db):
    with pytest.raises(Invalid, match=r"rules\[0\].scope"):
        exchange.planned(json.dumps([{**RULE, "scope": "mailbox:77"}]), known_scopes=["global"])


def test_a_list_of_that_id_but_another_type_is_refused(db):
    lists.create({"name": "Words", "type": "word"}, actor=OPERATOR)
    words = ValueList.objects.get()

    with pytest.raises(Invalid, match="with the type word"):
        taken(lists_=[{**LIST, "id": str(words.public_id)}])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["lists", "rules", "match", "conditions", "actions", "type", "items", "id", "name", "value"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON | st.builds(lambda one: {"rules": [one]}, JSON) | st.builds(lambda one: {"lists": [one]}, JSON))
def test_whatever_a_file_holds_it_is_planned_or_refused(db, said):
    try:
        exchange.planned(json.dumps(said))
    except Invalid as refusal:
        assert all(fault.sentence for fault in refusal.faults)
