"""The page of a mailbox's oversight mode."""

import pytest
from django.core.cache import cache

from agentmail.models import Mailbox
from approvals import oversight
from approvals.models import ModeChange
from audit.record import SYSTEM
from policies import channels
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


@pytest.mark.row("004-12", "004-35", "K19")
def test_the_card_says_what_the_next_step_usually_asks_for(carol, support):
    page = browser(carol).page(address(support))

    assert "0 of 500 drafts handled by people" in page.text()
    assert "0 of 30 days in this mode" in page.text()


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
