"""Sends whose reply never came: the page with the evidence, and the ways out."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def faults(demo):
    """Add rules for one subject that make the sandbox misbehave; all are gone at the end."""
    yield lambda **rule: demo.sandbox.post("faults", **rule)
    demo.sandbox.control("DELETE", "faults")


def hide_every_trace(faults, subject):
    """What the provider took is in no list and in no notification."""
    faults(route="send", contains=subject, action="hide_sent_copy")
    faults(event="*", contains=subject, times=0, action="drop")


def become_unknown(person, draft):
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("It is not sent again by itself; a person decides.")
    return reviewer


def open_as_operator(person, draft, evidence="Look-up 1", **options):
    operator = person("operator", **options)
    operator.until(operator.page.get_by_role("link", name=draft.subject), "/unknown/")
    operator.page.get_by_role("link", name=draft.subject).click()
    operator.until(operator.page.get_by_text(evidence), operator.page.url)
    return operator


def test_a_send_without_a_reply_is_found_by_itself(demo, person, letter):
    draft = letter("timeout-after-accept@example.net")
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)

    reviewer.decide("Approve and send")

    reviewer.watch("Accepted by the provider")
    assert len(demo.sent(draft.subject)) == 1


def test_a_send_that_nothing_proves_shows_every_source_that_was_asked(demo, person, letter, faults):
    draft = letter("timeout-after-accept@example.net")
    hide_every_trace(faults, draft.subject)

    reviewer = become_unknown(person, draft)
    operator = open_as_operator(person, draft)

    for source in ("Search by token", "Notifications received", "Sent mail of the thread", "Send activity"):
        operator.says(source)
    operator.says("That none is found proves nothing")
    reviewer.page.get_by_role("link", name="See what is known").click()
    reviewer.page.get_by_role("heading", name=draft.subject).wait_for()
    assert len(demo.sent(draft.subject)) == 1


def test_an_unknown_send_is_closed_as_sent(demo, person, letter, faults):
    draft = letter("timeout-after-accept@example.net")
    hide_every_trace(faults, draft.subject)
    become_unknown(person, draft)
    operator = open_as_operator(person, draft, evidence="Three ways out")
    taken = operator.page.locator("#sent")

    taken.get_by_label("Reason").fill("The customer answered it on the phone.")
    taken.get_by_role("button", name="Take it as sent").click()

    operator.says("Closed as sent.")
    operator.says("A person took it as sent.")
    assert len(demo.sent(draft.subject)) == 1


def test_a_send_that_never_arrived_is_sent_once_more_with_word_and_password(demo, person, letter, faults):
    draft = letter()
    faults(route="send", contains=draft.subject, action="reset")
    become_unknown(person, draft)
    operator = open_as_operator(person, draft, evidence="Three ways out", afresh=True)
    operator.is_conflict_expected = True
    again = operator.page.locator("#resend")

    again.get_by_label("Reason").fill("The provider's support found no trace of it.")
    again.get_by_label("Type RESEND").fill("resend")
    again.get_by_label("Your password").fill(demo.passwords["operator"])
    again.get_by_role("button", name="Send it once more").click()
    operator.says("Type the word RESEND in capitals; you typed something else.")
    assert demo.sent(draft.subject) == []
    again.get_by_label("Type RESEND").fill("RESEND")
    again.get_by_role("button", name="Send it once more").click()

    operator.says("One more attempt is authorised.")
    operator.until(operator.page.get_by_text("It was found: the mail left."), operator.page.url)
    assert len(demo.sent(draft.subject)) == 1
