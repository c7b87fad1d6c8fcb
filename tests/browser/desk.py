"""One person in front of the desk: a browser page, with or without script, and what is done with it."""

import time
from typing import Any

from tests.browser.demo import Demo

# The text of the focused control without the hint at its key.
NAME = """[...document.activeElement.childNodes]
  .map((node) => (node.nodeName === 'KBD' ? '' : node.textContent)).join('').trim()"""
PATIENCE = 30.0  # seconds for what the desk does by itself, on a loaded machine


class Person:
    """Somebody signed in, with a page of their own; collects what the browser complains about."""

    def __init__(self, demo: Demo, name: str, page: Any, *, has_script: bool) -> None:
        self.demo = demo
        self.name = name
        self.page = page
        self.has_script = has_script
        self.complaints: list[str] = []
        self.is_conflict_expected = False
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note_console(self, message: Any) -> None:
        # The browser itself reports a refused form (409, 422) as an error of the page it navigates to.
        if message.type == "error" and not (
            self.is_conflict_expected and "Failed to load resource" in message.text
        ):
            self.complaints.append(f"{message.text} ({message.location['url']})")

    def go(self, path: str) -> None:
        self.page.goto(path if path.startswith("http") else self.demo.url + path)

    def sign_in(self) -> None:
        self.go("/accounts/login/")
        self.page.get_by_label("Username").fill(self.name)
        self.page.get_by_label("Password").fill(self.demo.passwords[self.name])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/accounts/" not in url)

    def open_draft(self, subject: str) -> str:
        """Find a draft by its subject in the queue, wait for it to arrive if need be, open it; gives its address."""
        row = self.page.locator(".queue__list .row__who")
        self.until(row, f"/queue/?q={subject.removeprefix('Re: ')}")
        row.first.click()
        self.page.locator("#letter-head").wait_for()
        return self.page.url.partition("?")[0]

    def until(self, locator: Any, path: str) -> None:
        """Load a page again until it shows something: for what is not on a page that refreshes itself."""
        deadline = time.monotonic() + PATIENCE
        self.go(path)
        while not locator.first.is_visible():
            if time.monotonic() > deadline:
                text = self.page.locator("body").inner_text()
                raise AssertionError(f"{path} did not show {locator}; it shows:\n{text}")
            time.sleep(0.4)
            self.go(path)

    def watch(self, text: str, *, within: str = "#matter") -> None:
        """Wait for a text of the open page. With script the page must bring it by itself; else it is reloaded."""
        wanted = self.page.locator(within).get_by_text(text).first
        if self.has_script:
            wanted.wait_for()
        else:
            self.until(wanted, self.page.url)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def decide(self, verb: str) -> None:
        """Press a verb of the open draft and come back to it: after a decision the desk opens the next one."""
        address = self.page.url.partition("?")[0]
        self.press(verb)
        self.page.wait_for_url(lambda url: not url.startswith(address))
        self.go(address)

    def give_password(self) -> None:
        """Type the password where it is asked for: it holds for ten minutes."""
        field = self.page.get_by_label("Your password")
        if field.count():
            field.first.fill(self.demo.passwords[self.name])

    def says(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def tab_to(self, name: str) -> None:
        """Press Tab until a control of this name has the focus."""
        for _ in range(120):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(NAME) == name:
                return
        raise AssertionError(f"120 tabs on {self.page.url} did not reach {name!r}")


def connected(demo: Demo, admin: Person, email: str, undo_seconds: int) -> str:
    """Connect a new mailbox through the pages and set its undo hold; gives its grant."""
    grant = demo.sandbox.post("grants", email=email, name="Harbour Lane")["grant"]["id"]
    admin.go("/mailboxes/connect/")
    admin.press(f"Connect {email}")
    admin.go("/mailboxes/")
    admin.page.get_by_role("link", name=email).click()
    admin.page.get_by_label("Undo, seconds").fill(str(undo_seconds))
    admin.press("Keep these settings")
    admin.page.wait_for_load_state()
    return grant
