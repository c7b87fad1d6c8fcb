import pytest

from tests.browser.desk import Person

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_reviewer_signs_in_with_a_name_and_a_password(demo, page):
    reviewer = Person(demo, "reviewer", page, has_script=True)

    reviewer.sign_in()

    page.get_by_role("heading", name="Queue").wait_for()
    assert reviewer.complaints == []


def test_an_approval_is_undone_within_the_hold_and_nothing_leaves(demo, person, letter, script):
    draft = letter(mailbox="slow")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)

    reviewer.press("Approve and send")
    reviewer.press("Undo")

    reviewer.says("Taken back. Nothing was sent; the draft waits again.")
    reviewer.page.get_by_role("button", name="Approve and send").wait_for()
    assert demo.sent(draft.subject) == []


def test_an_approved_mail_is_watched_until_it_is_delivered(demo, person, letter, script):
    draft = letter(body="Your parcel leaves today.")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)

    reviewer.decide("Approve and send")

    reviewer.watch("Accepted by the provider")
    reviewer.watch("Delivered", within="#decide")
    [sent] = demo.sent(draft.subject)
    assert "Your parcel leaves today." in sent["body"]
    assert [one["email"] for one in sent["to"]] == ["casey@example.net"]


def test_a_rejected_draft_says_who_rejected_it_and_why(demo, person, letter, script):
    draft = letter()
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    reviewer.page.get_by_label("Reason or note").fill("The price is not ours to promise.")

    reviewer.decide("Reject")

    reviewer.says("Rejected by reviewer")
    reviewer.says("The price is not ours to promise.")
    assert demo.sent(draft.subject) == []


def test_a_draft_is_sent_back_with_a_note(demo, person, letter, script):
    draft = letter()
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    reviewer.page.get_by_label("Reason or note").fill("Please name the delivery date.")

    reviewer.decide("Request changes")

    reviewer.says("Sent back to the agent by reviewer")
    reviewer.says("Please name the delivery date.")
    assert demo.sent(draft.subject) == []


def test_a_rejection_without_a_reason_names_the_field(person, letter, script):
    draft = letter()
    reviewer = person("reviewer", script=script)
    reviewer.is_conflict_expected = True
    reviewer.open_draft(draft.subject)

    reviewer.press("Reject")

    reviewer.says("Say in a sentence why.")
    assert reviewer.page.get_by_label("Reason or note").evaluate("field => field === document.activeElement")


def write(reviewer, text):
    """Put a text in place of that of the letter: in the editor of HTML letters, or without script in its field."""
    if not reviewer.has_script:
        reviewer.page.locator("#id_body").fill(text)
        return
    reviewer.page.locator("#rich").click()
    reviewer.page.keyboard.press("Control+A")
    reviewer.page.keyboard.type(text)


def test_an_edited_draft_shows_the_difference_and_leaves_as_edited(demo, person, letter, script):
    draft = letter(body="It leaves today.")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    reviewer.page.get_by_role("link", name="Edit draft").click()
    write(reviewer, "It leaves on Thursday.")
    reviewer.press("Keep this version")
    reviewer.page.locator(".letter__text del", has_text="today").wait_for()
    reviewer.page.locator(".letter__text ins", has_text="Thursday").wait_for()

    reviewer.decide("Approve and send")

    reviewer.watch("Accepted by the provider")
    [sent] = demo.sent(draft.subject)
    assert "It leaves on Thursday." in sent["body"]
    assert "today" not in sent["body"]


def test_a_new_message_of_the_customer_makes_an_open_draft_stale(demo, person, letter, script):
    draft = letter()
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)

    demo.customer(draft.grant, body="<p>Never mind, it came.</p>", thread_id=draft.question["thread_id"])

    reviewer.watch("Never mind, it came.")
    reviewer.says("It cannot be sent as it is")
    assert not reviewer.page.get_by_role("button", name="Approve and send").is_visible()


def test_a_stale_draft_that_is_looked_at_again_needs_a_fresh_approval(demo, person, letter, script):
    draft = letter()
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    demo.customer(draft.grant, body="<p>Thank you!</p>", thread_id=draft.question["thread_id"])
    reviewer.watch("Thank you!")

    reviewer.press("Return to queue")

    reviewer.says("It needs a fresh approval.")
    reviewer.decide("Approve and send")
    reviewer.watch("Accepted by the provider")
    assert len(demo.sent(draft.subject)) == 1


def keep_as_opened(one):
    """Let an open page learn nothing of what happens elsewhere, as if the person were quicker than its refresh."""
    one.page.route("**seen=**", lambda route: route.fulfill(status=204))


def test_a_second_approval_names_the_first_and_sends_nothing(demo, person, letter, script):
    draft = letter()
    first, second = person("reviewer", script=script), person("reviewer2", script=script)
    keep_as_opened(second)
    address = first.open_draft(draft.subject)
    second.go(address)
    first.decide("Approve and send")
    first.watch("Accepted by the provider")

    second.press("Approve and send")

    second.says("reviewer decided this before")
    assert len(demo.sent(draft.subject)) == 1


def test_an_opposite_decision_is_a_conflict_that_keeps_what_was_typed(demo, person, letter, script):
    draft = letter(mailbox="slow")
    first, second = person("reviewer", script=script), person("reviewer2", script=script)
    keep_as_opened(second)
    second.is_conflict_expected = True
    address = first.open_draft(draft.subject)
    second.go(address)
    first.press("Approve and send")
    first.page.get_by_role("button", name="Undo").first.wait_for()

    second.page.get_by_label("Reason or note").fill("Not like this.")
    second.press("Reject")

    second.says("Nothing was decided")
    second.says("reviewer decided this before")
    first.press("Undo")
    assert demo.sent(draft.subject) == []


def test_a_draft_is_approved_and_undone_with_the_keyboard_alone(demo, person, letter):
    draft = letter(mailbox="slow")
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)

    reviewer.tab_to("Approve and send")
    reviewer.page.keyboard.press("Enter")
    reviewer.page.get_by_role("button", name="Undo").first.wait_for()
    reviewer.tab_to("Undo")
    reviewer.page.keyboard.press("Enter")

    reviewer.says("Taken back. Nothing was sent; the draft waits again.")
    assert demo.sent(draft.subject) == []
