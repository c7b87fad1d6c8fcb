"""The channels of notices: admins set them, secrets are shown once or never, and nobody else sees them."""

from datetime import UTC, datetime

import pytest
from django.core.cache import cache

from approvals.notices import channels
from approvals.notices.kinds import ON_CHANNELS
from approvals.notices.models import NoticeCard, NoticeChannel
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser

TOKEN = "xoxb-the-token-of-the-bot"
NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
LIST = "/policies/notices/"
BOT = {
    "version": 0,
    "name": "Desk",
    "kind": "slack_bot",
    "target": "C024BE91L",
    "secret": TOKEN,
    "mailbox": "",
    "kinds": [*ON_CHANNELS],
    "signature_header": "X-Countersign-Signature",
    "password": scenes.PASSWORD,
}
PROGRAM = BOT | {"kind": "webhook", "target": "http://127.0.0.1:9/hook", "secret": ""}


@pytest.fixture
def admin(carol, settings):
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    # How often a password was asked for again is counted there.
    cache.clear()
    return browser(carol)


@pytest.fixture
def bot(support):
    return channels.make(
        actor=scenes.SYSTEM,
        name="Desk",
        kind="slack_bot",
        mailbox=support,
        kinds=ON_CHANNELS,
        target="C024BE91L",
        secret=TOKEN,
    )


@pytest.fixture
def program(admin):
    return channels.make(
        actor=scenes.SYSTEM,
        name="Program",
        kind="webhook",
        mailbox=None,
        kinds=ON_CHANNELS,
        target="http://127.0.0.1:9/hook",
    )


def paths(channel):
    one = f"{LIST}{channel.public_id}/"
    gets = [LIST, f"{LIST}new/", one, f"{one}edit/", f"{one}remove/"]
    posts = [f"{LIST}new/", f"{one}edit/", f"{one}test/", f"{one}secret/", f"{one}remove/"]
    return [("get", path) for path in gets] + [("post", path) for path in posts]


@pytest.mark.parametrize("who", ["alice", "bob", "dave", "eve", "mallory"])
def test_only_an_admin_gets_to_the_channels(bot, who, request):
    client = browser(request.getfixturevalue(who))

    assert {getattr(client, method)(path).status_code for method, path in paths(bot)} == {403}
    assert NoticeChannel.objects.get().version == 1


def test_a_stranger_is_sent_to_the_sign_in_page(bot):
    answers = [getattr(browser(), method)(path) for method, path in paths(bot)]

    assert {one.status_code for one in answers} == {302}
    assert all(one["Location"].startswith("/accounts/login/") for one in answers)


def test_a_channel_that_is_not_there_is_not_found(admin):
    assert admin.get(f"{LIST}00000000-0000-0000-0000-000000000000/").status_code == 404


def test_a_bot_is_made_and_its_token_never_shown(admin, support):
    assert admin.page(f"{LIST}new/").status == 200
    response = admin.post(f"{LIST}new/", BOT | {"mailbox": str(support.public_id)})

    made = NoticeChannel.objects.get()
    assert response["Location"] == f"{LIST}{made.public_id}/"
    assert made.mailbox == support
    for path in (LIST, f"{LIST}{made.public_id}/", f"{LIST}{made.public_id}/edit/"):
        page = admin.page(path)
        assert page.status == 200
        assert TOKEN not in page.html
        assert made.sealed not in page.html


def test_the_secret_of_a_webhook_is_shown_once(admin):
    page = admin.submit(f"{LIST}new/", PROGRAM)

    secret = channels.secret_of(NoticeChannel.objects.get())
    assert secret in page.text()
    assert secret not in admin.page(f"{LIST}{NoticeChannel.objects.get().public_id}/").html


def test_a_new_secret_of_a_webhook_takes_the_password(admin, program):
    one = f"{LIST}{program.public_id}/"
    before = channels.secret_of(program)
    for password in ("", "wrong"):
        page = admin.submit(f"{one}secret/", {"version": 1, "password": password})
        assert page.status == 422
        assert channels.secret_of(NoticeChannel.objects.get()) == before

    renewed = admin.submit(f"{one}secret/", {"version": 1, "password": scenes.PASSWORD})

    now = channels.secret_of(NoticeChannel.objects.get())
    assert now != before
    assert now in renewed.text()
    assert now not in admin.page(one).html


def test_a_new_secret_for_an_older_version_is_a_conflict(admin, program):
    page = admin.submit(f"{LIST}{program.public_id}/secret/", {"version": 7, "password": scenes.PASSWORD})

    assert page.status == 409
    assert "Somebody else changed this channel" in page.text()


def test_a_bot_has_no_secret_that_is_made_here(admin, bot):
    assert "Make a new secret" not in admin.page(f"{LIST}{bot.public_id}/").text()
    assert admin.submit(f"{LIST}{bot.public_id}/secret/", {"version": 1}).status == 409


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "Give the channel a name."),
        ({"target": "not an id!"}, "Give the id of the Slack channel"),
        ({"secret": "password"}, "Give the token of the bot"),
        ({"kinds": []}, "Choose at least one kind"),
        ({"password": "wrong"}, "That is not your password."),
        ({"kind": "webhook", "target": "https://192.168.0.1/x"}, "inside a private network"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(admin, fields, said):
    page = admin.submit(f"{LIST}new/", BOT | fields)

    assert page.status == 422
    assert said in page.text()
    assert not NoticeChannel.objects.exists()


def test_a_change_keeps_the_secret_unless_another_is_typed(admin, bot):
    sealed = bot.sealed
    fields = BOT | {"version": 1, "name": "Night desk", "secret": "", "is_on": "on"}
    admin.post(f"{LIST}{bot.public_id}/edit/", fields)

    bot.refresh_from_db()
    assert (bot.name, bot.sealed, bot.mailbox) == ("Night desk", sealed, None)
    admin.post(f"{LIST}{bot.public_id}/edit/", fields | {"version": 2, "secret": f"{TOKEN}-2"})
    bot.refresh_from_db()
    assert bot.sealed != sealed


def test_a_change_of_an_older_version_is_a_conflict(admin, bot):
    page = admin.submit(f"{LIST}{bot.public_id}/edit/", BOT | {"version": 7, "name": "Night desk"})

    assert page.status == 409
    assert "Somebody else changed this channel" in page.text()
    assert page.form_values_of_post(f"{LIST}{bot.public_id}/edit/")["name"] == "Night desk"


def test_a_test_stands_in_the_log(admin, bot):
    admin.post(f"{LIST}{bot.public_id}/test/")

    assert NoticeCard.objects.get().notice is None
    assert "A test" in admin.page(f"{LIST}{bot.public_id}/").text()
    assert Entry.objects.filter(action="approvals.notice_channel.tested").count() == 1


def test_removing_an_older_version_is_a_conflict(admin, bot):
    page = admin.submit(f"{LIST}{bot.public_id}/remove/", {"version": 7})

    assert page.status == 409
    assert NoticeChannel.objects.exists()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"next_try_at": NOW}, "Waits"),
        ({"shown": 1}, "Put up"),
        ({"shown": 2, "wanted": 2}, "Settled there"),
        ({"wanted": 2}, "Not needed any more"),
        ({"shown": 1, "given_up_at": NOW}, "Given up"),
    ],
)
def test_the_log_says_what_became_of_a_card(admin, bot, fields, word):
    NoticeCard.objects.create(channel=bot, made_at=NOW, **fields)

    assert word in admin.page(f"{LIST}{bot.public_id}/").text()


def test_a_channel_is_removed_once_the_page_that_says_what_that_means_was_sent(admin, bot):
    page = admin.page(f"{LIST}{bot.public_id}/remove/")
    assert "its log is deleted" in page.text()
    assert NoticeChannel.objects.exists()

    admin.post(f"{LIST}{bot.public_id}/remove/", {"version": 1})

    assert not NoticeChannel.objects.exists()
    assert "“Desk” is removed." in admin.page(LIST).text()


def test_the_changes_of_policies_name_a_channel_in_words(admin, bot):
    assert "Channel of notices" in admin.page("/policies/").text()
