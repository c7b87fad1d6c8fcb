"""A draft that nobody decides: warned about in time, cancelled in the end, and never taken for a no."""

from datetime import timedelta

import pytest

from approvals import mailboxes
from approvals.models import Decision, Draft
from approvals.transitions import drafts
from audit.clock import database_now
from audit.record import SYSTEM
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db


def aged(draft, share):
    """The draft, with so much of its 72 hours over."""
    arrived = database_now() - timedelta(hours=72) * share
    Draft.objects.filter(pk=draft.pk).update(arrived_at=arrived, expires_at=arrived + timedelta(hours=72))
    draft.refresh_from_db()
    return draft


@pytest.mark.row("004-39")
@pytest.mark.parametrize(("share", "is_warned"), [(0.74, False), (0.76, True)])
def test_three_quarters_of_the_time_bring_a_warning_to_queue_and_page(support, alice, share, is_warned):
    draft = aged(scenes.draft(support), share)

    for address in ("/queue/", f"/drafts/{draft.public_id}/"):
        shown = browser(alice).page(address).text().casefold()
        assert ("expires soon" in shown) is is_warned


def test_what_a_draft_waited_before_its_agent_answered_is_no_reason_to_warn(support, alice):
    draft = aged(scenes.draft(support), 0.5)
    Draft.objects.filter(pk=draft.pk).update(arrived_at=draft.arrived_at - timedelta(days=9))

    assert "expires soon" not in browser(alice).page(f"/drafts/{draft.public_id}/").text().casefold()


@pytest.mark.parametrize("share", [0.74, 0.76])
@pytest.mark.parametrize("state", ["pending", "stale", "changes_requested"])
def test_the_head_of_a_phone_says_of_the_expiry_what_the_rail_says(support, alice, state, share):
    draft = aged(scenes.draft(support), share)
    Draft.objects.filter(pk=draft.pk).update(
        state=state, stale_reason="new_message" if state == "stale" else ""
    )

    page = browser(alice).page(f"/drafts/{draft.public_id}/")

    [head], [rail] = page.classed("phonehead"), page.classed("rail__top")
    [said] = [page.text(one) for one in head.iter("span") if "mark" in one.get("class", "")]
    assert said.startswith("Expires")
    assert said in page.text(rail)


@pytest.mark.row("004-39")
@pytest.mark.parametrize("state", ["stale", "changes_requested"])
def test_a_draft_that_waits_for_something_else_is_warned_about_too(support, alice, state):
    draft = aged(scenes.draft(support), 0.76)
    Draft.objects.filter(pk=draft.pk).update(
        state=state, stale_reason="new_message" if state == "stale" else ""
    )

    assert "expires soon" in browser(alice).page("/queue/", data={"state": state}).text().casefold()


@pytest.mark.row("004-39")
def test_an_expired_draft_is_told_apart_from_a_rejected_one(support, alice):
    draft = aged(scenes.draft(support), 1.01)
    drafts.expire(draft.pk)

    page = browser(alice).page(f"/drafts/{draft.public_id}/")

    assert "Nobody decided in time; nothing was sent." in page.text()
    assert "Rejected" not in page.text()
    assert not Decision.objects.exists()


@pytest.mark.row("004-39")
@pytest.mark.parametrize(("hours", "is_taken"), [(0, False), (1, True), (720, True), (721, False)])
def test_the_time_to_decide_is_an_hour_to_thirty_days(support, hours, is_taken):
    try:
        mailboxes.change(support.pk, actor=SYSTEM, expiry_hours=hours)
    except mailboxes.MailboxRefused as refusal:
        assert not is_taken
        assert refusal.field == "expiry_hours"
        assert "between 1 and 720" in str(refusal)
    else:
        assert is_taken
