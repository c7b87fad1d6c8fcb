"""Exports that a worker writes: from the page where they are asked for to the file and its end."""

import csv
import hashlib
import io
import json
import stat
from datetime import timedelta

import pytest

from agentmail.models import Mailbox, Message
from approvals import exports, job_files, jobs
from approvals.models import Job, JobKind, Membership, SentMessage
from audit.clock import database_now
from audit.models import Entry
from policies.models import RecipientEntry, RecipientKind
from tests.pages import scenes, sends
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db

REPORT, REPORT_EXPORT = "/audit/report/", "/audit/report/export/"
LISTS, LISTS_EXPORT = "/policies/recipients/", "/policies/recipients/export/"
MANY = exports.AT_ONCE_ROWS + 1


@pytest.fixture
def noor(support):
    return scenes.person("noor", "auditor", support, name="Noor Auditor")


@pytest.fixture
def stray(support):
    """A mail that a report lists."""
    stray_messages(support, 1)


def asked(person, path=REPORT_EXPORT):
    client = browser(person)
    return client, client.post(path)["Location"]


def exported(person, path=REPORT_EXPORT):
    """Ask for an export and let a worker write it."""
    client, address = asked(person, path)
    jobs.work(Job.objects.latest("pk").kind)
    return client, address


def region(page):
    [found] = page.all("div", id="export")
    return found


def downloaded(client, address):
    response = client.get(f"{address}file/")
    assert response.status_code == 200
    return response, b"".join(response.streaming_content)


def entries(count, scope="global"):
    RecipientEntry.objects.bulk_create(
        RecipientEntry(kind=RecipientKind.ALLOW, scope=scope, pattern=f"n{number:04}.example.com")
        for number in range(count)
    )


def stray_messages(box, count):
    made = Message.objects.bulk_create(
        Message(mailbox=box, provider_id=f"m{number}", thread_id="t", date=1) for number in range(count)
    )
    SentMessage.objects.bulk_create(
        SentMessage(message=message, mailbox=box, noted_at=database_now()) for message in made
    )


@pytest.mark.django_db(transaction=True)
def test_a_report_that_a_worker_wrote_is_the_one_that_is_downloaded_at_once(support, alice, noor, stray):
    Mailbox.objects.update(undo_seconds=0)
    support.refresh_from_db()
    sends.accepted(scenes.draft(support, subject="Two plates"), alice)
    at_once = json.loads(b"".join(browser(noor).get(REPORT_EXPORT).streaming_content))

    response, data = downloaded(*exported(noor))

    assert response["Content-Type"] == "application/json"
    assert response["Content-Disposition"].startswith('attachment; filename="oversight-report-')
    told = json.loads(data)
    assert told.pop("made_at") > at_once.pop("made_at")
    assert told == at_once
    assert [mail["subject"] for mail in told["mails"]] == ["Two plates"]


def test_the_page_shows_the_progress_and_then_the_file(noor, stray):
    client, address = asked(noor)
    page = client.page(address)
    asks = region(page).get("hx-get")
    assert "Oversight report under way" in page.text()
    assert client.get(asks).status_code == 204

    jobs.work(JobKind.OVERSIGHT_REPORT)

    answer = client.get(asks).content.decode()
    assert answer.startswith('<div class="stack" id="export">')
    assert "1 of 1 mails" in answer
    page = client.page(address)
    assert page.all("a", href=f"{address}file/")
    assert region(page).get("hx-get") is None


def test_the_page_tells_size_and_digest_of_the_file(noor, stray):
    client, address = exported(noor)
    _response, data = downloaded(client, address)

    text = client.page(address).text()

    assert hashlib.sha256(data).hexdigest() in text
    assert Job.objects.get().file_bytes == len(data)


def test_the_file_is_for_the_user_of_the_desk_alone(noor, stray):
    exported(noor)

    path = job_files.path_of(Job.objects.get())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_lists_are_exported_as_the_filter_shows_them(carol):
    entries(600)
    RecipientEntry.objects.create(kind="deny", scope="global", pattern="closed.example.org")

    response, data = downloaded(*exported(carol, f"{LISTS_EXPORT}?kind=allow"))

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="recipients.csv"'
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert [row["pattern"] for row in rows] == [f"n{number:04}.example.com" for number in range(600)]


def test_long_lists_are_left_to_a_worker_and_short_ones_are_not(support, carol):
    entries(MANY - 1)
    client = browser(carol)
    assert client.page(LISTS).all("a", href=LISTS_EXPORT)
    assert list(client.get(LISTS_EXPORT).streaming_content)

    entries(1, support.scope)

    page = client.page(LISTS)
    assert not page.all("a", href=LISTS_EXPORT)
    assert page.all("form", method="post", action=LISTS_EXPORT)
    assert client.get(LISTS_EXPORT)["Location"] == LISTS


def test_a_long_report_is_left_to_a_worker(support, noor):
    stray_messages(support, MANY)
    client = browser(noor)
    [form] = [
        form for form in client.page(REPORT).all("form", method="post") if "export" in form.get("action")
    ]

    page = client.page(form.get("action"), follow=True)

    assert "This file has more than 1000 rows, so a worker writes it" in page.text()
    _response, data = downloaded(*exported(noor, form.get("action")))
    assert len(json.loads(data)["sent_elsewhere"]) == MANY


def test_a_second_export_waits_for_the_first(noor, stray):
    client, address = asked(noor)

    page = client.submit(REPORT_EXPORT, follow=True)

    assert "One at a time for each person" in page.text()
    assert page.all("a", href=address)
    assert Job.objects.count() == 1


def test_what_is_no_report_is_not_left_to_a_worker(noor):
    page = browser(noor).submit(f"{REPORT_EXPORT}?from=soon")

    assert page.status == 422
    assert not Job.objects.exists()


def test_the_export_of_somebody_else_does_not_exist(noor, bob, stray):
    _client, address = exported(noor)
    other = browser(bob)

    assert other.get(address).status_code == 404
    assert other.get(f"{address}file/").status_code == 404


def test_who_lost_the_right_meanwhile_gets_no_file(noor, orders, stray):
    client, address = exported(noor)
    Membership.objects.filter(user=noor).update(mailbox=orders)

    page = client.page(address)

    assert "It tells of what you may not read any more" in page.text()
    assert not page.all("a", href=f"{address}file/")
    assert client.get(f"{address}file/").status_code == 403


def test_who_may_see_fewer_lists_than_before_gets_no_file(support, orders):
    lena = scenes.person("lena", "list_editor", support)
    entries(1, support.scope)
    client, address = exported(lena, LISTS_EXPORT)
    assert downloaded(client, address)

    Membership.objects.filter(user=lena).update(mailbox=orders)

    assert client.get(f"{address}file/").status_code == 403


def test_a_report_covers_what_its_person_may_read_when_it_is_written(support, orders, noor):
    Membership.objects.create(user=noor, role="auditor", mailbox=orders)
    client, address = asked(noor)
    Membership.objects.filter(user=noor, mailbox=support).delete()

    jobs.work(JobKind.OVERSIGHT_REPORT)

    _response, data = downloaded(client, address)
    assert json.loads(data)["mailboxes"] == ["orders@example.com"]


def test_a_right_that_was_taken_before_its_turn_ends_the_export(noor, stray):
    client, address = asked(noor)
    Membership.objects.filter(user=noor).delete()

    jobs.work(JobKind.OVERSIGHT_REPORT)

    assert "You may not read the record of what you asked for any more." in client.page(address).text()
    assert job_files.path_of(Job.objects.get()) not in job_files.every()


def test_a_file_that_cannot_be_written_is_told_with_the_reason(noor, stray, settings, tmp_path):
    (tmp_path / "exports").write_text("no folder")
    settings.VAR_DIR = tmp_path
    client, address = exported(noor)

    text = client.page(address).text()

    assert "Oversight report failed" in text
    assert "Its file could not be written: " in text
    assert "Nothing was changed. Ask for it again." in text


def test_a_file_that_is_gone_from_the_disk_says_so(noor, stray):
    client, address = exported(noor)
    job_files.remove(Job.objects.get())

    page = client.page(f"{address}file/")

    assert page.status == 410
    assert "The file is gone from the disk of this desk. Ask for it again." in page.text()


def test_a_file_that_is_not_whole_is_not_handed_out(noor, stray):
    client, address = exported(noor)
    job_files.path_of(Job.objects.get()).write_text("{")

    assert client.get(f"{address}file/").status_code == 410


def test_an_old_file_is_deleted_and_its_page_says_so(noor, stray):
    client, address = exported(noor)
    path = job_files.path_of(Job.objects.get())
    Job.objects.update(ended_at=database_now() - timedelta(hours=jobs.KEPT_HOURS, minutes=1))

    jobs.forget_old()

    assert "What came of it is gone: it is kept for 24 hours" in client.page(address).text()
    assert not path.exists()
    assert client.get(f"{address}file/").status_code == 404


def test_a_file_that_is_not_written_yet_cannot_be_downloaded(noor, stray):
    client, address = asked(noor)

    assert client.get(f"{address}file/").status_code == 404


def test_an_export_changes_nothing_on_record(noor, stray, support):
    before = Entry.objects.exclude(action__startswith="approvals.sign_in").count()

    exported(noor)

    assert Entry.objects.exclude(action__startswith="approvals.sign_in").count() == before
