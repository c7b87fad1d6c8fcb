"""The pages of rules and lists: seeing, making, editing without a script, conflicts, import, and who may."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from approvals import arrival, people
from approvals.models import Judgement
from audit.record import SYSTEM
from policies import lists, rules
from policies.models import Rule, ValueList, Workspace
from tests.database import read_only
from tests.pages import scenes
from tests.pages.pages import browser
from tests.pages.test_routes import desk_routes

BLOCK = {
    "name": "No rivals",
    "conditions": [{"field": "recipient.domain", "operator": "is", "value": "rival.test"}],
    "actions": [{"type": "block"}],
}
READ, EDIT, LISTS, SEE_LISTS = "read", "edit", "lists", "see_lists"
# name: (method, what it needs)
ROUTES = {
    "rules": ("get", READ),
    "rule": ("get", READ),
    "rule_new": ("get", EDIT),
    "rule_edit": ("get", EDIT),
    "rule_switch": ("post", EDIT),
    "rule_remove": ("post", EDIT),
    "rules_export": ("get", READ),
    "rules_import": ("get", EDIT),
    "value_lists": ("get", SEE_LISTS),
    "value_list": ("get", SEE_LISTS),
    "value_list_new": ("get", EDIT),
    "value_list_edit": ("get", EDIT),
    "value_list_add": ("post", LISTS),
    "value_list_take": ("post", LISTS),
    "value_list_remove": ("post", EDIT),
}
RIGHTS = {
    "alice": {READ, SEE_LISTS},
    "bob": {READ, SEE_LISTS},
    "carol": {READ, EDIT, LISTS, SEE_LISTS},
    "dave": {READ, SEE_LISTS},
    "leo": {LISTS, SEE_LISTS},
    "lena": {SEE_LISTS},
    "mallory": set(),
}


@pytest.fixture
def leo(db):
    return scenes.person("leo", "list_editor", name="Leo Lists")


@pytest.fixture
def lena(support):
    return scenes.person("lena", "list_editor", support, name="Lena Of-one-mailbox")


@pytest.fixture
def everybody(alice, bob, carol, dave, leo, lena, mallory):
    return {
        "alice": alice,
        "bob": bob,
        "carol": carol,
        "dave": dave,
        "leo": leo,
        "lena": lena,
        "mallory": mallory,
    }


@pytest.fixture
def rule(db):
    return rules.create(BLOCK, actor=SYSTEM)


@pytest.fixture
def value_list(db):
    made = lists.create({"name": "Rivals", "type": "domain"}, actor=SYSTEM)
    lists.add_items(made.pk, ["rival.test", "other.test"], actor=SYSTEM)
    return made


def path(name, rule, value_list):
    args = {"rule": [rule.pk], "value_list": [value_list.pk]}
    kind = "value_list" if name.startswith("value_list") else "rule"
    needs = name not in ("rules", "value_lists", "rule_new", "value_list_new", "rules_export", "rules_import")
    return reverse(f"approvals:{name}", args=args[kind] if needs else [])


def test_every_route_of_rules_and_lists_is_in_the_table():
    modules = ("approvals.views.rules", "approvals.views.value_lists")
    ours = {name for name, route in desk_routes().items() if route.callback.__module__ in modules}

    assert ours == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("who", RIGHTS)
def test_each_route_answers_each_role_as_the_table_says(everybody, rule, value_list, name, who):
    method, need = ROUTES[name]

    status = getattr(browser(everybody[who]), method)(path(name, rule, value_list)).status_code

    assert (status == 403) is (need not in RIGHTS[who])
    assert status in (200, 302, 403, 409, 422)


@pytest.mark.parametrize("name", ROUTES)
def test_a_stranger_is_sent_to_the_sign_in_page(rule, value_list, name):
    answer = getattr(browser(), ROUTES[name][0])(path(name, rule, value_list))

    assert answer["Location"].startswith("/accounts/login/")


def test_a_rule_of_a_foreign_mailbox_does_not_exist(alice, orders, carol):
    foreign = rules.create(BLOCK | {"scope": orders.scope}, actor=SYSTEM)

    assert browser(alice).get(reverse("approvals:rule", args=[foreign.pk])).status_code == 404
    assert "No rivals" not in browser(alice).page(reverse("approvals:rules")).html
    assert browser(carol).get(reverse("approvals:rule", args=[foreign.pk])).status_code == 200


@pytest.mark.row("001-04")
def test_the_rules_are_listed_in_the_order_asked(alice, rule):
    rules.create(BLOCK | {"name": "First", "priority": 1}, actor=SYSTEM)

    page = browser(alice).page(reverse("approvals:rules"))

    names = [page.text(one) for one in page.all("b")][-3:]
    assert names == ["First", "Every compose is held for a person", "No rivals"]


@pytest.mark.row("001-31", "003-28")
def test_from_a_refused_draft_the_rule_is_two_clicks_away(alice, support, rule):
    draft = scenes.draft_in_thread(support, to=(scenes.Address("x@rival.test", ""),))
    arrival.judge(draft.pk)
    client = browser(alice)

    page = client.page(reverse("approvals:draft", args=[draft.public_id]))
    address = reverse("approvals:rule", args=[rule.pk])
    assert page.all("a", href=address)
    assert "The rule “No rivals” blocks it" in page.html

    detail = client.page(address)
    judgement = Judgement.objects.get(draft=draft)
    assert detail.all("a", href=reverse("approvals:judgement", args=[judgement.pk]))
    assert "recipient.domain" in detail.html
    evaluation = client.page(reverse("approvals:judgement", args=[judgement.pk]))
    assert evaluation.all("a", href=address)


def typed(**changed):
    data = {
        "version": "1",
        "name": "No rivals",
        "description": "",
        "scope": "global",
        "trigger": "outbound",
        "enforced_at": "here",
        "priority": "10",
        "is_enabled": "on",
        "match_operator": "all",
        "reason": "They asked us to",
        "conditions-TOTAL_FORMS": "1",
        "conditions-INITIAL_FORMS": "0",
        "conditions-0-field": "recipient.domain",
        "conditions-0-operator": "is",
        "conditions-0-value": "rival.test",
        "actions-TOTAL_FORMS": "1",
        "actions-INITIAL_FORMS": "0",
        "actions-0-type": "block",
    }
    return data | changed


@pytest.mark.row("001-04", "001-18")
def test_an_admin_makes_a_rule_in_the_browser(carol, support):
    client = browser(carol)
    client.page(reverse("approvals:rule_new"))

    answer = client.post(reverse("approvals:rule_new"), typed(scope=support.scope))

    made = Rule.objects.get(name="No rivals")
    assert answer["Location"] == reverse("approvals:rule", args=[made.pk])
    assert (made.scope, made.conditions, made.actions) == (
        support.scope,
        BLOCK["conditions"],
        BLOCK["actions"],
    )
    assert "rival.test" in client.page(answer["Location"]).html


def test_adding_a_condition_keeps_what_was_typed_and_writes_nothing(carol):
    page = browser(carol).submit(
        reverse("approvals:rule_new"), typed(**{"add": "conditions", "conditions-0-value": "half ty"})
    )

    assert page.status == 200
    assert page.all("input", id="id_conditions-0-value")[0].get("value") == "half ty"
    assert page.all("select", id="id_conditions-1-field")
    assert not page.classed("faults")
    assert not Rule.objects.filter(name="No rivals").exists()


def test_a_condition_can_be_left_out(carol):
    more = {
        "conditions-TOTAL_FORMS": "2",
        "conditions-0-leave_out": "on",
        "conditions-1-field": "subject",
        "conditions-1-operator": "contains",
        "conditions-1-value": "Offer",
    }

    browser(carol).post(reverse("approvals:rule_new"), typed(**more))

    assert Rule.objects.get(name="No rivals").conditions == [
        {"field": "subject", "operator": "contains", "value": "offer"}
    ]


def test_a_faulty_condition_is_named_at_its_row_and_nothing_typed_is_lost(carol):
    more = {
        "conditions-TOTAL_FORMS": "2",
        "conditions-1-field": "size",
        "conditions-1-operator": "contains",
        "conditions-1-value": "much",
    }

    page = browser(carol).submit(reverse("approvals:rule_new"), typed(**more))

    assert page.status == 422
    assert page.all("a", href="#id_conditions-1-operator")
    assert "size takes is, is_not, greater_than, less_than." in page.html
    assert page.all("input", id="id_conditions-1-value")[0].get("value") == "much"
    assert page.all("input", id="rule_reason")[0].get("value") == "They asked us to"


def test_a_rule_without_conditions_is_told_so(carol):
    page = browser(carol).submit(
        reverse("approvals:rule_new"), typed(**{"conditions-0-leave_out": "on", "priority": "2000"})
    )
    assert page.status == 422

    page = browser(carol).submit(reverse("approvals:rule_new"), typed(**{"conditions-0-leave_out": "on"}))
    assert "A rule has 1 to 50 conditions." in page.html


def test_a_damaged_form_is_told_so(carol):
    page = browser(carol).submit(reverse("approvals:rule_new"), {"name": "x"})

    assert page.status == 422


def test_a_condition_looks_a_list_up(carol, value_list):
    more = {"conditions-0-operator": "in_list", "conditions-0-lists": [str(value_list.public_id)]}

    browser(carol).post(reverse("approvals:rule_new"), typed(**more))

    made = Rule.objects.get(name="No rivals")
    assert made.conditions[0]["value"] == [str(value_list.public_id)]
    page = browser(carol).page(reverse("approvals:rule_edit", args=[made.pk]))
    [chosen] = [one for one in page.all("option") if one.get("value") == str(value_list.public_id)]
    assert chosen.get("selected") is not None


def test_the_slower_editor_sees_the_difference_and_keeps_what_was_typed(carol, rule):
    rules.change(rule.pk, BLOCK | {"priority": 5}, version=1, actor=SYSTEM)

    page = browser(carol).submit(
        reverse("approvals:rule_edit", args=[rule.pk]), typed(name="Mine", priority="7")
    )

    assert page.status == 409, page.text(page.classed("faults")[0])
    assert [[page.text(cell) for cell in row.iter("td")] for row in page.all("tr")][1:3] == [
        ["name", "No rivals", "Mine"],
        ["priority", "5", "7"],
    ]
    assert page.all("input", id="rule_name")[0].get("value") == "Mine"
    assert page.all("input", id="rule_version")[0].get("value") == "2"
    rule.refresh_from_db()
    assert rule.name == "No rivals"


def test_a_rule_is_disabled_and_enabled_again(carol, rule):
    address = reverse("approvals:rule_switch", args=[rule.pk])

    browser(carol).post(address, {"version": "1", "is_enabled": "no"})
    rule.refresh_from_db()
    assert not rule.is_enabled

    browser(carol).post(address, {"version": "2", "is_enabled": "yes"})
    rule.refresh_from_db()
    assert rule.is_enabled


@pytest.mark.parametrize("name", ["rule_switch", "rule_remove"])
def test_an_old_page_changes_nothing(carol, rule, name):
    page = browser(carol).submit(reverse(f"approvals:{name}", args=[rule.pk]), {"version": "7"})

    assert page.status == 409
    assert Rule.objects.filter(pk=rule.pk, is_enabled=True).exists()


def test_a_removed_rule_is_gone(carol, rule):
    answer = browser(carol).post(reverse("approvals:rule_remove", args=[rule.pk]), {"version": "1"})

    assert answer["Location"] == reverse("approvals:rules")
    assert not Rule.objects.filter(pk=rule.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_without_writes_keeps_what_was_typed(transactional_db, carol):
    client = browser(carol)
    client.page(reverse("approvals:rule_new"))
    with read_only():
        page = client.submit(reverse("approvals:rule_new"), typed())

    assert page.status == 503
    assert page.all("input", id="rule_name")[0].get("value") == "No rivals"


@pytest.mark.row("001-34")
def test_a_rule_says_where_it_is_enforced(alice, rule):
    page = browser(alice).page(reverse("approvals:rule", args=[rule.pk]))
    shipped = browser(alice).page(
        reverse("approvals:rule", args=[Rule.objects.get(shipped_key="compose").pk])
    )

    assert "The provider could hold it, too." in page.html
    assert "The provider has no action hold." in shipped.html


@pytest.mark.row("001-04")
def test_an_admin_makes_a_list_and_fills_it(carol):
    client = browser(carol)
    client.page(reverse("approvals:value_list_new"))
    client.post(reverse("approvals:value_list_new"), {"name": "Rivals", "type": "domain"})
    made = ValueList.objects.get()

    client.post(reverse("approvals:value_list_add", args=[made.pk]), {"items": "Rival.test\n\nother.test"})

    page = client.page(reverse("approvals:value_list", args=[made.pk]))
    assert [one.get("value") for one in page.all("input", name="value")] == ["other.test", "rival.test"]


@pytest.mark.row("001-19")
def test_a_list_editor_adds_a_value_and_sees_no_rule(leo, rule, value_list):
    client = browser(leo)

    client.post(reverse("approvals:value_list_add", args=[value_list.pk]), {"items": "new.test"})

    page = client.page(reverse("approvals:value_list", args=[value_list.pk]))
    assert "new.test" in page.html
    assert "No rivals" not in page.html
    assert people.roles_of(leo) == ["list_editor"]


def test_bad_values_are_named_by_line_and_nothing_is_added(carol, value_list):
    page = browser(carol).submit(
        reverse("approvals:value_list_add", args=[value_list.pk]), {"items": "ok.test\n\nno good"}
    )

    assert page.status == 422
    assert "Line 3: “no good” is no domain." in page.html
    assert "ok.test\n\nno good" in page.all("textarea")[0].text
    assert value_list.items.count() == 2


def test_values_are_searched_paged_and_taken_out(carol, value_list):
    lists.add_items(value_list.pk, [f"d{n:03}.test" for n in range(150)], actor=SYSTEM)
    client = browser(carol)
    address = reverse("approvals:value_list", args=[value_list.pk])

    first = client.page(address)
    [more] = first.all("a", rel="next")
    second = client.page(more.get("href"))
    assert len(first.all("input", name="value")) == 100
    assert len(second.all("input", name="value")) == 52

    assert len(client.page(address + "?q=RIVAL").all("input", name="value")) == 1
    client.post(reverse("approvals:value_list_take", args=[value_list.pk]), {"value": ["rival.test"]})
    assert not value_list.items.filter(value="rival.test").exists()


def test_a_search_or_value_that_no_database_takes_finds_and_removes_nothing(carol, value_list):
    client = browser(carol)
    address = reverse("approvals:value_list", args=[value_list.pk])

    found = client.page(f"{address}?q=%00&after=%00")
    taken = client.post(
        reverse("approvals:value_list_take", args=[value_list.pk]), {"value": ["rival\0.test"]}
    )

    assert len(found.all("input", name="value")) == 2
    assert taken.status_code == 302
    assert value_list.items.count() == 2


@pytest.mark.parametrize("version", ["", "0", "x"])
def test_a_list_is_not_removed_by_a_page_that_does_not_say_what_it_showed(carol, value_list, version):
    answer = browser(carol).post(
        reverse("approvals:value_list_remove", args=[value_list.pk]), {"version": version}
    )

    assert answer.status_code == 409
    assert ValueList.objects.filter(pk=value_list.pk).exists()


def test_a_list_in_use_is_not_removed_and_names_its_rules(carol, value_list):
    condition = {
        "field": "recipient.domain",
        "operator": "in_list",
        "value": [str(value_list.public_id)],
    }
    rules.create(BLOCK | {"conditions": [condition]}, actor=SYSTEM)
    value_list.refresh_from_db()

    page = browser(carol).submit(
        reverse("approvals:value_list_remove", args=[value_list.pk]), {"version": str(value_list.version)}
    )

    assert page.status == 409
    assert "Rules use this list: No rivals." in page.html


def test_two_admins_who_rename_a_list_conflict(carol, value_list):
    lists.change(value_list.pk, {"name": "Theirs"}, version=2, actor=SYSTEM)

    page = browser(carol).submit(
        reverse("approvals:value_list_edit", args=[value_list.pk]), {"name": "Mine", "version": "2"}
    )

    assert page.status == 409
    assert page.all("input", id="list_name")[0].get("value") == "Mine"


FILE = json.dumps(
    {
        "lists": [{"id": "x", "name": "Rivals", "type": "domain", "items": ["rival.test"]}],
        "rules": [
            {
                "name": "No rivals",
                "trigger": "outbound",
                "match": {
                    "conditions": [{"field": "recipient.domain", "operator": "in_list", "value": ["x"]}]
                },
                "actions": [{"type": "block"}],
            }
        ],
    }
)


def test_an_import_is_shown_first_and_then_taken_in(carol):
    client = browser(carol)
    address = reverse("approvals:rules_import")

    shown = client.submit(address, {"text": FILE})
    assert "What it would do" in shown.html
    assert not Rule.objects.filter(name="No rivals").exists()

    digest = shown.all("input", name="digest")[0].get("value")
    answer = client.post(address, {"text": FILE, "digest": digest, "confirm": "yes"})

    assert answer["Location"] == reverse("approvals:rules")
    assert Rule.objects.filter(name="No rivals").exists()
    assert ValueList.objects.get().items.count() == 1


def test_another_text_than_the_one_shown_is_shown_first(carol):
    page = browser(carol).submit(
        reverse("approvals:rules_import"), {"text": FILE, "digest": "0" * 64, "confirm": "yes"}
    )

    assert "What it would do" in page.html
    assert not Rule.objects.filter(name="No rivals").exists()


def test_a_faulty_import_is_reported_by_item(carol):
    bad = FILE.replace('"block"', '"dance"')

    page = browser(carol).submit(reverse("approvals:rules_import"), {"text": bad})

    assert page.status == 422
    assert "rules[0].actions[0].type" in page.html
    assert "Line 1:" in page.text()
    assert "dance" in page.all("textarea")[0].text


def test_a_file_is_taken_instead_of_text(carol):
    upload = SimpleUploadedFile("rules.json", FILE.encode(), content_type="application/json")

    page = browser(carol).submit(reverse("approvals:rules_import"), {"file": upload})

    assert "What it would do" in page.html
    assert "No rivals" in page.all("textarea")[0].text


def test_an_export_holds_the_rules_a_person_sees(alice, rule, orders):
    rules.create(BLOCK | {"name": "Foreign", "scope": orders.scope}, actor=SYSTEM)

    told = json.loads(browser(alice).get(reverse("approvals:rules_export")).content)

    assert [one["name"] for one in told["rules"]] == ["Every compose is held for a person", "No rivals"]


def test_an_admin_sees_the_rules_of_a_workspace_that_no_mailbox_is_in_yet(carol):
    workspace = Workspace.objects.create(name="Board")
    made = rules.create(BLOCK | {"scope": f"workspace:{workspace.pk}"}, actor=SYSTEM)

    page = browser(carol).page(reverse("approvals:rules"))

    assert made.name in page.text()
    assert "workspace Board" in page.text()


def test_a_list_editor_is_led_to_the_lists_and_to_no_page_that_refuses(leo):
    client = browser(leo)

    front = client.page(reverse("approvals:recipients"))
    places = [one.get("href") for one in front.all("nav", id="places")[0].iter("a")]

    assert client.get("/").url == reverse("approvals:recipients")
    assert places == [reverse("approvals:policies"), reverse("approvals:audit")]
    assert [client.get(place).status_code for place in places] == [200, 200]
    assert "Stop all sending" not in front.text()
    assert "List editor" in front.html
