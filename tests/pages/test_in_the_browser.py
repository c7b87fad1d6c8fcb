"""What only a real browser shows: refreshing, scripts that may not run, sizes, forms without script."""

import socketserver
import threading

import pytest
from django.urls import reverse

from agentmail.client import configured_client
from approvals import dispatch, intake, mailboxes
from approvals.freshness import Staleness
from approvals.models import Draft, Send, StaleReason
from approvals.transitions import drafts
from audit.record import SYSTEM
from tests.browser.desk import NAME
from tests.pages import scenes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

REFRESHED = 15_000  # milliseconds that a refresh may take on a loaded machine


@pytest.fixture
def support(transactional_db):
    return scenes.mailbox("support@example.com")


@pytest.fixture
def mara(support):
    return scenes.person("mara", "reviewer", support, name="Mara Okafor")


@pytest.fixture
def jonas(support):
    return scenes.person("jonas", "reviewer", support, name="Jonas Weber")


@pytest.fixture
def complaints(page):
    """What the browser complains about: policy violations, errors of scripts, failed requests."""
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def sign_in(page, live_server, name="mara"):
    page.goto(live_server.url + "/accounts/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(scenes.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Queue").wait_for()


def address(live_server, draft, name="draft"):
    return live_server.url + reverse(f"approvals:{name}", args=[draft.public_id])


def reject(draft, person):
    drafts.reject(draft.pk, person=person, seen=scenes.seen(draft), reason="no", form_id=None)


def test_a_reviewer_approves_and_watches_the_mail_leave(
    page, live_server, complaints, sandbox, connected_settings
):
    connected_settings.SENDS_PER_SECOND = 0
    grant = sandbox.post("grants", email="support@harbour.example")["grant"]
    box = mailboxes.connect(configured_client(), grant["id"], actor=SYSTEM, undo_seconds=15)
    scenes.person("mara", "reviewer", box, name="Mara Okafor")
    question = sandbox.post("customer", grant=box.grant_id, subject="Where is it?", body="<p>Where?</p>")
    made = sandbox.post(
        "agent/drafts",
        grant=box.grant_id,
        to=[{"email": "casey@example.net"}],
        subject="Re: Where is it?",
        body="<p>On its way.</p>",
        reply_to_message_id=question["message_id"],
    )["draft"]
    intake.observe(box, configured_client().get_draft(box.grant_id, made["id"]), configured_client())
    sign_in(page, live_server)
    page.get_by_role("link", name="casey@example.net").click()

    page.get_by_role("button", name="Approve and send").click()

    page.get_by_role("button", name="Undo").first.wait_for()
    draft = Draft.objects.get(provider_draft_id=made["id"])
    page.goto(f"{live_server.url}/drafts/{draft.public_id}/")
    send = Send.objects.get(draft=draft)
    Send.objects.filter(pk=send.pk).update(not_before=send.queued_at, next_attempt_at=send.queued_at)
    dispatch.dispatch(send.pk)
    page.get_by_text("Accepted by the provider").wait_for(timeout=REFRESHED)
    assert len(sandbox.get("log")["sends"]) == 1
    assert complaints == []


def test_a_new_draft_appears_in_an_open_queue_and_a_typed_search_stays(
    page, live_server, support, mara, complaints
):
    sign_in(page, live_server)
    page.get_by_label("Search drafts").fill("half typed")

    scenes.draft_in_thread(support, subject="just arrived")

    page.get_by_text("just arrived").wait_for(timeout=REFRESHED)
    assert page.get_by_label("Search drafts").input_value() == "half typed"
    assert complaints == []


def test_a_colleagues_decision_reaches_the_open_draft(page, live_server, support, mara, jonas, complaints):
    draft = scenes.draft_in_thread(support)
    sign_in(page, live_server)
    page.goto(address(live_server, draft))

    reject(draft, jonas)

    page.get_by_role("heading", name="Rejected by Jonas Weber").wait_for(timeout=REFRESHED)
    assert complaints == []


def test_a_draft_that_turns_stale_keeps_the_typed_note(page, live_server, support, mara, complaints):
    draft = scenes.draft_in_thread(support)
    sign_in(page, live_server)
    page.goto(address(live_server, draft))
    page.get_by_label("Reason or note").fill("half a sentence")
    late = scenes.message(support, draft.thread_id, body="Please forget it", minutes=900)

    drafts.mark_stale(draft.pk, Staleness(StaleReason.NEW_INBOUND, (late.provider_id,)))

    page.get_by_text("Please forget it").first.wait_for(timeout=REFRESHED)
    assert page.get_by_label("Reason or note").input_value() == "half a sentence"
    assert complaints == []


@pytest.fixture
def catch_all():
    """A server elsewhere; whoever connects to it is remembered."""
    visitors = []

    class Visited(socketserver.BaseRequestHandler):
        def handle(self):
            visitors.append(self.request.recv(200))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Visited) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", visitors
        server.shutdown()


def test_hostile_mail_runs_nothing_loads_nothing_and_goes_nowhere(
    page, live_server, support, mara, catch_all
):
    elsewhere, visitors = catch_all
    hostile = (
        f"<p>seen</p><img src={elsewhere}/pixel><script>parent.document.title='owned'</script>"
        f"<svg onload=\"fetch('{elsewhere}/svg')\"></svg><link rel=stylesheet href={elsewhere}/link>"
        f"<style>@import url({elsewhere}/css); p {{ background: url({elsewhere}/background) }}</style>"
        f"<iframe src={elsewhere}/frame></iframe><meta http-equiv=refresh content='0;url={elsewhere}/refresh'>"
        f"<a href={elsewhere}/link target=_top>out</a>"
    )
    message = scenes.message(support, "t", body="<p>x</p>")
    # As if the cleaning at arrival had let everything through: the frame alone must hold.
    type(message).objects.filter(pk=message.pk).update(body_html=hostile)
    draft = scenes.draft(support, messages=[message])
    sign_in(page, live_server)
    page.goto(address(live_server, draft))

    page.get_by_text("As its sender laid it out").click()
    frame = page.frame_locator("iframe.frame").first
    frame.get_by_text("seen").wait_for()
    frame.get_by_text("out", exact=True).click()
    page.wait_for_timeout(500)

    assert visitors == []
    assert "owned" not in page.title()
    assert page.url == address(live_server, draft)


def test_everything_works_without_script(browser, live_server, support, mara):
    draft = scenes.draft_in_thread(support)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live_server)
    page.get_by_role("link", name="Priya Nair").click()
    page.get_by_label("Reason or note").fill("The price is wrong")

    page.get_by_role("button", name="Reject").click()

    page.get_by_text("Rejected by you").first.wait_for()
    draft.refresh_from_db()
    assert draft.state == "rejected"
    context.close()


def test_a_desk_that_does_not_answer_is_said(page, live_server, support, mara):
    sign_in(page, live_server)
    page.route("**/queue/?*", lambda route: route.abort())

    page.get_by_text("The desk does not answer.").wait_for(timeout=REFRESHED)


def test_the_first_visit_of_the_queue_is_light(page, live_server, support, mara):
    for _ in range(50):
        scenes.draft_in_thread(support, length=1)
    sign_in(page, live_server)
    client = page.context.new_cdp_session(page)
    client.send("Network.clearBrowserCache")
    seen = []
    page.on("request", lambda request: seen.append(request.url))

    page.goto(live_server.url + "/queue/", wait_until="networkidle")

    assert len([url for url in seen if not url.startswith("data:") and "seen=" not in url]) <= 8, seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 900, 1280, 1600])
def test_no_page_is_wider_than_its_window(page, live_server, support, mara, complaints, width, scheme):
    draft = scenes.draft_in_thread(
        support, subject="W" * 200, body="w" * 300, attachments=(scenes.file(filename="n" * 120 + ".pdf"),)
    )
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, live_server)

    for path in (
        "/queue/",
        address(live_server, draft),
        address(live_server, draft, "edit"),
        "/accounts/logout/",
    ):
        page.goto(path if path.startswith("http") else live_server.url + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} wide"
    assert complaints == []


def test_the_keyboard_reaches_content_and_verbs(page, live_server, support, mara):
    draft = scenes.draft_in_thread(support)
    sign_in(page, live_server)
    page.goto(address(live_server, draft))

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(NAME))

    assert {"Approve and send", "Edit draft", "Request changes", "Reject"} <= reached


def test_the_letter_and_what_it_answers_fit_one_screen(page, live_server, support, mara):
    draft = scenes.draft_in_thread(support)
    page.set_viewport_size({"width": 1280, "height": 800})
    sign_in(page, live_server)
    page.goto(address(live_server, draft))

    for name in ("Answering this message", "thank you for the photographs", "Kind regards"):
        box = page.get_by_text(name).first.bounding_box()
        assert box["y"] + box["height"] <= 800, name
    for name in ("Approve and send", "Edit draft", "Request changes", "Reject"):
        box = page.locator("#decide form").locator("button, a").filter(has_text=name).bounding_box()
        assert box["y"] + box["height"] <= 800, name
