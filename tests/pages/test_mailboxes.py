import pytest
from django.core.cache import cache

from agentmail.models import Mailbox
from audit.models import Entry
from policies import switch
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db
SETTINGS = {
    "is_enabled": "on",
    "undo_seconds": "20",
    "expiry_hours": "48",
    "approval_minutes": "45",
    "transport": "provider_draft",
}


@pytest.fixture(autouse=True)
def unlimited():
    # How often a password may be tried is remembered by user id, which the next test gives to somebody else.
    cache.clear()


@pytest.fixture
def box():
    return scenes.mailbox()


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box)


@pytest.fixture
def ada():
    return scenes.person("ada", "admin")


def page(person, path="/mailboxes/", status=200):
    response = sends.signed_in(person).get(path)
    assert response.status_code == status
    return sends.words(response)


def save(person, box, **changes):
    return sends.signed_in(person).post(f"/mailboxes/{box.public_id}/", SETTINGS | changes)


def test_the_list_says_how_each_mailbox_is_and_how_much_waits(box, mara):
    Mailbox.objects.filter(pk=box.pk).update(trouble="GET was answered with 503.")
    scenes.draft(box)

    shown = page(mara)

    assert "support@example.com" in shown
    assert "GET was answered with 503." in shown
    assert "1 draft" in shown


def test_foreign_mailboxes_do_not_exist(box, mara):
    other = scenes.mailbox("sales@example.com")

    assert "sales@example.com" not in page(mara)
    page(mara, f"/mailboxes/{other.public_id}/", status=404)
    assert sends.signed_in(mara).post(f"/mailboxes/{other.public_id}/stop/").status_code == 404


def test_an_admin_changes_how_a_mailbox_is_treated_and_it_is_recorded(box, ada):
    response = save(ada, box)

    assert response.status_code == 302
    box.refresh_from_db()
    assert (box.undo_seconds, box.expiry_hours, box.approval_minutes, box.transport) == (
        20,
        48,
        45,
        "provider_draft",
    )
    changes = Entry.objects.get(action="agentmail.mailbox.changed").data["changes"]
    assert changes["undo_seconds"] == ["15", "20"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("undo_seconds", "61", "less than or equal to 60"),
        ("expiry_hours", "0", "greater than or equal to 1"),
        ("expiry_hours", "721", "less than or equal to 720"),
        ("approval_minutes", "many", "whole number"),
        ("transport", "pigeon", "pigeon"),
    ],
)
def test_a_value_outside_its_limits_is_named_and_nothing_is_changed(box, ada, field, value, said):
    response = save(ada, box, **{field: value})

    assert response.status_code == 422
    assert said in sends.words(response)
    assert 'value="48"' in response.content.decode() or field == "expiry_hours"
    box.refresh_from_db()
    assert box.undo_seconds == 15


def test_a_reviewer_reads_the_settings_and_cannot_change_them(box, mara):
    assert "Admins change this." in page(mara, f"/mailboxes/{box.public_id}/")
    assert save(mara, box).status_code == 403


def test_a_reviewer_stops_one_mailbox_and_only_that(box, mara):
    other = scenes.mailbox("sales@example.com")

    response = sends.signed_in(mara).post(f"/mailboxes/{box.public_id}/stop/", {"reason": "Wrong tone."})

    assert response.status_code == 302
    assert not switch.read([box.scope]).is_open
    assert switch.read([other.scope]).is_open
    assert "Wrong tone." in page(mara, f"/mailboxes/{box.public_id}/")


def test_an_operator_of_the_mailbox_resumes_it_with_reason_and_password(box, mara):
    olga = scenes.person("olga", "operator", box)
    sends.signed_in(mara).post(f"/mailboxes/{box.public_id}/stop/", {"reason": "Wrong tone."})
    fields = {"reason": "Tone is right.", "password": scenes.PASSWORD}
    address = f"/mailboxes/{box.public_id}/resume/"

    assert sends.signed_in(mara).post(address, fields).status_code == 403
    assert sends.signed_in(olga).post(address, fields | {"password": ""}).status_code == 422
    assert not switch.read([box.scope]).is_open
    assert sends.signed_in(olga).post(address, fields).status_code == 302
    assert switch.read([box.scope]).is_open


def test_the_provider_rules_of_a_mailbox_are_shown(box, mara):
    scenes.evaluation(box, "message-9", matched_rule_ids=["rule-press"], applied_actions={"blocked": True})

    shown = page(mara, f"/mailboxes/{box.public_id}/")

    assert "rule-press" in shown
    assert "blocked" in shown


def test_an_admin_chooses_among_the_grants_that_are_not_connected(sandbox, connected_settings, ada):
    sandbox.post("grants", email="sales@harbour.example", name="Sales")
    grant = sandbox.post("grants", email="orders@harbour.example", name="Orders")["grant"]
    scenes.mailbox("orders@harbour.example")
    Mailbox.objects.update(grant_id=grant["id"])

    shown = page(ada, "/mailboxes/connect/")

    assert "sales@harbour.example" in shown
    assert "orders@harbour.example" not in shown


def test_an_admin_connects_a_grant(sandbox, connected_settings, ada):
    grant = sandbox.post("grants", email="sales@harbour.example", name="Sales")["grant"]

    response = sends.signed_in(ada).post("/mailboxes/connect/", {"grant": grant["id"]})

    made = Mailbox.objects.get()
    assert response.headers["Location"] == f"/mailboxes/{made.public_id}/"
    assert made.address == "sales@harbour.example"


def test_a_grant_the_provider_does_not_know_is_named(sandbox, connected_settings, ada):
    response = sends.signed_in(ada).post("/mailboxes/connect/", {"grant": "grant-of-nobody"})

    assert response.status_code == 422
    assert "does not know the grant grant-of-nobody" in sends.words(response)


def test_without_a_provider_connecting_says_what_is_missing(ada):
    response = sends.signed_in(ada).post("/mailboxes/connect/", {"grant": "some-grant"})

    assert response.status_code == 502
    assert "NYLAS_API_URI" in sends.words(response)
    assert "some-grant" in response.content.decode()


def test_only_admins_connect(mara):
    assert sends.signed_in(mara).get("/mailboxes/connect/").status_code == 403
    assert sends.signed_in(mara).post("/mailboxes/connect/", {"grant": "x"}).status_code == 403


@pytest.mark.parametrize("count", [1, 3])
def test_mailboxes_ask_the_database_equally_often_for_one_row_and_three(ada, count):
    for number in range(count):
        scenes.mailbox(f"box-{number}@example.com")
    assert sends.questions(ada, "/mailboxes/") == 7
