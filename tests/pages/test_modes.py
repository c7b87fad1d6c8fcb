"""The page of a mailbox's oversight mode."""

import pytest
from django.core.cache import cache
from django.urls import reverse

from agentmail.models import Mailbox
from approvals import inbound, notifications, oversight
from approvals.models import ModeChange
from audit.record import SYSTEM
from policies import channels, mailbox_settings
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
ROLES = ("alice", "bob", "carol", "dave", "eve", "mallory")
# role: what GET, a stricter and a looser mode answer
ANSWERS = {
    "alice": (200, 403, 403),
    "bob": (200, 302, 403),
    "carol": (200, 302, 302),
    "dave": (200, 403, 403),
    "eve": (404, 404, 404),
    "mallory": (404, 404, 404),
}


@pytest.fixture(autouse=True)
def unlimited():
    # How often a password may be tried is remembered by user id, which the next test gives to somebody else.
    cache.clear()


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory):
    return {"alice": alice, "bob": bob, "carol": carol, "dave": dave, "eve": eve, "mallory": mallory}


def address(box, query=""):
    return f"/mailboxes/{box.public_id}/mode/{query}"


def changed(person, box, to, **fields):
    given = {"to": to, "seen": "gated_send", "reason": "A good record.", "password": scenes.PASSWORD}
    return browser(person).post(address(box), given | fields).status_code == 302


def change(person, box, to, **fields):
    given = {"to": to, "seen": "gated_send", "reason": "A good record.", "password": scenes.PASSWORD}
    return browser(person).submit(address(box), given | fields)


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.row("D8")
def test_each_role_sees_and_changes_what_the_table_says(people, support, who):
    client = browser(people[who])
    stricter = {"to": "read_only", "seen": "gated_send"}
    looser = {"to": "autonomous", "seen": "gated_send", "reason": "Why not.", "password": scenes.PASSWORD}

    shown = client.get(address(support)).status_code
    tightened = client.post(address(support), stricter).status_code
    Mailbox.objects.update(mode="gated_send")
    loosened = client.post(address(support), looser).status_code

    assert (shown, tightened, loosened) == ANSWERS[who]


def test_a_stranger_is_sent_to_the_sign_in_page(support):
    assert browser().get(address(support))["Location"].startswith("/accounts/login/")
    assert browser().post(address(support))["Location"].startswith("/accounts/login/")


@pytest.mark.row("004-01")
def test_the_modes_stand_in_their_order_and_the_present_one_is_chosen(carol, support):
    page = browser(carol).page(address(support))

    rungs = page.all("input", type="radio", name="to")
    assert [rung.get("value") for rung in rungs] == [
        "read_only",
        "gated_all",
        "gated_send",
        "monitored",
        "autonomous",
    ]
    assert [rung.get("value") for rung in rungs if rung.get("checked") is not None] == ["gated_send"]


@pytest.mark.row("004-14")
def test_the_preview_says_in_words_what_changes_for_the_agent(carol, support):
    page = browser(carol).page(address(support, "?to=read_only"))

    assert "What changes for the agent from gated_send to read_only" in page.text()
    assert "oversight_mode is read_only" in page.text()
    page.button("Change to read_only")


def test_a_mode_that_is_not_on_the_ladder_has_no_preview(carol, support):
    page = browser(carol).page(address(support, "?to=root"))

    assert "What changes for the agent" not in page.text()


@pytest.mark.row("004-01")
def test_a_mode_that_is_not_on_the_ladder_is_refused(carol, support):
    assert change(carol, support, "root").status == 422
    support.refresh_from_db()
    assert support.mode == "gated_send"


@pytest.mark.row("004-14")
def test_an_operator_tightens_with_one_click(bob, support):
    client = browser(bob)
    page = client.page(address(support))

    assert {"Tighten to read_only", "Tighten to gated_all"} <= set(page.buttons())
    client.post(address(support), {"to": "gated_all", "seen": "gated_send"})

    support.refresh_from_db()
    assert support.mode == "gated_all"
    assert "Bob Operator" in client.page(address(support)).text()


def test_an_operator_sees_who_may_loosen(bob, support):
    page = browser(bob).page(address(support, "?to=autonomous"))

    assert "Only admins choose a looser mode." in page.text()
    assert "Change to autonomous" not in page.buttons()


@pytest.mark.row("004-14")
@pytest.mark.parametrize(("missing", "said"), [("reason", "Say why"), ("password", "password once more")])
def test_a_looser_mode_needs_a_reason_and_the_password(carol, support, missing, said):
    page = change(carol, support, "autonomous", **{missing: ""})

    assert page.status == 422
    assert said in page.text()
    support.refresh_from_db()
    assert support.mode == "gated_send"


def test_what_was_typed_stays_when_the_form_is_refused(carol, support):
    page = change(carol, support, "autonomous", password="wrong")

    assert "A good record." in page.text()


def test_a_change_from_an_old_page_shows_the_mode_of_now_and_keeps_the_reason(bob, carol, support):
    oversight.change_mode(support.pk, to="read_only", seen="gated_send", person=bob)

    page = change(carol, support, "autonomous")

    assert page.status == 409
    assert "The mode is read_only by now" in page.text()
    assert "A good record." in page.text()


@pytest.mark.row("K9")
def test_monitored_without_a_channel_asks_why_and_then_carries_a_warning(carol, support):
    page = change(carol, support, "monitored")

    assert page.status == 422
    assert "no notification channel" in page.text()
    assert changed(carol, support, "monitored", unnotified_reason="We read along.")
    for shown in (address(support), f"/mailboxes/{support.public_id}/", "/policies/"):
        assert "nobody is notified" in browser(carol).page(shown).text()


@pytest.mark.row("K9")
def test_monitored_with_a_channel_carries_no_warning(carol, support):
    channels.write(support.pk, version=0, actor=SYSTEM, kind="email", target="team@example.com")

    assert changed(carol, support, "monitored")
    assert "nobody is notified" not in browser(carol).page(address(support)).text()


@pytest.mark.row("004-12", "K19")
def test_the_card_says_what_the_next_step_usually_asks_for(carol, support):
    page = browser(carol).page(address(support))

    assert "0 of 500 drafts handled by people" in page.text()
    assert "0 of 30 days in this mode" in page.text()


@pytest.mark.row("D8")
def test_every_change_is_listed_with_old_and_new_mode_and_reason(carol, support):
    assert changed(carol, support, "autonomous")

    page = browser(carol).page(address(support))
    made = ModeChange.objects.get()
    assert (made.before, made.after, made.reason) == ("gated_send", "autonomous", "A good record.")
    assert "A good record." in page.text()
    assert "0 handled, 0 wrong, 0 sent, 0 waiting" in page.text()


def test_the_page_of_the_mailbox_says_what_its_mode_means(carol, support):
    page = browser(carol).page(f"/mailboxes/{support.public_id}/")

    assert "The agent reads freely; every draft waits for a countersignature." in page.text()


CHANNEL = {"version": "0", "kind": "email", "target": "team@example.com", "signature_header": "X-Signature"}
PUBLIC = "https://93.184.215.14/hook"
# name: what a route of the channel answers to each role that sees the mailbox, without a channel
ADMIN_ROUTES = ("channel", "channel_test", "channel_secret", "channel_remove", "mode_settings")


@pytest.mark.parametrize("name", ADMIN_ROUTES)
@pytest.mark.parametrize("who", ROLES)
def test_only_admins_set_who_is_told(people, support, name, who):
    status = browser(people[who]).post(reverse(f"approvals:{name}", args=[support.public_id])).status_code

    if who in ("eve", "mallory"):
        assert status == 404
    elif who == "carol":
        assert status in (302, 409, 422)
    else:
        assert status == 403


def channel_address(box, rest=""):
    return f"/mailboxes/{box.public_id}/channel/{rest}"


@pytest.mark.row("K9")
def test_an_admin_sets_an_email_channel(carol, support):
    response = browser(carol).post(channel_address(support), CHANNEL)

    assert response.status_code == 302
    assert channels.of(support.pk).target == "team@example.com"


def test_the_secret_of_a_webhook_is_shown_once(carol, support):
    client = browser(carol)
    page = client.submit(channel_address(support), CHANNEL | {"kind": "webhook", "target": PUBLIC})

    secret = channels.secret_of(channels.of(support.pk))
    assert page.status == 200
    assert secret in page.html
    assert secret not in client.page(address(support)).html
    renewed = client.submit(channel_address(support, "secret/"))
    assert secret not in renewed.html
    assert channels.secret_of(channels.of(support.pk)) in renewed.html


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "nobody"}, "exactly one @"),
        ({"target": ""}, "required"),
        ({"kind": "pigeon"}, "pigeon"),
        ({"kind": "webhook", "target": "http://hooks.example.com/"}, "must begin with https://"),
        ({"kind": "webhook", "target": "https://169.254.169.254/latest/"}, "not public"),
        ({"kind": "webhook", "target": "https://10.0.0.1/"}, "not public"),
        ({"signature_header": "Host"}, "another meaning"),
        ({"signature_header": "X: y"}, "letters, digits and hyphens"),
        ({"signature_header": "Content-Length"}, "another meaning"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_at_its_field_and_nothing_typed_is_lost(
    carol, support, changes, said
):
    page = browser(carol).submit(channel_address(support), CHANNEL | changes)

    assert page.status == 422
    assert said in page.text()
    assert channels.of(support.pk) is None
    assert (CHANNEL | changes)["signature_header"] in page.html


def test_a_channel_that_somebody_else_changed_shows_both(carol, support):
    channels.write(support.pk, version=0, actor=SYSTEM, kind="email", target="first@example.com")

    page = browser(carol).submit(channel_address(support), CHANNEL)

    assert page.status == 409
    assert "it is email first@example.com now" in page.text()
    assert "team@example.com" in page.html
    assert channels.of(support.pk).target == "first@example.com"


def test_a_monitored_mailbox_keeps_its_channel(carol, support):
    channels.write(support.pk, version=0, actor=SYSTEM, kind="email", target="first@example.com")
    Mailbox.objects.update(mode="monitored")

    page = browser(carol).submit(channel_address(support, "remove/"))

    assert page.status == 409
    assert channels.of(support.pk) is not None
    Mailbox.objects.update(mode="gated_send")
    assert browser(carol).post(channel_address(support, "remove/")).status_code == 302
    assert channels.of(support.pk) is None


def test_a_test_is_listed_with_what_became_of_it(carol, support):
    channels.write(support.pk, version=0, actor=SYSTEM, kind="email", target="first@example.com")
    browser(carol).post(channel_address(support, "test/"))

    assert notifications.deliver(notifications.due()[0])

    page = browser(carol).page(address(support))
    assert "delivered channel.test" in page.text()


@pytest.mark.row("K32", "K9")
def test_an_admin_sets_the_edges_and_a_conflict_is_told(carol, support):
    path = reverse("approvals:mode_settings", args=[support.public_id])
    given = {"version": "0", "read_only_refuses_approved": "on"}

    assert browser(carol).post(path, given).status_code == 302
    stored = mailbox_settings.of(support.pk)
    assert (stored.read_only_refuses_approved, stored.dead_channel_falls_back) == (True, False)
    assert browser(carol).submit(path, given).status == 409


@pytest.mark.row("K32")
def test_a_draft_of_a_mailbox_that_became_read_only_carries_a_warning(alice, support):
    draft = scenes.draft_in_thread(support)
    Mailbox.objects.update(mode="read_only")

    page = browser(alice).page(f"/drafts/{draft.public_id}/")

    assert "The mailbox is read_only by now. What a person approves still leaves." in page.text()
    assert "The mailbox is read_only by now: its agent may not send." in page.text()
    page.button("Approve and send")


def inbound_address(box, rest=""):
    return f"/mailboxes/{box.public_id}/inbound/{rest}"


@pytest.fixture
def held(support):
    Mailbox.objects.update(mode="gated_all")
    return [
        scenes.message(support, "t", subject=f"Question {number}", body=f"<p>Is <b>{number}</b> there?</p>")
        for number in (1, 2, 3)
    ]


@pytest.mark.row("004-29", "K17")
def test_a_reviewer_releases_some_of_what_is_held(alice, support, held):
    client = browser(alice)
    page = client.page(inbound_address(support))
    assert [f"Question {number}" in page.text() for number in (1, 2, 3)] == [True] * 3
    assert len(page.all("iframe")) == 3

    response = client.post(inbound_address(support), {"chosen": [held[0].pk, held[2].pk]})

    assert response.status_code == 302
    assert [inbound.is_released(message) for message in held] == [True, False, True]
    assert "Alice Reviewer" in client.page(inbound_address(support)).text()


@pytest.mark.parametrize("chosen", [[], ["x"], ["9" * 30]])
def test_a_release_of_nothing_is_told(alice, support, held, chosen):
    assert browser(alice).submit(inbound_address(support), {"chosen": chosen}).status == 422


def test_what_stays_held_after_the_mode_changed_is_told_and_can_be_released(alice, support, held):
    Mailbox.objects.update(mode="gated_send")
    client = browser(alice)

    page = client.page(inbound_address(support))
    assert "What was held before stays held" in page.text()
    assert "3 held messages" in client.page(f"/mailboxes/{support.public_id}/").text()
    client.post(inbound_address(support), {"chosen": [held[0].pk]})
    assert inbound.is_released(held[0])


@pytest.mark.parametrize("who", ROLES)
def test_who_sees_and_releases_held_mail(people, support, held, who):
    client = browser(people[who])
    sees, releases = who not in ("eve", "mallory"), who == "alice"

    assert client.get(inbound_address(support)).status_code == (200 if sees else 404)
    assert client.get(inbound_address(support, f"{held[0].pk}/body/")).status_code == (200 if sees else 404)
    released = client.post(inbound_address(support), {"chosen": [held[0].pk]}).status_code
    assert released == (302 if releases else 403 if sees else 404)


def test_a_body_is_shown_for_held_mail_of_this_mailbox_only(alice, support, orders, held):
    other = scenes.message(orders, "o", body="<p>Other</p>")
    shown = browser(alice).get(inbound_address(support, f"{held[0].pk}/body/"))

    assert "sandbox" in shown["Content-Security-Policy"]
    assert browser(alice).get(inbound_address(support, f"{other.pk}/body/")).status_code == 404
