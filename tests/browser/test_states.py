"""What pages look like when they are not at their best: refused, empty, faulty, open, stopped. Asked of Axe."""

import hashlib

import pytest
from django.template.loader import render_to_string

from tests.browser import axe
from tests.browser.desk import Person
from tests.browser.test_every_page import FAULTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STORED = ["400.html", "500.html", "503.html"]
TOO_LONG = 4 * 1024 * 1024 + 1


@pytest.fixture
def reviewer(person):
    return person("reviewer", reduced_motion="reduce")


def well_made(one, state):
    """Ask the page as it stands of everything, wide and narrow, light and dark; `state` is for the reader."""
    found = axe.broken(one.page) + one.page.evaluate(FAULTS)
    assert found == [], f"{state} at {one.page.url}"


def says(one, heading):
    one.page.get_by_role("heading", name=heading, exact=True).first.wait_for()


def test_axe_is_the_file_that_its_makers_published():
    for line in (axe.VENDOR / "SHA256SUMS").read_text().splitlines():
        checksum, name = line.split()
        assert hashlib.sha256((axe.VENDOR / name).read_bytes()).hexdigest() == checksum, name


def test_axe_finds_what_is_wrong(person):
    one = person("reviewer")
    one.go("/queue/")
    one.page.evaluate("""() => {
      const picture = document.createElement('img');
      picture.src = 'data:,';
      document.getElementById('main').append(picture);
    }""")

    found = axe.broken(one.page, [("light", 1280)])

    assert [one.partition(": ")[2].partition(":")[0] for one in found] == ["image-alt"]


def test_refused_requests_end_on_pages_like_all_others(reviewer, letter):
    draft = letter()
    address = reviewer.open_draft(draft.subject)
    reviewer.is_conflict_expected = True

    reviewer.go("/nothing/")
    says(reviewer, "Nothing here")
    well_made(reviewer, "404")
    reviewer.go("/policies/rules/new/")
    says(reviewer, "That is not yours to do")
    well_made(reviewer, "403")
    reviewer.go(f"{address}approve/")
    says(reviewer, "Nothing to open here")
    well_made(reviewer, "405")
    reviewer.go(address)
    reviewer.page.evaluate(
        "document.querySelector('#decision [name=csrfmiddlewaretoken]').value = 'x'.repeat(64)"
    )
    reviewer.press("Approve and send")
    says(reviewer, "This form is too old")
    well_made(reviewer, "403 of a form")
    reviewer.go(address)
    reviewer.page.evaluate(f"document.querySelector('[name=reason]').value = 'x'.repeat({TOO_LONG})")
    reviewer.press("Reject")
    says(reviewer, "That was too much at once")
    well_made(reviewer, "413")


def test_too_many_tries_end_on_a_page_like_all_others(person):
    one = person("reviewer2", reduced_motion="reduce")
    one.is_conflict_expected = True
    one.go("/accounts/password/change/")

    for _ in range(6):
        if one.page.get_by_role("heading", name="Too many tries").count():
            break
        one.page.get_by_label("Current Password").fill("not mine")
        for name in ("New Password", "New Password (again)"):
            one.page.get_by_label(name, exact=True).fill("a few words in a row")
        one.press("Change password")
        one.page.wait_for_load_state()

    says(one, "Too many tries")
    well_made(one, "429")


@pytest.mark.parametrize("name", STORED)
def test_what_a_broken_desk_says_looks_like_all_else(reviewer, name):
    # A desk that breaks on command would be a worse desk: the page is made here and handed to the browser.
    text = render_to_string(name, {"request": None})
    reviewer.page.route("**/broken/", lambda route: route.fulfill(body=text, content_type="text/html"))

    reviewer.go("/broken/")

    well_made(reviewer, name)


def test_sign_in_and_its_refusal_are_well_made(demo, browser, browser_context_args):
    context = browser.new_context(**browser_context_args)
    stranger = Person(demo, "nobody", context.new_page(), has_script=True)
    stranger.go("/queue/?q=plates")
    stranger.page.get_by_role("button", name="Sign in").wait_for()
    well_made(stranger, "sign-in")

    stranger.page.get_by_label("Username").fill("nobody-at-all")
    stranger.page.get_by_label("Password").fill("not a password")
    stranger.press("Sign in")
    stranger.page.locator(".faults").wait_for()

    well_made(stranger, "refused sign-in")
    context.close()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/queue/?q=nothing-has-these-words", "Nothing here matches the filter."),
        ("/queue/?state=expired", "Nothing waits here."),
        ("/queue/?state=no-such-state", "no-such-state"),
        ("/sent/?q=nothing-has-these-words", "nothing-has-these-words"),
        ("/unknown/", "Unknown"),
        ("/accounts/reauthenticate/", "Is it still you?"),
        ("/accounts/logout/", "Sign out"),
    ],
)
def test_empty_lists_and_questions_in_between_are_well_made(reviewer, path, text):
    reviewer.is_conflict_expected = True
    reviewer.go(path)
    assert text in reviewer.page.content()

    well_made(reviewer, path)


def test_forms_with_faults_are_well_made(person, reviewer, letter):
    draft = letter()
    reviewer.open_draft(draft.subject)
    reviewer.is_conflict_expected = True
    reviewer.press("Reject")
    reviewer.page.locator("#decision .errorlist").first.wait_for()
    well_made(reviewer, "a rejection without a reason")
    reviewer.page.get_by_role("link", name="Edit draft").click()
    reviewer.page.get_by_label("To", exact=True).fill("no address")
    reviewer.press("Keep this version")
    reviewer.page.locator(".errorlist").first.wait_for()
    well_made(reviewer, "a faulty edit")
    admin = person("admin", reduced_motion="reduce")
    admin.is_conflict_expected = True
    for path, button in [
        ("/policies/caps/new/", "Keep this policy"),
        ("/policies/lists/new/", "Keep this list"),
        ("/policies/rules/import/", "Show what it would do"),
        ("/accounts/password/change/", "Change password"),
    ]:
        admin.go(path)
        admin.page.evaluate(
            "document.querySelectorAll('main form').forEach((form) => { form.noValidate = true })"
        )
        admin.press(button)
        admin.page.locator("main .errorlist, main .faults").first.wait_for()
        well_made(admin, f"{path} with faults")


def test_what_opens_over_a_page_is_well_made(reviewer, letter):
    draft = letter()
    reviewer.open_draft(draft.subject)
    page = reviewer.page

    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    well_made(reviewer, "the overlay of keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.locator("#palette[open]").wait_for()
    well_made(reviewer, "the palette")
    page.keyboard.type("nothing like this")
    well_made(reviewer, "a palette without a match")
    page.keyboard.press("Escape")
    page.locator("details.me > summary").click()
    well_made(reviewer, "the menu of a person")
    page.keyboard.press("Escape")
    page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true })")
    well_made(reviewer, "everything unfolded")


def test_the_views_and_states_of_a_draft_are_well_made(reviewer, letter):
    draft = letter(mailbox="slow")
    address = reviewer.open_draft(draft.subject)
    for view in ("original", "changes", "sent"):
        reviewer.go(f"{address}?view={view}")
        well_made(reviewer, f"the view {view}")
    reviewer.go(address)
    reviewer.press("Approve and send")
    reviewer.page.locator(".undo").first.wait_for()
    well_made(reviewer, "approved, with its undo bar")
    reviewer.page.get_by_role("button", name="Undo").first.click()
    reviewer.page.get_by_role("button", name="Approve and send").wait_for()
    reviewer.page.get_by_label("Reason or note").fill("Written on the phone.")
    reviewer.press("Reject")
    reviewer.page.get_by_text("Rejected by").first.wait_for()
    well_made(reviewer, "rejected")
