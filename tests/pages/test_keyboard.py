"""The registry of commands beside the pages that name them, and each person's own keys."""

import pytest

from approvals import kept_reasons, keyboard
from approvals.freshness import Staleness
from approvals.keys import COMMANDS, KEPT_REASON_KEYS, Does, Where, chosen_keys, clashes, keys_in_effect
from approvals.models import Keyboard, StaleReason
from approvals.transitions import drafts
from tests.database import read_only
from tests.pages import scenes, sends
from tests.pages.pages import browser

KEYBOARD = "/keyboard/"
WITH_AN_ELEMENT = (Does.PRESS, Does.SIGN, Does.EXPLAIN, Does.FOCUS, Does.OPEN)


def commands_of(page):
    return {element.get("data-command") for element in page.root.iter() if element.get("data-command")}


def element_of(page, command):
    return next(element for element in page.root.iter() if element.get("data-command") == command)


def overlay_of(page):
    [overlay] = page.all("dialog", id="keys")
    return {row.get("data-id"): row.get("data-keys") for row in overlay.iter("li")}


def fields_of(client):
    return client.page(KEYBOARD).form_values_of_post(KEYBOARD)


@pytest.fixture
def pages(alice, support):
    """A page of each kind, on which everything is offered that its part of the desk can offer."""
    support.undo_seconds = 60
    support.save()
    sends.queued(scenes.draft_in_thread(support), alice)
    pending, stale = scenes.draft_in_thread(support), scenes.draft_in_thread(support)
    drafts.mark_stale(stale.pk, Staleness(StaleReason.NEW_INBOUND, ()))
    scenes.draft_in_thread(support)
    for number in range(KEPT_REASON_KEYS):
        kept_reasons.keep(alice, text=f"Reason {number}.")
    desk = browser(alice)
    return {
        Where.QUEUE: [desk.page("/queue/")],
        Where.DRAFT: [
            desk.page(f"/drafts/{pending.public_id}/"),
            desk.page(f"/drafts/{pending.public_id}/edit/"),
            desk.page(f"/drafts/{stale.public_id}/"),
        ],
        Where.EVERYWHERE: [desk.page(KEYBOARD)],
        Where.PLACES: [desk.page(KEYBOARD)],
    }


def test_each_command_finds_its_element_where_it_says(pages):
    missing = [
        command.id
        for command in COMMANDS.values()
        if command.does in WITH_AN_ELEMENT
        and not any(command.id in commands_of(page) for page in pages[command.where])
    ]

    assert missing == []


def test_no_element_names_a_command_that_the_registry_lacks(pages):
    named = {name for group in pages.values() for page in group for name in commands_of(page)}

    assert named <= set(COMMANDS)


def test_the_keys_as_they_come_do_not_clash():
    assert list(clashes({one.id: one.keys for one in COMMANDS.values()})) == []


def test_the_overlay_lists_every_command_with_its_key(desk):
    assert overlay_of(desk.page("/queue/")) == {one.id: one.keys for one in COMMANDS.values()}


def test_a_button_shows_its_key_and_keeps_its_name(desk, support):
    page = desk.page(f"/drafts/{scenes.draft_in_thread(support).public_id}/")

    button = page.button("Approve and send")

    assert button.get("aria-keyshortcuts") == "a"
    assert [hint.text for hint in button.iter("kbd")] == ["a"]


def test_who_may_only_read_is_offered_no_command_that_decides(bob, support):
    page = browser(bob).page(f"/drafts/{scenes.draft_in_thread(support).public_id}/")

    assert not {"approve", "reject", "request_changes", "edit"} & commands_of(page)


def test_the_menu_leads_to_the_page_of_the_keys(desk):
    page = desk.page("/queue/")

    assert "Keyboard" in [page.text(link) for link in page.classed("me__menu")[0].iter("a")]
    assert desk.page(KEYBOARD).status == 200


def test_another_key_stands_on_the_button_and_in_the_overlay(desk, support):
    draft = scenes.draft_in_thread(support)

    answer = desk.post(KEYBOARD, fields_of(desk) | {"approve": "Y", "audit": "w a"})

    page = desk.page(f"/drafts/{draft.public_id}/")
    assert answer.status_code == 302
    assert element_of(page, "approve").get("aria-keyshortcuts") == "y"
    assert {"approve": "y", "audit": "w a"}.items() <= overlay_of(page).items()


def test_only_what_differs_is_kept(desk, alice):
    desk.post(KEYBOARD, fields_of(desk) | {"approve": "y"})

    assert keyboard.keyboard_of(alice).own == {"approve": "y"}


def test_an_emptied_field_takes_the_key_away(desk):
    desk.post(KEYBOARD, fields_of(desk) | {"edit": ""})

    assert overlay_of(desk.page("/queue/"))["edit"] == ""


def test_switched_off_letters_leave_only_the_chords_and_no_hint(desk, support):
    values = fields_of(desk)
    del values["has_letters"]

    desk.post(KEYBOARD, values)

    page = desk.page(f"/drafts/{scenes.draft_in_thread(support).public_id}/")
    left = {keys for keys in overlay_of(page).values() if keys}
    assert left == {one.keys for one in COMMANDS.values() if one.is_fixed}
    assert element_of(page, "approve").get("aria-keyshortcuts") is None
    assert not list(element_of(page, "approve").iter("kbd"))


def test_letters_that_are_switched_off_keep_the_chosen_keys_for_later(desk):
    values = fields_of(desk) | {"approve": "y"}
    del values["has_letters"]

    desk.post(KEYBOARD, values)

    assert fields_of(desk)["approve"] == "y"
    assert "has_letters" not in fields_of(desk)


def test_a_key_given_twice_names_the_command_that_has_it(desk):
    page = desk.submit(KEYBOARD, fields_of(desk) | {"edit": "a"})

    assert page.status == 422
    assert "“a” is the key of “Approve and send” already." in page.text()
    assert fields_of(desk)["edit"] == "e"


def test_two_commands_may_exchange_their_keys(desk):
    assert desk.post(KEYBOARD, fields_of(desk) | {"edit": "a", "approve": "e"}).status_code == 302


def test_the_beginning_of_a_sequence_is_no_key_of_its_own(desk):
    page = desk.submit(KEYBOARD, fields_of(desk) | {"edit": "g"})

    assert page.status == 422
    assert "“g” and “g x”, the key of “Stop all sending”, begin alike" in page.text()


@pytest.mark.parametrize("keys", ["ab", "g q q", "Enter", "\u200b"])
def test_what_is_no_key_is_refused_and_stays_in_its_field(desk, keys):
    page = desk.submit(KEYBOARD, fields_of(desk) | {"edit": keys})

    assert page.status == 422
    assert "Give one character, or two with a space between them" in page.text()
    assert page.all("input", name="edit", value=keys)


def test_the_keys_go_back_to_how_they_came(desk, alice):
    desk.post(KEYBOARD, fields_of(desk) | {"approve": "y"})

    desk.post(KEYBOARD, fields_of(desk) | {"reset": "yes", "edit": "not a key"})

    kept = Keyboard.objects.get(person=alice)
    assert (kept.has_letters, kept.keys) == (True, {})
    assert fields_of(desk)["approve"] == "a"


def test_the_keys_are_each_persons_own(desk, bob):
    desk.post(KEYBOARD, fields_of(desk) | {"approve": "y"})

    assert overlay_of(browser(bob).page("/queue/"))["approve"] == "a"


def test_a_person_without_any_role_has_keys_too(mallory):
    assert browser(mallory).page(KEYBOARD).status == 200


def test_a_stranger_is_sent_to_sign_in(db):
    assert browser().get(KEYBOARD)["Location"].startswith("/accounts/login/")


def test_a_default_that_came_later_gives_way_to_a_persons_own_key():
    chosen = chosen_keys({"edit": "a", "a command of long ago": "z"})

    assert chosen["edit"] == "a"
    assert chosen["approve"] == ""
    assert "a command of long ago" not in chosen


def test_a_chord_cannot_be_taken_over():
    assert keys_in_effect(True, {"palette": "z"})["palette"] == "Ctrl+K"


@pytest.mark.django_db(transaction=True)
def test_keys_that_cannot_be_written_stay_in_the_form():
    client = browser(scenes.person("mara"))
    values = fields_of(client) | {"approve": "y"}
    with read_only():
        page = client.submit(KEYBOARD, values)

    assert page.status == 503
    assert "nothing you typed is lost" in page.text()
    assert page.all("input", name="approve", value="y")
