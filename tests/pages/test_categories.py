"""The pages of the categories: three tiers, words by the line, templates, domains, a box to try, the record."""

from datetime import timedelta

import pytest
from django.urls import URLPattern, get_resolver

from approvals import arrival
from approvals.models import Decision
from audit.models import Entry
from audit.record import SYSTEM
from policies import categories
from policies.models import Category, ClassifierSettings, HighValueDomain, TemplateFamily
from tests.pages import scenes
from tests.pages.pages import browser
from tests.pages.sends import accepted

pytestmark = pytest.mark.django_db
LIST = "/policies/categories/"


@pytest.fixture
def admin(carol):
    return browser(carol)


@pytest.fixture
def box():
    return scenes.mailbox("desk@example.com", undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


def category(key):
    return Category.objects.get(key=key)


def address(key, verb=""):
    return f"{LIST}{category(key).pk}/{verb}"


def values(page):
    [form] = [f for f in page.all("form") if any(e.get("name") == "tier" for e in f.iter("input"))]
    found = {}
    for element in form.iter():
        name = element.get("name")
        if element.tag == "textarea":
            found[name] = "".join(element.itertext()).removeprefix("\n")
        elif element.tag == "input" and name and name != "csrfmiddlewaretoken":
            if element.get("type") in ("radio", "checkbox"):
                if element.get("checked") is not None:
                    found[name] = element.get("value", "on")
            else:
                found[name] = element.get("value", "")
    return found


@pytest.mark.row("003-16")
def test_a_category_offers_exactly_three_tiers(admin):
    page = admin.page(address("money"))

    assert [one.get("value") for one in page.all("input", name="tier")] == ["auto", "approve", "human_only"]


def test_the_list_shows_every_category_with_its_tier_and_the_matrix(admin):
    page = admin.page(LIST)

    assert "Legal threats and positions" in page.text()
    assert "Human only" in page.text()
    assert len(page.all("th", scope="row")) == 5


def test_words_are_edited_by_the_line(admin):
    given = values(admin.page(address("scheduling"))) | {"inbound_words": "new date\n\n another day "}

    admin.submit(address("scheduling"), given, follow=True)

    assert category("scheduling").inbound_words == ["new date", "another day"]


def test_a_line_that_is_too_long_is_told_at_its_field_and_nothing_typed_is_lost(admin):
    given = values(admin.page(address("scheduling"))) | {"inbound_words": "x" * 201, "description": "Mine"}

    page = admin.submit(address("scheduling"), given)

    assert page.status == 422
    assert "longer than 200 characters" in page.text()
    assert values(page)["description"] == "Mine"
    assert values(page)["inbound_words"] == "x" * 201


@pytest.mark.row("000-03")
def test_money_is_made_automatic_only_with_a_typed_reason(admin):
    given = values(admin.page(address("money"))) | {"tier": "auto"}

    refused = admin.submit(address("money"), given)
    admin.submit(address("money"), given | {"override_reason": "Vouchers only."}, follow=True)

    assert refused.status == 422
    assert "never to be automated" in refused.text()
    assert category("money").tier == "auto"
    assert Entry.objects.get(action="policies.row.changed").reason == "Vouchers only."


def test_a_second_editor_sees_the_difference_and_may_write_over_it(admin):
    given = values(admin.page(address("scheduling")))
    categories.edit(category("scheduling").pk, version=1, actor=SYSTEM, description="Theirs")

    page = admin.submit(address("scheduling"), given | {"description": "Mine"})

    assert page.status == 409
    assert "Theirs" in page.text()
    assert values(page)["description"] == "Mine"
    admin.submit(address("scheduling"), values(page), follow=True)
    assert category("scheduling").description == "Mine"


def test_an_own_category_is_added_and_removed(admin):
    given = {
        "version": "0",
        "key": "returns",
        "name": "Returns",
        "tier": "approve",
        "position": "5",
        "is_enabled": "on",
        "inbound_words": "send it back",
    }

    admin.submit(LIST + "new/", given, follow=True)
    again = admin.submit(LIST + "new/", given)
    assert category("returns").inbound_words == ["send it back"]
    admin.submit(address("returns", "remove/"), {"version": "1"}, follow=True)

    assert (again.status, "of this key already" in again.text()) == (422, True)
    assert not Category.objects.filter(key="returns").exists()


def test_a_shipped_category_is_not_removed(admin):
    page = admin.submit(address("money", "remove/"), {"version": "1"})

    assert page.status == 409
    assert "switched off, not removed" in page.text()


def test_a_template_is_added_changed_and_removed(admin):
    given = {
        "version": "0",
        "name": "On its way",
        "subject_glob": "Re: *",
        "body_globs": "Hello *,\nit comes on *.",
        "is_enabled": "on",
    }
    admin.submit(address("scheduling", "templates/new/"), given, follow=True)
    row = TemplateFamily.objects.get()
    path = f"{LIST}templates/{row.pk}/"

    admin.submit(path, given | {"version": "1", "name": "Comes soon"}, follow=True)
    empty = admin.submit(path, given | {"version": "2", "body_globs": " "})

    row.refresh_from_db()
    assert (row.name, row.body_globs) == ("Comes soon", ["Hello *,", "it comes on *."])
    assert empty.status == 422
    admin.submit(path + "remove/", {"version": "2"}, follow=True)
    assert not TemplateFamily.objects.exists()


def test_domains_of_high_value_are_added_and_removed(admin):
    wrong = admin.submit(LIST + "domains/", {"domain": "not a domain", "note": "x"})
    admin.submit(LIST + "domains/", {"domain": "Bank.example", "note": "largest"}, follow=True)
    row = HighValueDomain.objects.get()

    assert (wrong.status, row.domain) == (422, "bank.example")
    assert "bank.example" in admin.page(LIST).text()
    admin.submit(f"{LIST}domains/{row.pk}/remove/", {"version": "1"}, follow=True)
    assert not HighValueDomain.objects.exists()


def test_the_least_confidence_is_kept_within_its_limits(admin):
    wrong = admin.submit(LIST + "settings/", {"version": "0", "least_confidence": "1.5"})
    admin.submit(LIST + "settings/", {"version": "0", "least_confidence": "0.9"}, follow=True)
    late = admin.submit(LIST + "settings/", {"version": "0", "least_confidence": "0.5"})

    assert (wrong.status, late.status) == (422, 409)
    assert ClassifierSettings.objects.get().least_confidence == 0.9


def test_the_box_shows_what_a_mail_would_be_and_why(desk):
    given = {"subject": "Re: Plates", "body": "We will refund you.", "inbound_body": "I am furious!"}

    page = desk.submit(LIST + "try/", given)

    [found] = page.all("section", id="found")
    assert page.text(found).startswith("Money: Approval")
    assert [page.text(one) for one in found.iter("q")] == ["refund", "furious"]
    assert desk.submit(LIST + "try/", {}).status == 422


@pytest.mark.row("003-38")
def test_the_share_approved_untouched_stands_with_its_number_and_interval(admin, box, mara):
    for number in range(4):
        draft = scenes.draft(box, body=f"Your tracking number is {number}.")
        arrival.judge(draft.pk)
        accepted(draft, mara)

    assert "4 of 4, 100 % (likely 51 to 100 %)" in admin.page(LIST).text()
    page = admin.page(address("shipping_status"))
    assert "4 (at least 100) not yet" in page.text()


@pytest.mark.row("K19")
def test_the_page_suggests_automatic_and_changes_nothing(admin, box, mara):
    draft = scenes.draft(box, body="Your tracking number is 7.")
    arrival.judge(draft.pk)
    accepted(draft, mara)
    Decision.objects.update(made_at=Decision.objects.get().made_at - timedelta(days=20))

    page = admin.page(address("shipping_status"))

    assert "20 (at least 14) met" in page.text()
    assert "does not carry automatic sending yet" in page.text()
    assert category("shipping_status").tier == "approve"


@pytest.mark.row("K19")
def test_an_operator_takes_an_automatic_category_back_with_a_reason(admin, bob):
    given = values(admin.page(address("scheduling"))) | {"tier": "auto"}
    admin.submit(address("scheduling"), given, follow=True)
    operator = browser(bob)

    unsaid = operator.submit(address("scheduling", "tighten/"), {"version": "2", "reason": ""})
    operator.submit(address("scheduling", "tighten/"), {"version": "1", "reason": "Wrong date."}, follow=True)

    assert unsaid.status == 422
    assert category("scheduling").tier == "approve"
    assert Entry.objects.filter(action="policies.row.changed").latest("pk").reason == "Wrong date."


# name: method, roles that get further than 403
READERS, EDITORS, TIGHTENERS = "readers", "editors", "tighteners"
ROUTES = {
    "categories": ("get", "", READERS),
    "category_new": ("get", "new/", EDITORS),
    "category_try": ("get", "try/", READERS),
    "classifier_settings": ("post", "settings/", EDITORS),
    "domain_add": ("post", "domains/", EDITORS),
    "domain_remove": ("post", "domains/{domain}/remove/", EDITORS),
    "category": ("get", "{category}/", READERS),
    "category_remove": ("post", "{category}/remove/", EDITORS),
    "category_tighten": ("post", "{category}/tighten/", TIGHTENERS),
    "family_new": ("get", "{category}/templates/new/", EDITORS),
    "family": ("get", "templates/{family}/", READERS),
    "family_remove": ("post", "templates/{family}/remove/", EDITORS),
}
ALLOWED = {
    READERS: {"alice", "bob", "carol", "dave", "eve"},
    EDITORS: {"carol"},
    TIGHTENERS: {"bob", "carol"},
}


@pytest.fixture
def places():
    row = category("scheduling")
    family = categories.add_family(row, actor=SYSTEM, name="x", subject_glob="x", body_globs=["x"])
    return {
        "category": row.pk,
        "family": family.pk,
        "domain": categories.add_domain("bank.example", actor=SYSTEM).pk,
    }


def test_every_route_of_the_categories_is_in_the_table():
    patterns = [p for p in get_resolver("approvals.urls").url_patterns if isinstance(p, URLPattern)]
    ours = {p.name for p in patterns if p.callback.__module__ == "approvals.views.categories"}

    assert ours == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_each_role_gets_as_far_as_the_table_says(name, places, request):
    method, path, who = ROUTES[name]
    lister = scenes.person("lister", "list_editor", name="Lia Lister")
    people = {
        one: request.getfixturevalue(one) for one in ("alice", "bob", "carol", "dave", "eve", "mallory")
    }

    for username, person in (people | {"lister": lister}).items():
        status = getattr(browser(person), method)(LIST + path.format(**places)).status_code
        assert (status in (200, 422)) is (username in ALLOWED[who]), (username, status)
        assert status in (200, 403, 422)


@pytest.mark.parametrize("path", ["{category}/", "templates/{family}/"])
def test_only_admins_write_what_others_read(desk, places, path):
    assert desk.page(LIST + path.format(**places)).status == 200
    assert desk.post(LIST + path.format(**places)).status_code == 403


def test_strangers_sign_in_first_and_what_is_not_there_is_404(admin):
    assert browser().get(LIST).status_code == 302
    assert admin.get(f"{LIST}9999/").status_code == 404
    assert admin.get(f"{LIST}templates/9999/").status_code == 404
