import pytest

from agentmail.models import Mailbox
from tests.pages import scenes
from tests.pages.pages import browser
from tests.pages.test_mailboxes import SETTINGS

IDENTITY = {
    "sender_name": "Harbour Lane",
    "postal_address": "3 Quay Street\r\nBristol",
    "unsubscribe": "https://harbour.example/stop",
}


@pytest.fixture
def newsletter(support):
    return scenes.draft(support, body="Our newsletter.")


def address(draft):
    return f"/drafts/{draft.public_id}/"


def settings_of(box):
    return f"/mailboxes/{box.public_id}/"


@pytest.mark.row("004-28")
def test_a_reviewer_is_warned_of_bulk_mail_that_lacks_its_sender_and_may_approve_it_all_the_same(
    desk, newsletter
):
    page = desk.page(address(newsletter))

    assert "It looks like bulk mail and lacks what such mail must say." in page.text()
    assert "Its mailbox has no postal address." in page.text()
    assert "An admin sets this on the page of the mailbox." in page.text()
    assert page.button("Approve and send").get("disabled") is None


def test_an_admin_gets_the_way_to_the_settings(carol, support, newsletter):
    page = browser(carol).page(address(newsletter))

    [link] = page.all("a", href=settings_of(support) + "#settings")
    assert page.text(link) == "Set it on the page of the mailbox"
    assert browser(carol).page(settings_of(support)).all("section", id="settings")


def test_bulk_mail_that_says_everything_is_only_named_as_such(desk, support):
    Mailbox.objects.filter(pk=support.pk).update(**IDENTITY)
    body = "Our newsletter.\n3 Quay Street, Bristol\nhttps://harbour.example/stop"

    page = desk.page(address(scenes.draft(support, body=body)))

    assert "It looks like bulk mail." in page.text()
    assert "It says who sends it and how to unsubscribe." in page.text()


def test_ordinary_mail_is_not_warned_about(desk, support):
    page = desk.page(address(scenes.draft(support)))

    assert "bulk mail" not in page.text()


def test_the_queue_marks_mail_that_looks_like_bulk_mail(desk, support, newsletter):
    scenes.draft(support)

    rows = desk.page("/queue/").classed("row")

    assert sorted("bulk" in "".join(row.itertext()) for row in rows) == [False, True]


@pytest.mark.row("004-28")
def test_an_admin_sets_who_sends_and_how_to_opt_out(carol, support):
    desk = browser(carol)

    assert desk.post(settings_of(support), SETTINGS | IDENTITY).status_code == 302

    support.refresh_from_db()
    assert support.postal_address == "3 Quay Street\nBristol"
    values = desk.page(settings_of(support)).form_values_of_post(settings_of(support))
    assert values["sender_name"] == "Harbour Lane"
    assert values["unsubscribe"] == "https://harbour.example/stop"


def test_a_faulty_way_to_opt_out_is_named_and_everything_typed_stays(carol, support):
    fields = SETTINGS | IDENTITY | {"unsubscribe": "harbour.example"}

    page = browser(carol).submit(settings_of(support), fields)

    assert page.status == 422
    assert "Write an address that begins with https://" in page.text()
    assert page.form_values_of_post(settings_of(support))["sender_name"] == "Harbour Lane"
    support.refresh_from_db()
    assert support.sender_name == ""


@pytest.mark.parametrize("who", ["alice", "bob", "dave"])
def test_others_read_the_identity_and_cannot_set_it(request, support, who):
    Mailbox.objects.filter(pk=support.pk).update(**IDENTITY)
    client = browser(request.getfixturevalue(who))

    assert "Harbour Lane" in client.page(settings_of(support)).text()
    assert client.post(settings_of(support), SETTINGS | {"sender_name": "Mine"}).status_code == 403
    assert Mailbox.objects.get(pk=support.pk).sender_name == "Harbour Lane"
