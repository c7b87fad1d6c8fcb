"""Notices by email, on a real mail server: who gets what and when, once, and no words of strangers as ours."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from agentmail.models import Mailbox
from approvals.models import Draft, Membership, Risk, Role
from approvals.notices import digests, expiring, keeping, listing, mail, reader, standing, wishes
from approvals.notices.models import Notice, NoticeKind, NoticeMail, NoticeSettings
from audit.models import Entry
from tests.approvals.conftest import age, approve
from tests.approvals.mail_server import MailServer
from tests.processes import ROOT, test_database_url


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    with MailServer() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.BASE_URL = "https://desk.example"
        yield server


@pytest.fixture
def alice(alice: User) -> User:
    User.objects.filter(pk=alice.pk).update(email="alice@people.example")
    alice.refresh_from_db()
    return alice


def risky(draft: Draft) -> Draft:
    Draft.objects.filter(pk=draft.pk).update(risk=Risk.HIGH)
    draft.refresh_from_db()
    return draft


def wish(person: User, **fields: Any) -> NoticeSettings:
    given = {
        "digest": "daily",
        "digest_at": time(8),
        "zone": "UTC",
        "quiet_from": None,
        "quiet_until": None,
        "urgent_breaks_quiet": False,
    } | fields
    return wishes.keep(person, email=person.email, hows=given.pop("hows", {}), **given)


def tell(mailbox: Mailbox, number: int = 1, **fields: Any) -> Notice:
    with transaction.atomic():
        made = keeping.notify(
            fields.pop("kind", NoticeKind.WAITING),
            key=f"test:{number}",
            path="/notices/",
            mailbox_id=mailbox.pk,
            **fields,
        )
    assert made is not None
    return made


def wait_over() -> None:
    """Let the time come that mails wait for."""
    NoticeMail.objects.filter(next_try_at__isnull=False).update(next_try_at=F("made_at"))


def until(is_so: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not is_so():
        assert monotonic() < deadline, "it never came to be"


def digest_due(person: User) -> None:
    NoticeSettings.objects.filter(person=person).update(next_digest_at=F("last_digest_at"))


def test_high_risk_is_mailed_at_once_to_who_may_decide(
    pending: Draft, alice: User, bruno: User, server: MailServer
) -> None:
    risky(pending)
    reader.read_on()

    assert mail.deliver_due() == 1

    [got] = server.taken
    assert got["To"] == "alice@people.example"
    assert got["Subject"] == "[Countersign] A draft of high risk waits (support@harbour.example)"
    text = got.get_body(("plain",)).get_content()
    assert f"https://desk.example/drafts/{pending.public_id}/" in text
    assert "Re: Where is my order?" in text
    assert "Thursday" not in text
    assert mail.deliver_due() == 0


def test_a_mail_says_that_a_program_wrote_it_and_threads_by_its_draft(
    pending: Draft, alice: User, server: MailServer
) -> None:
    risky(pending)
    reader.read_on()
    whole = pending.expires_at - pending.arrived_at
    age(pending, arrived_at=whole * 0.8, expires_at=whole * 0.8)
    expiring.warn()

    mail.deliver_due()

    first, second = server.taken
    assert first["Auto-Submitted"] == "auto-generated"
    assert "notices.desk.example" in first["List-Id"]
    assert first["References"] == second["References"]
    assert str(pending.public_id) in first["References"]
    assert first["Message-ID"] != second["Message-ID"]


def test_words_of_a_mail_are_quoted_with_what_would_deceive_made_visible(
    agent_writes: Callable[..., Draft], alice: User, server: MailServer
) -> None:
    risky(agent_writes(subject="Pay\u202eecived <b>now</b> " + "x" * 300))
    reader.read_on()

    mail.deliver_due()

    [got] = server.taken
    assert "\u202e" not in got.as_string()
    assert "Pay" not in got["Subject"]
    text = got.get_body(("plain",)).get_content()
    [line] = [one for one in text.splitlines() if one.startswith("Subject:")]
    assert "Pay[U+202E]ecived <b>now</b>" in line
    assert len(line) < 140
    assert "<b>now" not in got.get_body(("html",)).get_content()


def test_no_address_in_a_mail_holds_more_than_the_place_of_a_page(
    pending: Draft, alice: User, server: MailServer
) -> None:
    risky(pending)
    reader.read_on()
    mail.deliver_due()

    words = server.taken[0].get_body(("plain",)).get_content().split()
    links = [one for one in words if one.startswith("https://")]
    assert links == [
        f"https://desk.example/drafts/{pending.public_id}/",
        "https://desk.example/notices/settings/",
    ]


def test_nothing_is_mailed_where_no_mail_server_is_named(pending: Draft, alice: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = ""
    risky(pending)
    reader.read_on()

    assert mail.deliver_due() == 0
    assert NoticeMail.objects.get().tries == 0


def test_who_loses_the_right_before_the_mail_goes_gets_none(
    pending: Draft, alice: User, server: MailServer
) -> None:
    risky(pending)
    reader.read_on()
    Membership.objects.filter(user=alice).delete()

    assert mail.deliver_due() == 0
    assert server.taken == []


def test_what_is_decided_before_the_mail_goes_is_not_mailed(
    pending: Draft, alice: User, bruno: User, server: MailServer
) -> None:
    risky(pending)
    reader.read_on()
    approve(pending, bruno)
    reader.read_on()

    assert mail.deliver_due() == 0


def test_a_burst_of_a_thousand_drafts_makes_one_digest(
    pending: Draft, mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    wish(alice)
    NoticeSettings.objects.update(last_digest_at=pending.arrived_at - timedelta(hours=1))
    Draft.objects.filter(pk=pending.pk).update(risk=Risk.NORMAL)
    copies = []
    for number in range(999):
        copy = Draft.objects.get(pk=pending.pk)
        copy.pk, copy.current_revision_id = None, None
        copy.public_id = uuid.uuid4()
        copy.provider_draft_id = f"copy-{number}"
        copies.append(copy)
    Draft.objects.bulk_create(copies)
    reader.read_on()
    NoticeSettings.objects.update(next_digest_at=F("last_digest_at"))

    assert digests.make_due() == 1
    assert mail.deliver_due() == 1

    assert server.subjects() == ["[Countersign] 999+ drafts wait for you"]
    assert digests.make_due() == 0


def test_many_notices_of_high_risk_at_once_are_one_mail(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    for number in range(60):
        tell(mailbox, number)

    assert mail.deliver_due() == 1

    assert server.subjects() == ["[Countersign] 60 notices"]
    assert "and 10 more" in server.taken[0].get_body(("plain",)).get_content()
    assert NoticeMail.objects.filter(delivered_at__isnull=True).count() == 0


def test_a_person_gets_no_more_than_so_many_mails_an_hour(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    for number in range(mail.MAILS_PER_HOUR + 2):
        tell(mailbox, number)
        mail.deliver_due()
    assert len(server.taken) == mail.MAILS_PER_HOUR

    NoticeMail.objects.filter(delivered_at__isnull=False).update(
        delivered_at=F("delivered_at") - timedelta(hours=2)
    )
    wait_over()
    mail.deliver_due()

    assert len(server.taken) == mail.MAILS_PER_HOUR + 2


def test_the_rest_waits_for_the_digest_and_comes_with_it(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    wish(alice)
    tell(mailbox, kind=NoticeKind.NEEDS_PERSON, facts={"what": "Legal"})
    assert mail.deliver_due() == 0
    digest_due(alice)

    assert digests.make_due() == 1
    mail.deliver_due()

    [got] = server.taken
    assert got["Subject"] == "[Countersign] What happened since the last digest"
    assert "A message needs a person" in got.get_body(("plain",)).get_content()
    digest_due(alice)
    assert digests.make_due() == 0


def test_who_lost_the_right_to_all_that_happened_gets_no_empty_digest(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    other = Mailbox.objects.create(address="other@example.com", grant_id="other")
    Membership.objects.create(user=alice, mailbox=other, role=Role.REVIEWER)
    wish(alice)
    tell(mailbox, kind=NoticeKind.NEEDS_PERSON)
    Membership.objects.filter(user=alice, mailbox=mailbox).delete()
    digest_due(alice)

    assert digests.make_due() == 0
    assert mail.deliver_due() == 0
    assert server.taken == []


def test_a_digest_that_lost_all_it_tells_of_before_it_goes_is_not_mailed(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    other = Mailbox.objects.create(address="other@example.com", grant_id="other")
    Membership.objects.create(user=alice, mailbox=other, role=Role.REVIEWER)
    wish(alice)
    tell(mailbox, kind=NoticeKind.NEEDS_PERSON)
    digest_due(alice)
    assert digests.make_due() == 1
    Membership.objects.filter(user=alice, mailbox=mailbox).delete()

    assert mail.deliver_due() == 0
    assert server.taken == []


def test_who_marks_all_as_read_before_choosing_anything_gets_a_digest_all_the_same(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    listing.mark_all_read(alice, 1)
    tell(mailbox, kind=NoticeKind.NEEDS_PERSON)
    digest_due(alice)

    assert digests.make_due() == 1


def test_a_time_zone_that_is_known_no_more_keeps_no_mail_back(
    pending: Draft, alice: User, server: MailServer
) -> None:
    wish(alice)
    NoticeSettings.objects.update(zone="Mars/Base")
    risky(pending)
    reader.read_on()

    assert mail.deliver_due() == 1
    assert "(UTC)" in server.taken[0].get_body(("plain",)).get_content()


def test_what_a_person_does_not_want_is_not_mailed_and_stands_in_the_desk(
    pending: Draft, alice: User, server: MailServer
) -> None:
    wish(alice, hows={"waiting": "not"})
    risky(pending)
    reader.read_on()

    assert mail.deliver_due() == 0
    assert Notice.objects.filter(kind="waiting", closed_at__isnull=True).exists()


def around(now: datetime) -> dict[str, time]:
    """Quiet hours that hold at this moment, over midnight too."""
    return {
        "quiet_from": (now - timedelta(hours=1)).time().replace(second=0, microsecond=0),
        "quiet_until": (now + timedelta(hours=1)).time().replace(second=0, microsecond=0),
    }


def test_quiet_hours_keep_a_mail_back_and_do_not_lose_it(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    wish(alice, **around(datetime.now(UTC)))
    tell(mailbox, is_urgent=True)

    assert mail.deliver_due() == 0
    [row] = NoticeMail.objects.all()
    assert row.next_try_at > row.made_at + timedelta(minutes=50)

    NoticeSettings.objects.update(quiet_from=None, quiet_until=None)
    wait_over()
    assert mail.deliver_due() == 1


def test_high_risk_breaks_through_quiet_hours_only_if_the_person_chose_so(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    wish(alice, urgent_breaks_quiet=True, **around(datetime.now(UTC)))
    tell(mailbox, 1, is_urgent=True)
    tell(mailbox, 2, kind=NoticeKind.EXPIRING)

    assert mail.deliver_due() == 1
    assert server.subjects() == ["[Countersign] A draft of high risk waits (support@harbour.example)"]


@pytest.mark.parametrize(
    ("zone", "at", "now", "then"),
    [
        ("Europe/Berlin", time(8), "2026-11-26T06:00", "2026-11-26T07:00"),
        ("Europe/Berlin", time(8), "2026-11-26T07:00", "2026-11-27T07:00"),
        ("Europe/Berlin", time(8), "2026-07-01T07:00", "2026-07-02T06:00"),
        ("America/New_York", time(23, 30), "2026-11-26T12:00", "2026-11-27T04:30"),
        # The hour that a spring night does not have.
        ("Europe/Berlin", time(2, 30), "2026-03-28T12:00", "2026-03-29T01:30"),
    ],
)
def test_the_daily_digest_comes_when_the_person_s_own_clock_says_so(
    zone: str, at: time, now: str, then: str
) -> None:
    found = wishes.next_digest(
        NoticeSettings(digest="daily", digest_at=at, zone=zone),
        datetime.fromisoformat(now).replace(tzinfo=UTC),
    )
    assert found == datetime.fromisoformat(then).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-26T20:59", None),
        ("2026-11-26T21:00", "2026-11-27T06:00"),
        ("2026-11-27T05:59", "2026-11-27T06:00"),
        ("2026-11-27T06:00", None),
    ],
)
def test_quiet_hours_run_over_midnight_in_the_person_s_zone(now: str, until: str | None) -> None:
    found = wishes.quiet_until(
        NoticeSettings(zone="Europe/Berlin", quiet_from=time(22), quiet_until=time(7)),
        datetime.fromisoformat(now).replace(tzinfo=UTC),
        is_urgent=False,
    )
    assert found == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)


def test_a_draft_near_its_end_is_warned_about_once(pending: Draft, alice: User, server: MailServer) -> None:
    assert expiring.warn() == 0
    whole = pending.expires_at - pending.arrived_at
    age(pending, arrived_at=whole * 0.76, expires_at=whole * 0.76)

    assert expiring.warn() == 1
    assert expiring.warn() == 0
    mail.deliver_due()

    assert server.subjects() == ["[Countersign] A draft expires soon (support@harbour.example)"]


def test_a_refused_mail_is_tried_again_later_and_given_up_after_the_last_try(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    tell(mailbox)
    server.answer = "550 no such person"

    for tries in range(1, mail.TRIES + 1):
        assert mail.deliver_due() == 0
        row = NoticeMail.objects.get()
        assert row.tries == tries
        assert (row.given_up_at is None) == (tries < mail.TRIES)
        wait_over()

    assert "alice@" not in row.trouble
    server.answer = "250 taken"
    assert mail.deliver_due() == 0


def test_a_mail_server_that_is_gone_loses_nothing(
    mailbox: Mailbox, alice: User, server: MailServer, settings: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    settings.EMAIL_PORT = free
    tell(mailbox, 1)
    tell(mailbox, 2)
    assert mail.deliver_due() == 0
    # One try for all of them: the others wait without one.
    assert sorted(NoticeMail.objects.values_list("tries", flat=True)) == [0, 1]
    settings.EMAIL_PORT = server.port
    wait_over()

    mail.deliver_due()

    assert len(server.taken) == 2


def test_a_notice_that_cannot_be_put_into_words_keeps_no_other_from_going(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    tell(mailbox, 1, facts={"expires_at": "one of these days"})
    tell(mailbox, 2)

    assert mail.deliver_due() == 1
    assert sorted(NoticeMail.objects.values_list("tries", flat=True)) == [0, 1]


def test_wishes_are_recorded_without_what_they_say(alice: User) -> None:
    wish(alice, digest="hourly")

    entry = Entry.objects.get(action="approvals.notice_settings.changed")
    assert entry.data == {"fields": ["digest"]}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_mail_that_is_handed_over_twice_by_a_crash_is_the_same_mail(
    mailbox: Mailbox, alice: User, server: MailServer
) -> None:
    tell(mailbox)
    environment = {
        **os.environ,
        "DATABASE_URL": test_database_url(),
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(server.port),
        "PRODUCTION": "false",
        "FAILPOINT": "N2:1",
        "BASE_URL": "https://desk.example",
    }
    code = "import django; django.setup(); from approvals.notices import mail; mail.deliver_due()"
    died = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
        check=False,
    )
    assert died.returncode == -9
    assert len(server.taken) == 1

    # The lock of a process that died falls once the database has seen it go.
    until(lambda: mail.deliver_due() == 1)

    assert len({str(one["Message-ID"]).strip() for one in server.taken}) == 1
    assert len(server.taken) == 2


def test_the_condition_says_that_mails_fail(mailbox: Mailbox, alice: User, server: MailServer) -> None:
    assert standing.finding().standing == "well"
    tell(mailbox)
    server.answer = "451 later"
    mail.deliver_due()

    found = standing.finding()
    assert found.standing == "look"
    assert "1 mail to people could not be handed over." in found.says
