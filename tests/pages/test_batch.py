"""Several letters on one page: what stands there, what can be done with it, and what became of each."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.urls import reverse

from approvals import batches
from approvals.models import Batch, BatchItem, Draft
from approvals.transitions import drafts
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser
from tests.statements import statements

pytestmark = pytest.mark.django_db
SHIPPED = "Dear Priya,\n\nyour parcel has shipped.\n\nHarbour Lane Support"
INVOICE = "Dear Priya,\n\nhere is a copy of your invoice.\n\nHarbour Lane Support"


@pytest.fixture
def letters(support):
    def make(count=2, **fields):
        return [scenes.draft_in_thread(support, **{"body": SHIPPED} | fields) for _ in range(count)]

    return make


def opened(client, *rows):
    response = client.post("/batch/", {"draft": [str(draft.public_id) for draft in rows]})
    assert response.status_code == 302, response.content[:500]
    return response["Location"]


def fields_of(page):
    """What the form would send as it is shown, its fields outside of it included."""
    values = {"line": [one.get("value") for one in page.all("input", name="line")]}
    [proof] = page.all("input", name="proof")
    return values | {"proof": proof.get("value"), "reason": ""}


def test_the_queue_offers_a_box_for_each_draft_and_one_button(desk, letters):
    rows = letters(2)

    page = desk.page("/queue/")

    assert {box.get("value") for box in page.all("input", name="draft")} == {str(d.public_id) for d in rows}
    assert "Read and approve together" in page.buttons()


def test_who_may_not_decide_sees_no_box(bob, letters):
    letters()

    page = browser(bob).page("/queue/")

    assert page.all("input", name="draft") == []
    assert "Read and approve together" not in page.buttons()


def test_every_letter_stands_whole_on_the_page(desk, letters):
    rows = letters(3)

    page = desk.page(opened(desk, *rows))

    text = page.text()
    assert text.count("your parcel has shipped.") == 3
    assert text.count("priya.nair@example.org") >= 3
    for draft in rows:
        assert draft.current_revision.content_sha256 in text
    assert "Approve and send 3 letters" in page.buttons()


def test_nothing_chosen_leads_back_with_a_sentence(desk, letters):
    letters()

    response = desk.post("/batch/", {}, follow=True)

    assert "Choose at least one draft" in response.content.decode()
    assert not Batch.objects.exists()


def test_what_cannot_be_approved_together_says_why_and_where(desk, letters):
    [plain] = letters(1)
    [risky] = letters(1, body="Dear Priya,\n\nyour refund of $200 is on its way.")

    page = desk.page(opened(desk, plain, risky))

    assert "1 can be approved together. 1 cannot, and says why." in page.text()
    assert "Not approved together" in page.text()
    assert "Approve and send 1 letter" in page.buttons()


def test_the_lesser_category_is_taken_out_and_both_are_named(desk, letters):
    page = desk.page(opened(desk, *letters(1, body=INVOICE), *letters(2)))

    assert "It is of the category “Where is the invoice”, and most here are “Shipping status”." in page.text()
    assert "Approve and send 2 letters" in page.buttons()


def test_a_page_of_which_nothing_can_be_approved_offers_no_approval(desk, letters):
    [risky] = letters(1, body="Dear Priya,\n\nyour refund of $200 is on its way.")

    page = desk.page(opened(desk, risky))

    assert not [name for name in page.buttons() if name.startswith("Approve")]
    assert "None of them can be approved together." in page.text()


def test_an_approval_starts_and_its_page_shows_how_far_it_is(desk, letters):
    address = opened(desk, *letters(2))

    response = desk.post(address + "approve/", fields_of(desk.page(address)))

    assert response["Location"] == address
    page = desk.page(address)
    assert "Approving under way" in page.text()
    assert "0 of 2 letters" in page.text()
    [progress] = [one for one in page.all("progress") if one.get("max") == "2"]
    assert progress.get("value") == "0"


def test_the_page_follows_by_itself_and_is_quiet_while_nothing_changes(desk, letters):
    address = opened(desk, *letters(1))
    desk.post(address + "approve/", fields_of(desk.page(address)))
    [region] = desk.page(address).all("div", id="batch-results")

    assert desk.get(region.get("hx-get")).status_code == 204
    batches.work(Batch.objects.get().pk)
    changed = desk.get(region.get("hx-get"))
    assert changed.status_code == 200
    assert changed.content.decode().lstrip().startswith('<div id="batch-results"')
    assert "1 of 1 letters" in changed.content.decode()


def test_a_silent_provider_is_told_item_by_item(desk, letters, settings):
    settings.NYLAS_API_URI, settings.NYLAS_API_KEY = "http://127.0.0.1:9", "key"
    address = opened(desk, *letters(2))
    desk.post(address + "approve/", fields_of(desk.page(address)))
    batches.work(Batch.objects.get().pk)

    page = desk.page(address)

    assert page.text().count("The thread could not be read again, so nothing was approved.") == 2
    assert "2 not decided." in page.text()


def test_another_list_than_the_page_showed_is_refused(desk, letters):
    address = opened(desk, *letters(2))
    fields = fields_of(desk.page(address))

    page = desk.submit(address + "approve/", fields | {"line": fields["line"][:1]})

    assert page.status == 409
    assert "This is not the list that your page showed." in page.text()
    assert not BatchItem.objects.exclude(state="listed").exists()


def test_the_list_of_another_batch_is_refused(desk, letters):
    rows = letters(1)
    first, second = opened(desk, *rows), opened(desk, *rows)

    page = desk.submit(second + "approve/", fields_of(desk.page(first)))

    assert page.status == 409


def test_all_are_rejected_with_one_reason(desk, letters):
    rows = [*letters(1), *letters(1, body=INVOICE)]
    address = opened(desk, *rows)

    desk.post(address + "reject/", fields_of(desk.page(address)) | {"reason": "Written for last year."})
    batches.work(Batch.objects.get().pk)

    assert set(Draft.objects.values_list("state", flat=True)) == {"rejected"}
    assert "2 rejected." in desk.page(address).text()


def test_a_rejection_needs_a_reason_and_loses_nothing(desk, letters):
    address = opened(desk, *letters(2))
    fields = fields_of(desk.page(address))

    page = desk.submit(address + "reject/", fields | {"leave_out": fields["line"][:1]})

    assert page.status == 422
    assert "Say in a sentence why." in page.text()
    assert [box.get("checked") is not None for box in page.all("input", name="leave_out")] == [True, False]


def test_more_than_twenty_ask_for_the_password(desk, letters):
    address = opened(desk, *letters(21))
    fields = fields_of(desk.page(address))

    page = desk.submit(address + "approve/", fields)
    assert page.status == 422
    assert "Type your password once more." in page.text()
    assert Batch.objects.get().state == "reading"

    assert desk.post(address + "approve/", fields | {"password": scenes.PASSWORD}).status_code == 302
    assert Batch.objects.get().state == "running"


def test_twenty_do_not_ask_for_it(desk, letters):
    address = opened(desk, *letters(21))
    fields = fields_of(desk.page(address))

    response = desk.post(address + "approve/", fields | {"leave_out": fields["line"][:1]})

    assert response.status_code == 302


def test_a_second_click_shows_what_became_of_the_first(desk, letters):
    address = opened(desk, *letters(1))
    fields = fields_of(desk.page(address))
    desk.post(address + "approve/", fields)

    response = desk.post(address + "approve/", fields)

    assert response["Location"] == address
    assert Entry.objects.filter(action="approvals.batch.decided").count() == 1


def test_the_rest_can_be_left_out(desk, letters):
    address = opened(desk, *letters(2))
    desk.post(address + "approve/", fields_of(desk.page(address)))

    desk.post(address + "stop/")
    batches.work(Batch.objects.get().pk)

    assert desk.page(address).text().count("You stopped the batch before its turn.") == 2


def test_a_letter_that_was_decided_meanwhile_stands_there_and_is_left_out(desk, letters, alice):
    rows = letters(2)
    address = opened(desk, *rows)
    drafts.reject(rows[0].pk, person=alice, seen=scenes.seen(rows[0]), reason="No", form_id=None)

    page = desk.page(address)

    assert "This draft is rejected by now." in page.text()
    assert "Approve and send 1 letter" in page.buttons()


def test_a_mailbox_that_may_not_be_seen_any_more_shows_nothing(desk, letters, alice):
    address = opened(desk, *letters(1))
    alice.memberships.all().delete()

    page = desk.page(address)

    assert "your parcel has shipped." not in page.text()
    assert "support@example.com" not in page.text()


def test_batches_of_before_are_listed_for_their_person(desk, letters, bob):
    address = opened(desk, *letters(1))
    desk.post(address + "approve/", fields_of(desk.page(address)))

    assert desk.page("/batch/").all("a", href=address)
    assert not browser(bob).page("/batch/").all("a", href=address)


def test_the_pages_of_a_batch_take_as_many_queries_for_one_letter_as_for_fifty(desk, support):
    def queries(address):
        desk.page(address)
        with statements() as asked:
            desk.page(address)
        return len(asked)

    rows = [scenes.draft_in_thread(support, body=SHIPPED) for _ in range(50)]
    one, all_of_them = opened(desk, rows[0]), opened(desk, *rows)
    reading = queries(one), queries(all_of_them)
    for address in (one, all_of_them):
        data = fields_of(desk.page(address)) | {"password": scenes.PASSWORD}
        assert desk.post(address + "approve/", data).status_code == 302
    results = queries(one), queries(all_of_them)

    assert reading[0] == reading[1] <= 12
    assert results[0] == results[1] <= 12


def test_opening_a_batch_reads_what_all_letters_share_once(support, alice):
    def taken(rows):
        with statements() as sent:
            batches.open_batch(alice, [draft.public_id for draft in rows])
        return len(sent)

    rows = [scenes.draft_in_thread(support, body=SHIPPED) for _ in range(11)]

    assert (taken(rows) - taken(rows[:1])) / 10 <= 14


def test_letters_that_were_shown_too_long_ago_are_not_decided(desk, letters):
    address = opened(desk, *letters(1))
    fields = fields_of(desk.page(address))
    Batch.objects.update(opened_at=F("opened_at") - timedelta(minutes=61))

    page = desk.submit(address + "approve/", fields)

    assert page.status == 409
    assert "more than an hour ago" in page.text()


def test_a_hostile_letter_is_shown_as_text(desk, letters):
    address = opened(desk, *letters(1, subject="<script>alert(1)</script>\u202e", body=SHIPPED + "<b>\u202e"))

    page = desk.page(address)

    assert "<script>alert(1)</script>[U+202E]" in page.text()
    assert page.all("script", src=None) == []


def test_a_get_decides_nothing(desk, letters):
    address = opened(desk, *letters(1))

    for verb in ("approve/", "reject/", "stop/", "undo/"):
        assert desk.get(address + verb).status_code == 405
    assert reverse("approvals:batch", args=[Batch.objects.get().public_id]) == address
    assert Batch.objects.get().state == "reading"
