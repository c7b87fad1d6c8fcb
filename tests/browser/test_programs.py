"""Tokens and webhooks: an admin makes them, sees each secret once, and both pages fit a phone in the dark."""

import os
from pathlib import Path

import pytest

from tests.browser.test_every_page import FAULTS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# Where pictures of the pages go, when somebody wants to look at them.
PICTURES = os.environ.get("PROGRAM_PICTURES", "")


def faults(one, name):
    found = []
    for width in (1280, 320):
        one.page.set_viewport_size({"width": width, "height": 900})
        found += one.page.evaluate(FAULTS) if one.has_script else []
        if PICTURES:
            one.page.screenshot(path=Path(PICTURES) / f"{name}-{width}-{one.has_script}.png", full_page=True)
    return found


def give_password(one):
    one.give_password()


def test_an_admin_makes_a_token_and_revokes_it(person, script):
    admin = person("admin", script=script, color_scheme="dark" if script else "light")
    admin.go("/operations/")
    admin.page.get_by_role("link", name="Tokens of agents and programs").click()
    admin.page.get_by_label("Name", exact=True).fill(f"Order agent {script}")
    admin.page.get_by_role("group", name="Mailboxes").get_by_role("checkbox").first.check()
    give_password(admin)
    admin.press("Make the token")

    admin.says("Copy its secret now.")
    assert admin.page.locator("#made code").inner_text().startswith("cs_agent_")
    found = faults(admin, "tokens")
    admin.page.get_by_role("link", name=f"Revoke Order agent {script}").click()
    found += faults(admin, "token-revoke")
    admin.press("Revoke this token")
    admin.says("The next request of")

    assert found == []


def test_an_admin_makes_a_webhook_and_rotates_its_secret(person, script):
    admin = person("admin", script=script, color_scheme="dark" if script else "light")
    admin.go("/webhooks/new/")
    admin.page.get_by_label("Name", exact=True).fill(f"Back office {script}")
    # Public, without a name to resolve. It is told of what does not happen here and switched off, so nothing is posted.
    admin.page.get_by_label("Address", exact=True).fill("https://93.184.215.14/hook")
    for box in admin.page.get_by_role("group", name="Told of").get_by_role("checkbox").all():
        box.uncheck()
    admin.page.get_by_label("It is not known whether a mail left").check()
    give_password(admin)
    found = faults(admin, "webhook-form")
    admin.press("Make the webhook")
    assert admin.page.locator("#secret code").inner_text().startswith("whsec_")

    admin.press("Switch it off")
    admin.says("It is told nothing any more.")
    found += faults(admin, "webhook")
    give_password(admin)
    admin.press("Make a new secret")
    admin.says("Two secrets sign until")
    found += faults(admin, "webhook-rotating")
    admin.go("/webhooks/")
    found += faults(admin, "webhooks")

    assert found == []
