"""The notices of a person in the desk: read or not, what became of them, and nothing of other people's mailboxes."""

from datetime import time

import pytest

from approvals.models import Draft, Risk
from approvals.notices import reader
from approvals.notices.kinds import CHOSEN
from approvals.notices.models import Notice, NoticeRead, NoticeSettings
from approvals.transitions import drafts
from tests.pages import scenes
from tests.pages.pages import browser


@pytest.fixture
def risky(support):
    made = scenes.draft_in_thread(support, subject="Re: Plates\u202e broken")
    Draft.objects.filter(pk=made.pk).update(risk=Risk.HIGH)
    reader.read_on()
    return made


def test_the_page_lists_what_is_unread_and_the_bar_counts_it(desk, risky):
    page = desk.page("/notices/")

    said = page.text()
    assert "A draft of high risk waits" in said
    assert "Plates[U+202E] broken" in said
    [place] = [a for a in page.all("a") if a.get("data-command") == "notices"]
    assert page.text(place) == "Notices 1"


def test_a_notice_of_another_mailbox_is_not_there(eve, risky):
    client = browser(eve)

    assert "Nothing is unread." in client.page("/notices/").text()
    notice = Notice.objects.get()
    assert client.post(f"/notices/{notice.public_id}/read/").status_code == 404
    assert not NoticeRead.objects.exists()


def test_somebody_who_may_not_decide_is_not_told_of_what_waits(bob, risky):
    assert "Nothing is unread." in browser(bob).page("/notices/").text()


def test_to_look_marks_nothing(desk, risky):
    desk.get("/notices/")
    desk.get(Notice.objects.get().path)

    assert "A draft of high risk waits" in desk.page("/notices/").text()


def test_one_can_be_marked_as_read_and_stays_in_the_list_of_all(desk, risky):
    desk.post(f"/notices/{Notice.objects.get().public_id}/read/")

    assert "Nothing is unread." in desk.page("/notices/").text()
    assert "A draft of high risk waits" in desk.page("/notices/?show=all").text()


def test_all_that_was_listed_is_marked_and_what_came_later_is_not(desk, support, risky):
    newest = Notice.objects.latest("pk").pk
    later = scenes.draft_in_thread(support)
    Draft.objects.filter(pk=later.pk).update(risk=Risk.HIGH)
    reader.read_on()

    desk.post("/notices/read/", {"up_to": newest})

    page = desk.page("/notices/")
    assert [a.get("href") for a in page.all("a") if "/drafts/" in (a.get("href") or "")] == [
        f"/drafts/{later.public_id}/"
    ]


def test_what_was_settled_says_by_whom_and_counts_no_more(desk, alice, risky):
    drafts.reject(risky.pk, person=alice, seen=scenes.seen(risky), reason="Wrong plates.", form_id=None)
    reader.read_on()

    assert "Nothing is unread." in desk.page("/notices/").text()
    assert "Rejected by Alice Reviewer" in desk.page("/notices/?show=all").text()


def test_a_digest_says_when_the_first_of_its_drafts_expires(desk, alice):
    facts = {"waiting": 2, "new": 0, "expires_at": scenes.START.isoformat()}
    Notice.objects.create(
        key="digest", kind="digest", event="digest", person=alice, path="/", made_at=scenes.START, facts=facts
    )

    assert "First expires" in desk.page("/notices/").text()


@pytest.mark.parametrize("path", ["/notices/read/", "/notices/00000000-0000-0000-0000-000000000000/read/"])
def test_marking_takes_a_post(desk, path):
    assert desk.get(path).status_code == 405


def test_the_list_has_pages(desk, support):
    for number in range(35):
        Notice.objects.create(
            key=f"k{number}", kind="resumed", event="e", mailbox=support, path="/", made_at=scenes.START
        )

    first = desk.page("/notices/")
    [more] = [a for a in first.all("a") if a.get("rel") == "next"]
    second = desk.page(more.get("href"))

    assert (len(first.classed("told__row")), len(second.classed("told__row"))) == (
        30,
        5,
    )


SETTINGS = {
    "email": "alice@people.example",
    "digest": "daily",
    "digest_at": "07:30",
    "zone": "Europe/Berlin",
    "quiet_from": "22:00",
    "quiet_until": "06:00",
    **{kind: "digest" for kind in CHOSEN},
}


def test_a_person_chooses_how_to_be_told(desk, alice):
    response = desk.post("/notices/settings/", SETTINGS)

    assert response.status_code == 302
    kept = NoticeSettings.objects.get(person=alice)
    assert (kept.digest_at, kept.zone, kept.quiet_from) == (time(7, 30), "Europe/Berlin", time(22))
    assert set(kept.hows.values()) == {"digest"}
    alice.refresh_from_db()
    assert alice.email == "alice@people.example"
    page = desk.page("/notices/settings/")
    values = page.form_values_of_post("/notices/settings/")
    assert (values["waiting"], values["quiet_until"]) == (["digest"], "06:00")


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("email", "nobody", "valid email"),
        ("quiet_until", "", "both a begin and an end"),
        ("quiet_until", "22:00", "another time"),
        ("digest_at", "soon", "time of day"),
        ("zone", "Mars/Base", "valid choice"),
    ],
)
def test_a_wrong_setting_is_named_and_what_was_typed_stays(desk, alice, field, typed, said):
    page = desk.submit("/notices/settings/", SETTINGS | {field: typed})

    assert page.status == 422
    assert said in page.text()
    assert page.form_values_of_post("/notices/settings/")["quiet_from"] == "22:00"
    assert not NoticeSettings.objects.exists()


def test_the_settings_say_when_nothing_can_be_mailed(desk, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = ""

    assert "This desk has no mail server" in desk.page("/notices/settings/").text()
