"""The pages about what the provider holds, in front of the real sandbox."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache

from agentmail.client import configured_client
from approvals import mailboxes, provider_drift, provider_rules
from audit.models import Entry
from audit.record import SYSTEM
from policies import changes
from policies.models import ProviderIntent, ProviderKind, Workspace, WorkspaceMember
from tests.database import read_only
from tests.pages import scenes, sends
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db

POLICY = {
    "name": "Support mailboxes",
    "limit_count_daily_email_sent": "200",
    "limit_inbox_retention_period": "90",
    "limit_spam_retention_period": "14",
    "spam_sensitivity": "1.0",
}
OOPS = {"request_id": "r", "error": {"type": "api.internal_error", "message": "oops"}}
RULE = {
    "name": "No mail there",
    "trigger": "outbound",
    "priority": "10",
    "enabled": "on",
    "operator": "all",
    "actions": "block",
    "conditions-TOTAL_FORMS": "1",
    "conditions-INITIAL_FORMS": "0",
    "conditions-0-field": "recipient.domain",
    "conditions-0-operator": "is",
    "conditions-0-value": "blocked.example",
}


@pytest.fixture(autouse=True)
def at_the_provider(sandbox, connected_settings):
    cache.clear()
    return sandbox


@pytest.fixture
def box(sandbox):
    grant = sandbox.post("grants", email="support@harbour.example", name="Support")["grant"]
    return mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM)


@pytest.fixture
def ada():
    return scenes.person("ada", "admin")


@pytest.fixture
def desk(ada):
    return browser(ada)


def words(response):
    return sends.words(response)


def the(kind):
    [held] = provider_rules.listed(kind)
    return held


def make_policy(**fields):
    return provider_rules.create(ProviderKind.POLICY, {"name": "Support", **fields}, actor=SYSTEM)


def make_list(*values, name="Free mail", type="domain"):
    made = provider_rules.create(ProviderKind.LIST, {"name": name, "type": type}, actor=SYSTEM)
    return provider_rules.add_items(made.id, values, actor=SYSTEM) if values else made


def default_workspace():
    return next(one for one in provider_rules.listed(ProviderKind.WORKSPACE) if one.is_default)


@pytest.mark.row("001-04", "001-11")
def test_a_policy_is_made_with_its_limits_and_reads_back_equal(desk):
    answer = desk.post("/policies/provider/policies/new/", POLICY)

    assert answer.status_code == 302
    held = the(ProviderKind.POLICY)
    limits = held.fields["limits"]
    assert held.name == "Support mailboxes"
    assert (limits["limit_count_daily_email_sent"], limits["limit_inbox_retention_period"]) == (200, 90)
    assert (limits["limit_spam_retention_period"], held.fields["spam_detection"]["spam_sensitivity"]) == (
        14,
        1.0,
    )
    page = desk.page(answer["Location"])
    assert 'value="90"' in page.html


@pytest.mark.row("001-12")
@pytest.mark.parametrize("spam", ["90", "91"])
def test_spam_kept_as_long_as_mail_is_refused_at_both_fields(desk, spam):
    page = desk.submit("/policies/provider/policies/new/", POLICY | {"limit_spam_retention_period": spam})

    assert page.status == 422
    for name in ("limit_spam_retention_period", "limit_inbox_retention_period"):
        assert f'href="#provider_{name}"' in page.html
    assert provider_rules.listed(ProviderKind.POLICY) == []


@pytest.mark.row("001-18", "001-04")
def test_a_rule_is_made_as_typed(desk):
    answer = desk.post("/policies/provider/rules/new/", RULE)

    assert answer.status_code == 302
    held = the(ProviderKind.RULE)
    assert held.fields["match"]["conditions"] == [
        {"field": "recipient.domain", "operator": "is", "value": "blocked.example"}
    ]
    assert (held.fields["trigger"], held.fields["actions"]) == ("outbound", [{"type": "block"}])
    assert "blocked.example" in desk.page("/policies/provider/rules/").html


def test_the_provider_s_refusal_is_shown_at_its_field_and_nothing_typed_is_lost(desk):
    page = desk.submit("/policies/provider/policies/new/", POLICY | {"limit_inbox_retention_period": "9000"})

    assert page.status == 422
    assert "The provider refused it: limits.limit_inbox_retention_period is above the maximum" in page.html
    assert 'href="#provider_limit_inbox_retention_period"' in page.html
    assert 'value="9000"' in page.html


def test_a_plan_without_room_for_another_rule_is_said(desk, sandbox):
    sandbox.control("PATCH", "switches", plan="free")
    for number in range(5):
        assert desk.post("/policies/provider/rules/new/", RULE | {"name": str(number)}).status_code == 302

    page = desk.submit("/policies/provider/rules/new/", RULE)

    assert page.status == 422
    assert "Maximum number of rules (5) reached" in page.html


@pytest.mark.row("001-08")
def test_a_thousand_values_are_added_and_one_more_is_refused_with_the_limit_named(desk):
    held = make_list()
    address = f"/policies/provider/lists/{held.id}/items/"
    values = [f"d{number}.example" for number in range(1001)]

    refused = desk.submit(address, {"add": "\n".join(values), "remove": ""})
    taken = desk.post(address, {"add": "\n".join(values[:1000]), "remove": ""})

    assert (refused.status, "at most 1000" in refused.html) == (422, True)
    assert "d1000.example" in refused.html
    assert taken.status_code == 302
    assert the(ProviderKind.LIST).items_count == 1000


@pytest.mark.row("001-08")
def test_a_value_of_501_characters_is_refused_with_its_line(desk):
    held = make_list(name="TLDs", type="tld")

    page = desk.submit(
        f"/policies/provider/lists/{held.id}/items/", {"add": "com\n" + "a" * 501, "remove": ""}
    )

    assert page.status == 422
    assert "Line 2" in page.html and "a value may have 500" in page.html


@pytest.mark.row("003-25", "001-05")
def test_a_policy_and_rules_are_attached_through_the_workspace(desk, box):
    policy = make_policy()
    desk.post("/policies/provider/rules/new/", RULE)
    rule = the(ProviderKind.RULE)
    workspace = default_workspace()

    answer = desk.post(
        f"/policies/provider/workspaces/{workspace.id}/",
        {"seen": workspace.seen, "policy_id": policy.id, "rule_ids": [rule.id]},
    )

    assert answer.status_code == 302
    held = default_workspace()
    assert (held.fields["policy_id"], held.fields["rule_ids"]) == (policy.id, [rule.id])
    shown = words(desk.get("/policies/provider/workspaces/"))
    assert "support@harbour.example Default workspace Policy: Support. Rules: No mail there." in shown


def test_detaching_leaves_neither_policy_nor_rules(desk):
    policy = make_policy()
    provider_rules.change(
        ProviderKind.WORKSPACE, default_workspace().id, {"policy_id": policy.id}, seen=None, actor=SYSTEM
    )
    workspace = default_workspace()

    desk.post(f"/policies/provider/workspaces/{workspace.id}/", {"seen": workspace.seen, "policy_id": ""})

    assert default_workspace().fields["policy_id"] is None


@pytest.mark.row("001-05")
def test_a_mailbox_put_into_a_workspace_takes_over_its_policy(desk, box):
    policy = make_policy()
    made = provider_rules.create(
        ProviderKind.WORKSPACE,
        {"name": "Harbour", "auto_group": False, "policy_id": policy.id},
        actor=SYSTEM,
    )

    answer = desk.post(
        f"/policies/provider/workspaces/{made.id}/members/", {"mailboxes": [str(box.public_id)]}
    )

    assert answer.status_code == 302
    assert provider_rules.workspace_of_grants()[box.grant_id] == made.id
    assert "support@harbour.example Harbour Policy: Support." in words(
        desk.get("/policies/provider/workspaces/")
    )


def test_a_form_shown_before_somebody_else_s_change_is_answered_with_the_difference(desk):
    held = make_policy()
    form = desk.page(f"/policies/provider/policies/{held.id}/")
    typed = form.form_values_of_post(f"/policies/provider/policies/{held.id}/") | {"name": "Mine"}
    provider_rules.change(ProviderKind.POLICY, held.id, {"name": "Theirs"}, seen=None, actor=SYSTEM)

    page = desk.submit(f"/policies/provider/policies/{held.id}/", typed)

    assert page.status == 409
    assert "Mine" in page.html and "Theirs" in page.html
    assert the(ProviderKind.POLICY).name == "Theirs"
    again = page.form_values_of_post(f"/policies/provider/policies/{held.id}/")
    assert desk.post(f"/policies/provider/policies/{held.id}/", again).status_code == 302
    assert the(ProviderKind.POLICY).name == "Mine"


def test_what_somebody_else_deleted_is_said_to_be_gone(desk):
    held = make_policy()
    provider_rules.remove(ProviderKind.POLICY, held.id, seen=held.seen, actor=SYSTEM)

    page = desk.submit(f"/policies/provider/policies/{held.id}/", POLICY | {"seen": held.seen})

    assert (page.status, "no longer has it" in page.html) == (409, True)
    assert desk.get(f"/policies/provider/policies/{held.id}/").status_code == 404


def test_an_object_is_deleted_only_as_it_was_shown(desk):
    held = make_policy()
    provider_rules.change(ProviderKind.POLICY, held.id, {"name": "Theirs"}, seen=None, actor=SYSTEM)
    address = f"/policies/provider/policies/{held.id}/delete/"

    assert desk.post(address, {"seen": held.seen}).status_code == 409
    assert desk.post(address, {"seen": the(ProviderKind.POLICY).seen}).status_code == 302
    assert provider_rules.listed(ProviderKind.POLICY) == []


def test_a_deletion_of_what_somebody_else_changed_shows_it_as_held_now(desk):
    held = make_policy()
    provider_rules.change(ProviderKind.POLICY, held.id, {"name": "Theirs"}, seen=None, actor=SYSTEM)

    page = desk.submit(f"/policies/provider/policies/{held.id}/delete/", {"seen": held.seen})

    assert "Nothing was deleted" in page.html
    assert "you wrote" not in page.html


def test_a_limit_that_is_held_cannot_be_emptied_because_the_provider_would_keep_it(desk):
    held = make_policy(limits={"limit_count_daily_email_sent": 100})
    address = f"/policies/provider/policies/{held.id}/"
    shown = desk.page(address).form_values_of_post(address)

    page = desk.submit(address, shown | {"limit_count_daily_email_sent": ""})

    assert (page.status, "stays as the provider holds it" in page.html) == (422, True)
    assert 'href="#provider_limit_count_daily_email_sent"' in page.html


def test_an_object_is_deleted_though_what_its_page_shows_beside_it_cannot_be_read(desk, sandbox):
    desk.post("/policies/provider/rules/new/", RULE)
    held = the(ProviderKind.RULE)
    sandbox.post("faults", route="list_lists", action="reply", times=0, options={"status": 500, "body": OOPS})

    answer = desk.post(f"/policies/provider/rules/{held.id}/delete/", {"seen": held.seen})

    assert answer.status_code == 302
    assert provider_rules.listed(ProviderKind.RULE) == []


def test_a_refused_deletion_is_said_though_the_fields_cannot_be_read_again(desk, sandbox):
    desk.post("/policies/provider/rules/new/", RULE)
    held = the(ProviderKind.RULE)
    refusal = {"request_id": "r", "error": {"type": "invalid_request_error", "message": "rule is in use"}}
    sandbox.post("faults", route="delete_rule", action="reply", options={"status": 400, "body": refusal})
    sandbox.post("faults", route="list_lists", action="reply", times=0, options={"status": 500, "body": OOPS})

    page = desk.submit(f"/policies/provider/rules/{held.id}/delete/", {"seen": held.seen})

    assert (page.status, "rule is in use" in page.html) == (422, True)


def test_values_that_were_added_before_a_removal_was_refused_are_said_to_be_there(desk, sandbox):
    held = make_list("old.example")
    refusal = {"request_id": "r", "error": {"type": "invalid_request_error", "message": "list is locked"}}
    sandbox.post("faults", route="remove_items", action="reply", options={"status": 400, "body": refusal})

    page = desk.submit(
        f"/policies/provider/lists/{held.id}/items/", {"add": "new.example", "remove": "old.example"}
    )

    assert page.status == 422
    assert "The values to add are in the list now; none was removed." in page.html
    assert "list is locked" in page.html and "Nothing was changed" not in page.html
    typed = page.form_values_of_post(f"/policies/provider/lists/{held.id}/items/")
    assert (typed["add"].strip(), typed["remove"].strip()) == ("", "old.example")


def test_a_value_too_long_to_be_removed_is_refused_before_anything_is_added(desk):
    held = make_list("old.example")

    page = desk.submit(
        f"/policies/provider/lists/{held.id}/items/", {"add": "new.example", "remove": "x" * 501}
    )

    assert (page.status, "a value may have 500" in page.html) == (422, True)
    assert provider_rules.items_of(held.id) == ["old.example"]


@pytest.mark.parametrize("tab", ["", "policies/", "rules/", "lists/", "workspaces/"])
def test_a_silent_provider_gives_the_page_with_a_sentence(desk, connected_settings, tab):
    connected_settings.NYLAS_API_URI = "http://127.0.0.1:9"
    ProviderIntent.objects.create(kind="rule", name="Kept", wanted={"name": "Kept"}, provider_id="r1")

    page = desk.page(f"/policies/provider/{tab}")

    assert page.status == 200
    assert "gives no usable answer" in page.html


def test_a_change_without_an_answer_is_not_said_to_have_failed(desk, sandbox):
    sandbox.post("faults", route="post_policy", action="reply", options={"status": 500, "body": OOPS})

    page = desk.submit("/policies/provider/policies/new/", POLICY)

    assert page.status == 502
    assert "not known whether it took the change" in page.html
    assert Entry.objects.get(action="approvals.provider.answered").outcome == "unknown"


def test_every_change_is_recorded_before_it_is_asked_and_with_the_answer(desk):
    held = make_policy()
    address = f"/policies/provider/policies/{held.id}/"
    shown = desk.page(address).form_values_of_post(address)

    desk.post(address, shown | {"name": "Renamed", "limit_count_daily_email_sent": "50"})

    asked, answered = Entry.objects.filter(
        actor_kind="person", action__startswith="approvals.provider"
    ).order_by("pk")
    assert asked.data["before"]["name"] == "Support"
    assert asked.data["after"]["limits.limit_count_daily_email_sent"] == 50
    assert (answered.outcome, answered.provider_id) == ("done", held.id)


# Wanted and held


def test_what_is_wanted_is_drawn_beside_what_is_held_and_pushed(desk):
    held = make_policy(limits={"limit_count_daily_email_sent": 100})
    assert desk.post(f"/policies/provider/policies/{held.id}/keep/").status_code == 302
    assert "holds everything as wanted" in desk.page("/policies/provider/").html
    provider_rules.change(
        ProviderKind.POLICY,
        held.id,
        {"limits": {"limit_count_daily_email_sent": 999}},
        seen=None,
        actor=SYSTEM,
    )

    page = desk.page("/policies/provider/")
    pushed = desk.submit("/policies/provider/push/")

    assert "1 object differs" in page.html
    assert [page.text(one) for one in page.all("ins")] == ["100"]
    assert [page.text(one) for one in page.all("del")] == ["999"]
    assert "1 of 1 steps done" in pushed.text()
    assert the(ProviderKind.POLICY).fields["limits"]["limit_count_daily_email_sent"] == 100
    assert "nothing was asked of it" in desk.submit("/policies/provider/push/").text()


def test_a_push_that_is_refused_says_what_was_done_and_what_not(desk, sandbox):
    first, second = make_policy(name="A"), make_policy(name="B")
    third = make_list("a.example")
    for slug, held in (("policies", first), ("policies", second), ("lists", third)):
        desk.post(f"/policies/provider/{slug}/{held.id}/keep/")
    for held in (first, second):
        provider_rules.change(ProviderKind.POLICY, held.id, {"name": "Other"}, seen=None, actor=SYSTEM)
    provider_rules.remove_items(third.id, ["a.example"], actor=SYSTEM)
    error = {"request_id": "r", "error": {"type": "invalid_request_error", "message": "name is taken"}}
    sandbox.post("faults", route="put_policy", nth=2, action="reply", options={"status": 400, "body": error})

    page = desk.submit("/policies/provider/push/")

    assert page.status == 422
    shown = [page.text(one) for one in page.root.iter("li")]
    assert "done Change: Policy “A”" in shown
    assert any(one.startswith("refused Change: Policy “B”: name is taken") for one in shown)
    assert any(one.startswith("not done Change: List “Free mail”") for one in shown)


def test_a_push_that_the_provider_leaves_in_the_middle_says_what_was_done(desk, sandbox):
    desk.post("/policies/provider/deny/")
    sandbox.post("faults", route="list_rules", nth=3, action="reply", options={"status": 500, "body": OOPS})

    page = desk.submit("/policies/provider/push/")

    assert page.status == 422
    shown = [page.text(one) for one in page.root.iter("li")]
    assert "done Make: List “Countersign denied domains”" in shown
    assert any("so this was not asked for" in one for one in shown)
    assert any(one.endswith("An earlier step was not done.") for one in shown)


@pytest.mark.django_db(transaction=True)
def test_a_push_without_a_database_that_takes_writes_asks_nothing_and_says_so(desk):
    desk.post("/policies/provider/deny/")
    desk.get("/policies/provider/")

    with read_only():
        page = desk.submit("/policies/provider/push/")

    assert (page.status, "The database takes no writes" in page.html) == (422, True)
    assert provider_rules.listed(ProviderKind.LIST) == []


def test_what_somebody_else_wants_meanwhile_is_shown_with_the_difference(desk):
    held = make_policy()
    address = f"/policies/provider/policies/{held.id}/"
    desk.post(f"{address}keep/")
    shown = desk.page(address).form_values_of_post(f"{address}keep/")
    intent = ProviderIntent.objects.get()
    changes.change(ProviderIntent, intent.pk, version=1, actor=SYSTEM, wanted={"name": "Theirs"})

    page = desk.submit(f"{address}keep/", shown)

    assert page.status == 409
    assert [page.text(one) for one in page.all("ins")] == ["Theirs"]
    assert [page.text(one) for one in page.all("del")] == ["Support"]
    assert ProviderIntent.objects.get().wanted == {"name": "Theirs"}
    assert desk.post(f"{address}keep/", page.form_values_of_post(f"{address}keep/")).status_code == 302


def test_a_rule_is_not_kept_for_a_workspace_that_is_not_there(desk):
    desk.post("/policies/provider/rules/new/", RULE)
    held = the(ProviderKind.RULE)

    page = desk.submit(f"/policies/provider/rules/{held.id}/keep/", {"scope": "workspace:999"})

    assert (page.status, 'href="#keep_scope"' in page.html) == (422, True)
    assert not ProviderIntent.objects.exists()


def test_the_operations_page_says_when_the_last_look_found_a_difference(desk):
    held = make_policy()
    desk.post(f"/policies/provider/policies/{held.id}/keep/")
    provider_drift.look()
    assert "not as wanted" not in desk.page("/operations/").html
    provider_rules.change(ProviderKind.POLICY, held.id, {"name": "Other"}, seen=None, actor=SYSTEM)
    provider_drift.look()

    assert "1 object is not as wanted" in desk.page("/operations/").html


def test_a_wish_that_somebody_else_changed_is_not_dropped(desk):
    held = make_policy()
    desk.post(f"/policies/provider/policies/{held.id}/keep/")
    intent = ProviderIntent.objects.get()

    stale = desk.post(f"/policies/provider/wanted/{intent.pk}/forget/", {"version": intent.version + 1})
    fresh = desk.post(f"/policies/provider/wanted/{intent.pk}/forget/", {"version": intent.version})

    assert (stale.status_code, fresh.status_code) == (409, 302)
    assert the(ProviderKind.POLICY) == held


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"priority": "1001"}, "priority", "1000"),
        ({"actions": ["block", "archive"]}, "actions", "must be the only action"),
        ({"actions": []}, "actions", "1 to 20 actions"),
        ({"name": "n" * 257}, "name", "256"),
        ({"trigger": "inbound"}, "trigger", "only fits outgoing mail"),
        ({"conditions-0-field": ""}, "", "Choose what is compared"),
        ({"conditions-0-field": "outbound.type"}, "", "Write compose or reply"),
        ({"conditions-0-operator": "in_list"}, "", "Choose a list"),
        ({"conditions-0-value": ""}, "", "Write what it is compared with"),
        ({"conditions-0-field": "", "conditions-0-value": ""}, "operator", "1 to 50 conditions"),
    ],
)
def test_a_rule_outside_the_known_limits_is_refused_at_its_field_before_the_provider_is_asked(
    desk, change, field, said
):
    page = desk.submit("/policies/provider/rules/new/", RULE | change)

    assert (page.status, said in page.html) == (422, True)
    assert not field or f'href="#provider_{field}' in page.html
    assert not Entry.objects.filter(action="approvals.provider.asked").exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"limit_count_daily_email_sent": "-2"}, "limit_count_daily_email_sent"),
        ({"limit_attachment_count_limit": "-1"}, "limit_attachment_count_limit"),
        ({"spam_sensitivity": "5.1"}, "spam_sensitivity"),
        ({"limit_attachment_allowed_types": "pictures"}, "limit_attachment_allowed_types"),
        ({"name": ""}, "name"),
    ],
)
def test_a_policy_outside_the_known_limits_is_refused_at_its_field(desk, change, field):
    page = desk.submit("/policies/provider/policies/new/", POLICY | change)

    assert (page.status, f'href="#provider_{field}"' in page.html) == (422, True)
    assert not Entry.objects.filter(action="approvals.provider.asked").exists()


def test_a_list_of_another_type_than_the_field_compares_is_refused_at_the_condition(desk):
    held = make_list(name="People", type="address")
    change = {"conditions-0-operator": "in_list", "conditions-0-in_list": held.id, "conditions-0-value": ""}

    page = desk.submit("/policies/provider/rules/new/", RULE | change)

    assert (page.status, "holds something else" in page.html) == (422, True)


def test_a_workspace_that_mailboxes_join_by_themselves_takes_none_by_hand(desk, box):
    made = provider_rules.create(
        ProviderKind.WORKSPACE, {"name": "Own", "domain": "own.example", "auto_group": True}, actor=SYSTEM
    )

    page = desk.submit(
        f"/policies/provider/workspaces/{made.id}/members/", {"mailboxes": [str(box.public_id)]}
    )

    assert (page.status, "join this workspace by themselves" in page.html) == (422, True)


def test_workspaces_are_taken_over_with_their_mailboxes(desk, box):
    assert desk.post("/policies/provider/take-over/").status_code == 302

    [row] = Workspace.objects.all()
    assert (row.name, row.provider_id) == ("Default workspace", default_workspace().id)
    assert WorkspaceMember.objects.get().mailbox_id == box.pk
    assert provider_drift.take_over_workspaces(actor=SYSTEM) == provider_drift.TakenOver(0, 0)


# Who may


ROUTES = {
    "": ("get", "read"),
    "policies/": ("get", "read"),
    "rules/": ("get", "read"),
    "lists/": ("get", "read"),
    "workspaces/": ("get", "read"),
    "policies/OBJECT/": ("get", "read"),
    "policies/new/": ("get", "edit"),
    "policies/OBJECT/delete/": ("post", "edit"),
    "policies/OBJECT/keep/": ("post", "edit"),
    "lists/OBJECT/items/": ("post", "edit"),
    "workspaces/OBJECT/members/": ("post", "edit"),
    "wanted/1/forget/": ("post", "edit"),
    "push/": ("post", "edit"),
    "deny/": ("post", "edit"),
    "take-over/": ("post", "edit"),
}
ROLES = {
    "reviewer": "read",
    "operator": "read",
    "auditor": "read",
    "admin": "edit",
    "list_editor": "",
    "": "",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ROUTES)
def test_a_route_answers_each_role_as_the_table_says(box, role, path):
    method, need = ROUTES[path]
    held = make_policy()
    person = scenes.person("somebody", role, *([] if role == "admin" or not role else [box]))

    answer = getattr(browser(person), method)(f"/policies/provider/{path.replace('OBJECT', held.id)}")

    is_allowed = ROLES[role] == "edit" or (need == "read" and ROLES[role] == "read")
    assert (answer.status_code != 403) == is_allowed
    assert answer.status_code < 500


def test_a_reader_sees_a_form_that_cannot_be_sent(box):
    held = make_policy()
    page = browser(scenes.person("rita", "reviewer", box)).page(f"/policies/provider/policies/{held.id}/")

    assert page.all("fieldset", disabled="")
    assert not [one for one in page.buttons() if "provider" in one]


def test_mailboxes_that_a_reader_does_not_see_are_not_named(box, sandbox):
    grant = sandbox.post("grants", email="secret@harbour.example")["grant"]
    mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM)

    page = browser(scenes.person("rita", "reviewer", box)).page("/policies/provider/workspaces/")

    assert "support@harbour.example" in page.html
    assert not re.search("secret@harbour", page.html)


def test_a_list_of_more_values_than_a_wish_holds_is_not_wanted(desk):
    most = provider_rules.MOST_ITEMS_READ
    held = make_list("first.example")
    values = [f"d{number}.example" for number in range(most)]
    for start in range(0, most, 1000):
        configured_client().add_items(held.id, values[start : start + 1000])

    page = desk.submit(f"/policies/provider/lists/{held.id}/keep/", {})

    assert page.status == 422
    assert f"more than {most} values" in page.text()
    assert not ProviderIntent.objects.exists()
