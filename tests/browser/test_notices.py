"""Notices in the desk, how a person is told, and the channels of an admin: with and without script."""

import pytest

from tests.agentmail.loopback import Server
from tests.browser.axe import broken
from tests.browser.conftest import NUMBERS
from tests.browser.test_every_page import FAULTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RISKY = "A draft of high risk waits"
RISEN = """(count) => {
  const place = document.querySelector('.bar a[data-command=notices]');
  return Number(place.textContent.replace(/[^0-9]/g, '')) > count;
}"""


@pytest.fixture
def risky(demo, grants):
    """Let the agent draft an answer of high risk: somebody reads along unseen. Gives its subject."""
    subject = f"Order {next(NUMBERS)}"
    question = demo.customer(
        grants["slow"],
        subject=subject,
        body="<p>Where is it?</p>",
        **{"from": {"email": "casey@example.net", "name": "Casey Lin"}},
    )
    demo.sandbox.post(
        "agent/drafts",
        grant=grants["slow"],
        reply_to_message_id=question["message_id"],
        to=[{"email": "casey@example.net"}],
        bcc=[{"email": "archive@elsewhere.example"}],
        subject=f"Re: {subject}",
        body="<p>It leaves today.</p>",
    )
    return f"Re: {subject}"


@pytest.fixture
def program():
    """A server on loopback that takes whatever it is told."""

    def take(line):
        line.read_request()
        line.answer(204, b"")

    with Server([take]) as server:
        yield server


def row_of(one, subject):
    return one.page.locator(".told__row").filter(has_text=subject)


def unread(one):
    """The number at Notices in the bar."""
    place = one.page.locator(".bar a[data-command=notices]")
    return int("".join(filter(str.isdigit, place.inner_text())) or 0)


def faults_of(one):
    """What the page breaks in every theme and width, and what a keyboard or a phone misses at 320."""
    found = broken(one.page)
    one.page.set_viewport_size({"width": 320, "height": 700})
    return found + one.page.evaluate(FAULTS)


def test_a_notice_leads_by_keys_to_a_page_on_which_nothing_was_decided(person, risky):
    reviewer = person("reviewer")
    row = row_of(reviewer, risky)
    reviewer.until(row, "/notices/")
    count = unread(reviewer)
    reviewer.go("/queue/")

    reviewer.page.keyboard.press("g")
    reviewer.page.keyboard.press("t")
    reviewer.page.wait_for_url("**/notices/")
    reviewer.tab_to(RISKY)
    assert row.locator("a").evaluate("link => link === document.activeElement")
    reviewer.page.keyboard.press("Enter")

    reviewer.page.locator("#letter-head").wait_for()
    assert risky in reviewer.page.locator("h1").inner_text()
    reviewer.page.get_by_role("button", name="Approve and send").wait_for()
    reviewer.go("/notices/")
    assert "reader in Bcc" in row.inner_text()
    assert unread(reviewer) == count


def test_one_is_marked_as_read_and_says_later_by_whom_it_was_settled(person, risky, script):
    reviewer = person("reviewer", script=script)
    row = row_of(reviewer, risky)
    reviewer.until(row, "/notices/")
    count = unread(reviewer)

    row.get_by_role("button", name="Mark as read").click()

    row.wait_for(state="detached")
    assert unread(reviewer) == count - 1
    reviewer.open_draft(risky)
    reviewer.page.get_by_label("Reason or note").fill("Nobody is to read along.")
    reviewer.press("Reject")
    reviewer.until(row.get_by_text("Rejected by"), "/notices/?show=all")


def test_the_number_in_the_bar_rises_by_itself(person, demo, grants, request):
    reviewer = person("reviewer")
    reviewer.go("/queue/")
    count = unread(reviewer)

    request.getfixturevalue("risky")

    reviewer.page.wait_for_function(RISEN, arg=count)


def test_the_notices_break_no_rule_in_any_theme_and_width(person, risky):
    reviewer = person("reviewer")
    reviewer.until(row_of(reviewer, risky), "/notices/")

    assert faults_of(reviewer) == []


def test_a_person_chooses_digest_and_quiet_hours(person, script):
    reviewer = person("reviewer", script=script)
    reviewer.go("/notices/settings/")
    page = reviewer.page
    page.get_by_label("Email address").fill("reviewer@people.example")
    page.get_by_label("A draft of high risk waits").select_option(label="In the digest")
    page.get_by_label("Every hour").check()
    page.get_by_label("Quiet from").fill("22:00")
    page.get_by_label("Quiet until").fill("")
    reviewer.is_conflict_expected = True
    reviewer.press("Keep these settings")
    reviewer.says("Quiet hours need both a begin and an end.")
    assert page.get_by_label("Quiet from").input_value() == "22:00"

    page.get_by_label("Quiet until").fill("07:30")
    page.get_by_label("High risk is mailed in quiet hours, too").check()
    reviewer.press("Keep these settings")

    reviewer.says("Kept.")
    reviewer.go("/notices/settings/")
    assert page.get_by_label("Every hour").is_checked()
    assert page.get_by_label("Quiet until").input_value() == "07:30"
    assert page.get_by_label("High risk is mailed in quiet hours, too").is_checked()
    assert page.get_by_label("A draft of high risk waits").input_value() == "digest"


def test_the_settings_break_no_rule_with_their_faults_in_any_theme_and_width(person):
    reviewer = person("reviewer")
    reviewer.go("/notices/settings/")
    reviewer.page.get_by_label("Quiet from").fill("22:00")
    reviewer.page.get_by_label("Quiet until").fill("22:00")
    reviewer.is_conflict_expected = True
    reviewer.press("Keep these settings")
    reviewer.says("Quiet hours end at another time than they begin.")

    assert faults_of(reviewer) == []


def test_an_admin_makes_a_channel_tries_it_and_removes_it(person, demo, program, script):
    admin = person("admin", script=script)
    page = admin.page
    admin.go("/policies/notices/")
    page.get_by_role("link", name="Make a channel").click()
    page.get_by_label("Name").fill("Night watch")
    page.get_by_label("Webhook", exact=True).check()
    page.get_by_label("Slack channel or address").fill(f"{program.uri}/hook")
    admin.give_password()
    admin.press("Make the channel")
    admin.says("Copy it now.")
    admin.go("/policies/notices/")
    page.get_by_role("link", name="Night watch").click()

    admin.press("Send a test")

    address = page.url
    admin.until(page.get_by_text("Put up"), address)
    told = program.requests[-1]
    assert (told.method, told.target) == ("POST", "/hook")
    assert "webhook-signature" in told.headers
    admin.give_password()
    admin.press("Make a new secret")
    admin.says("Copy it now.")
    admin.go(address)
    page.get_by_role("link", name="Remove").click()
    admin.says("its log is deleted")
    admin.press("Remove this channel")
    admin.says("“Night watch” is removed.")
