"""The desk by its keys: moving, approving in two presses, reasons, own keys, the overlay and the palette."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

IN_VIEW = """(element) => {
  const box = element.getBoundingClientRect();
  return box.top >= 0 && box.bottom <= innerHeight;
}"""
ARMED = "Read the letter to its end."


def keys(one, *pressed):
    for key in pressed:
        one.page.keyboard.press(key)


def focused(one):
    return one.page.evaluate("document.activeElement.textContent.trim()")


def closed(one):
    one.page.locator("dialog[open]").wait_for(state="detached")


def chosen(one, **fields):
    """Fill the page of the keys: a text for the key of a command, a truth for whether single keys act."""
    one.go("/keyboard/")
    for name, value in fields.items():
        field = one.page.locator(f"#id_{name}")
        field.set_checked(value) if isinstance(value, bool) else field.fill(value)
    one.press("Keep these keys")
    one.says("Your keys are kept.")


@pytest.fixture
def own_keys(person):
    """Somebody who may change their keys, which come back at the end."""
    one = person("reviewer2")
    yield one
    one.go("/keyboard/")
    one.press("Back to the keys as they came")
    one.says("Every key is again as it came.")


def test_the_first_press_shows_the_end_and_arms_the_second_approves(demo, person, letter):
    draft = letter(mailbox="slow", body="</p><p>".join(["It leaves today."] * 60))
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)
    end = reviewer.page.locator(".letter .signs")
    assert not end.evaluate(IN_VIEW)

    keys(reviewer, "a")

    reviewer.says(ARMED)
    assert end.evaluate(IN_VIEW)
    assert focused(reviewer).startswith("Approve and send")
    assert reviewer.page.get_by_role("button", name="Undo").count() == 0

    keys(reviewer, "a")

    reviewer.page.get_by_role("button", name="Undo").first.wait_for()
    keys(reviewer, "u")
    reviewer.says("Taken back. Nothing was sent; the draft waits again.")
    assert demo.sent(draft.subject) == []


def test_another_key_than_the_first_disarms(person, letter):
    reviewer = person("reviewer")
    reviewer.open_draft(letter().subject)

    keys(reviewer, "a")
    reviewer.says(ARMED)
    keys(reviewer, "Escape", "a")

    reviewer.says(ARMED)
    assert reviewer.page.get_by_role("button", name="Approve and send").is_visible()


def test_a_key_that_is_held_down_approves_nothing(person, letter):
    reviewer = person("reviewer")
    reviewer.open_draft(letter().subject)

    for _ in range(5):
        reviewer.page.keyboard.down("a")

    reviewer.says(ARMED)
    reviewer.page.keyboard.up("a")
    assert reviewer.page.get_by_role("button", name="Approve and send").is_visible()


def test_rows_are_marked_and_opened(person, letter):
    letter(), letter(), letter()
    reviewer = person("reviewer")
    reviewer.go("/queue/")
    rows = reviewer.page.locator(".row__who")

    keys(reviewer, "j", "j", "j", "k")

    marked = rows.nth(1)
    assert marked.evaluate("row => row === document.activeElement && row.matches(':focus-visible')")
    address = marked.get_attribute("href")
    keys(reviewer, "o")
    reviewer.page.wait_for_url(f"**{address}")
    reviewer.page.locator("#letter-head").wait_for()


def test_a_draft_is_not_decided_while_another_one_is_marked(person, letter):
    letter(), letter()
    reviewer = person("reviewer")
    reviewer.go("/queue/")
    reviewer.page.locator(".row__who").first.click()
    reviewer.page.locator("#letter-head").wait_for()

    keys(reviewer, "j", "a")

    reviewer.says("Another draft is marked than the one that is open.")
    keys(reviewer, "Escape", "a")
    reviewer.says(ARMED)


def test_letters_in_the_reason_are_written_and_ctrl_enter_decides(demo, person, letter):
    draft = letter()
    reviewer = person("reviewer")
    address = reviewer.open_draft(draft.subject)

    keys(reviewer, "r")
    reviewer.says("Reject: Write the reason.")
    reviewer.page.keyboard.type("are you sure? ask g q")
    assert reviewer.page.get_by_label("Reason or note").input_value() == "are you sure? ask g q"
    keys(reviewer, "Control+Enter")

    reviewer.says("Rejected by you")
    reviewer.go(address)
    reviewer.says("Rejected by reviewer")
    reviewer.says("are you sure? ask g q")
    assert demo.sent(draft.subject) == []


def test_ctrl_enter_in_a_reason_that_no_key_asked_for_decides_nothing(person, letter):
    reviewer = person("reviewer")
    reviewer.open_draft(letter().subject)
    reviewer.page.get_by_label("Reason or note").fill("Not yet.")

    keys(reviewer, "Control+Enter")

    assert reviewer.page.get_by_role("button", name="Approve and send").is_visible()
    assert reviewer.page.get_by_label("Reason or note").input_value() == "Not yet."


def test_keys_with_a_modifier_or_while_composing_do_nothing(person, letter):
    reviewer = person("reviewer")
    reviewer.open_draft(letter().subject)
    address = reviewer.page.url

    keys(reviewer, "Alt+e", "Shift+E")
    reviewer.page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'e', isComposing: true, bubbles: true}))"
    )

    assert reviewer.page.url == address
    keys(reviewer, "e")
    reviewer.page.get_by_role("button", name="Keep this version").wait_for()


def test_two_keys_lead_to_a_place(person):
    reviewer = person("reviewer")
    reviewer.go("/queue/")

    keys(reviewer, "g")
    reviewer.says("g …")
    keys(reviewer, "s")

    reviewer.page.wait_for_url("**/sent/")
    keys(reviewer, "g", "q")
    reviewer.page.wait_for_url("**/queue/")
    keys(reviewer, "/")
    assert reviewer.page.locator("#filter-q").evaluate("field => field === document.activeElement")


def test_letters_that_are_switched_off_do_nothing(own_keys, letter):
    draft = letter()
    chosen(own_keys, has_letters=False)
    own_keys.open_draft(draft.subject)
    address = own_keys.page.url

    keys(own_keys, "a", "a", "e", "?", "g", "s")

    assert own_keys.page.url == address
    assert own_keys.page.locator("dialog[open]").count() == 0
    assert own_keys.page.locator("#keysaid").inner_text() == ""
    assert own_keys.page.get_by_role("button", name="Approve and send").is_visible()
    keys(own_keys, "Control+k")
    own_keys.page.keyboard.type("edit")
    keys(own_keys, "Enter")
    own_keys.page.get_by_role("button", name="Keep this version").wait_for()


def test_a_key_that_was_changed_acts_and_the_old_one_rests(own_keys, letter):
    draft = letter()
    chosen(own_keys, edit="v", sent="w")
    own_keys.open_draft(draft.subject)
    address = own_keys.page.url

    keys(own_keys, "e")
    assert own_keys.page.url == address

    keys(own_keys, "v")
    own_keys.page.get_by_role("button", name="Keep this version").wait_for()
    own_keys.page.evaluate("document.activeElement.blur()")
    keys(own_keys, "w")
    own_keys.page.wait_for_url("**/sent/")


def test_the_overlay_lists_what_applies_on_the_page(person, letter):
    draft = letter()
    reviewer = person("reviewer")
    reviewer.go("/audit/")

    keys(reviewer, "?")
    overlay = reviewer.page.get_by_role("dialog", name="Keys of this page")
    assert overlay.get_by_text("Insights").is_visible()
    assert not overlay.get_by_text("Approve and send").is_visible()
    keys(reviewer, "a", "g", "s", "Escape")
    closed(reviewer)
    assert reviewer.page.url.endswith("/audit/")

    reviewer.open_draft(draft.subject)
    keys(reviewer, "?")
    assert overlay.get_by_text("Approve and send").is_visible()
    assert not overlay.get_by_text("Return to queue").is_visible()
    overlay.get_by_role("link", name="Change the keys").click()
    reviewer.page.get_by_role("heading", name="Keyboard").wait_for()


def test_the_palette_finds_and_does_and_gives_the_focus_back(person, letter):
    reviewer = person("reviewer")
    reviewer.open_draft(letter().subject)
    reviewer.page.get_by_role("link", name="Edit draft").focus()

    keys(reviewer, "Control+k")
    palette = reviewer.page.get_by_role("dialog", name="Find a command or a place")
    palette.get_by_role("option").first.wait_for()
    reviewer.page.keyboard.type("zzz")
    palette.get_by_text("No command has these letters.").wait_for()
    keys(reviewer, "Escape")
    closed(reviewer)
    assert focused(reviewer).startswith("Edit draft")

    keys(reviewer, "Control+k")
    reviewer.page.keyboard.type("appr")
    keys(reviewer, "Enter")
    reviewer.says(ARMED)

    keys(reviewer, "Control+k")
    reviewer.page.keyboard.type("op")
    options = [option.split("\n")[0] for option in palette.get_by_role("option").all_inner_texts()]
    assert options == ["Open the marked draft", "Stop all sending", "Operations"]
    keys(reviewer, "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp")
    assert palette.get_by_role("option", selected=True).inner_text().startswith("Operations")
    keys(reviewer, "Enter")
    reviewer.page.wait_for_url("**/operations/")


def test_without_script_no_key_is_promised_and_the_page_of_the_keys_works(person, letter):
    reviewer = person("reviewer2", script=False)
    reviewer.open_draft(letter().subject)
    assert reviewer.page.locator(".btn kbd").first.is_hidden()

    chosen(reviewer, edit="v")
    assert reviewer.page.locator("#id_edit").input_value() == "v"
    reviewer.press("Back to the keys as they came")

    reviewer.says("Every key is again as it came.")
    assert reviewer.page.locator("#id_edit").input_value() == "e"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_overlay_and_palette_fit_a_small_phone(person, letter, scheme):
    reviewer = person("reviewer", viewport={"width": 320, "height": 640}, color_scheme=scheme)
    reviewer.open_draft(letter().subject)

    for opening in ("?", "Control+k"):
        keys(reviewer, opening)
        box = reviewer.page.locator("dialog[open]").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 320
        assert box["y"] >= 0 and box["y"] + box["height"] <= 640
        keys(reviewer, "Escape")
        closed(reviewer)
