"""How far long work is: the first reading of a mailbox, and mail that is resumed in stages."""

from datetime import timedelta

import pytest
from django.core.cache import cache

from agentmail.models import Mailbox
from approvals import first_sync, stages, switchboard
from approvals.models import FirstSync
from audit.clock import database_now
from audit.record import SYSTEM
from tests.pages import scenes, sends
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unlimited():
    cache.clear()


def page_of(client, box):
    return client.page(f"/mailboxes/{box.public_id}/")


def region(page, region_id):
    found = page.all("div", id=region_id)
    return found[0] if found else None


def test_a_mailbox_that_was_never_read_says_when_that_begins(desk, support):
    text = page_of(desk, support).text()

    assert "First reading of the mailbox under way" in text
    assert "A worker begins within 30 s." in text


def test_the_page_shows_how_much_was_read_and_asks_for_more(desk, support):
    teller = first_sync.Teller(support)
    page = page_of(desk, support)
    address = region(page, "first-sync").get("hx-get")
    assert "0 messages and drafts so far" in page.text()
    assert desk.get(address).status_code == 204

    teller.told_at = 0.0
    teller.read(messages=3)

    answer = desk.get(address)
    assert answer.status_code == 200
    assert "3 messages and drafts so far" in answer.content.decode()
    assert answer.content.decode().startswith('<div class="progress" id="first-sync"')


def test_a_later_try_goes_on_counting_where_the_first_one_was(support):
    scenes.message(support, "thread")
    first_sync.Teller(support)

    again = first_sync.Teller(support)
    again.read(drafts=1)
    again.ended()

    row = FirstSync.objects.get()
    assert (row.messages, row.drafts) == (1, 1)
    assert row.ended_at is not None


def test_a_reading_that_is_over_says_so_and_asks_no_more(desk, support):
    teller = first_sync.Teller(support)
    teller.read(messages=2)
    Mailbox.objects.update(synced_at=database_now())
    teller.ended()

    page = page_of(desk, support)

    assert "First reading of the mailbox done" in page.text()
    assert "2 of 2 messages and drafts" in page.text()
    assert region(page, "first-sync").get("hx-get") is None


def test_a_reading_that_is_over_says_how_long_it_took_and_no_longer_since_when(desk, support):
    teller = first_sync.Teller(support)
    FirstSync.objects.update(began_at=database_now() - timedelta(minutes=4))
    Mailbox.objects.update(synced_at=database_now())
    teller.ended()

    text = page_of(desk, support).text()

    assert "took 4 min" in text
    assert "since" not in text.partition("First reading of the mailbox")[2].partition("From now on")[0]


def test_a_failure_says_what_to_do(desk, support):
    first_sync.Teller(support)
    Mailbox.objects.update(trouble="The provider did not answer.")

    text = page_of(desk, support).text()

    assert "First reading of the mailbox failed" in text
    assert text.count("The provider did not answer.") == 1
    assert "It is tried again by itself every 30 s, and goes on where it was." in text


def test_a_mailbox_that_was_read_long_ago_shows_no_progress(desk, support):
    Mailbox.objects.update(synced_at=database_now())

    assert region(page_of(desk, support), "first-sync") is None
    assert first_sync.Teller(Mailbox.objects.get()).is_first is False
    assert not FirstSync.objects.exists()


def test_the_progress_of_a_foreign_mailbox_does_not_exist(eve, support):
    assert browser(eve).get(f"/mailboxes/{support.public_id}/first-sync/").status_code == 404


def test_a_release_in_stages_shows_its_progress_by_itself(support):
    olga = scenes.person("olga", "operator", name="Olga Operator")
    mara = scenes.person("mara", "reviewer", support)
    switchboard.stop_as(SYSTEM, support.scope, reason="wrong prices")
    for _ in range(2):
        sends.queued(scenes.draft(support), mara)
    switchboard.release_as(SYSTEM, support.scope, reason="mended")
    stages.start(support.scope, person=olga, per_hour=60, count=2)
    client = browser(olga)
    page = client.page("/operations/stages/")
    address = region(page, "stages").get("hx-get")
    assert "0 of 2 mails resumed" in page.text()
    assert client.get(address).status_code == 204

    stages.advance_all()

    answer = client.get(address)
    assert answer.status_code == 200
    assert "1 of 2 mails resumed" in answer.content.decode()
