from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from agentmail.types import Address
from approvals import queries
from approvals.freshness import Staleness
from approvals.models import Draft, StaleReason
from approvals.transitions import drafts
from audit.record import SYSTEM
from policies import switch
from tests.pages import scenes
from tests.pages.pages import browser
from tests.statements import statements

QUEUE = "/queue/"


def subjects(page):
    return [page.text(element) for element in page.classed("row__subject")]


def test_the_front_page_leads_to_the_queue(desk):
    response = desk.get("/")

    assert response.status_code == 302
    assert response["Location"] == QUEUE


def test_a_stranger_is_sent_to_the_sign_in_page(db):
    response = browser().get(QUEUE)

    assert response["Location"] == "/accounts/login/?next=/queue/"


def test_a_refresh_without_a_session_is_told_to_sign_in(db):
    response = browser().get(QUEUE, headers={"HX-Request": "true"})

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/accounts/login/?ended=yes"


def test_an_empty_queue_says_so(desk):
    assert "Every draft is answered for" in desk.page(QUEUE).text()


def test_the_queue_shows_recipient_subject_age_and_expiry(desk, support):
    draft = scenes.draft_in_thread(support)
    now = timezone.now()
    Draft.objects.filter(pk=draft.pk).update(
        arrived_at=now - timedelta(hours=2, minutes=14, seconds=5),
        expires_at=now + timedelta(minutes=38, seconds=30),
    )

    [row] = desk.page(QUEUE).classed("row")
    text = " ".join("".join(row.itertext()).split())

    assert "Priya Nair" in text
    assert "Re: Order 48213 arrived with two plates broken" in text
    assert "2 h 14 m" in text
    assert "expires soon, in 38 min" in text


def test_the_draft_that_expires_first_is_on_top(desk, support):
    support.expiry_hours = 200
    scenes.draft_in_thread(support, subject="late")
    support.expiry_hours = 72
    scenes.draft_in_thread(support, subject="soon")

    assert subjects(desk.page(QUEUE)) == ["soon", "late"]


def test_a_draft_of_high_risk_stands_before_what_came_earlier(desk, support):
    scenes.draft_in_thread(support, subject="Order, normal")
    scenes.draft_in_thread(support, subject="Order, high", bcc=(Address("sam@elsewhere.example"),))

    assert subjects(desk.page(QUEUE)) == ["Order, high", "Order, normal"]


def test_drafts_of_other_mailboxes_are_not_listed(desk, support, orders):
    scenes.draft_in_thread(support, subject="mine")
    scenes.draft_in_thread(orders, subject="theirs")

    assert subjects(desk.page(QUEUE)) == ["mine"]


def test_the_count_in_the_bar_leaves_out_other_mailboxes(desk, support, orders):
    scenes.draft_in_thread(support)
    scenes.draft_in_thread(orders)

    assert "Queue 1" in desk.page(QUEUE).text()


def test_counts_stop_at_a_bound(desk, support, monkeypatch):
    monkeypatch.setattr(queries, "COUNT_LIMIT", 100)
    first = scenes.draft_in_thread(support)
    copies = []
    for number in range(120):
        copy = Draft.objects.get(pk=first.pk)
        copy.pk, copy.public_id = None, Draft._meta.get_field("public_id").get_default()
        copy.provider_draft_id, copy.current_revision = f"copy-{number}", None
        copies.append(copy)
    Draft.objects.bulk_create(copies)

    assert "Queue 99+" in desk.page(QUEUE).text()


def test_a_search_finds_words_in_any_order(desk, support):
    scenes.draft_in_thread(support, subject="Re: Duplicate charge on invoice 2210")
    scenes.draft_in_thread(support, subject="Re: Gift note")

    assert subjects(desk.page(QUEUE, data={"q": "invoice duplicate"})) == [
        "Re: Duplicate charge on invoice 2210"
    ]


def test_a_search_that_finds_nothing_offers_the_way_back(desk, support):
    scenes.draft_in_thread(support)

    page = desk.page(QUEUE, data={"q": "nothing like this"})

    assert "Nothing here matches the filter." in page.text()
    assert "Show all again" in page.text()


def test_a_search_that_is_too_long_names_the_limit_and_keeps_the_words(desk):
    page = desk.page(QUEUE, data={"q": "x" * 201})

    assert "200 characters" in page.text()
    assert page.all("input", name="q")[0].get("value") == "x" * 201


def test_a_filter_by_mailbox_shows_its_drafts_only(carol, support, orders):
    scenes.draft_in_thread(support, subject="for support")
    scenes.draft_in_thread(orders, subject="for orders")

    assert subjects(browser(carol).page(QUEUE, data={"mailbox": orders.public_id})) == ["for orders"]


def test_a_foreign_mailbox_cannot_be_chosen(desk, support, orders):
    scenes.draft_in_thread(support, subject="mine")
    scenes.draft_in_thread(orders, subject="theirs")

    page = desk.page(QUEUE, data={"mailbox": orders.public_id})

    assert subjects(page) == ["mine"]
    assert "orders@example.com" not in page.text()


def test_a_stale_draft_leaves_the_waiting_list_and_is_marked_in_its_own(desk, support):
    draft = scenes.draft_in_thread(support)
    drafts.mark_stale(draft.pk, Staleness(StaleReason.NEW_INBOUND, ()))

    assert subjects(desk.page(QUEUE)) == []
    assert "A new message arrived" in desk.page(QUEUE, data={"state": "stale"}).text()


def test_an_unknown_state_shows_the_plain_queue_and_says_what_is_wrong(desk, support):
    scenes.draft_in_thread(support, subject="here")

    page = desk.page(QUEUE, data={"state": "nonsense"})

    assert subjects(page) == ["here"]
    assert "nonsense is not one of the available choices" in page.text()


def test_paging_visits_every_draft_once(desk, support, monkeypatch):
    monkeypatch.setattr(queries, "QUEUE_ROWS", 2)
    same = timezone.now() + timedelta(hours=5)
    for number in range(5):
        draft = scenes.draft_in_thread(support, subject=f"draft {number}")
        Draft.objects.filter(pk=draft.pk).update(queue_at=same)

    found, address = [], QUEUE
    while address:
        page = desk.page(address)
        found += subjects(page)
        following = page.all("a", rel="next")
        address = following[0].get("href") if following else None

    assert found == [f"draft {number}" for number in range(5)]


@pytest.mark.parametrize(
    "after", ["x", "2026-11-20T10:00:00~1", "2026-11-20T10:00:00+00:00~x", "~", "9~9", "٣~٣"]
)
def test_a_damaged_place_shows_the_first_page_and_says_so(desk, support, after):
    scenes.draft_in_thread(support, subject="first")

    page = desk.page(QUEUE, data={"after": after})

    assert subjects(page) == ["first"]
    assert "This page address is damaged" in page.text()


def test_a_row_keeps_the_filter_for_the_way_back(desk, support):
    draft = scenes.draft_in_thread(support, subject="invoice")

    [link] = desk.page(QUEUE, data={"q": "invoice"}).classed("row__who")

    assert link.get("href") == reverse("approvals:draft", args=[draft.public_id]) + "?q=invoice"


def refresh_address(page):
    [element] = page.all("div", id="queue-list")
    return element.get("hx-get")


def test_a_refresh_without_news_is_answered_with_204(desk, support):
    scenes.draft_in_thread(support)
    with time_machine.travel(timezone.now(), tick=False):
        address = refresh_address(desk.page(QUEUE))

        response = desk.get(address, headers={"HX-Request": "true"})

    assert response.status_code == 204
    assert response.content == b""


def test_a_refresh_a_minute_later_gives_new_ages(desk, support):
    scenes.draft_in_thread(support)
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        address = refresh_address(desk.page(QUEUE))
    with time_machine.travel(now + timedelta(minutes=1), tick=False):
        response = desk.get(address, headers={"HX-Request": "true"})

    assert response.status_code == 200
    assert "1 min" in response.content.decode()


def test_a_refresh_with_news_gives_the_list_only(desk, support):
    address = refresh_address(desk.page(QUEUE))
    scenes.draft_in_thread(support, subject="just arrived")

    response = desk.get(address, headers={"HX-Request": "true"})

    assert response.status_code == 200
    assert "just arrived" in response.content.decode()
    assert response.content.decode().strip().startswith('<div class="queue__body" id="queue-list"')


def test_a_refresh_brings_counts_and_the_stop_of_everything_along(desk, support):
    address = refresh_address(desk.page(QUEUE))
    scenes.draft_in_thread(support)
    switch.engage("global", actor=SYSTEM, reason="wrong prices", wait_seconds=0)

    html = desk.get(address, headers={"HX-Request": "true"}).content.decode()

    assert '<nav class="places" id="places" aria-label="Places" hx-swap-oob="true">' in html
    assert '<span class="count">1</span>' in html
    assert "All sending is stopped" in html


def test_a_hostile_subject_is_shown_as_text(desk, support):
    scenes.draft_in_thread(
        support, subject="<script>alert(1)</script>\u202e", to=(Address("x@example.org", "<b>"),)
    )

    page = desk.page(QUEUE)

    assert subjects(page) == ["<script>alert(1)</script>[U+202E]"]


def test_a_stopped_desk_says_so_with_name_and_reason(desk, support):
    switch.engage("global", actor=SYSTEM, reason="prices of last year", wait_seconds=0)

    page = desk.page(QUEUE)

    assert "All sending is stopped" in page.text()
    assert "prices of last year" in page.text()


@pytest.mark.parametrize("address", [QUEUE, QUEUE + "?q=order", QUEUE + "?state=stale"])
def test_the_queue_takes_the_same_few_queries_for_one_row_and_thirty(alice, support, address):
    client = browser(alice)

    def queries_taken():
        with statements() as asked:
            client.page(address)
        return asked

    scenes.draft_in_thread(support)
    client.page(address)
    one = queries_taken()
    for _ in range(29):
        scenes.draft_in_thread(support)
    thirty = queries_taken()

    assert len(one) == len(thirty)
    assert len(thirty) <= 8, "\n".join(thirty)


def test_the_page_of_ten_thousand_pending_is_no_heavier_than_that_of_a_hundred(desk, support, monkeypatch):
    monkeypatch.setattr(queries, "QUEUE_ROWS", 3)
    for _ in range(4):
        scenes.draft_in_thread(support)
    few = len(desk.page(QUEUE).html)
    for _ in range(20):
        scenes.draft_in_thread(support)

    assert len(desk.page(QUEUE).html) <= few * 1.05


def test_a_row_says_its_risk_and_the_two_most_consequential_reasons(desk, support):
    scenes.draft_in_thread(
        support,
        body="Dear Oskar,\n\nthe password is hunter22.",
        bcc=(Address("priya.nair@example.org"),),
    )

    [said] = desk.page(QUEUE).classed("row__risk")

    assert "".join(said.itertext()) == "High: may hold a secret, reader in Bcc1 more"


def test_a_row_whose_risk_was_not_told_says_nothing_of_it(desk, support):
    draft = scenes.draft_in_thread(support)
    Draft.objects.filter(pk=draft.pk).update(risk=None)

    assert desk.page(QUEUE).classed("row__risk") == []


@pytest.mark.parametrize(
    ("query", "trigger"), [("", "every 1.5s, shown"), ("?state=rejected", "every 4s, shown")]
)
def test_a_list_where_a_decision_can_show_asks_for_news_more_often(desk, query, trigger):
    [body] = desk.page(QUEUE + query).all("div", id="queue-list")

    assert body.get("hx-trigger") == trigger
