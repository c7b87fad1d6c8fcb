"""The oversight mode: an admin sees what a step changes, gives a reason, and the agent meets it with the next draft."""

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# Where pictures of the pages go, when somebody wants to look at them.
PICTURES = os.environ.get("MODE_PICTURES", "")


def picture(one, name, width=1280):
    if PICTURES:
        one.page.set_viewport_size({"width": width, "height": 900})
        one.page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def open_modes(one):
    one.go("/mailboxes/")
    one.page.locator("#main table a").first.click()
    one.page.get_by_role("link", name="See or change the mode").click()
    one.page.get_by_role("heading", name="Oversight mode", exact=True).wait_for()


@pytest.mark.row("D8", "004-14")
def test_an_admin_sees_the_preview_and_changes_the_mode_with_a_reason(demo, person, script):
    admin = person("admin", script=script)
    open_modes(admin)
    picture(admin, f"ladder-{script}")

    admin.page.get_by_label("Autonomous autonomous").check()
    admin.press("Show what changes")
    admin.says("What changes for the agent from gated_send to autonomous")
    admin.says("Leaves at once when every check passes; nobody is told.")
    picture(admin, f"preview-{script}")
    picture(admin, f"preview-narrow-{script}", width=320)
    admin.page.get_by_label("Why", exact=True).fill("A month without a rejected draft.")
    admin.give_password()
    admin.press("Change to autonomous")
    admin.says("The mode is autonomous from the next action of its agents on.")
    change = admin.page.locator("section[aria-labelledby=history-head] tbody tr").first.inner_text()
    for word in ("admin", "gated_send", "autonomous", "A month without a rejected draft."):
        assert word in change
    picture(admin, f"changed-{script}")

    operator = person("operator", script=script)
    open_modes(operator)
    operator.press("Tighten to gated_send")
    operator.says("The mode is gated_send from the next action of its agents on.")


@pytest.mark.row("K17", "004-29")
def test_a_reviewer_releases_a_held_message(demo, person):
    operator = person("operator")
    open_modes(operator)
    address = operator.page.url.removesuffix("/mode/")
    operator.press("Tighten to gated_all")
    grant = operator.page.url
    operator.go(f"{address}/")
    grant = operator.page.locator("dt:has-text('Grant') + dd code").inner_text()
    demo.sandbox.post("customer", grant=grant, subject="May I ask?", body="<p>Where is <b>it</b>?</p>")
    reviewer = person("reviewer")
    held = reviewer.page.get_by_label("May I ask?")
    reviewer.until(held, f"{address}/inbound/")
    picture(reviewer, "inbound")

    held.check()
    reviewer.press("Release the chosen to the agent")

    reviewer.says("1 message released; the agent can read it now.")
    admin = person("admin")
    admin.go(f"{address}/mode/?to=gated_send")
    admin.page.get_by_label("Why", exact=True).fill("The test is over.")
    admin.give_password()
    admin.press("Change to gated_send")
