import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_bounce_comes_back_to_its_approver_and_is_corrected_into_a_new_draft(demo, person, letter, script):
    draft = letter("hard-bounce@example.net")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("Hard bounce", within="#decide")

    reviewer.until(reviewer.page.get_by_role("link", name=draft.subject), "/follow-ups/")
    reviewer.page.get_by_role("link", name=draft.subject).click()
    reviewer.page.get_by_label("To", exact=True).fill("casey.lin@example.net")
    reviewer.press("Make the corrected draft")

    reviewer.open_draft(draft.subject)
    reviewer.page.locator(".ends").get_by_text("casey.lin@example.net").first.wait_for()
    reviewer.page.get_by_role("button", name="Approve and send").wait_for()
    assert len(demo.sent(draft.subject)) == 1


def test_a_corrected_mail_arrives_once_it_is_approved(demo, person, letter):
    draft = letter("hard-bounce@example.net")
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("Hard bounce", within="#decide")
    reviewer.until(reviewer.page.get_by_role("link", name=draft.subject), "/follow-ups/")
    reviewer.page.get_by_role("link", name=draft.subject).click()
    reviewer.page.get_by_label("To", exact=True).fill("casey.lin@example.net")
    reviewer.press("Make the corrected draft")
    reviewer.open_draft(draft.subject)

    reviewer.decide("Approve and send")

    reviewer.watch("Delivered", within="#decide")
    assert [sent["to"][0]["email"] for sent in demo.sent(draft.subject)] == [
        "hard-bounce@example.net",
        "casey.lin@example.net",
    ]


def test_a_complaint_is_escalated_to_a_colleague(demo, person, letter):
    draft = letter("complaint@example.net")
    reviewer, operator = person("reviewer"), person("operator")
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("Complaint", within="#decide")
    reviewer.until(reviewer.page.get_by_role("link", name=draft.subject), "/follow-ups/")
    reviewer.page.get_by_role("link", name=draft.subject).click()

    reviewer.page.get_by_label("To whom").select_option(label="operator")
    reviewer.page.get_by_label("Note").fill("Please take this customer off every list.")
    reviewer.press("Escalate")
    reviewer.page.wait_for_load_state()

    operator.until(operator.page.get_by_role("link", name=draft.subject), "/follow-ups/")
    operator.page.get_by_role("link", name=draft.subject).click()
    operator.says("Please take this customer off every list.")


def test_a_follow_up_is_closed_with_a_reason(person, letter):
    draft = letter("soft-bounce@example.net")
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("Soft bounce", within="#decide")
    reviewer.until(reviewer.page.get_by_role("link", name=draft.subject), "/follow-ups/")
    reviewer.page.get_by_role("link", name=draft.subject).click()

    reviewer.page.locator("#close").get_by_label("Reason").fill("Called the customer instead.")
    reviewer.press("Close it")

    reviewer.says("Closed by reviewer")
    reviewer.says("Called the customer instead.")
