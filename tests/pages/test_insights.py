from datetime import timedelta

import pytest

from approvals.models import Decision, Draft, Revision
from audit.clock import database_now
from policies.models import Category
from tests.pages import scenes, sends
from tests.pages.pages import browser

PAGE = "/insights/"


def approved(box, person, *, minutes=60, category=""):
    """An approval a second after the one before, of a draft that arrived that many minutes ago."""
    now = database_now()
    draft = scenes.draft(box)
    sends.queued(draft, person)
    Revision.objects.filter(draft=draft).update(created_at=now - timedelta(minutes=minutes))
    Draft.objects.filter(pk=draft.pk).update(arrived_at=now - timedelta(minutes=minutes), category=category)
    before = Decision.objects.exclude(draft=draft).order_by("-made_at").first()
    made_at = before.made_at + timedelta(seconds=1) if before else now - timedelta(seconds=30)
    Decision.objects.filter(draft=draft).update(made_at=made_at)
    return draft


@pytest.fixture
def overfull(settings, support):
    settings.QUEUE_FULL_DRAFTS = 2
    scenes.draft(support)
    scenes.draft(support)


@pytest.fixture
def category(db):
    return Category.objects.get(key="order_confirmation")


def test_the_page_says_how_much_waits_and_how_long_decisions_take(desk, alice, support, orders):
    for minutes in (1, 2, 30, 40, 50):
        approved(support, alice, minutes=minutes)
    scenes.draft(support)

    page = desk.page(PAGE)

    [link] = page.all("a", href=f"/queue/?mailbox={support.public_id}")
    assert page.text(link) == "support@example.com"
    assert "orders@example.com" not in page.text()
    assert "6 drafts arrived. People made 5 decisions." in page.text()
    assert "median of 30 days" in page.text()
    assert page.classed("hours__arrived")
    assert page.classed("hours__decided")
    assert page.classed("hours__line")
    assert "6 arrived, of 50 that can be cleared in a day" in page.text()
    assert "of work at this pace" in page.text()


@pytest.mark.row("003-21")
@pytest.mark.parametrize(
    ("arrived", "needed"), [(1, "1 reviewer,"), (50, "1 reviewer,"), (51, "2 reviewers,")]
)
def test_the_page_says_how_many_reviewers_so_much_a_day_needs(desk, support, arrived, needed):
    for _ in range(arrived):
        scenes.draft(support)

    assert f"So much a day needs {needed} at 50 drafts a day each." in desk.page(PAGE).text()


def test_an_empty_desk_draws_nothing_and_says_so(desk):
    page = desk.page(PAGE)

    assert "0 drafts arrived." in page.text()
    assert "nobody decided in the last 24 hours" in page.text()
    assert not page.classed("hours__line")
    assert not page.classed("hours__arrived")


def test_a_queue_that_people_can_clear_asks_for_nothing(desk, support):
    scenes.draft(support)

    assert not desk.page(PAGE).all("section", id="overfull")
    assert not desk.page("/queue/").classed("queue__full")


@pytest.mark.row("003-22")
def test_an_overfull_queue_suggests_the_categories_with_the_best_record(
    desk, alice, support, overfull, category
):
    approved(support, alice, category=category.key)
    approved(support, alice)

    page = desk.page(PAGE)

    [section] = page.all("section", id="overfull")
    assert "More drafts wait than people can clear." in page.text(section)
    [link] = page.all("a", href=f"/policies/categories/{category.pk}/")
    assert page.text(link) == category.name
    assert "Drafts decided by a person: 1 (at least 100)" in page.text(section)
    assert "1 decided draft fitted no category." in page.text(section)
    assert desk.get(link.get("href")).status_code == 200


@pytest.mark.row("003-22")
def test_the_queue_says_that_it_is_overfull_and_leads_to_what_helps(desk, overfull):
    [line] = desk.page("/queue/").classed("queue__full")

    assert "".join(line.itertext()).strip().startswith("More waits than people can clear.")
    [link] = line.iter("a")
    assert link.get("href") == PAGE


@pytest.mark.row("003-22")
@pytest.mark.parametrize(
    ("who", "sees_names"), [("alice", False), ("bob", False), ("carol", True), ("dave", True)]
)
def test_quick_approvals_are_counted_for_all_and_named_to_admins_and_auditors(
    request, alice, support, who, sees_names
):
    approved(support, alice)
    last = approved(support, alice)

    page = browser(request.getfixturevalue(who)).page(PAGE)

    [section] = page.all("section", id="speed")
    assert "1 of 2 approvals of the last 7 days came sooner" in page.text(section)
    assert ("Alice Reviewer" in page.text(section)) is sees_names
    assert bool(page.all("a", href=f"/drafts/{last.public_id}/")) is sees_names
    assert ("Admins and auditors see this by person." in page.text(section)) is not sees_names


def test_the_page_is_reached_from_the_bar_by_those_who_see_mail(desk):
    page = desk.page("/queue/")

    [link] = page.all("a", href=PAGE)
    assert page.text(link) == "Insights"


def test_a_list_editor_and_a_stranger_do_not_get_the_page(db, mallory):
    editor = browser(scenes.person("lea", "list_editor"))

    assert editor.get(PAGE).status_code == 403
    assert not editor.page("/policies/recipients/").all("a", href=PAGE)
    assert browser(mallory).get(PAGE).status_code == 403
    assert browser().get(PAGE)["Location"].startswith("/accounts/login/")


def test_the_page_takes_the_same_queries_for_little_and_for_much(carol, alice, support, overfull):
    approved(support, alice)
    approved(support, alice)
    few = sends.questions(carol, PAGE)

    for number in range(4):
        box = scenes.mailbox(f"box{number}@example.com")
        person = scenes.person(f"person{number}", "reviewer", box)
        for _ in range(3):
            scenes.draft(box)
            approved(box, person)

    assert sends.questions(carol, PAGE) == few
    assert few <= 23
