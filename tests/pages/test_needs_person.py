"""What only people may answer: the list, one item with its conversation, and its end."""

import uuid

import pytest

from approvals import arrival
from approvals.models import NeedsPerson
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
SECRET = "Dear Priya, our lawyer says that we owe you nothing."


def turned_away(box, *, thread="t-legal", **fields):
    message = scenes.message(box, thread, body="I will take you to court.", subject="Two broken plates")
    draft = scenes.draft(box, messages=[message], body=SECRET, **fields)
    arrival.judge(draft.pk)
    return NeedsPerson.objects.get(draft=draft)


@pytest.fixture
def item(support):
    return turned_away(support)


def address(item, verb=""):
    return f"/needs-a-person/{item.public_id}/{verb}"


def test_the_list_shows_what_is_open_and_the_bar_counts_it(desk, item):
    page = desk.page("/needs-a-person/")

    assert "Two broken plates" in page.text()
    assert "Legal threats and positions" in page.text()
    assert "Needs a person 1" in page.text(page.all("nav", id="places")[0])


@pytest.mark.row("003-19")
def test_an_item_shows_the_conversation_and_why_but_nothing_of_the_agents_text(desk, item):
    page = desk.page(address(item))

    assert "I will take you to court." in page.text()
    assert "take you to court" in page.text()
    assert "owe you nothing" not in page.html


@pytest.mark.parametrize(("how", "word"), [("answered", "Answered elsewhere"), ("closed", "Closed")])
def test_closing_says_who_how_and_why(desk, item, how, word):
    desk.submit(address(item, "close/"), {"how": how, "reason": "I called her."}, follow=True)

    page = desk.page(address(item))
    assert word in page.text()
    assert "I called her." in page.text()
    assert "Alice Reviewer" in page.text()
    assert "Two broken plates" in desk.page("/needs-a-person/?show=closed").text()
    assert "Nothing is open" in desk.page("/needs-a-person/").text()


def test_closing_without_a_reason_is_told_at_the_field(desk, item):
    page = desk.submit(address(item, "close/"), {"how": "answered", "reason": " "})

    assert page.status == 422
    assert "Say in a sentence what was done." in page.text()


def test_closing_twice_keeps_what_was_typed_and_says_who_was_faster(desk, item, bob):
    browser(bob).post(address(item, "close/"), {"how": "answered", "reason": "Called."})

    page = desk.submit(address(item, "close/"), {"how": "closed", "reason": "Mine."})

    assert page.status == 409
    assert "already closed by Bob Operator" in page.text()


def test_many_items_come_in_pages(desk, support):
    for number in range(52):
        turned_away(support, thread=f"t-{number}")

    first = desk.page("/needs-a-person/")
    [following] = first.all("a", rel="next")

    assert len(first.all("tr")) == 51
    assert len(desk.page(following.get("href")).all("tr")) == 3


def test_the_page_of_the_draft_says_that_it_was_turned_away(desk, item):
    page = desk.page(f"/drafts/{item.draft.public_id}/")

    assert "Turned away: only a person may answer this" in page.text()
    assert "Approve and send" not in page.buttons()


STATUSES = {
    "alice": (200, 422),
    "bob": (200, 422),
    "carol": (200, 422),
    "dave": (200, 403),
    "eve": (404, 404),
    "mallory": (404, 404),
}


@pytest.mark.parametrize("who", STATUSES)
def test_each_role_reads_and_closes_what_the_table_says(item, who, request):
    client = browser(request.getfixturevalue(who))

    assert client.get("/needs-a-person/").status_code == 200
    assert client.get(address(item)).status_code == STATUSES[who][0]
    assert client.post(address(item, "close/")).status_code == STATUSES[who][1]


def test_strangers_sign_in_first_and_what_is_not_there_is_404(desk, item):
    assert browser().get(address(item)).status_code == 302
    assert desk.get(f"/needs-a-person/{uuid.uuid4()}/").status_code == 404
    assert desk.get(address(item, "close/")).status_code == 405
