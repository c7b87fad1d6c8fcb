"""Two layers hold hostile mail, the cleaning at arrival and the frame; each is tried with the other one off."""

import contextlib
import http.server
import threading

import pytest
from django.urls import reverse

from agentmail.mail_html import clean
from agentmail.models import Message
from tests.browser.hostile import TECHNIQUES, corpus
from tests.pages import scenes
from tests.pages.test_in_the_browser import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Error = pytest.importorskip("playwright.sync_api").Error

# What a careless reader presses; three of a mail are enough.
PRESSED = "a, area, button, summary, input, svg text, #press"
PRESS_MILLISECONDS = 250
# The browser connects to where a pressed link or a frame would lead before it asks whether it may; it requests nothing.
CONNECTED = {"link", "embedded"}
NOTICE = """
  window.__ran = [];
  window.addEventListener('message', (event) => window.__ran.push(String(event.data)));
"""


class Elsewhere(http.server.ThreadingHTTPServer):
    """A server of nobody's: it gives a mail as it is told to, and remembers everything else that is asked of it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.mails = {}
        self.asked = []
        self.connections = 0
        self.has_arrived = threading.Event()

    def get_request(self):
        connection, address = super().get_request()
        # Some things connect and ask nothing; that tells as much.
        self.connections += 1
        return connection, address


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.mails.get(self.path)
        if self.path == "/done":
            self.server.has_arrived.set()
        elif body is None:
            self.server.asked.append(self.path)
        self.send_response(200 if body is not None else 204)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if body is not None:
            self.wfile.write(body.encode())

    do_POST = do_GET

    def log_message(self, *said):
        pass


@pytest.fixture
def elsewhere():
    with Elsewhere() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def said(page):
    return watched(page)


def watched(page):
    """Windows that are opened from now on, questions that are asked of the reader, and files that come."""
    found = []
    page.on("dialog", lambda dialog: (found.append(dialog.message), dialog.dismiss()))
    page.on("popup", lambda popup: found.append(f"window {popup.url}"))
    page.on("download", lambda download: found.append(f"download {download.url}"))
    page.add_init_script(NOTICE)
    return found


def press(place):
    for one in place.locator(PRESSED).all()[:3]:
        # What cannot be pressed does nothing.
        with contextlib.suppress(Error):
            one.click(timeout=PRESS_MILLISECONDS, force=True, no_wait_after=True)


def mails_of(technique, elsewhere):
    return [mail for mail in corpus(elsewhere.address) if mail[0].startswith(f"{technique}-")]


def settled(page, elsewhere):
    """Wait until a request that is made now has arrived: those before it would have, too."""
    page.goto(f"{elsewhere.address}/mail/blank")
    page.evaluate("fetch('/done')")
    assert elsewhere.has_arrived.wait(30)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_frame_alone_holds_mail_that_was_not_cleaned(page, live_server, elsewhere, said, db, technique):
    support = scenes.mailbox("support@example.com")
    scenes.person("mara", "reviewer", support, name="Mara Okafor")
    message = scenes.message(support, "t", body="<p>seen</p>")
    draft = scenes.draft(support, messages=[message])
    elsewhere.mails["/mail/blank"] = document("")
    sign_in(page, live_server)
    address = live_server.url + reverse("approvals:draft", args=[draft.public_id])
    page.goto(address)
    page.get_by_text("As its sender laid it out").click()
    handle = page.locator("iframe.frame").first
    page.frame_locator("iframe.frame").first.get_by_text("seen").wait_for()
    frame = handle.element_handle().content_frame()
    body = live_server.url + reverse("approvals:message_body", args=[draft.public_id, message.pk])
    rail = page.locator("#decide").screenshot(animations="disabled")

    for name, mail in mails_of(technique, elsewhere):
        Message.objects.filter(pk=message.pk).update(body_html=mail)
        frame.goto(body)
        press(frame)
        assert (name, page.url, page.evaluate("window.__ran"), said) == (name, address, [], [])
        assert page.locator("#decide").screenshot(animations="disabled") == rail, name

    assert len(page.context.pages) == 1
    if technique not in CONNECTED:
        assert elsewhere.connections == 0
    settled(page, elsewhere)
    assert elsewhere.asked == []


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_cleaning_alone_holds_mail_without_a_frame(page, elsewhere, said, technique):
    elsewhere.mails["/mail/blank"] = document("")
    for name, mail in mails_of(technique, elsewhere):
        address = f"{elsewhere.address}/mail/{name}"
        elsewhere.mails[f"/mail/{name}"] = document(clean(mail))
        page.goto(address)
        press(page)
        assert (name, page.url, page.evaluate("window.__ran"), said) == (name, address, [], [])

    settled(page, elsewhere)
    assert elsewhere.asked == []


# Names of elements harm only pages with scripts that trust them; a mail cannot bring such a page.
@pytest.mark.parametrize("technique", [name for name in TECHNIQUES if name != "clobbering"])
def test_without_both_layers_the_same_mail_does_what_it_wants(context, elsewhere, technique):
    """Else the tests above could not fail."""
    mails = mails_of(technique, elsewhere)
    did = [name for name, mail in mails if does_something(context, elsewhere, name, document(mail))]

    assert len(did) >= len(mails) // 3


def does_something(context, elsewhere, name, html):
    address = f"{elsewhere.address}/mail/{name}"
    elsewhere.mails[f"/mail/{name}"] = html
    before = len(elsewhere.asked)
    page = context.new_page()
    said = watched(page)
    try:
        page.goto(address)
        press(page)
        ran = page.url != address or page.evaluate("window.__ran.length")
    except Error:
        # It went somewhere else while it was looked at.
        ran = True
    page.close()
    return bool(ran or said or len(elsewhere.asked) > before)


def document(mail):
    return f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><p>seen</p>{mail}'
