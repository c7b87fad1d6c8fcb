"""Write the pictures of docs/images: a fresh demo is driven into each state and photographed.

python -m tests.browser.screenshots [name ...]
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from playwright.sync_api import Browser, sync_playwright

from tests.availability import CHROMIUM
from tests.browser.demo import Demo, running
from tests.browser.desk import Person
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "images"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LARGEST_BYTES = 250_000

LETTER = "two plates broken"
MOVED = "oatmeal glaze"
BOUNCES = "Rücksendung"
UNPROVEN = "Order 48330"
GOOD = ["Where is order 48301", "Spare lid", "Quote for 60"]


class Photographer:
    def __init__(self, demo: Demo, browser: Browser) -> None:
        self.demo = demo
        self.browser = browser
        self.people: dict[str, Person] = {}

    def person(self, name: str, *, key: str = "", **options: Any) -> Person:
        key = key or name
        if key not in self.people:
            settings = {"viewport": DESK, "locale": "en-GB", "timezone_id": "UTC", "color_scheme": "light"}
            context = self.browser.new_context(**{**settings, **options})
            self.people[key] = Person(self.demo, name, context.new_page(), has_script=True)
            self.people[key].sign_in()
        return self.people[key]

    def take(self, name: str, one: Person, *, mask_focus: bool = True) -> None:
        """Photograph what the window of a person shows, without the mouse or the focus in the picture."""
        one.page.mouse.move(0, 0)
        if mask_focus:
            one.page.evaluate("document.activeElement.blur()")
        one.page.wait_for_load_state("networkidle")
        file = FOLDER / f"{name}.png"
        one.page.screenshot(path=file)
        size = file.stat().st_size
        sys.stdout.write(f"{file.relative_to(ROOT)} {size // 1000} kB\n")
        if size > LARGEST_BYTES:
            raise SystemExit(f"{file.name} is larger than {LARGEST_BYTES // 1000} kB")

    def question(self, words: str) -> dict[str, Any]:
        """The customer's seeded mail whose subject holds these words, as the sandbox keeps it."""
        messages = self.demo.sandbox.get("state")["messages"]
        return next(one for one in messages if words in one["subject"] and not one.get("is_outbound"))

    def approve(self, words: str) -> None:
        reviewer = self.person("reviewer")
        reviewer.open_draft(words)
        reviewer.press("Approve and send")
        reviewer.page.locator(".undo").first.wait_for()


def queue_and_drafts(camera: Photographer) -> None:
    reviewer = camera.person("reviewer")
    # Its sender's name needs a font that the machine may lack; boxes in its place would look like our fault.
    reviewer.open_draft("walnut tray")
    reviewer.page.get_by_label("Reason or note").fill("Answered on the phone.")
    reviewer.press("Reject")
    reviewer.says("Rejected by")
    reviewer.go("/queue/")
    camera.take("queue", reviewer)
    address = reviewer.open_draft(LETTER)
    reviewer.go(address)
    camera.take("draft", reviewer)
    phone = camera.person("reviewer", key="phone", viewport=PHONE, has_touch=True, device_scale_factor=1)
    phone.go(address)
    camera.take("phone-draft", phone)
    night = camera.person("reviewer", key="night", color_scheme="dark")
    night.go(address)
    camera.take("dark-draft", night)


def stale(camera: Photographer) -> None:
    reviewer = camera.person("reviewer")
    address = reviewer.open_draft(MOVED)
    reviewer.go(address)
    asked = camera.question(MOVED)
    camera.demo.customer(
        asked["grant_id"],
        thread_id=asked["thread_id"],
        **{"from": asked["from"][0]},
        body="<p>Never mind about the glaze, I found it in the shop. Please cancel my question.</p>",
    )
    reviewer.watch("Please cancel my question.")
    camera.take("stale", reviewer)


def outcomes(camera: Photographer) -> None:
    camera.demo.sandbox.post("faults", route="send", contains=UNPROVEN, action="hide_sent_copy")
    camera.demo.sandbox.post("faults", event="*", contains=UNPROVEN, times=0, action="drop")
    for words in (UNPROVEN, BOUNCES, *GOOD):
        camera.approve(words)
    reviewer = camera.person("reviewer")
    bounced = reviewer.page.get_by_role("link", name=BOUNCES)
    reviewer.until(bounced, "/follow-ups/")
    bounced.click()
    camera.take("follow-up", reviewer)
    operator = camera.person("operator")
    unproven = operator.page.get_by_role("link", name=UNPROVEN)
    operator.until(unproven, "/unknown/")
    unproven.first.click()
    operator.until(operator.page.get_by_text("Look-up 2"), operator.page.url)
    camera.take("unknown", operator)
    reviewer.until(reviewer.page.locator("tr", has_text=GOOD[-1]).get_by_text("Delivered"), "/sent/")
    camera.take("sent", reviewer)


def stopped(camera: Photographer) -> None:
    camera.approve("Saturday market")
    camera.approve("Gutschein")
    operator = camera.person("operator")
    operator.go("/operations/")
    operator.page.get_by_label("Why").fill("The agent promises discounts nobody agreed to.")
    operator.press("Stop all sending")
    operator.says("Stopped.")
    # The acknowledgement is shown once; the picture is of the page as everybody finds it afterwards.
    operator.go("/operations/")
    operator.page.locator("#condition dl, #condition table, #condition ul").first.wait_for()
    camera.take("operations-stopped", operator)


def audit(camera: Photographer) -> None:
    camera.approve("Sample request")
    reviewer = camera.person("reviewer")
    reviewer.until(reviewer.page.get_by_text("rule blocked it"), reviewer.page.url)
    operator = camera.person("operator")
    operator.go("/audit/")
    operator.page.get_by_role("heading", name="Audit").first.wait_for()
    camera.take("audit", operator)


SCENES: list[Callable[[Photographer], None]] = [queue_and_drafts, stale, outcomes, audit, stopped]


def main(wanted: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="countersign-pictures-") as var,
        running(Path(var), LOOKUP_SECONDS="3,20,600,1800,7200") as demo,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-lcd-text"])
        camera = Photographer(demo, browser)
        for scene in SCENES:
            if not wanted or scene.__name__ in wanted:
                scene(camera)
        browser.close()
    sys.stdout.write(f"Done in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
