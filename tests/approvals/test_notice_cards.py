"""Notices on cards, on a real Slack server and a real receiver: up once, collapsed once settled, never a decision."""

from __future__ import annotations

import hmac
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from agentmail.models import Mailbox
from approvals.models import Draft, Risk
from approvals.notices import cards, channels, keeping, reader, standing
from approvals.notices.channels import ChannelRefused
from approvals.notices.kinds import ON_CHANNELS
from approvals.notices.models import Notice, NoticeCard, NoticeCardTry, NoticeChannel, NoticeKind
from audit.models import Entry
from audit.record import SYSTEM
from policies.models import Change
from tests.approvals.conftest import approve
from tests.approvals.slack import Slack, broken, limited
from tests.approvals.test_notice_mail import until
from tests.approvals.test_notifications import Listener
from tests.processes import ROOT, test_database_url

TOKEN = "xoxb-the-token-of-the-bot"


@pytest.fixture
def slack(settings: Any) -> Iterator[Slack]:
    slack = Slack()
    with slack.server:
        settings.NOTIFICATIONS_TO_LOOPBACK = True
        settings.BASE_URL = "https://desk.example"
        settings.SLACK_API_URL = slack.api
        yield slack


@pytest.fixture
def listener(settings: Any) -> Iterator[Listener]:
    settings.NOTIFICATIONS_TO_LOOPBACK = True
    settings.BASE_URL = "https://desk.example"
    listener = Listener()
    with listener.server:
        yield listener


def channel(kind: str, **fields: Any) -> NoticeChannel:
    given = {"name": "Desk", "mailbox": None, "kinds": ON_CHANNELS, "target": "C024BE91L", "secret": TOKEN}
    return channels.make(actor=SYSTEM, kind=kind, **given | fields)


def tell(mailbox: Mailbox, number: int = 1, **fields: Any) -> Notice:
    with transaction.atomic():
        made = keeping.notify(
            NoticeKind.NEEDS_PERSON, key=f"test:{number}", path="/needs/", mailbox_id=mailbox.pk, **fields
        )
    assert made is not None
    return made


def settle(notice: Notice, by: str = "Bob") -> None:
    with transaction.atomic():
        keeping.close(Notice.objects.filter(pk=notice.pk), by=by, settled="closed")


def deliver() -> int:
    return sum(cards.deliver_to(one) for one in cards.due_channels())


def wait_over() -> None:
    """Let the time come that cards and their channels wait for."""
    NoticeCard.objects.filter(next_try_at__isnull=False).update(next_try_at=F("made_at"))
    NoticeChannel.objects.filter(waits_until__isnull=False).update(waits_until=F("secret_made_at"))


def test_a_card_goes_up_and_collapses_once_the_draft_is_decided(
    pending: Draft, alice: User, bruno: User, slack: Slack
) -> None:
    channel("slack_bot")
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.HIGH)
    reader.read_on()
    assert deliver() == 1
    known_by = {"id": str(NoticeCard.objects.get().public_id)}
    [card] = slack.words()
    assert "A draft of high risk waits" in card
    assert "Where is my order?" in card
    assert f"https://desk.example/drafts/{pending.public_id}/" in card

    pending.refresh_from_db()
    approve(pending, bruno)
    reader.read_on()
    assert deliver() == 1

    assert [json.loads(one.body)["metadata"]["event_payload"] for one in slack.requests] == [known_by] * 2
    [card] = slack.words()
    closed = Notice.objects.get(kind="waiting").closed_at
    assert f"Approved by Bruno at {closed:%H:%M} UTC" in card
    assert "Where is my order?" not in card
    assert [one.target for one in slack.requests] == ["/api/chat.postMessage", "/api/chat.update"]
    assert deliver() == 0


def test_a_card_offers_nothing_that_decides(mailbox: Mailbox, slack: Slack) -> None:
    channel("slack_bot")
    tell(mailbox)
    deliver()

    [message] = slack.messages.values()
    assert {one["type"] for one in message["blocks"]} <= {"header", "section", "context"}
    assert not any("accessory" in one or one["type"] in ("actions", "input") for one in message["blocks"])


def test_words_of_strangers_are_neither_mentions_nor_links(mailbox: Mailbox, slack: Slack) -> None:
    channel("slack_bot")
    tell(mailbox, facts={"subject": "<!channel> <https://evil.example|Open it>\u202e"})
    deliver()

    [message] = slack.messages.values()
    assert "evil.example" not in message["text"]
    said = [f for block in message["blocks"] for f in block.get("fields", [])]
    assert [one["type"] for one in said if "evil.example" in one["text"]] == ["plain_text"]
    assert "[U+202E]" in json.dumps(said)


def test_an_incoming_webhook_cannot_change_a_card_so_it_says_in_another_how_it_ended(
    mailbox: Mailbox, slack: Slack
) -> None:
    channel("slack_webhook", target="", secret=slack.hook)
    notice = tell(mailbox)
    deliver()
    settle(notice)
    deliver()

    first, second = slack.words()
    assert "A message needs a person" in first
    assert "Closed by Bob at" in second


def test_what_is_settled_before_its_card_went_up_never_goes_up(mailbox: Mailbox, slack: Slack) -> None:
    channel("slack_bot")
    settle(tell(mailbox))

    assert deliver() == 0
    assert slack.messages == {}


@pytest.mark.parametrize(("asked", "waited"), [(120, 120), (86_400, 3600)])
def test_slack_is_left_alone_for_as_long_as_it_asks_but_an_hour_at_most(
    mailbox: Mailbox, slack: Slack, asked: int, waited: int
) -> None:
    made = channel("slack_bot")
    tell(mailbox, 1)
    tell(mailbox, 2)
    slack.faults = [limited(asked)]

    assert deliver() == 0
    assert deliver() == 0

    assert len(slack.requests) == 1
    made.refresh_from_db()
    assert made.waits_until is not None
    left = (made.waits_until - NoticeCardTry.objects.get().at).total_seconds()
    assert waited - 20 < left < waited + 20
    assert set(NoticeCard.objects.values_list("tries", flat=True)) == {0}
    wait_over()
    assert deliver() == 2


def test_a_slack_that_fails_is_tried_again_and_given_up_after_the_last_try(
    mailbox: Mailbox, slack: Slack
) -> None:
    channel("slack_bot")
    tell(mailbox)
    slack.faults = [broken() for _ in range(cards.TRIES)]

    for tries in range(1, cards.TRIES + 1):
        assert deliver() == 0
        card = NoticeCard.objects.get()
        assert (card.tries, card.given_up_at is None) == (tries, tries < cards.TRIES)
        wait_over()

    assert deliver() == 0
    assert list(NoticeCardTry.objects.values_list("status", flat=True)) == [500] * cards.TRIES


@pytest.mark.parametrize("kind", ["slack_bot", "slack_webhook"])
def test_an_archived_channel_is_switched_off_and_the_record_says_why(
    mailbox: Mailbox, slack: Slack, kind: str
) -> None:
    made = channel(kind, **({"target": "", "secret": slack.hook} if kind == "slack_webhook" else {}))
    tell(mailbox)
    slack.is_archived = True

    deliver()

    made.refresh_from_db()
    assert not made.is_on
    assert "archived" in made.trouble
    entry = Entry.objects.filter(action="policies.row.changed").latest("sequence")
    assert entry.data["after"] == {"is_on": False}
    assert "archived" in entry.reason
    assert NoticeCard.objects.get().given_up_at is not None


def test_a_card_that_is_gone_in_slack_is_let_go_and_the_channel_goes_on(
    mailbox: Mailbox, slack: Slack
) -> None:
    made = channel("slack_bot")
    notice = tell(mailbox)
    deliver()
    slack.messages.clear()
    settle(notice)
    tell(mailbox, 2)

    deliver()

    assert len(slack.messages) == 1
    made.refresh_from_db()
    assert made.is_on
    assert made.failing_since is None


def test_a_burst_is_one_card(mailbox: Mailbox, slack: Slack) -> None:
    channel("slack_bot")
    told = [tell(mailbox, number) for number in range(40)]

    deliver()
    for notice in told[1:]:
        settle(notice)
    deliver()

    assert len(slack.requests) == 1
    assert "40 notices" in slack.words()[0]


def test_a_card_of_a_burst_collapses_once_the_last_of_it_is_settled(mailbox: Mailbox, slack: Slack) -> None:
    channel("slack_bot")
    told = [tell(mailbox, number) for number in range(cards.SINGLE + 1)]
    deliver()
    for notice in told:
        settle(notice)

    deliver()

    assert [one.target for one in slack.requests] == ["/api/chat.postMessage", "/api/chat.update"]
    [card] = slack.words()
    assert "6 notices" in card
    assert "All settled, the last at" in card
    assert deliver() == 0


def test_a_burst_that_is_settled_before_its_card_went_up_never_goes_up(
    mailbox: Mailbox, slack: Slack
) -> None:
    slack.faults = [limited(1)]
    channel("slack_bot")
    told = [tell(mailbox, number) for number in range(cards.SINGLE + 1)]
    deliver()
    for notice in told:
        settle(notice)
    wait_over()

    deliver()

    assert slack.messages == {}


def test_a_slack_that_never_answers_keeps_no_other_channel_waiting(
    mailbox: Mailbox, slack: Slack, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limits of the connection, shortened: the test waits for them.
    monkeypatch.setattr("approvals.outgoing.READ_SECONDS", 0.5)
    slack.hangs.set()
    hung = channel("slack_bot")
    other = channel("webhook", target=listener.url, secret="")
    tell(mailbox)

    assert cards.deliver_to(hung.pk) == 0
    assert cards.due_channels() == [other.pk]
    assert cards.deliver_to(other.pk) == 1


def test_a_program_is_told_signed_of_a_notice_and_of_its_end(mailbox: Mailbox, listener: Listener) -> None:
    made = channel("webhook", target=listener.url, secret="", signature_header="X-Desk")
    notice = tell(mailbox, facts={"what": "Legal"})
    deliver()
    settle(notice)
    deliver()

    first, second = listener.server.requests
    told = json.loads(first.body)
    assert (told["type"], told["data"]["kind"], told["data"]["settled"]) == (
        "notice.created",
        "needs_person",
        "",
    )
    assert told["data"]["notice"] == str(notice.public_id)
    assert told["data"]["url"] == "https://desk.example/needs/"
    assert told["id"] == first.headers["webhook-id"]
    secret = channels.secret_of(made).encode()
    assert first.headers["x-desk"] == hmac.new(secret, first.body, "sha256").hexdigest()
    ended = json.loads(second.body)
    assert ended["type"] == "notice.updated"
    assert ended["data"]["notice"] == str(notice.public_id)
    assert ended["data"]["settled"].startswith("Closed by Bob at ")


def test_a_program_that_is_told_of_a_burst_is_told_nothing_of_one_of_them_alone(
    mailbox: Mailbox, listener: Listener
) -> None:
    channel("webhook", target=listener.url, secret="")
    for number in range(cards.SINGLE + 1):
        tell(mailbox, number, is_urgent=number == cards.SINGLE)
    deliver()

    [request] = listener.server.requests
    told = json.loads(request.body)["data"]
    assert (told["notice"], told["kind"], told["mailbox"]) == ("", "", "")
    assert told["is_urgent"]


def test_an_event_that_is_posted_again_is_the_same_to_the_letter(
    mailbox: Mailbox, listener: Listener
) -> None:
    channel("webhook", target=listener.url, secret="")
    tell(mailbox)
    listener.status = 500
    deliver()
    wait_over()
    listener.status = 200
    deliver()

    first, second = listener.server.requests
    assert first.body == second.body


def test_a_channel_of_a_mailbox_is_told_of_no_other(mailbox: Mailbox, listener: Listener) -> None:
    other = Mailbox.objects.create(grant_id="other", address="other@harbour.example")
    channel("webhook", target=listener.url, secret="", mailbox=other)
    tell(mailbox)

    assert deliver() == 0


def test_a_channel_is_told_of_the_kinds_it_is_for(mailbox: Mailbox, listener: Listener) -> None:
    channel("webhook", target=listener.url, secret="", kinds=["stopped"])
    tell(mailbox)

    assert deliver() == 0


def test_no_secret_of_a_channel_is_readable_in_the_database(mailbox: Mailbox, slack: Slack) -> None:
    bot = channel("slack_bot")
    hook = channel("slack_webhook", target="", secret=slack.hook)
    program = channel("webhook", target=f"{slack.server.uri}/x", secret="")

    stored = json.dumps(
        [list(model.objects.values()) for model in (NoticeChannel, Change, Entry)], default=str
    )
    assert TOKEN not in stored
    assert slack.hook not in stored
    assert channels.secret_of(program) not in stored
    recorded = json.dumps([list(Change.objects.values()), list(Entry.objects.values())], default=str)
    assert not [one for one in (bot.sealed, hook.sealed, program.salt) if one in recorded]


def test_a_channel_whose_secret_cannot_be_read_any_more_says_so(
    mailbox: Mailbox, slack: Slack, settings: Any
) -> None:
    made = channel("slack_bot")
    settings.SECRET_KEY = "another key of the site, as after a loss of the first one"
    tell(mailbox)

    deliver()

    made.refresh_from_db()
    assert not made.is_on
    assert "type it in again" in made.trouble


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "webhook", "target": "https://10.0.0.1/x"}, "target"),
        ({"kind": "webhook", "target": "https://169.254.169.254/x"}, "target"),
        ({"kind": "slack_webhook", "secret": "http://hooks.slack.example/x"}, "secret"),
        ({"kind": "slack_bot", "secret": "password"}, "secret"),
        ({"kind": "slack_bot", "target": "C1 <script>"}, "target"),
        ({"kind": "slack_bot", "name": " "}, "name"),
        ({"kind": "slack_bot", "kinds": ["digest"]}, "kinds"),
    ],
)
def test_a_channel_that_could_not_be_or_reach_inside_is_refused(
    db: None, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ChannelRefused) as refused:
        channel(**fields)
    assert refused.value.field == field


def test_a_test_is_put_up_and_recorded(mailbox: Mailbox, slack: Slack) -> None:
    made = channel("slack_bot")
    channels.send_test(made, actor=SYSTEM)

    assert deliver() == 1
    assert "A test from Countersign" in slack.words()[0]
    entry = Entry.objects.get(action="approvals.notice_channel.tested")
    assert entry.data == {"channel": str(made.public_id), "name": "Desk"}


def test_a_channel_that_is_switched_off_is_told_nothing_of_the_time_between(
    mailbox: Mailbox, slack: Slack
) -> None:
    made = channel("slack_bot")
    tell(mailbox, 1)
    fields = {"name": "Desk", "mailbox": None, "kinds": ON_CHANNELS, "target": "C024BE91L"}
    made = channels.change(made, version=made.version, actor=SYSTEM, is_on=False, **fields)
    tell(mailbox, 2)
    channels.change(made, version=made.version, actor=SYSTEM, is_on=True, **fields)

    assert deliver() == 0
    tell(mailbox, 3)
    assert deliver() == 1


def test_what_was_settled_long_ago_is_forgotten(mailbox: Mailbox, slack: Slack) -> None:
    channel("slack_bot")
    notice = tell(mailbox)
    deliver()
    settle(notice)
    assert keeping.forget_old() == 0
    Notice.objects.update(closed_at=F("closed_at") - timedelta(days=91))

    assert keeping.forget_old() == 1
    assert not NoticeCard.objects.exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_card_that_a_crash_puts_up_twice_has_one_id(mailbox: Mailbox, listener: Listener) -> None:
    made = channel("webhook", target=listener.url, secret="")
    tell(mailbox)
    environment = {
        **os.environ,
        "DATABASE_URL": test_database_url(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "NOTIFICATIONS_TO_LOOPBACK": "true",
        "PRODUCTION": "false",
        "FAILPOINT": "N3:1",
    }
    code = f"import django; django.setup(); from approvals.notices import cards; cards.deliver_to({made.pk})"
    died = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False)
    assert died.returncode == -9
    assert len(listener.server.requests) == 1

    # The lock of a process that died falls once the database has seen it go.
    until(lambda: deliver() == 1)

    first, second = listener.server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_the_condition_names_a_channel_that_fails_and_is_well_once_somebody_saw_to_it(
    mailbox: Mailbox, slack: Slack
) -> None:
    made = channel("slack_bot")
    assert standing.finding().standing == "well"
    tell(mailbox)
    slack.is_archived = True
    deliver()

    found = standing.finding()
    assert (found.standing, "Desk" in found.says) == ("look", True)
    made.refresh_from_db()
    fields = {"name": "Desk", "mailbox": None, "kinds": ON_CHANNELS, "target": "C024BE91L"}
    channels.change(made, version=made.version, actor=SYSTEM, is_on=False, **fields)
    assert standing.finding().standing == "well"
