"""The page of the oversight report, its printed form and its file: who reads them, and that they say the same."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.http import HttpResponse

from approvals import oversight_report, switchboard
from approvals.oversight_report import PAGE_ROWS
from audit.record import SYSTEM
from tests.pages import scenes, sends
from tests.pages.pages import browser, looked_at

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/audit/report/"
PATHS = (PATH, f"{PATH}print/", f"{PATH}export/")


def today():
    return datetime.now(UTC).date()


def streamed(person, path):
    response = browser(person).get(path)
    assert response.status_code == 200
    assert response.streaming
    return b"".join(response.streaming_content)


def printed(person, query=""):
    return looked_at(HttpResponse(streamed(person, f"{PATH}print/{query}")))


def told(person, query=""):
    return json.loads(streamed(person, f"{PATH}export/{query}"))


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def noor():
    return scenes.person("noor", "auditor", name="Noor Haddad")


@pytest.fixture
def sent_one(box, mara):
    return sends.accepted(scenes.draft(box, subject="Two plates"), mara, priya_nair=[("delivered", "")])


@pytest.mark.row("004-47")
def test_the_page_names_each_mail_with_who_decided_and_what_became_of_it(sent_one, noor):
    page = browser(noor).page(PATH)

    row = page.text(page.all("tbody")[-1])
    for said in (
        "Two plates",
        "priya.nair@example.org",
        "Delivered",
        "gated_send",
        "Mara Okafor",
        "Accepted",
        "after it arrived",
    ):
        assert said in row
    assert "1 decided by a person" in page.text()
    assert page.all("a", href=f"/drafts/{sent_one.draft.public_id}/")
    assert len(page.classed("report__person")) == 2  # the bar of today and the legend


@pytest.mark.row("004-47")
def test_page_print_and_file_have_the_same_numbers(box, mara, noor, sent_one):
    scenes.draft(box)
    switchboard.stop_as(SYSTEM, box.scope, reason="Wrong prices.")

    shown = browser(noor).page(PATH)
    paper = printed(noor)
    file = told(noor)

    report = shown.response.context["report"].to_json()
    assert {name: file[name] for name in report if name != "made_at"} == {
        name: value for name, value in json.loads(json.dumps(report)).items() if name != "made_at"
    }
    assert [mail["subject"] for mail in file["mails"]] == ["Two plates"]
    for page in (shown, paper):
        assert "1: 1 decided by a person, 0 by an oversight mode, 0 outside this desk" in page.text()
        assert "Wrong prices." in page.text()
        assert "Two plates" in page.text()


def test_the_page_is_paged_while_paper_and_file_have_every_mail(box, mara, noor):
    sends.uncapped(box)
    for number in range(PAGE_ROWS + 1):
        sends.accepted(scenes.draft(box, subject=f"Letter {number}."), mara)

    first = browser(noor).page(PATH)
    [more] = first.all("a", rel="next")
    second = browser(noor).page(more.get("href").partition("#")[0])

    assert "Letter 50." in first.text()
    assert "Letter 0." not in first.text()
    assert "Letter 0." in second.text()
    assert "51: 51 decided by a person" in first.text()
    assert "51: 51 decided by a person" in second.text()
    assert len(told(noor)["mails"]) == PAGE_ROWS + 1
    assert "Letter 0." in printed(noor).text()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("auditor", 200),
        ("admin", 200),
        ("operator", 200),
        ("reviewer", 403),
        ("list_editor", 403),
        (None, 403),
    ],
)
def test_who_may_read_the_whole_record_reads_the_report(box, path, role, status):
    who = scenes.person("who", role, *([box] if role not in (None, "admin") else []))

    assert browser(who).get(path).status_code == status


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_is_sent_to_the_sign_in_page(db, path):
    assert browser().get(path)["Location"].startswith("/accounts/login/")


def test_an_auditor_of_one_mailbox_reads_nothing_of_another(box, sent_one):
    other = scenes.mailbox("orders@example.com")
    gus = scenes.person("gus", "auditor", other)

    page = browser(gus).page(PATH)
    foreign = browser(gus).page(f"{PATH}?mailbox={box.public_id}")

    assert "Two plates" not in page.text()
    assert "support@example.com" not in page.text()
    assert foreign.status == 422
    assert told(gus)["mailboxes"] == ["orders@example.com"]


def test_a_mailbox_and_days_narrow_the_report_and_its_files(box, sent_one, noor):
    other = scenes.mailbox("orders@example.com")
    yesterday = today() - timedelta(days=1)

    assert "Two plates" not in browser(noor).page(f"{PATH}?mailbox={other.public_id}").text()
    page = browser(noor).page(f"{PATH}?from={yesterday}&to={yesterday}&mailbox={box.public_id}")

    assert "Nothing left in this period." in page.text()
    query = f"?from={yesterday}&to={yesterday}&mailbox={box.public_id}"
    for path in PATHS[1:]:
        assert page.all("a", href=path + query)
    file = told(noor, query)
    assert (file["from"], file["to"], file["mails"]) == (str(yesterday), str(yesterday), [])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?from=2024-01-01&to=2025-01-01", "are 367 days; a report covers 366 days at most."),
        ("?from=2025-01-02&to=2025-01-01", "From is not after to"),
        ("?to=2999-01-01", "at the latest"),
        ("?from=soon", "A day is written like"),
        ("?mailbox=x", "not a valid UUID"),
        ("?after=x", "This page address is damaged"),
    ],
)
def test_what_cannot_be_asked_is_named_and_stays_in_the_form(noor, path, query, said):
    page = browser(noor).page(path + query)

    assert page.status == 422
    assert said in page.text()
    assert page.all("input", name="from")


def test_the_record_leads_there_for_who_may_read_all_of_it(box, mara, noor):
    assert browser(noor).page("/audit/").all("a", href=PATH)
    assert not browser(mara).page("/audit/").all("a", href=PATH)


def test_the_file_is_named_after_its_days(noor):
    response = browser(noor).get(f"{PATH}export/?from=2025-01-01&to=2025-01-31")

    assert response["Content-Type"] == "application/json"
    assert response["Content-Disposition"] == (
        'attachment; filename="oversight-report-2025-01-01-2025-01-31.json"'
    )


def test_the_method_is_explained_on_page_and_in_the_file(noor):
    text = browser(noor).page(PATH).text()

    assert all(sentence in text for sentence in told(noor)["how_counted"])


def test_a_subject_that_looks_like_markup_stays_text(box, mara, noor):
    sends.accepted(scenes.draft(box, subject="<!-- mails --><b>x</b>"), mara)

    assert "<!-- mails --><b>x</b>" in browser(noor).page(PATH).text()
    assert "<!-- mails --><b>x</b>" in printed(noor).text()


@pytest.mark.parametrize("count", [1, 3])
def test_the_page_asks_the_database_equally_often_for_one_mail_and_three(box, mara, noor, count):
    for number in range(count):
        sends.accepted(scenes.draft(box), mara)
        switchboard.stop_as(SYSTEM, box.scope, reason=str(number))
        switchboard.release_as(SYSTEM, box.scope, reason=str(number))

    assert sends.questions(noor, PATH) == 27


def test_every_intervention_and_share_of_the_report_has_its_word(box, noor):
    found = oversight_report.oversight_report(
        [box], oversight_report.period_of(None, None, today=today()), made_at=datetime.now(UTC)
    )
    page = browser(noor).page(PATH)

    assert len(page.response.context["interventions"]) == len(found.interventions)
