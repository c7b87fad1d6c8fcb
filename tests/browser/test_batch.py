"""Letters read and approved together: by keys alone, and with a browser that runs no script."""

import pytest

from tests.browser import axe
from tests.browser.test_every_page import FAULTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHIPPED = "Your parcel has shipped.</p><p>" + "</p><p>".join(["It comes to your door."] * 40)


def keys(one, *pressed):
    for key in pressed:
        one.page.keyboard.press(key)


def found(one, *letters):
    """Show the queue with these letters alone."""
    numbers = [letter.subject.split()[-1] for letter in letters]
    shared = numbers[0][:3]
    for letter in letters:
        one.until(one.page.locator(".row", has_text=letter.subject), f"/queue/?q={shared}")


def boxes(one):
    return one.page.locator("[name=draft]:checked").count()


def test_two_letters_are_chosen_read_and_approved_by_keys_alone(demo, person, letter):
    letters = [letter(mailbox="slow", body=SHIPPED) for _ in range(2)]
    reviewer = person("reviewer")
    found(reviewer, *letters)
    for one in letters:
        reviewer.page.locator(".row", has_text=one.subject).locator(".row__who").focus()
        keys(reviewer, "x")
    assert boxes(reviewer) == 2

    keys(reviewer, "b")

    reviewer.page.get_by_role("heading", name="2 letters, read together").wait_for()
    approve = reviewer.page.get_by_role("button", name="Approve and send 2 letters")
    assert approve.is_disabled()
    keys(reviewer, "a")
    reviewer.page.locator("[data-batch-read]", has_text="1 of 2.").wait_for()
    keys(reviewer, "a")
    reviewer.page.locator("[data-batch-read]", has_text="Every letter was in view to its end.").wait_for()
    assert approve.is_enabled()
    assert reviewer.page.locator("#batch-results").count() == 0

    keys(reviewer, "a", "a")

    reviewer.page.get_by_text("2 of 2 letters").wait_for()
    reviewer.page.get_by_role("button", name="Undo all 2 approvals").click()
    reviewer.says("2 approvals taken back. Nothing of them was sent; the drafts wait again.")
    assert [demo.sent(one.subject) for one in letters] == [[], []]


def test_a_letter_that_is_taken_out_need_not_be_read(person, letter):
    letters = [letter(mailbox="slow", body=SHIPPED) for _ in range(2)]
    reviewer = person("reviewer")
    found(reviewer, *letters)
    for one in letters:
        reviewer.page.locator(".row", has_text=one.subject).locator("[name=draft]").check()
    reviewer.page.get_by_role("button", name="Read and approve together").click()

    reviewer.page.locator(".batch__letter").nth(1).get_by_label("Take this one out").check()
    reviewer.page.locator(".batch__letter .signs").first.scroll_into_view_if_needed()

    reviewer.page.get_by_role("button", name="Approve and send 1 letter").wait_for()
    reviewer.page.locator("[data-batch-approve]:enabled").wait_for()


def test_without_script_the_button_stands_behind_every_letter(demo, person, letter):
    letters = [letter(mailbox="quick", body=SHIPPED) for _ in range(2)]
    reviewer = person("reviewer", script=False)
    found(reviewer, *letters)
    for one in letters:
        reviewer.page.locator(".row", has_text=one.subject).locator("[name=draft]").check()
    reviewer.page.get_by_role("button", name="Read and approve together").click()
    assert reviewer.page.get_by_text("Your parcel has shipped.").count() == 2

    reviewer.page.get_by_role("button", name="Approve and send 2 letters").click()

    address = reviewer.page.url.removeprefix(demo.url)
    reviewer.until(reviewer.page.get_by_text("2 of 2 letters"), address)
    for one in letters:
        sent = reviewer.page.locator(".batch__results > li", has_text=one.subject).get_by_text("Accepted")
        reviewer.until(sent, address)
        assert len(demo.sent(one.subject)) == 1


def test_the_pages_of_a_batch_are_well_made_in_every_theme_and_width(person, letter):
    letters = [
        letter(mailbox="slow", body=SHIPPED),
        letter(mailbox="slow", body="Your refund of $200 is here."),
    ]
    reviewer = person("reviewer")
    faults = []

    def look():
        faults.extend(axe.broken(reviewer.page) + reviewer.page.evaluate(FAULTS))

    found(reviewer, *letters)
    look()
    for one in letters:
        reviewer.page.locator(".row", has_text=one.subject).locator("[name=draft]").check()
    reviewer.page.get_by_role("button", name="Read and approve together").click()
    reviewer.page.locator(".batch__letter").first.wait_for()
    look()
    reviewer.page.locator("[data-letter-end]").scroll_into_view_if_needed()
    reviewer.page.locator("[data-batch-approve]:enabled").click()
    reviewer.page.get_by_text("1 of 1 letters").wait_for()
    look()
    for path in ("/batch/", "/queue/views/", "/reasons/"):
        reviewer.go(path)
        look()

    assert faults == []


def test_a_kept_reason_is_written_by_its_key_and_can_be_changed(person, letter):
    reviewer = person("reviewer")
    reviewer.go("/reasons/")
    reviewer.page.locator("#reason-text").fill("Names the wrong product.")
    reviewer.press("Keep this reason")
    reviewer.open_draft(letter(mailbox="slow").subject)
    box = reviewer.page.locator("#decision [name=reason]")

    keys(reviewer, "1")

    assert box.input_value() == "Names the wrong product."
    keys(reviewer, "r")
    reviewer.page.keyboard.press("End")
    reviewer.page.keyboard.type(" Ask again.")
    keys(reviewer, "Control+Enter")
    reviewer.says("Rejected")
    reviewer.go("/reasons/")
    reviewer.page.get_by_role("button", name="Remove Names the wrong product.").click()
    reviewer.says("Removed. What was decided with it keeps its words.")
