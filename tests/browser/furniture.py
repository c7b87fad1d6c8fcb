"""What an admin sets up, so that every page has something to show."""

from __future__ import annotations

import re

from tests.browser.demo import free_port
from tests.browser.desk import Person, connected

CHANNEL = "Closed hook"
WORKSHOP = "workshop@harbourlane.example"


def furnish(admin: Person) -> str:
    """Make a row of each kind that an admin makes, a channel of notices that fails, held incoming mail and one stop;
    gives the path of its mailbox."""
    page = admin.page
    grant = connected(admin.demo, admin, WORKSHOP, 60)
    mailbox = page.url
    page.goto(f"{mailbox}mode/")
    admin.press("Tighten to gated_all")
    admin.says("The mode is gated_all from the next action of its agents on.")
    admin.go("/policies/lists/new/")
    page.get_by_label("Name").fill("Closed houses")
    admin.press("Keep this list")
    page.get_by_label("Values, one a line").fill("shut-house.example")
    admin.press("Add them")
    admin.says("1 value added.")
    admin.go("/policies/recipients/")
    page.locator("#add").get_by_label("List").select_option("deny")
    page.locator("#add").get_by_label("Addresses and domains, one a line").fill("closed-house.example")
    admin.press("Add to the list")
    admin.says("1 entry was added.")
    admin.go("/policies/recipients/import/")
    # So many that a worker exports them, behind all others.
    rows = [f"allow,global,z{number:04}.example,\n" for number in range(1001)]
    file = "".join(["kind,scope,pattern,note\n", *rows]).encode()
    page.get_by_label("CSV file", exact=True).set_input_files(
        {"name": "r.csv", "mimeType": "text/csv", "buffer": file}
    )
    admin.press("Import the file")
    admin.says("1001 entries were added.")
    admin.go("/policies/caps/new/")
    page.get_by_label("Name").fill("Spring fair")
    page.get_by_label("Sends a day").fill("600")
    page.get_by_label("Ceiling of the provider").select_option(label="Gmail: 500 a day")
    admin.press("Keep this policy")
    admin.says("Above the provider")
    admin.go("/policies/categories/")
    page.locator("main td a").first.click()
    page.locator("main a[href*='/templates/new/']").click()
    page.get_by_label("Name").fill("Parcel on its way")
    page.get_by_label("Subject").fill("Re: Order *")
    page.get_by_label("Text").fill("Your parcel leaves *.")
    admin.press("Add this template")
    page.wait_for_url(re.compile(r"/policies/categories/\d+/$"))
    admin.go("/operations/stop-one/")
    page.get_by_label("What to stop").select_option("domain")
    page.get_by_label("Which one").fill("closed-house.example")
    page.get_by_label("Why").fill("Their house is closed.")
    admin.press("Stop it")
    page.wait_for_url("**/operations/")
    admin.go("/policies/notices/new/")
    page.get_by_label("Name").fill(CHANNEL)
    page.get_by_label("Webhook", exact=True).check()
    page.get_by_label("Slack channel or address").fill(f"http://127.0.0.1:{free_port()}/hook")
    admin.give_password()
    admin.press("Make the channel")
    admin.says("Copy it now.")
    admin.go("/policies/notices/")
    page.get_by_role("link", name=CHANNEL).click()
    admin.press("Send a test")
    admin.until(page.locator("#log").get_by_text("No answer"), page.url)
    admin.demo.customer(grant, subject="May I ask?", body="<p>Where is it?</p>")
    letter = admin.demo.customer(
        grant, subject="Legal action", body="<p>My lawyer prepares legal proceedings.</p>"
    )
    admin.demo.reply(
        grant, letter, to="customer@example.net", subject="Legal action", body="<p>We see it otherwise.</p>"
    )
    admin.until(page.get_by_role("link", name="Legal action"), "/needs-a-person/")
    return mailbox.removeprefix(admin.demo.url)


def allow_again(admin: Person) -> None:
    """End the stop that `furnish` began, and take the channel away that fails."""
    page = admin.page
    admin.go("/policies/notices/")
    page.get_by_role("link", name=CHANNEL).click()
    page.get_by_role("link", name="Remove").click()
    admin.press("Remove this channel")
    admin.says("is removed.")
    admin.go("/operations/")
    page.locator("a[href*='/resume-one/']").click()
    page.get_by_label("What was put right").fill("Their house is open again.")
    admin.give_password()
    admin.press("Resume sending")
    page.wait_for_url("**/operations/")
