"""Write the pictures of docs/images: a fresh demo is driven into each state and photographed.

python -m tests.browser.screenshots [name ...]
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.availability import CHROMIUM
from tests.browser.demo import Demo, running
from tests.browser.desk import Person
from tests.browser.tour import every_page
from tests.processes import ROOT

FOLDER = ROOT / "docs" / "images"
DESK = {"width": 1280, "height": 800}
TALL = {"width": 1280, "height": 1120}
LONG = {"width": 1280, "height": 1240}
PHONE = {"width": 390, "height": 844}
PAPER = {"width": 794, "height": 1123}
LARGEST_BYTES = 300_000
COLOURS = 256

LETTER = "two plates broken"
SHOP = "orders@harbourlane.example"
MOVED = "oatmeal glaze"
BOUNCES = "Rücksendung"
UNPROVEN = "Order 48330"
RIVALS_ID = "0d6f2f0e-5c1c-4b7e-9a4f-0c9f0f1d2e3a"
RIVALS = {
    "id": RIVALS_ID,
    "name": "Rival houses",
    "type": "domain",
    "items": ["kiln-and-wheel.example", "tableware.example"],
}
NO_RIVALS = {
    "name": "No mail to rival houses",
    "description": "They ask for quotes under customers' names.",
    "trigger": "outbound",
    "match": {"conditions": [{"field": "recipient.domain", "operator": "in_list", "value": [RIVALS_ID]}]},
    "actions": [{"type": "block"}],
}
NO_NEW_AMOUNTS = {
    "name": "No amount that the conversation has not named",
    "trigger": "outbound",
    "match": {"conditions": [{"field": "money.new", "operator": "is", "value": True}]},
    "actions": [{"type": "block"}],
}
DENIED = [("ceo@example.com", "Writes to the office only"), ("kiln-and-wheel.example", "A rival house")]
ALLOWED = [("example.org", "Private customers"), ("northgate-hotel.example", "Buys for the hotel")]
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

    def stranger(self) -> Person:
        """Somebody who has not signed in."""
        context = self.browser.new_context(viewport=DESK, locale="en-GB", color_scheme="light")
        return Person(self.demo, "", context.new_page(), has_script=True)

    def take(self, name: str, one: Person, *, mask_focus: bool = True) -> None:
        """Photograph what the window of a person shows, without the mouse or the focus in the picture."""
        one.page.mouse.move(0, 0)
        if mask_focus:
            one.page.evaluate("document.activeElement.blur()")
        one.page.wait_for_load_state("networkidle")
        file = FOLDER / f"{name}.png"
        one.page.screenshot(path=file)
        with Image.open(file) as picture:
            few_colours = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few_colours.save(file, optimize=True)
        size = file.stat().st_size
        sys.stdout.write(f"{file.relative_to(ROOT)} {size // 1000} kB\n")
        if size > LARGEST_BYTES:
            raise SystemExit(f"{file.name} is larger than {LARGEST_BYTES // 1000} kB")

    def question(self, words: str) -> dict[str, Any]:
        """The customer's seeded mail whose subject holds these words, as the sandbox keeps it."""
        messages = self.demo.sandbox.get("state")["messages"]
        return next(one for one in messages if words in one["subject"] and not one.get("is_outbound"))

    def approve(self, words: str) -> str:
        """Approve the draft whose subject holds these words; gives its address."""
        reviewer = self.person("reviewer")
        address = reviewer.open_draft(words)
        reviewer.press("Approve and send")
        reviewer.page.locator(".undo").first.wait_for()
        return address


def queue_and_drafts(camera: Photographer) -> None:
    reviewer = camera.person("reviewer")
    # Its sender's name needs a font that the machine may lack; boxes in its place would look like our fault.
    reviewer.open_draft("walnut tray")
    reviewer.page.get_by_label("Reason or note").fill("Answered on the phone.")
    reviewer.press("Reject")
    reviewer.says("Rejected by you")
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


def beside_other_desks(camera: Photographer) -> None:
    """What docs/desk.md shows beside four other desks: who else is here, keys, batch, edit, paper, capacity."""
    reviewer = camera.person("reviewer")
    address = reviewer.open_draft(LETTER).removeprefix(camera.demo.url)
    reviewer.page.get_by_role("button", name="Claim").first.click()
    reviewer.page.wait_for_load_state()
    other = camera.person("reviewer2")
    other.go(address)
    other.page.locator("#decide").get_by_text("reviewer").first.wait_for()
    camera.take("presence", other)
    other.go("/")
    reviewer.go(address)
    reviewer.page.keyboard.press("?")
    reviewer.page.locator("#keys[open]").wait_for()
    camera.take("keys", reviewer, mask_focus=False)
    reviewer.page.keyboard.press("Escape")
    reviewer.page.get_by_role("link", name="Edit draft").click()
    reviewer.page.get_by_role("button", name="Keep this version").wait_for()
    camera.take("edit", reviewer)
    for number in range(1, 4):
        customer = {"email": "casey@example.net", "name": "Casey Lin"}
        subject = f"Parcel {number} of 3"
        asked = camera.demo.customer(SHOP, subject=subject, body="<p>Where is it?</p>", **{"from": customer})
        camera.demo.reply(SHOP, asked, to=customer["email"], subject=subject, body="<p>It has shipped.</p>")
        row = reviewer.page.locator(".row", has_text=subject)
        reviewer.until(row, "/queue/?q=Parcel+of")
    for box in reviewer.page.locator("[name=draft]").all():
        box.check()
    reviewer.page.get_by_role("button", name="Read and approve together").click()
    reviewer.page.locator(".batch__letter").first.wait_for()
    camera.take("batch", reviewer)
    camera.approve("Duplicate charge")
    camera.take("after-decision", reviewer)
    paper = camera.person("reviewer", key="paper", viewport=PAPER)
    paper.go("/queue/?state=rejected")
    paper.page.locator(".queue__list a.row__who").first.click()
    paper.page.locator("#letter-head").wait_for()
    paper.page.emulate_media(media="print")
    camera.take("printed-draft", paper)
    refused = camera.person("reviewer", key="refused")
    refused.is_conflict_expected = True
    refused.go("/policies/rules/new/")
    camera.take("no-right", refused)


def capacity(camera: Photographer) -> None:
    operator = camera.person("operator")
    operator.go("/insights/")
    camera.take("insights", operator)


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
    slow = "Stop writing to me"
    camera.demo.sandbox.post("faults", route="send", contains=slow, action="delay", options={"ms": 6000})
    grant = camera.question(slow)["grant_id"]
    before = camera.demo.requested(grant)
    operator = camera.person("operator")
    operator.go("/operations/")
    operator.page.get_by_label("Why").fill("The agent promises discounts nobody agreed to.")
    for words in (slow, "Saturday market", "Gutschein"):
        camera.approve(words)
    camera.demo.wait_for_request(grant, before)
    operator.press("Stop all sending")
    operator.says("Stopped.")
    # The acknowledgement is shown once; the picture is of the page as everybody finds it afterwards.
    operator.go("/operations/")
    operator.page.locator("#condition dl, #condition table, #condition ul").first.wait_for()
    camera.take("operations-stopped", operator)
    operator.go("/policies/switch/")
    camera.take("switch-proof", operator)


def notices(camera: Photographer) -> None:
    reviewer = camera.person("reviewer")
    reviewer.until(reviewer.page.locator(".told__row").nth(5), "/notices/")
    draft = reviewer.page.locator(".told__row", has_text="Complaint about the courier").get_by_role("link")
    reviewer.go(draft.get_attribute("href") or "")
    reviewer.page.get_by_label("Reason or note").fill("It arrived on the day we promised.")
    reviewer.press("Reject")
    reviewer.until(reviewer.page.get_by_text("Rejected by"), "/notices/?show=all")
    camera.take("notices", reviewer)
    reviewer.go("/notices/settings/")
    page = reviewer.page
    page.get_by_label("Email address").fill("mara.okafor@harbourlane.example")
    page.get_by_label("Time zone").select_option("Europe/London")
    page.get_by_label("Quiet from").fill("20:00")
    page.get_by_label("Quiet until").fill("07:30")
    page.set_viewport_size(LONG)
    camera.take("notice-settings", reviewer)
    page.set_viewport_size(DESK)
    admin = camera.person("admin")
    admin.go("/policies/notices/new/")
    admin.page.get_by_label("Name").fill("Support desk in Slack")
    admin.page.get_by_label("Slack channel or address").fill("C024BE91L")
    admin.page.set_viewport_size(LONG)
    camera.take("notice-channel", admin)
    admin.page.set_viewport_size(DESK)


def audit(camera: Photographer) -> None:
    address = camera.approve("Sample request")
    reviewer = camera.person("reviewer")
    reviewer.until(reviewer.page.get_by_text("rule blocked it"), address)
    operator = camera.person("operator")
    operator.go("/audit/")
    operator.page.get_by_role("heading", name="Audit").first.wait_for()
    camera.take("audit", operator)


def rules_and_lists(camera: Photographer) -> None:
    admin = camera.person("admin")
    for kind, entries in (("deny", DENIED), ("allow", ALLOWED)):
        for pattern, note in entries:
            admin.go("/policies/recipients/")
            add = admin.page.locator("#add")
            add.get_by_label("List").select_option(kind)
            add.get_by_label("Addresses and domains, one a line").fill(pattern)
            add.get_by_label("Note").fill(note)
            admin.press("Add to the list")
            admin.says("1 entry was added.")
    admin.go("/policies/recipients/")
    camera.take("recipients", admin)
    admin.go("/policies/rules/import/")
    admin.page.get_by_label("Rules and lists as JSON").fill(
        json.dumps({"lists": [RIVALS], "rules": [NO_RIVALS]})
    )
    admin.press("Show what it would do")
    admin.press("Take it in")
    asked = camera.demo.customer(
        "trade@harbourlane.example",
        subject="Quote for 200 bowls",
        body="<p>What would 200 bowls cost us?</p>",
        **{"from": {"email": "buying@tableware.example", "name": "Tableware Buying"}},
    )
    camera.demo.reply(
        "trade@harbourlane.example",
        asked,
        to="buying@tableware.example",
        subject="Quote for 200 bowls",
        body="<p>200 bowls are GBP 1,480.00.</p>",
    )
    reviewer = camera.person("reviewer")
    reviewer.open_draft("Quote for 200 bowls")
    camera.take("refused", reviewer)
    reviewer.page.locator(".gates a[href*='/policies/rules/']").first.click()
    reviewer.page.get_by_role("heading", name="Evaluations that named it").wait_for()
    admin.go(reviewer.page.url)
    camera.take("rule", admin)


def modes_and_caps(camera: Photographer) -> None:
    admin = camera.person("admin")
    admin.go("/policies/")
    camera.take("policies", admin)
    admin.page.locator("tr", has_text="support@").get_by_role("link", name="Gated sends").click()
    admin.page.get_by_label("Monitored monitored").check()
    admin.press("Show what changes")
    admin.page.locator("#preview").wait_for()
    camera.take("mode", admin)
    admin.go("/policies/simulate/")
    admin.page.locator("#id_mailbox").select_option(label="support@harbourlane.example")
    admin.page.locator("#id_rules").fill(json.dumps([NO_NEW_AMOUNTS], indent=1))
    admin.page.locator("main form .btn--sign").click()
    admin.page.locator("#result").wait_for()
    admin.page.evaluate("scrollTo(0, 0)")
    camera.take("simulation", admin)
    admin.go("/policies/history/")
    camera.take("evaluations", admin)
    admin.go("/policies/caps/new/")
    admin.page.get_by_label("Name").fill("Trade fair")
    admin.page.get_by_label("Sends a day").fill("600")
    admin.page.get_by_label("Ceiling of the provider").select_option(label="Gmail: 500 a day")
    admin.press("Keep this policy")
    admin.says("Added. It holds for whatever it is attached to.")
    tall = camera.person("admin", key="tall", viewport=TALL)
    tall.go("/policies/caps/")
    camera.take("caps", tall)


def needs_a_person(camera: Photographer) -> None:
    reviewer = camera.person("reviewer")
    item = reviewer.page.get_by_role("link", name="my second letter")
    reviewer.until(item, "/needs-a-person/")
    item.first.click()
    camera.take("needs-a-person", reviewer)


SCENES: list[Callable[[Photographer], None]] = [
    queue_and_drafts,
    beside_other_desks,
    stale,
    outcomes,
    audit,
    needs_a_person,
    notices,
    rules_and_lists,
    modes_and_caps,
    capacity,
    every_page,
    stopped,
]


def main(wanted: list[str]) -> None:
    (FOLDER / "pages").mkdir(parents=True, exist_ok=True)
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
