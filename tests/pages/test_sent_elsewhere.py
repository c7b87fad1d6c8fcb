"""Mail that left a mailbox without a decision: on the operations page, in its list, on its own page, acknowledged."""

import uuid

import pytest

from approvals.models import SentMessage
from approvals.transitions import sent_messages
from tests.database import read_only
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
LIST = "/operations/sent-elsewhere/"
ACKNOWLEDGE = "/operations/sent-elsewhere/acknowledge/"
NOTE = "Ben answered from his phone."


def stray(box, *, draft=None, **fields):
    message = scenes.message(
        box,
        "t-stray",
        sender=box.address,
        **{"subject": "A word", "body": "<p>From my phone</p>"} | fields,
    )
    sent_messages.sent_elsewhere(message, draft.pk if draft is not None else None)
    return SentMessage.objects.get(message=message)


@pytest.fixture
def item(support):
    return stray(support)


def address(item):
    return f"{LIST}{item.public_id}/"


def chosen(*items, note=NOTE, **more):
    return {"chosen": [str(item.public_id) for item in items], "note": note} | more


def test_the_operations_page_names_it_and_the_bar_counts_it(desk, item):
    page = desk.page("/operations/")

    assert "Sent elsewhere 1" in page.text()
    assert "A word" in page.text()
    assert "Operations 1" in page.text(page.all("nav", id="places")[0])


def test_the_operations_page_says_nothing_of_it_where_there_is_none(desk):
    page = desk.page("/operations/")

    assert "These left a mailbox" not in page.text()
    assert "Sent elsewhere, not acknowledged" in page.text()


def test_its_page_shows_the_message_and_the_draft_with_its_words(desk, support):
    draft = scenes.draft(support)
    item = stray(support, draft=draft)

    page = desk.page(address(item))

    assert "From my phone" in page.text()
    assert f"/drafts/{draft.public_id}/" in page.html
    assert "Sent elsewhere" in desk.page(f"/drafts/{draft.public_id}/").text()


def test_acknowledging_takes_it_off_the_alarm_and_keeps_who_and_why(bob, item):
    client = browser(bob)

    client.submit(ACKNOWLEDGE, chosen(item), follow=True)

    assert "These left a mailbox" not in client.page("/operations/").text()
    page = client.page(address(item))
    assert NOTE in page.text()
    assert "Bob Operator" in page.text()
    assert "A word" in client.page(f"{LIST}?show=acknowledged").text()


def test_several_are_acknowledged_at_once(bob, support, item):
    other = stray(support, subject="Another word")
    client = browser(bob)

    page = client.submit(ACKNOWLEDGE, chosen(item, other), follow=True)

    assert "2 messages acknowledged" in page.text()


def test_without_a_note_nothing_is_acknowledged_and_the_choice_stays(bob, item):
    page = browser(bob).submit(ACKNOWLEDGE, chosen(item, note=" "))

    assert page.status == 422
    assert "Say in a sentence who sent it and why." in page.text()
    assert page.all("input", name="chosen")[0].get("checked") is not None


def test_without_a_choice_what_was_typed_stays(bob, item):
    page = browser(bob).submit(ACKNOWLEDGE, chosen())

    assert page.status == 422
    assert "Choose at least one message." in page.text()
    assert NOTE in page.text()


def test_acknowledging_again_says_that_somebody_was_faster(bob, carol, item):
    browser(carol).post(ACKNOWLEDGE, chosen(item))

    page = browser(bob).submit(ACKNOWLEDGE, chosen(item, note="Mine."), follow=True)

    assert "Somebody acknowledged this before" in page.text()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_writes_keeps_what_was_typed(bob, item):
    client = browser(bob)
    client.get("/sent/")
    with read_only():
        page = client.submit(ACKNOWLEDGE, chosen(item, alone="1"))

    assert page.status == 503
    assert NOTE in page.text()


def test_many_come_in_pages(desk, support):
    for number in range(21):
        stray(support, subject=f"Word {number}")

    first = desk.page(LIST)
    [following] = first.all("a", rel="next")

    assert len(first.all("tr")) == 21
    assert len(desk.page(following.get("href")).all("tr")) == 2


STATUSES = {
    "alice": (200, 403),
    "bob": (200, 302),
    "carol": (200, 302),
    "dave": (200, 403),
    "eve": (404, 422),
    "mallory": (404, 422),
}


@pytest.mark.parametrize("who", STATUSES)
def test_each_role_reads_and_acknowledges_what_the_table_says(item, who, request):
    client = browser(request.getfixturevalue(who))

    assert client.get(LIST).status_code == 200
    assert client.get(address(item)).status_code == STATUSES[who][0]
    assert client.get(f"{address(item)}body/").status_code == STATUSES[who][0]
    assert client.post(ACKNOWLEDGE, chosen(item)).status_code == STATUSES[who][1]


def test_strangers_sign_in_first_and_what_is_not_there_is_404(desk, item):
    assert browser().get(address(item)).status_code == 302
    assert desk.get(f"{LIST}{uuid.uuid4()}/").status_code == 404
    assert desk.get(ACKNOWLEDGE).status_code == 405
