"""The switch: anybody stops, an operator resumes with a password, what was held leaves only by hand."""

import contextlib
import re

import pytest
import requests

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def stop(one, reason="The prices are wrong."):
    one.go("/queue/")
    one.page.get_by_role("link", name="Stop all sending").click()
    one.page.get_by_label("Why").fill(reason)
    one.press("Stop all sending")
    one.says("Stopped.")


def resume(operator):
    operator.go("/operations/")
    operator.page.get_by_label("What was put right").fill("The prices are right again.")
    operator.give_password()
    operator.press("Resume sending")
    operator.says("Sending is on again.")


@pytest.fixture
def operator(demo, person):
    one = person("operator")
    yield one
    with contextlib.suppress(requests.ConnectionError):
        one.go("/operations/")
        if one.page.get_by_label("What was put right").count():
            resume(one)


def test_a_stop_is_on_every_page_with_who_and_why(person, operator):
    reviewer = person("reviewer")

    stop(operator)

    for path in ("/queue/", "/sent/", "/follow-ups/", "/unknown/", "/mailboxes/", "/audit/"):
        reviewer.go(path)
        band = reviewer.page.locator(".sealband")
        band.get_by_text("All sending is stopped").wait_for()
        band.get_by_text("The prices are wrong.").wait_for()
        assert "by operator" in band.inner_text()


def test_an_approval_while_stopped_is_held_and_says_so(demo, person, letter, operator, script):
    draft = letter()
    stop(operator)
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(draft.subject)
    reviewer.says("Sending is stopped: an approval is kept and held")

    reviewer.decide("Approve and send")

    reviewer.watch("It leaves only after an operator resumes it")
    assert demo.sent(draft.subject) == []
    operator.until(operator.page.get_by_role("link", name=draft.subject), "/operations/")


def test_a_mail_in_its_undo_hold_does_not_leave_once_sending_is_stopped(demo, person, letter, operator):
    draft = letter(mailbox="slow")
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.page.get_by_role("button", name="Undo").first.wait_for()

    stop(operator)

    reviewer.watch("Held", within="#decide")
    assert demo.sent(draft.subject) == []


def test_sending_resumes_only_with_the_right_password(person, operator):
    stop(operator)
    # The password of a session holds for ten minutes, so this is a session in which nobody gave it.
    operator = person("operator", afresh=True)
    operator.go("/operations/")
    operator.is_conflict_expected = True
    operator.page.get_by_label("What was put right").fill("All is well.")
    operator.page.get_by_label("Your password").fill("not the password")

    operator.press("Resume sending")

    operator.says("That is not your password.")
    operator.page.locator(".sealband").wait_for()
    assert operator.page.get_by_label("What was put right").input_value() == "All is well."


def test_held_mail_leaves_only_when_it_is_resumed_itself(demo, person, letter, operator):
    draft = letter()
    stop(operator)
    reviewer = person("reviewer")
    reviewer.open_draft(draft.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("It leaves only after an operator resumes it")

    resume(operator)

    held = operator.page.locator("#held")
    held.get_by_role("link", name=draft.subject).wait_for()
    assert demo.sent(draft.subject) == []
    held.get_by_role("row", name=draft.subject).get_by_role("checkbox").check()
    held.get_by_role("button", name="Resume selected").click()
    operator.says("asks every check again and leaves if all pass")
    reviewer.watch("Accepted by the provider")
    assert len(demo.sent(draft.subject)) == 1


@pytest.mark.row("000-33", "K24")
def test_the_proof_of_a_stop_has_its_time_and_what_was_under_way(demo, person, letter, operator):
    mail = letter()
    # Below the time that the desk waits for a reply, so that the send is under way and still ends well.
    demo.sandbox.post("faults", route="send", contains=mail.subject, action="delay", options={"ms": 1700})
    operator.go("/operations/")
    operator.page.get_by_label("Why").fill("The proof is wanted.")
    reviewer = person("reviewer")
    reviewer.open_draft(mail.subject)
    before = demo.requested(mail.grant)
    reviewer.press("Approve and send")
    demo.wait_for_request(mail.grant, before)
    operator.press("Stop all sending")
    operator.says("Stopped.")

    operator.go("/policies/switch/")

    proof = operator.page.locator("section.sheet", has_text="The proof is wanted.")
    facts = proof.locator(".facts").inner_text()
    assert re.search(r"\d\.\d{3} s from the flip until nothing was under way", facts)
    assert re.search(r"Begun after it\s+none", facts)
    assert re.search(r"Allowed again\s+not yet", facts)
    proof.get_by_role("link", name=mail.subject).wait_for()
    assert proof.locator("[role=img] .proof__post").count() == 1
    resume(operator)
    operator.go("/policies/switch/")
    assert "not yet" not in proof.locator(".facts").inner_text()


def test_a_reviewer_may_stop_and_may_not_resume(person, operator):
    reviewer = person("reviewer")

    stop(reviewer, "Something is wrong with the agent.")

    reviewer.says("An operator or an admin of all mailboxes resumes sending.")
    assert not reviewer.page.get_by_role("button", name="Resume sending").is_visible()


def test_the_stop_file_stops_as_well(demo, person):
    reviewer = person("reviewer")
    stop_file = demo.var / "STOP"
    stop_file.touch()
    try:
        reviewer.go("/queue/")
        reviewer.page.locator(".sealband").get_by_text("All sending is stopped").wait_for()
    finally:
        stop_file.unlink()

    reviewer.go("/queue/")
    reviewer.page.get_by_role("link", name="Stop all sending").wait_for()
