"""A picture of every kind of page, and docs/pages.md, which shows them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.browser.desk import Person
from tests.browser.furniture import allow_again, furnish
from tests.browser.walk import kind_of, pages
from tests.processes import ROOT

if TYPE_CHECKING:
    from tests.browser.screenshots import Photographer

PAGE = ROOT / "docs" / "pages.md"
FOLDER = "pages"
OUTSIDE = ["/accounts/login/", "/accounts/inactive/", "/no-such-page/"]
# An admin who decides nothing sees these without their verbs.
DECIDED_BY_REVIEWERS = (
    "/queue/",
    "/drafts/",
    "/batch/",
    "/reasons/",
    "/follow-ups/",
    "/needs-a-person/",
    "/unknown/",
)
# Pages that are asked for on the way to something else, or only while it lasts.
LINKED_NOWHERE = [
    "/operations/condition/",
    "/operations/stages/",
    "/audit/report/print/",
    "/accounts/logout/",
    "/accounts/reauthenticate/",
]
HEAD = """# Every page

One picture of each kind of page, in the order of their addresses, with the mail and the people of the demo. Written by
`make screenshots`, which follows the links of an admin and of a reviewer. The pictures with a story stand beside the
texts that tell it; the phone, the dark, paper and refusals are in [desk.md](desk.md).
"""


def every_page(camera: Photographer) -> None:
    """Photograph one page of each kind and write the page that shows them."""
    for picture in (ROOT / "docs" / "images" / FOLDER).glob("*.png"):
        picture.unlink()
    found: dict[str, tuple[str, str]] = {}
    stranger = camera.stranger()
    for path in OUTSIDE:
        stranger.go(path)
        found[path] = _taken(camera, stranger, path)
    admin, reviewer = camera.person("admin"), camera.person("reviewer")
    mailbox = furnish(admin)
    _let_programs_in(admin)
    _send_elsewhere(camera)
    batch = _open_batch(reviewer)
    _simulate(admin)
    _export(admin)
    walks = [
        (admin, ["/", mailbox, f"{mailbox}inbound/", *LINKED_NOWHERE]),
        (reviewer, ["/queue/", batch, "/batch/", _with_files(reviewer), "/queue/views/"]),
    ]
    for one, begin in walks:
        for _address in pages(one, *begin):
            path, _values = kind_of(one.page.url.removeprefix(camera.demo.url))
            is_elsewhere = one is admin and path.startswith(DECIDED_BY_REVIEWERS)
            if path not in found and not is_elsewhere:
                found[path] = _taken(camera, one, path)
    allow_again(admin)
    _write(found)


def _let_programs_in(admin: Person) -> None:
    page = admin.page
    admin.go("/tokens/")
    page.get_by_label("Name", exact=True).fill("Order agent")
    page.get_by_role("group", name="Mailboxes").get_by_role("checkbox").first.check()
    admin.give_password()
    admin.press("Make the token")
    admin.says("Copy its secret now.")
    admin.go("/webhooks/new/")
    page.get_by_label("Name", exact=True).fill("Back office")
    # Public, without a name to resolve. It is told of what does not happen from here on, so nothing is posted.
    page.get_by_label("Address", exact=True).fill("https://93.184.215.14/hook")
    for box in page.get_by_role("group", name="Told of").get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_label("It is not known whether a mail left").check()
    admin.give_password()
    admin.press("Make the webhook")
    page.locator("#secret code").wait_for()


def _send_elsewhere(camera: Photographer) -> None:
    camera.demo.sandbox.post(
        "mail-client",
        grant="orders@harbourlane.example",
        to=[{"email": "casey@example.net", "name": "Casey Lin"}],
        subject="Your order",
        body="<p>I answer you from my own mail program.</p>",
    )
    operator = camera.person("operator")
    operator.until(operator.page.get_by_role("link", name="Your order"), "/operations/sent-elsewhere/")


def _open_batch(reviewer: Person) -> str:
    # What stands last asks for the least attention.
    reviewer.go("/queue/")
    for box in reviewer.page.locator("[name=draft]").all()[-2:]:
        box.check()
    reviewer.page.get_by_role("button", name="Read and approve together").click()
    reviewer.page.locator(".batch__letter").first.wait_for()
    return reviewer.page.url.removeprefix(reviewer.demo.url)


def _simulate(admin: Person) -> None:
    admin.go("/policies/simulate/")
    admin.press("Show the difference")
    admin.page.locator("#result").wait_for()


def _export(admin: Person) -> None:
    admin.go("/policies/recipients/")
    admin.press("Export as CSV")
    admin.page.get_by_role("link", name="Download recipients.csv").wait_for()


def _with_files(reviewer: Person) -> str:
    return reviewer.open_draft("two plates broken").removeprefix(reviewer.demo.url)


def _taken(camera: Photographer, one: Person, path: str) -> tuple[str, str]:
    name = re.sub(r"[^a-z]+", "-", path.replace("#", "one")).strip("-")
    title = one.page.title().partition(" · ")[0]
    camera.take(f"{FOLDER}/{name}", one)
    return title, name


def _write(found: dict[str, tuple[str, str]]) -> None:
    parts = [HEAD]
    for path, (title, name) in sorted(found.items()):
        address = path.replace("#", "<id>")
        parts.append(f"## {title}\n\n`{address}`\n\n![{title}](images/{FOLDER}/{name}.png)\n")
    PAGE.write_text("\n".join(parts))
