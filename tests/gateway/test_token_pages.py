"""The pages of tokens: who opens them, what they show once, and what they never show."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from audit.models import Entry
from gateway import tokens
from gateway.models import Token
from tests.database import read_only
from tests.gateway.conftest import token_of
from tests.pages import scenes
from tests.pages.conftest import alice, bob, carol, dave, eve, mallory, orders, support  # noqa: F401
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
ROLES = ("alice", "bob", "carol", "dave", "eve", "mallory")
REFUSED = (403, 403, 403)
# role: what the list, making a token and revoking one of its own mailbox answer
ANSWERS = {
    "alice": REFUSED,
    "bob": (200, 403, 302),
    "carol": (200, 200, 302),
    "dave": REFUSED,
    "eve": REFUSED,
    "mallory": REFUSED,
}
WALKED = {"tokens", "token_revoke"}


@pytest.fixture(autouse=True)
def unlimited() -> None:
    # How often a password may be tried is remembered by user id, which the next test gives to somebody else.
    cache.clear()


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory):  # noqa: F811
    return {"alice": alice, "bob": bob, "carol": carol, "dave": dave, "eve": eve, "mallory": mallory}


@pytest.fixture
def token(carol, support) -> Token:  # noqa: F811
    return token_of(carol, support).token


def given(owner: Any, *mailboxes: Any, **fields: Any) -> dict[str, Any]:
    return {
        "form_id": uuid.uuid4(),
        "kind": "agent",
        "name": "Order agent",
        "owner": owner.pk,
        "scopes": ["read", "send"],
        "mailboxes": [str(mailbox.public_id) for mailbox in mailboxes],
        "days": "30",
        "password": scenes.PASSWORD,
    } | fields


def revoking(token: Token) -> str:
    return f"/tokens/{token.public_id}/revoke/"


def secret_on(page: Any) -> str:
    [code] = [
        one for one in page.all("code") if page.text(one).startswith("cs_") and "…" not in page.text(one)
    ]
    return page.text(code)


def test_every_page_of_tokens_is_in_the_table():
    patterns = get_resolver("gateway.page_urls").url_patterns
    ours = {one.name for one in patterns if isinstance(one, URLPattern) and "token" in str(one.name)}

    assert ours == WALKED


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.row("D8")
def test_each_role_sees_makes_and_revokes_as_the_table_says(people, support, token, who):  # noqa: F811
    client = browser(people[who])

    shown = client.get("/tokens/").status_code
    made = client.post("/tokens/", given(people[who], support)).status_code
    revoked = client.post(revoking(token)).status_code

    assert (shown, made, revoked) == ANSWERS[who]


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_is_sent_to_the_sign_in_page(token, method):
    for path in ("/tokens/", revoking(token)):
        assert getattr(browser(), method)(path)["Location"].startswith("/accounts/login/")


def test_the_secret_is_shown_once_and_works(carol, support):  # noqa: F811
    client = browser(carol)

    page = client.submit("/tokens/", given(carol, support))

    secret = secret_on(page)
    assert tokens.find(secret) == Token.objects.get()
    assert secret not in client.page("/tokens/").html


def test_the_secret_is_in_no_cache_address_session_record_or_table(carol, support):  # noqa: F811
    client = browser(carol)

    response = client.post("/tokens/", given(carol, support))

    secret = Token.objects.get().beginning
    full = next(part for part in response.content.decode().split("<code") if f">{secret}" in part)
    full = full.partition(">")[2].partition("<")[0]
    assert "no-store" in response["Cache-Control"]
    assert "Location" not in response
    assert full not in str([dict(client.session.items()), client.cookies.output()])
    assert full not in "".join(Entry.objects.values_list("body", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM gateway_token")
        assert full not in str(cursor.fetchall())


@pytest.mark.row("004-16")
def test_a_token_for_tests_is_chosen_on_the_page_and_told_apart_in_the_list(carol, support):  # noqa: F811
    client = browser(carol)
    client.submit("/tokens/", given(carol, support, name="Real"))

    page = client.submit("/tokens/", given(carol, support, name="Trial", is_test="on"))

    rows = [page.text(row) for row in page.all("tr")]
    assert secret_on(page).startswith("cs_agent_test_")
    assert {
        name: "for tests only" in next(row for row in rows if name in row) for name in ("Real", "Trial")
    } == {
        "Real": False,
        "Trial": True,
    }


def test_a_form_that_is_sent_again_makes_no_second_token(carol, support):  # noqa: F811
    client = browser(carol)
    form = given(carol, support)
    client.submit("/tokens/", form)

    page = client.submit("/tokens/", form)

    assert page.status == 409
    assert "made one token" in page.text()
    assert Token.objects.count() == 1


def test_the_password_is_asked_for(carol, support):  # noqa: F811
    page = browser(carol).submit("/tokens/", given(carol, support, password=""))

    assert page.status == 422
    assert "password once more" in page.text()
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scopes": ["read", "decide"]}, "One or more of: read, send."),
        ({"kind": "operator", "scopes": ["send"]}, "One or more of: read, decide"),
        ({"mailboxes": []}, "names the mailboxes"),
        ({"mailboxes": ["not-an-id"]}, "is not a valid"),
        ({"name": "two\nlines"}, "printable"),
        ({"days": "400"}, "less than or equal to 366"),
        ({"kind": "root"}, "Select a valid choice"),
    ],
)
def test_what_no_token_may_be_is_refused_at_its_field(carol, support, fields, said):  # noqa: F811
    page = browser(carol).submit("/tokens/", given(carol, support, **fields))

    assert page.status == 422
    assert said in page.text()
    assert not Token.objects.exists()


def test_a_name_with_a_null_character_is_refused(carol, support):  # noqa: F811
    assert browser(carol).post("/tokens/", given(carol, support, name="null\x00")).status_code == 422


@pytest.mark.row("003-20")
def test_nobody_makes_a_token_that_decides_in_the_name_of_another_person(alice, carol, support):  # noqa: F811
    page = browser(carol).submit("/tokens/", given(alice, support, kind="operator", scopes=["decide"]))

    assert page.status == 422
    assert "for yourself only" in page.text()
    assert not Token.objects.exists()


def test_what_was_typed_stays_when_the_form_is_refused(carol, support):  # noqa: F811
    page = browser(carol).submit("/tokens/", given(carol, support, days="0"))

    assert page.form_values_of_post("/tokens/")["name"] == "Order agent"


@pytest.mark.row("001-26")
def test_a_token_that_was_revoked_on_its_page_is_refused_and_no_other(carol, support):  # noqa: F811
    first, second = token_of(carol, support), token_of(carol, support)
    client = browser(carol)
    client.page(revoking(first.token)).button("Revoke this token")

    client.post(revoking(first.token))

    assert tokens.find(first.secret) is None
    assert tokens.find(second.secret) == second.token
    assert "Carol Admin" in client.page("/tokens/").text()


def test_looking_at_the_question_revokes_nothing(carol, token):  # noqa: F811
    browser(carol).page(revoking(token))

    token.refresh_from_db()
    assert token.revoked_at is None


def test_a_token_of_other_mailboxes_does_not_exist_for_an_operator(bob, carol, orders):  # noqa: F811
    foreign = token_of(carol, orders, name="Foreign agent").token

    client = browser(bob)

    assert "Foreign agent" not in client.page("/tokens/").text()
    assert client.get(revoking(foreign)).status_code == 404
    assert client.post(revoking(foreign)).status_code == 404


def test_an_operator_is_told_how_many_other_mailboxes_a_token_has_and_not_which(bob, carol, orders, support):  # noqa: F811
    token_of(carol, support, orders)

    text = browser(bob).page("/tokens/").text()

    assert "support@example.com and 1 other" in text
    assert "orders@example.com" not in text


def test_the_list_tells_each_state(carol, alice, support):  # noqa: F811
    token_of(carol, support, name="Works")
    token_of(alice, support, name="Left")
    ended = token_of(carol, support, name="Over").token
    Token.objects.filter(pk=ended.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)

    page = browser(carol).page("/tokens/")

    rows = [page.text(row) for row in page.all("tr")]
    said = {name: next(row for row in rows if name in row) for name in ("Works", "Left", "Over")}
    assert "In force" in said["Works"]
    assert "Its owner has no account" in said["Left"]
    assert "Ended" in said["Over"]


def test_a_long_list_is_shown_in_pages(carol, support):  # noqa: F811
    for number in range(51):
        token_of(carol, support, name=f"Agent {number:02}")
    client = browser(carol)

    first = client.page("/tokens/")
    [more] = first.all("a", rel="next")

    assert "Agent 00" not in first.text()
    assert "Agent 00" in client.page(more.get("href")).text()
    assert client.page("/tokens/?after=x").status == 200


def test_the_list_asks_as_much_for_three_tokens_as_for_one(carol, support, django_assert_num_queries):  # noqa: F811
    client = browser(carol)
    token_of(carol, support)
    client.page("/tokens/")
    with CaptureQueriesContext(connection) as asked:
        client.page("/tokens/")
    for _ in range(2):
        token_of(carol, support)

    with django_assert_num_queries(len(asked)):
        client.page("/tokens/")


@pytest.mark.parametrize(("who", "is_linked"), [("alice", False), ("bob", True), ("carol", True)])
def test_operations_leads_to_the_tokens(people, who, is_linked):
    page = browser(people[who]).page("/operations/")

    assert bool(page.all("a", href="/tokens/")) is is_linked


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_writes_makes_nothing_and_says_so(carol, support):  # noqa: F811
    client = browser(carol)
    client.get("/tokens/")
    client.post("/tokens/", given(carol, support, name=""))

    with read_only():
        response = client.post("/tokens/", given(carol, support))

    assert response.status_code == 503
    assert "Nothing was changed" in response.content.decode()
    assert "Order agent" in response.content.decode()
