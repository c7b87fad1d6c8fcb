"""What may stand in a rule, and what is said about what may not: the field's path and the limit."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import changes, lists, rules, scopes
from policies.faults import Invalid
from policies.models import Change, Rule, Trigger, ValueList, Workspace, WorkspaceMember
from tests.policies.conftest import OPERATOR

BLOCKED = {"field": "recipient.domain", "operator": "is", "value": "blocked.test"}


def said(**changes_):
    fields = {"name": "No mail there", "conditions": [BLOCKED], "actions": [{"type": "block"}]}
    return fields | changes_


def condition(field="subject", operator="is", value="x", **more):
    return {"field": field, "operator": operator, "value": value} | more


@pytest.fixture
def domains(db):
    return lists.create({"name": "Blocked", "type": "domain"}, actor=OPERATOR)


@pytest.mark.row("001-18")
def test_the_body_of_the_seed_is_a_rule(db):
    rule = rules.create(said(trigger="outbound"), actor=OPERATOR)

    assert (rule.scope, rule.trigger, rule.priority, rule.is_enabled) == ("global", "outbound", 10, True)
    assert (rule.match_operator, rule.conditions, rule.actions) == ("all", [BLOCKED], [{"type": "block"}])
    assert Change.objects.get(kind="rule", object_id=rule.pk).after["name"] == "No mail there"


@pytest.mark.parametrize(
    ("changed", "path", "named"),
    [
        ({"name": ""}, "name", "1 to 256"),
        ({"name": "x" * 257}, "name", "256"),
        ({"name": "a\0b"}, "name", "control character"),
        ({"description": "x" * 2001}, "description", "2000"),
        ({"trigger": "sideways"}, "trigger", "outbound, inbound"),
        ({"enforced_at": "nowhere"}, "enforced_at", "here, provider, both"),
        ({"match_operator": "most"}, "match_operator", "all, any"),
        ({"priority": 1001}, "priority", "0 to 1000"),
        ({"priority": -1}, "priority", "0 to 1000"),
        ({"priority": "10"}, "priority", "0 to 1000"),
        ({"priority": True}, "priority", "0 to 1000"),
        ({"is_enabled": "yes"}, "is_enabled", "true or false"),
        ({"scope": "planet"}, "scope", "global, workspace:<id> or mailbox:<id>"),
        ({"scope": "workspace:999999"}, "scope", "workspace:<id>"),
        ({"scope": 3}, "scope", "global"),
        ({"conditions": []}, "conditions", "1 to 50"),
        ({"conditions": [BLOCKED] * 51}, "conditions", "1 to 50"),
        ({"conditions": None}, "conditions", "1 to 50"),
        ({"conditions": ["x"]}, "conditions[0]", "field, operator and value"),
        ({"conditions": [condition(when="now")]}, "conditions[0]", "nothing else"),
        ({"conditions": [BLOCKED, condition("colour")]}, "conditions[1].field", "from.address"),
        ({"conditions": [condition(["subject"])]}, "conditions[0].field", "from.address"),
        ({"conditions": [condition(operator="regex")]}, "conditions[0].operator", "matches"),
        ({"conditions": [condition("size", "contains", 1)]}, "conditions[0].operator", "greater_than"),
        (
            {"conditions": [condition("outbound.type", "contains")]},
            "conditions[0].operator",
            "is, is_not",
        ),
        (
            {"conditions": [condition("outbound.type", "is", "forward")]},
            "conditions[0].value",
            "compose, reply",
        ),
        ({"conditions": [condition(value="")]}, "conditions[0].value", "1 to 500"),
        ({"conditions": [condition(value="x" * 501)]}, "conditions[0].value", "500"),
        ({"conditions": [condition(value=3)]}, "conditions[0].value", "text"),
        ({"conditions": [condition(value="a\0b")]}, "conditions[0].value", "control character"),
        ({"conditions": [condition("size", "is", "many")]}, "conditions[0].value", "whole number"),
        ({"conditions": [condition("size", "is", -1)]}, "conditions[0].value", "from 0"),
        ({"conditions": [condition("money.new", "is", "often")]}, "conditions[0].value", "true or false"),
        (
            {"conditions": [condition("recipient.domain", "is", "not a domain")]},
            "conditions[0].value",
            "no domain",
        ),
        ({"conditions": [condition("recipient.tld", "is", "co.uk")]}, "conditions[0].value", "without dots"),
        ({"conditions": [condition("from.address", "is", "anna")]}, "conditions[0].value", "no address"),
        ({"conditions": [condition(operator="in_list", value=[])]}, "conditions[0].value", "1 to 20"),
        ({"conditions": [condition(operator="in_list", value=["x"])]}, "conditions[0].value", "no list"),
        ({"actions": []}, "actions", "1 to 20"),
        ({"actions": [{"type": "hold"}] * 21}, "actions", "1 to 20"),
        ({"actions": [{"type": "hold"}, {"type": "hold"}]}, "actions", "once"),
        ({"actions": [{"type": "block"}, {"type": "hold"}]}, "actions", "alone"),
        ({"actions": [{"type": "dance"}]}, "actions[0].type", "block"),
        ({"actions": ["block"]}, "actions[0]", "type"),
        ({"actions": [{"type": "block", "value": "x"}]}, "actions[0].value", "takes no value"),
        ({"actions": [{"type": "set_category"}]}, "actions[0].value", "1 to 64"),
        ({"actions": [{"type": "set_category", "value": "x" * 65}]}, "actions[0].value", "64"),
        ({"actions": [{"type": "mark_as_spam"}]}, "actions[0].type", "Only the provider"),
        (
            {"actions": [{"type": "assign_to_folder", "value": "Clients"}]},
            "actions[0].type",
            "Only the provider",
        ),
        ({"actions": [{"type": "hold"}], "enforced_at": "both"}, "enforced_at", "no action hold"),
        ({"conditions": [condition()], "enforced_at": "provider"}, "enforced_at", "no field subject"),
        ({"scope": "mailbox:1", "enforced_at": "provider"}, "enforced_at", "never to one mailbox"),
        ({"trigger": "inbound"}, "conditions[0].field", "mail that arrived"),
    ],
)
def test_what_cannot_be_a_rule_is_named_by_its_path_with_the_limit(db, changed, path, named):
    with pytest.raises(Invalid) as refusal:
        rules.create(said(**changed), actor=OPERATOR)

    [fault] = [fault for fault in refusal.value.faults if fault.path == path]
    assert named in fault.sentence
    assert not Rule.objects.filter(shipped_key="").exists()


def test_every_fault_is_named_at_once(db):
    with pytest.raises(Invalid) as refusal:
        rules.check({"name": "", "priority": 5000, "conditions": [condition("x")], "actions": []})

    assert {fault.path for fault in refusal.value.faults} == {
        "name",
        "priority",
        "conditions[0].field",
        "actions",
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (condition("recipient.domain", "is", " Blocked.TEST. "), "blocked.test"),
        (condition("recipient.domain", "is", "bücher.example"), "xn--bcher-kva.example"),
        (condition("from.tld", "is", ".COM"), "com"),
        (condition("outbound.type", "is", "Compose"), "compose"),
        (condition("money.new", "is", "True"), True),
        (condition("size", "greater_than", "1000"), 1000),
        (condition(value="ReFund"), "refund"),
    ],
)
def test_values_are_kept_in_the_form_in_which_they_are_compared(db, given, kept):
    assert rules.check(said(conditions=[given]))["conditions"][0]["value"] == kept


@pytest.mark.row("003-24")
def test_a_condition_names_lists_by_id(domains):
    given = condition("recipient.domain", "in_list", [str(domains.public_id)])

    assert rules.check(said(conditions=[given]))["conditions"] == [given]


def test_a_list_must_hold_what_the_field_is_compared_with(domains):
    given = condition("recipient.address", "in_list", [str(domains.public_id)])

    with pytest.raises(Invalid, match="holds values of type domain"):
        rules.check(said(conditions=[given]))


def test_what_only_the_provider_does_is_kept_for_it(db):
    rule = rules.create(
        said(
            trigger="inbound",
            enforced_at="provider",
            conditions=[condition("from.domain", "is", "spam.test")],
            actions=[{"type": "mark_as_spam"}, {"type": "assign_to_folder", "value": "Clients/Acme"}],
        ),
        actor=OPERATOR,
    )

    assert rule not in rules.in_force(scopes.scopes_of(1), Trigger.INBOUND)
    assert rules.is_expressible_at_provider(rule)


@pytest.mark.row("001-34")
@pytest.mark.parametrize(
    ("changed", "is_expressible"),
    [
        ({}, True),
        ({"conditions": [condition("outbound.type", "is", "compose")]}, True),
        ({"actions": [{"type": "hold"}]}, False),
        ({"conditions": [condition()]}, False),
        ({"conditions": [BLOCKED, condition("recipient.domain", "matches", "*.test")]}, False),
        ({"scope": "mailbox:3"}, False),
    ],
)
def test_a_rule_says_whether_the_provider_could_hold_it(db, changed, is_expressible):
    rule = rules.create(said(**changed), actor=OPERATOR)

    assert rules.is_expressible_at_provider(rule) is is_expressible


@pytest.mark.row("K10", "001-06")
def test_rules_of_every_scope_of_a_mailbox_are_asked_and_of_no_other(db):
    north, south = (changes.create(Workspace, actor=OPERATOR, name=name) for name in ("North", "South"))
    changes.create(WorkspaceMember, actor=OPERATOR, workspace=north, mailbox_id=1)
    changes.create(WorkspaceMember, actor=OPERATOR, workspace=south, mailbox_id=2)
    for scope in ("global", f"workspace:{north.pk}", "mailbox:1"):
        rules.create(said(name=scope, scope=scope), actor=OPERATOR)

    def names(mailbox_id):
        return {
            r.name
            for r in rules.in_force(scopes.scopes_of(mailbox_id), Trigger.OUTBOUND)
            if not r.shipped_key
        }

    assert names(1) == {"global", f"workspace:{north.pk}", "mailbox:1"}
    assert names(2) == {"global"}


def test_a_disabled_rule_is_not_asked(db):
    rule = rules.create(said(), actor=OPERATOR)

    rules.switch_on(rule.pk, False, version=1, actor=OPERATOR)

    assert rule not in rules.in_force(scopes.scopes_of(1), Trigger.OUTBOUND)


def test_an_editor_who_was_slower_gets_the_difference(db):
    rule = rules.create(said(), actor=OPERATOR)
    rules.change(rule.pk, said(name="First"), version=1, actor=OPERATOR)

    with pytest.raises(changes.Conflict) as conflict:
        rules.change(rule.pk, said(name="Second"), version=1, actor=OPERATOR)

    assert conflict.value.differences == {"name": ("First", "Second")}


@pytest.mark.row("003-30")
def test_a_rule_that_holds_every_compose_is_shipped_enabled(db):
    rule = Rule.objects.get(shipped_key="compose")

    assert rule.is_enabled
    assert rules.check({name: getattr(rule, name) for name in rules_fields()})
    assert rule in rules.in_force(scopes.scopes_of(1), Trigger.OUTBOUND)


def rules_fields():
    return (
        "name",
        "description",
        "scope",
        "trigger",
        "priority",
        "is_enabled",
        "enforced_at",
        "match_operator",
        "conditions",
        "actions",
    )


@pytest.mark.row("001-08")
def test_a_thousand_values_are_added_at_once_and_one_more_is_refused(domains):
    assert len(lists.add_items(domains.pk, [f"d{n}.test" for n in range(1000)], actor=OPERATOR)) == 1000

    with pytest.raises(Invalid, match="1000"):
        lists.add_items(domains.pk, [f"e{n}.test" for n in range(1001)], actor=OPERATOR)
    assert domains.items.count() == 1000


@pytest.mark.row("001-08")
def test_a_value_has_at_most_500_characters(db):
    words = lists.create({"name": "Words", "type": "word"}, actor=OPERATOR)

    assert lists.add_items(words.pk, ["x" * 500], actor=OPERATOR) == ["x" * 500]
    with pytest.raises(Invalid, match="500"):
        lists.add_items(words.pk, ["x" * 501], actor=OPERATOR)


def test_values_are_kept_once_lower_cased_and_trimmed(domains):
    added = lists.add_items(domains.pk, [" Blocked.TEST", "blocked.test", "bücher.example"], actor=OPERATOR)

    assert added == ["blocked.test", "xn--bcher-kva.example"]
    assert lists.add_items(domains.pk, ["BLOCKED.test"], actor=OPERATOR) == []


@pytest.mark.parametrize(
    ("list_type", "value", "sentence"),
    [
        ("domain", "two words", "no domain"),
        ("domain", "nodot", "no dot"),
        ("domain", "a@b.test", "no domain"),
        ("tld", "co.uk", "without dots"),
        ("address", "anna", "no address"),
        ("address", "an na@x.test", "no address"),
        ("host", "https://x.test/", "no host name"),
        ("word", "...", "no word"),
        ("word", "a " * 13, "12 words"),
        ("word", "  ", "empty"),
        ("word", "a\0b", "control character"),
    ],
)
def test_one_bad_value_keeps_every_other_out(db, list_type, value, sentence):
    made = lists.create({"name": "L", "type": list_type}, actor=OPERATOR)
    good = {"domain": "ok.test", "tld": "com", "address": "a@ok.test", "host": "ok", "word": "ok"}[list_type]

    with pytest.raises(Invalid, match=sentence) as refusal:
        lists.add_items(made.pk, [good, value], actor=OPERATOR)

    assert refusal.value.faults[0].path == "items[1]"
    assert not made.items.exists()


@pytest.mark.row("001-19")
def test_the_values_of_a_list_change_its_version_and_no_rule(domains):
    given = condition("recipient.domain", "in_list", [str(domains.public_id)])
    rule = rules.create(said(conditions=[given]), actor=OPERATOR)

    lists.add_items(domains.pk, ["blocked.test"], actor=OPERATOR, reason="They asked")

    rule.refresh_from_db()
    domains.refresh_from_db()
    change = Change.objects.get(kind="valuelist", object_id=domains.pk, reason="They asked")
    assert (rule.version, domains.version) == (1, 2)
    assert change.after == {"items": ["blocked.test"]}


def test_taking_values_out_ignores_those_that_are_not_there(domains):
    lists.add_items(domains.pk, ["a.test", "b.test"], actor=OPERATOR)

    assert lists.remove_items(domains.pk, ["B.test ", "c.test"], actor=OPERATOR) == ["b.test"]
    assert [item.value for item in domains.items.all()] == ["a.test"]


def test_the_type_of_a_list_cannot_be_changed(domains):
    with pytest.raises(Invalid, match="cannot be changed"):
        lists.change(domains.pk, {"name": "Blocked", "type": "word"}, version=1, actor=OPERATOR)


def test_a_list_that_a_rule_looks_up_cannot_be_removed(domains):
    given = condition("recipient.domain", "in_list", [str(domains.public_id)])
    rules.create(said(conditions=[given]), actor=OPERATOR)

    with pytest.raises(lists.ListInUse, match="No mail there"):
        lists.remove(domains.pk, version=1, actor=OPERATOR)
    assert ValueList.objects.filter(pk=domains.pk).exists()


def test_two_lists_cannot_have_one_name(domains):
    with pytest.raises(Invalid, match="already"):
        lists.create({"name": "Blocked", "type": "word"}, actor=OPERATOR)


SCRAP = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*rules.FIELDS, *rules.OUR_ACTIONS, "in_list", "is", "matches", "outbound", "\0"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["field", "operator", "value", "type", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELD_NAMES = ["name", "scope", "trigger", "priority", "enforced_at", "match_operator", "is_enabled"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(st.sampled_from(FIELD_NAMES), SCRAP),
    conditions=SCRAP | st.lists(SCRAP, max_size=3),
    actions=SCRAP | st.lists(SCRAP, max_size=3),
)
def test_whatever_is_given_is_kept_or_named(db, fields, conditions, actions):
    given_fields = said(**{**fields, "conditions": conditions, "actions": actions})

    try:
        kept = rules.check(given_fields)
    except Invalid as refusal:
        assert all(fault.sentence for fault in refusal.faults)
    else:
        assert rules.check(kept) == kept
