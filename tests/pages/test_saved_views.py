"""Filters of the queue under a name, and what the filter can be set to."""

import pytest
from django.urls import reverse

from approvals import saved_views
from approvals.models import Draft, Risk, SavedView
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser
from tests.statements import statements

pytestmark = pytest.mark.django_db
QUEUE, VIEWS = "/queue/", "/queue/views/"


def subjects(page):
    return [page.text(element) for element in page.classed("row__subject")]


def views_beside_the_tabs(page):
    found = [nav for nav in page.all("nav") if nav.get("aria-label") == "Your views"]
    return [page.text(link) for nav in found for link in nav.iter("a")][:-1]


def act(client, view, do, **more):
    return client.post(reverse("approvals:view_change", args=[view.public_id]), {"do": do} | more)


def test_a_filter_kept_under_a_name_stands_beside_the_tabs(desk, support):
    scenes.draft_in_thread(support, subject="invoice")
    scenes.draft_in_thread(support, subject="parcel")

    answer = desk.post(VIEWS, {"name": "Invoices", "query": "q=invoice"})

    assert answer["Location"] == "/queue/?q=invoice"
    page = desk.page(QUEUE)
    assert views_beside_the_tabs(page) == ["Invoices"]
    assert subjects(desk.page("/queue/?q=invoice")) == ["invoice"]


def test_the_queue_offers_to_keep_a_filter_and_not_the_plain_list(desk, support):
    scenes.draft_in_thread(support)

    assert not desk.page(QUEUE).all("form", action=VIEWS)
    form = desk.page("/queue/?q=order").form_values_of_post(VIEWS)
    assert form["query"] == "q=order"


def test_a_view_keeps_the_fields_of_the_filter_alone(desk, support):
    desk.post(VIEWS, {"name": "A", "query": "q=order&after=x&open=1&next=//evil.example&state=stale"})

    assert SavedView.objects.get().query == "q=order&state=stale"


def test_the_view_that_is_shown_is_marked(desk, support):
    desk.post(VIEWS, {"name": "Stale ones", "query": "state=stale"})

    page = desk.page("/queue/?state=stale")

    assert {"Stale", "Stale ones"} <= {page.text(link) for link in page.all("a", aria_current="true")}
    assert "Stale ones" not in [page.text(a) for a in desk.page(QUEUE).all("a", aria_current="true")]


@pytest.mark.parametrize(
    ("name", "query", "said"),
    [
        ("", "q=order", "Give it a name."),
        ("x" * 41, "q=order", "The name has 41 characters; it can have 40."),
        ("Plain", "", "The plain queue needs no view."),
        ("Plain", "nonsense=1", "The plain queue needs no view."),
    ],
)
def test_what_cannot_be_kept_says_why_and_keeps_what_was_typed(desk, name, query, said):
    page = desk.submit(VIEWS, {"name": name, "query": query})

    assert page.status == 422
    assert said in page.text()
    assert not SavedView.objects.exists()
    if query == "q=order":
        assert page.all("input", id="view-name")[0].get("value") == name


def test_a_name_is_given_once(desk):
    desk.post(VIEWS, {"name": "Orders", "query": "q=order"})

    page = desk.submit(VIEWS, {"name": " Orders ", "query": "q=parcel"})

    assert page.status == 422
    assert "There is a view with the name “Orders” already." in page.text()


def test_the_number_of_views_has_a_limit_that_is_named(desk, alice):
    for number in range(saved_views.LIMIT):
        saved_views.keep(alice, name=f"View {number}", query="q=order")

    page = desk.submit(VIEWS, {"name": "One more", "query": "q=order"})

    assert page.status == 422
    assert "There are 20 views already. Remove one first." in page.text()


def test_a_view_of_everybody_is_kept_by_an_admin_and_on_record(desk, carol, support):
    browser(carol).post(VIEWS, {"name": "High risk", "query": "risk=1", "shared": "yes"})

    assert views_beside_the_tabs(desk.page(QUEUE)) == ["High risk"]
    entry = Entry.objects.get(action="approvals.view.kept")
    assert (entry.actor_name, entry.data["name"]) == ("Carol Admin", "High risk")


def test_moving_a_view_of_everybody_is_on_record_and_moving_ones_own_is_not(carol):
    for name in ("High risk", "Stale ones"):
        saved_views.keep(carol, name=name, query=f"q={name}", is_shared=True)
        saved_views.keep(carol, name=name, query=f"q={name}")
    shared = SavedView.objects.get(person=None, name="Stale ones")

    act(browser(carol), shared, "up")
    act(browser(carol), shared, "up")
    act(browser(carol), SavedView.objects.get(person=carol, name="Stale ones"), "up")

    entry = Entry.objects.get(action="approvals.view.moved")
    assert (entry.actor_name, entry.data["name"], entry.data["place"]) == ("Carol Admin", "Stale ones", 1)


def test_nobody_else_keeps_one_for_everybody(desk):
    page = desk.submit(VIEWS, {"name": "Mine for all", "query": "q=order", "shared": "yes"})

    assert "Only an admin keeps views for everybody." in page.text()
    assert not SavedView.objects.exists()


def test_the_views_of_a_colleague_are_their_own(desk, eve):
    saved_views.keep(eve, name="Eve's", query="q=order")

    assert "Eve's" not in desk.page(QUEUE).text()
    assert "Eve's" not in desk.page(VIEWS).text()


def test_a_view_over_a_foreign_mailbox_shows_nothing_of_it(desk, carol, support, orders):
    scenes.draft_in_thread(orders, subject="theirs")
    query = f"mailbox={orders.public_id}"
    saved_views.keep(carol, name="Orders", query=query, is_shared=True)

    page = desk.page(f"/queue/?{query}")

    assert "theirs" not in page.text()
    assert "orders@example.com" not in page.text()


def test_views_are_renamed_moved_and_removed(desk, alice):
    first = saved_views.keep(alice, name="First", query="q=order")
    second = saved_views.keep(alice, name="Second", query="q=parcel")

    act(desk, second, "up")
    assert views_beside_the_tabs(desk.page(QUEUE)) == ["Second", "First"]
    act(desk, second, "up")
    act(desk, first, "down")
    assert views_beside_the_tabs(desk.page(QUEUE)) == ["Second", "First"]
    act(desk, first, "rename", name="Orders")
    act(desk, second, "remove")
    assert views_beside_the_tabs(desk.page(QUEUE)) == ["Orders"]


def test_a_person_starts_with_the_view_they_chose(desk, alice, support):
    view = saved_views.keep(alice, name="Stale ones", query="state=stale")

    act(desk, view, "start")
    assert desk.get("/")["Location"] == "/queue/?state=stale"
    act(desk, view, "start_plain")
    assert desk.get("/")["Location"] == QUEUE


def test_a_removed_view_leaves_its_people_with_the_plain_queue(desk, alice):
    view = saved_views.keep(alice, name="Stale ones", query="state=stale")
    act(desk, view, "start")

    act(desk, view, "remove")

    assert desk.get("/")["Location"] == QUEUE


def test_the_queue_is_filtered_by_category_risk_and_agent(desk, support):
    shipped = scenes.draft_in_thread(support, subject="shipped", body="Your parcel has shipped.")
    other = scenes.draft_in_thread(support, subject="other", bcc=())
    Draft.objects.filter(pk=shipped.pk).update(category="shipping_status", risk=Risk.LOW, agent_id="agent-a")
    Draft.objects.filter(pk=other.pk).update(category="", risk=Risk.HIGH, agent_id="agent-b")

    for query in ("category=shipping_status", "risk=3", "agent=agent-a"):
        assert subjects(desk.page(f"/queue/?{query}")) == ["shipped"], query
    assert subjects(desk.page("/queue/?risk=1")) == ["other"]
    assert subjects(desk.page("/queue/?category=legal")) == []


def test_the_filter_offers_the_agents_of_the_drafts_that_are_listed(desk, support):
    Draft.objects.filter(pk=scenes.draft_in_thread(support).pk).update(agent_id="agent-a")

    [field] = desk.page(QUEUE).all("select", name="agent")

    assert [option.get("value") for option in field.iter("option")] == ["", "agent-a"]


@pytest.mark.parametrize("query", ["category=nonsense", "risk=9", "mailbox=nonsense", "agent=" + "x" * 129])
def test_a_faulty_filter_shows_the_rest_of_the_list_and_says_so(desk, support, query):
    scenes.draft_in_thread(support, subject="here")

    page = desk.page(f"/queue/?{query}")

    assert subjects(page) == ["here"]
    assert page.classed("errorlist")


def test_the_row_of_a_filtered_list_keeps_the_filter(desk, support):
    draft = scenes.draft_in_thread(support)
    Draft.objects.filter(pk=draft.pk).update(risk=Risk.LOW)

    [link] = desk.page("/queue/?risk=3").classed("row__who")

    assert link.get("href").endswith("?risk=3")
    assert desk.page(link.get("href")).status == 200


def test_views_cost_the_queue_no_query(desk, alice, support):
    scenes.draft_in_thread(support)
    for number in range(5):
        saved_views.keep(alice, name=f"View {number}", query="q=order")
    desk.page(QUEUE)

    with statements() as asked:
        desk.page(QUEUE)

    assert len(asked) <= 8
