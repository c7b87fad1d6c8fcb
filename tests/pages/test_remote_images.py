"""Pictures that a mail names elsewhere: not loaded until a person asks, then by the desk and never by a browser."""

import base64
import http.server
import io
import re
import threading

import pytest
from django.core.cache import cache
from django.urls import reverse
from PIL import Image

from approvals import remote_images
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser

SHOWN = re.compile(r'<img src="data:image/png;base64,([^"]+)"')


class Cdn(http.server.ThreadingHTTPServer):
    """A server of the sender: what it gives by path, and everything that it is told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.gives = {}
        self.asked = []
        self.told = []


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.told.append(dict(self.headers))
        status, headers, body = self.server.gives.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said):
        pass


def drawn(kind="PNG", size=(3, 2)):
    kept = io.BytesIO()
    Image.new("RGB", size, "red").save(kept, kind)
    return kept.getvalue()


@pytest.fixture
def cdn(settings, tmp_path):
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    settings.VAR_DIR = tmp_path
    cache.clear()
    with Cdn() as server:
        server.gives["/a.png"] = (200, {}, drawn())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def answered(support, *sources, **fields):
    body = "<p>Hello</p>" + "".join(f'<img src="{source}" alt="plate">' for source in sources)
    return scenes.draft(support, messages=[scenes.message(support, "t", body=body)], **fields)


def address(draft, name="message_images"):
    more = [1] if name.startswith("revision") else [scenes.Message.objects.get().pk]
    return reverse(f"approvals:{name}", args=[draft.public_id, *more])


def pictures_in(response):
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in SHOWN.findall(response.content.decode())]


def test_remote_images_are_counted_with_their_hosts_and_not_loaded(desk, support, cdn):
    draft = answered(
        support, f"{cdn.address}/a.png", "https://cdn.example/b.gif", "https://cdn.example/c.gif"
    )

    page = desk.page(reverse("approvals:draft", args=[draft.public_id]))
    frame = desk.get(address(draft, "message_body"))

    assert "3 remote images were not loaded, from 127.0.0.1, cdn.example." in page.text()
    assert "Loading them tells the sender that the mail was opened." in page.text()
    assert "[image: plate]" in frame.content.decode()
    assert "<img" not in frame.content.decode()
    assert cdn.asked == []


def test_images_that_are_asked_for_are_drawn_anew_inside_the_same_frame(desk, support, cdn):
    cdn.gives["/b.jpg"] = (200, {"Content-Type": "text/html"}, drawn("JPEG", (2000, 1000)))
    draft = answered(support, f"{cdn.address}/a.png", f"{cdn.address}/b.jpg")

    response = desk.post(address(draft))

    assert [(one.format, one.size) for one in pictures_in(response)] == [
        ("PNG", (3, 2)),
        ("PNG", (1000, 500)),
    ]
    assert "2 of 2 remote images were loaded, by this desk, from 127.0.0.1." in response.content.decode()
    assert (
        response["Content-Security-Policy"]
        == desk.get(address(draft, "message_body"))["Content-Security-Policy"]
    )
    assert cdn.address not in response.content.decode()


def test_the_sender_learns_nothing_of_the_person_or_the_desk(desk, support, cdn):
    desk.post(
        address(answered(support, f"{cdn.address}/a.png")), headers={"referer": "https://desk.example/x"}
    )

    [told] = cdn.told
    assert set(told) == {"Host", "User-Agent", "Accept", "Accept-Encoding"}


def test_what_is_no_picture_stays_its_text(desk, support, cdn):
    cdn.gives |= {
        "/page": (200, {"Content-Type": "image/png"}, b"<script>alert(1)</script>"),
        "/drawing.svg": (
            200,
            {"Content-Type": "image/svg+xml"},
            b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        ),
        "/broken.png": (200, {}, drawn()[:40]),
        "/large.png": (200, {}, b"\x89PNG\r\n\x1a\n" + b"0" * 6_000_000),
    }
    names = ("page", "drawing.svg", "broken.png", "large.png", "gone.png")
    draft = answered(support, *(f"{cdn.address}/{name}" for name in names))

    response = desk.post(address(draft))

    assert pictures_in(response) == []
    assert response.content.decode().count("[image: plate]") == 5
    assert "0 of 5 remote images were loaded" in response.content.decode()


def test_a_redirect_is_followed_only_to_where_the_desk_may_go(desk, support, cdn, settings):
    cdn.gives |= {
        "/to-picture": (302, {"Location": "/a.png"}, b""),
        "/inside": (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b""),
        "/file": (302, {"Location": "file:///etc/passwd"}, b""),
        "/circle": (302, {"Location": "/circle"}, b""),
    }
    draft = answered(
        support, *(f"{cdn.address}/{name}" for name in ("to-picture", "inside", "file", "circle"))
    )

    assert len(pictures_in(desk.post(address(draft)))) == 1
    assert cdn.asked.count("/circle") <= 4


def test_nothing_inside_the_network_is_asked(desk, support, cdn, settings):
    settings.NOTIFICATIONS_TO_LOOPBACK = False

    response = desk.post(address(answered(support, f"{cdn.address}/a.png", "http://10.0.0.1/x.png")))

    assert pictures_in(response) == []
    assert cdn.asked == []


def test_a_picture_is_fetched_once_in_some_minutes(desk, support, cdn):
    draft = answered(support, f"{cdn.address}/a.png")

    assert [len(pictures_in(desk.post(address(draft)))) for _ in range(2)] == [1, 1]
    assert cdn.asked == ["/a.png"]


def test_the_images_of_the_draft_itself_can_be_asked_for(desk, support, cdn):
    body = f'<p>Hello</p><img src="{cdn.address}/a.png">'
    draft = scenes.draft_in_thread(support, body=body, is_plaintext=False)

    page = desk.page(reverse("approvals:draft", args=[draft.public_id]))

    assert "1 remote image was not loaded, from 127.0.0.1." in page.text()
    assert len(pictures_in(desk.post(address(draft, "revision_images")))) == 1


def test_loading_is_recorded_with_the_hosts_and_without_the_addresses(desk, support, cdn, alice):
    desk.post(address(answered(support, f"{cdn.address}/a.png?reader=mara")))

    entry = Entry.objects.get(action="approvals.images.loaded")
    assert (entry.actor_id, entry.data["hosts"], entry.data["count"]) == (str(alice.pk), ["127.0.0.1"], 1)
    assert "reader=mara" not in str(entry.data)


def test_hosts_beyond_the_limit_are_not_asked_and_not_named(desk, support, cdn, monkeypatch):
    monkeypatch.setattr(remote_images, "IMAGES", 1)
    draft = answered(support, f"{cdn.address}/a.png", "https://cdn.example/b.gif")

    response = desk.post(address(draft))

    assert "1 of 2 remote images were loaded, by this desk, from 127.0.0.1." in response.content.decode()
    assert Entry.objects.get(action="approvals.images.loaded").data["hosts"] == ["127.0.0.1"]


def test_a_mail_takes_no_more_than_its_bytes_of_pictures(desk, support, cdn, monkeypatch):
    cdn.gives |= {f"/{name}.png": (200, {}, drawn()) for name in "bcd"}
    draft = answered(support, *(f"{cdn.address}/{name}.png" for name in "abcd"))
    [of_one, *_rest] = {len(base64.b64decode(one)) for one in SHOWN.findall(desk.post(address(draft)).text)}
    monkeypatch.setattr(remote_images, "DRAWN_BYTES", 3 * of_one - 1)

    response = desk.post(address(draft))

    assert len(pictures_in(response)) == 2
    assert "2 of 4 remote images were loaded" in response.text


def test_a_large_picture_is_not_kept(desk, support, cdn, monkeypatch):
    monkeypatch.setattr(remote_images, "KEPT_BYTES", 10)
    draft = answered(support, f"{cdn.address}/a.png")

    assert [len(pictures_in(desk.post(address(draft)))) for _ in range(2)] == [1, 1]
    assert cdn.asked == ["/a.png", "/a.png"]


def test_a_desk_that_never_loads_them_says_so_and_offers_nothing(desk, support, cdn, settings):
    settings.REMOTE_IMAGES = "off"
    draft = answered(support, f"{cdn.address}/a.png")

    page = desk.page(reverse("approvals:draft", args=[draft.public_id]))
    response = desk.post(address(draft))

    assert "This desk never loads them." in page.text()
    assert "Load images" not in page.buttons()
    assert (response.status_code, cdn.asked) == (403, [])


def test_who_may_only_read_is_offered_nothing(dave, support, cdn):
    draft = answered(support, f"{cdn.address}/a.png")

    page = browser(dave).page(reverse("approvals:draft", args=[draft.public_id]))

    assert "1 remote image was not loaded" in page.text()
    assert "Load images" not in page.buttons()
    assert (browser(dave).post(address(draft)).status_code, cdn.asked) == (403, [])


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_browser_shows_loaded_images_and_itself_asks_nobody(browser, live_server, cdn, script):
    support = scenes.mailbox("support@example.com")
    scenes.person("mara", "reviewer", support, name="Mara Okafor")
    cdn.gives["/a.png"] = (200, {}, drawn(size=(40, 30)))
    draft = answered(support, f"{cdn.address}/a.png")
    context = browser.new_context(java_script_enabled=script)
    page = context.new_page()
    page.goto(live_server.url + "/accounts/login/")
    page.get_by_label("Username").fill("mara")
    page.get_by_label("Password").fill(scenes.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Queue").wait_for()
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.partition("://")[2].partition("/")[0]))
    page.goto(live_server.url + reverse("approvals:draft", args=[draft.public_id]))
    page.get_by_text("As its sender laid it out").click()
    page.frame_locator("iframe.frame").first.get_by_text("[image: plate]").wait_for()

    page.get_by_role("button", name="Load images").click()

    shown = page.frame_locator("iframe.frame").first.locator("img")
    shown.wait_for()
    assert shown.bounding_box()["width"] == 40
    assert page.url.endswith(f"/drafts/{draft.public_id}/")
    assert len(context.pages) == 1
    assert {host for host in hosts if host and "," not in host} == {live_server.url.partition("://")[2]}
    context.close()
