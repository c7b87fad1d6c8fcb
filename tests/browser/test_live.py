"""Two people at one desk: what one decides shows at the other, and nothing moves under a hand or an eye."""

import itertools

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NUMBERS = itertools.count(1)
FOCUSED = "document.activeElement.id"


@pytest.fixture
def four(letter):
    """Four drafts to one address, which nothing else is addressed to, and the address of their list."""
    to = f"live-{next(NUMBERS)}@example.net"
    return to, [letter(to, mailbox="slow") for _ in range(4)]


def list_of(one, to):
    one.go(f"/queue/?q={to}")
    one.until(one.page.locator(".queue__list .row").nth(3), f"/queue/?q={to}")


def row_of(one, draft):
    return one.page.locator(".queue__list .row", has_text=draft.subject)


def places(one):
    """Where each row stands, by its id."""
    return one.page.evaluate(
        """Object.fromEntries([...document.querySelectorAll('[data-row]')].map((row) => {
          const box = row.getBoundingClientRect();
          return [row.dataset.row, [box.top, box.height]];
        }))"""
    )


def reject(one, draft):
    one.open_draft(draft.subject)
    one.page.get_by_label("Reason or note").fill("Not like this.")
    one.press("Reject")
    one.says("Rejected by you")


def test_a_decision_of_somebody_else_shows_in_its_row_and_moves_nothing(person, four):
    to, drafts = four
    watcher, other = person("reviewer"), person("reviewer2")
    list_of(watcher, to)
    rows = watcher.page.locator(".queue__list .row")
    first = rows.nth(0).locator(".row__subject").inner_text()
    rows.nth(2).hover()
    before = places(watcher)

    reject(other, next(draft for draft in drafts if draft.subject == first))

    decided = rows.nth(0)
    decided.get_by_text("Rejected by reviewer2").wait_for()
    assert places(watcher) == before
    assert decided.locator("[data-command]").count() == 0


def test_new_drafts_wait_behind_a_line_while_the_list_is_under_the_pointer(person, four, letter):
    to, _drafts = four
    watcher = person("reviewer")
    list_of(watcher, to)
    watcher.page.locator(".queue__list .row").nth(1).hover()
    before = places(watcher)

    # High risk stands first.
    grave = letter(to, mailbox="slow", body="We refund the whole order.")

    line = watcher.page.get_by_role("button", name="1 new draft, show")
    line.wait_for()
    assert places(watcher) == before
    line.click()
    row_of(watcher, grave).wait_for()
    assert watcher.page.locator(".queue__list .row").first.get_by_text("High: about").is_visible()
    assert not line.is_visible()


def test_a_list_that_nobody_touches_takes_new_drafts_in(person, four, letter):
    to, _drafts = four
    watcher = person("reviewer")
    list_of(watcher, to)
    watcher.page.mouse.move(900, 500)

    grave = letter(to, mailbox="slow", body="We refund the whole order.")

    row_of(watcher, grave).wait_for()


def test_a_marked_row_that_somebody_else_decides_keeps_the_mark(person, four):
    to, drafts = four
    watcher, other = person("reviewer"), person("reviewer2")
    list_of(watcher, to)
    watcher.page.keyboard.press("j")
    watcher.page.keyboard.press("j")
    marked = watcher.page.evaluate(FOCUSED)
    rows = watcher.page.locator(".queue__list .row")
    second = rows.nth(1).locator(".row__subject").inner_text()
    third = rows.nth(2).get_attribute("data-row")

    reject(other, next(draft for draft in drafts if draft.subject == second))

    rows.nth(1).get_by_text("Rejected by reviewer2").wait_for()
    assert watcher.page.evaluate(FOCUSED) == marked
    watcher.page.keyboard.press("j")
    assert watcher.page.evaluate(FOCUSED) == f"row-{third}"


def test_a_decision_about_the_open_draft_is_said_and_the_letter_stays_where_it_is(person, letter):
    draft = letter(mailbox="slow", body="We refund the whole order.")
    watcher, other = person("reviewer"), person("reviewer2")
    watcher.open_draft(draft.subject)
    letter_at = watcher.page.locator("#letter-body").bounding_box()

    reject(other, draft)

    watcher.watch("Rejected by reviewer2", within="#decide")
    watcher.page.locator("#keysaid").get_by_text("Rejected by reviewer2").wait_for()
    assert not watcher.page.get_by_role("button", name="Approve and send").is_visible()
    assert abs(watcher.page.locator("#letter-body").bounding_box()["y"] - letter_at["y"]) <= 1


def test_without_script_nothing_moves_by_itself(person, four):
    to, drafts = four
    watcher, other = person("reviewer", script=False), person("reviewer2")
    list_of(watcher, to)
    text = watcher.page.locator(".queue__list").inner_text()

    reject(other, drafts[0])

    assert watcher.page.locator(".queue__list").inner_text() == text
    list_of(watcher, to)
    watcher.says("Rejected by reviewer2")


def test_after_a_decision_the_next_draft_is_open_and_its_heading_has_the_focus(person, four, script):
    to, _drafts = four
    reviewer = person("reviewer", script=script)
    list_of(reviewer, to)
    rows = reviewer.page.locator(".queue__list .row")
    following = rows.nth(1).locator(".row__subject").inner_text()
    rows.nth(0).locator(".row__who").click()
    reviewer.page.get_by_label("Reason or note").fill("Not like this.")

    reviewer.press("Reject")

    reviewer.says("Rejected by you")
    heading = reviewer.page.get_by_role("heading", level=1, name=following)
    heading.wait_for()
    if script:
        assert heading.evaluate("heading => heading === document.activeElement")


def test_an_approval_is_undone_from_the_next_draft(demo, person, four, script):
    to, drafts = four
    reviewer = person("reviewer", script=script)
    list_of(reviewer, to)
    reviewer.page.locator(".queue__list .row__who").first.click()
    address = reviewer.page.url
    reviewer.press("Approve and send")
    row = reviewer.page.locator(".queue__list .row--done")
    row.get_by_text("Approved by you").wait_for()
    row.get_by_text("sending in").wait_for()

    row.get_by_role("button").click()

    reviewer.says("Taken back. Nothing was sent; the draft waits again.")
    assert reviewer.page.url.partition("?")[0] == address.partition("?")[0]
    assert all(demo.sent(draft.subject) == [] for draft in drafts)


def test_when_nothing_is_left_the_page_says_where_to_go(person, letter, script):
    draft = letter(mailbox="slow")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    reviewer.page.get_by_label("Reason or note").fill("Not like this.")

    reviewer.press("Reject")

    reviewer.page.get_by_role("heading", name="Nothing left").wait_for()
    reviewer.page.get_by_role("link", name="Show all again").wait_for()
