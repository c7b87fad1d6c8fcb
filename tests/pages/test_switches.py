"""Stopping and resuming less than everything, on the pages of operations."""

import pytest
from django.core.cache import cache

from policies import scopes, switch
from policies.models import Workspace, WorkspaceMember
from tests.pages import scenes, sends

pytestmark = [pytest.mark.django_db, pytest.mark.row("000-31", "K23")]


@pytest.fixture(autouse=True)
def unlimited():
    cache.clear()


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def other():
    return scenes.mailbox("sales@example.com", undo_seconds=0)


@pytest.fixture
def workspace(box):
    made = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=made, mailbox_id=box.pk)
    return made


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def ines():
    return scenes.person("ines", "operator", name="Ines Duarte")


def stop(person, kind, name, reason="Old prices."):
    return sends.signed_in(person).post(
        "/operations/stop-one/", {"kind": kind, "name": name, "reason": reason}
    )


def resume(person, scope, **changes):
    fields = {"reason": "Prices loaded.", "password": scenes.PASSWORD} | changes
    return sends.signed_in(person).post(f"/operations/resume-one/?scope={scope}", fields)


@pytest.mark.parametrize(
    ("kind", "name", "scope"),
    [
        ("mailbox", "support@example.com", "mailbox"),
        ("workspace", "support", "workspace"),
        ("agent", "agent-7", "agent:agent-7"),
        ("domain", "Bücher.example", "domain:xn--bcher-kva.example"),
    ],
)
def test_a_reviewer_stops_one_part_and_everybody_reads_it(mara, ines, box, workspace, kind, name, scope):
    scope = {"mailbox": box.scope, "workspace": scopes.workspace_scope(workspace.pk)}.get(scope, scope)

    response = stop(mara, kind, name)

    assert response.status_code == 302
    assert not switch.read([scope]).is_open
    assert switch.read([switch.GLOBAL]).is_open
    shown = sends.words(sends.signed_in(ines).get("/operations/"))
    assert "was stopped by Mara Okafor. Reason: Old prices." in shown


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("mailbox", "nobody@example.com", "No mailbox is called nobody@example.com."),
        ("mailbox", "sales@example.com", "No mailbox is called sales@example.com."),
        ("workspace", "Sales", "No workspace is called Sales."),
        ("agent", "an agent", "1 to 128"),
        ("domain", "localhost", "is no domain"),
        ("domain", "", "Say which one to stop."),
        ("everything", "x", "Select a valid choice"),
    ],
)
def test_what_names_nothing_is_said_at_the_field_and_typed_words_stay(mara, other, kind, name, words):
    response = stop(mara, kind, name, reason="Kept words")

    assert response.status_code == 422
    shown = sends.words(response)
    assert words in shown
    assert "Kept words" in response.content.decode()


def test_a_workspace_that_is_only_partly_mine_is_not_mine_to_stop(mara, other, workspace):
    WorkspaceMember.objects.create(workspace=workspace, mailbox_id=other.pk)

    assert stop(mara, "workspace", "Support").status_code == 403
    assert switch.engaged() == []


def test_a_person_without_a_role_stops_and_resumes_nothing(box):
    nobody = scenes.person("nobody")
    switch.engage("domain:example.org", actor=scenes.SYSTEM, reason="x", wait_seconds=0)

    assert stop(nobody, "domain", "example.net").status_code == 403
    assert resume(nobody, "domain:example.org").status_code == 404
    assert not switch.read(["domain:example.org"]).is_open


def test_only_who_may_resume_everywhere_resumes_a_domain(mara, ines, box):
    local = scenes.person("omar", "operator", box)
    stop(mara, "domain", "example.org")

    assert resume(mara, "domain:example.org").status_code == 403
    assert resume(local, "domain:example.org").status_code == 403
    assert resume(ines, "domain:example.org", password="wrong").status_code == 422
    assert not switch.read(["domain:example.org"]).is_open
    assert resume(ines, "domain:example.org").status_code == 302
    assert switch.read(["domain:example.org"]).is_open


def test_the_operator_of_a_mailbox_resumes_it_from_operations(mara, box):
    local = scenes.person("omar", "operator", box)
    stop(mara, "mailbox", box.address)

    assert resume(local, box.scope).status_code == 302
    assert switch.read([box.scope]).is_open


def test_the_stop_of_a_foreign_mailbox_is_not_shown_and_not_resumed(mara, ines, other):
    stop(ines, "mailbox", other.address)
    omar = scenes.person("omar", "operator", scenes.mailbox("third@example.com"))

    assert other.address not in sends.words(sends.signed_in(omar).get("/operations/"))
    assert resume(omar, other.scope).status_code == 404


def test_mail_of_foreign_mailboxes_under_way_is_counted_and_not_named(mara, ines, other):
    sends.dispatched(scenes.draft(other), scenes.person("rosa", "reviewer", other))
    client = sends.signed_in(mara)

    shown = sends.words(
        client.post("/operations/stop-one/", {"kind": "domain", "name": "example.org"}, follow=True)
    )

    assert "1 other" in shown
    assert "Priya Nair" not in shown


def test_resuming_what_is_not_stopped_is_not_there(ines):
    assert sends.signed_in(ines).get("/operations/resume-one/?scope=domain:example.org").status_code == 404
    assert sends.signed_in(ines).get("/operations/resume-one/?scope=x").status_code == 404


ROLES = {
    "reviewer": (200, 403),
    "operator": (200, 200),
    "admin": (200, 200),
    "auditor": (200, 403),
    "list_editor": (403, 404),
    None: (403, 404),
}


@pytest.mark.parametrize("role", ROLES)
def test_the_pages_answer_each_role(box, role):
    switch.engage("domain:example.org", actor=scenes.SYSTEM, reason="x", wait_seconds=0)
    client = sends.signed_in(scenes.person("rolf", role))
    pages = ["/operations/stop-one/", "/operations/resume-one/?scope=domain:example.org"]

    assert tuple(client.get(page).status_code for page in pages) == ROLES[role]
