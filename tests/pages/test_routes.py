"""Every route for every role, on an own and on a foreign mailbox; a route that is not in the table fails."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import URLPattern, get_resolver, reverse

from tests.pages import scenes
from tests.pages.pages import browser

SEE, DECIDE, OPEN = "see", "decide", "open"
# name: (method, what it needs)
DRAFT_ROUTES = {
    "draft": ("get", SEE),
    "approve": ("post", DECIDE),
    "reject": ("post", DECIDE),
    "request_changes": ("post", DECIDE),
    "look_again": ("post", DECIDE),
    "undo": ("post", SEE),
    "compare": ("post", DECIDE),
    "edit": ("get", DECIDE),
    "revision_body": ("get", SEE),
    "message_body": ("get", SEE),
    "message_attachment": ("get", SEE),
    "attachment": ("get", SEE),
}
PLAIN_ROUTES = {"front": "get", "theme": "post", "queue": "get"}
OUR_VIEWS = tuple(f"approvals.views.{name}" for name in ("appearance", "content", "draft", "edit", "queue"))
ROLES = {"alice": {SEE, DECIDE}, "bob": {SEE}, "carol": {SEE}, "dave": {SEE}, "eve": set(), "mallory": set()}


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory):
    return {"alice": alice, "bob": bob, "carol": carol, "dave": dave, "eve": eve, "mallory": mallory}


@pytest.fixture
def draft(support):
    message = scenes.message(support, "t", body="<p>x</p>", attachments=[{"id": "a1", "filename": "a.png"}])
    return scenes.draft(
        support, messages=[message], body="<p>y</p>", is_plaintext=False, attachments=(scenes.file(b"file"),)
    )


def desk_routes():
    patterns = get_resolver("approvals.urls").url_patterns
    return {pattern.name: pattern for pattern in patterns if isinstance(pattern, URLPattern)}


def path_of(name, draft):
    message = scenes.Message.objects.get(mailbox=draft.mailbox)
    more = {
        "revision_body": [1],
        "message_body": [message.pk],
        "message_attachment": [message.pk],
        "attachment": [draft.current_revision.attachments[0]["sha256"]],
    }
    path = reverse(f"approvals:{name}", args=[draft.public_id, *more.get(name, [])])
    return path + "?id=none" if name == "message_attachment" else path


def test_every_route_of_the_desk_is_in_a_table():
    ours = {name for name, pattern in desk_routes().items() if pattern.callback.__module__ in OUR_VIEWS}

    assert ours == set(DRAFT_ROUTES) | set(PLAIN_ROUTES)


@pytest.mark.parametrize("name", DRAFT_ROUTES)
@pytest.mark.parametrize("who", ROLES)
def test_a_route_of_a_draft_answers_each_role_as_the_table_says(people, draft, name, who):
    method, need = DRAFT_ROUTES[name]
    client = browser(people[who])

    status = getattr(client, method)(path_of(name, draft)).status_code

    if SEE not in ROLES[who]:
        assert status == 404
    elif need not in ROLES[who]:
        assert status == 403
    elif name == "message_attachment":
        assert status == 404  # visible, but there is no such file
    else:
        assert status in (200, 302, 409, 422)


@pytest.mark.parametrize("name", DRAFT_ROUTES)
def test_a_stranger_is_sent_to_the_sign_in_page(draft, name):
    method, _need = DRAFT_ROUTES[name]

    response = getattr(browser(), method)(path_of(name, draft))

    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("name", DRAFT_ROUTES)
def test_a_disabled_person_is_a_stranger(people, draft, name):
    method, _need = DRAFT_ROUTES[name]
    client = browser(people["alice"])
    type(people["alice"]).objects.filter(pk=people["alice"].pk).update(is_active=False)

    assert getattr(client, method)(path_of(name, draft))["Location"].startswith("/accounts/login/")


def test_the_superuser_flag_alone_shows_and_decides_nothing(db, draft):
    root = get_user_model().objects.create_superuser("root", password=scenes.PASSWORD)
    client = browser(root)

    assert client.get(path_of("draft", draft)).status_code == 404
    assert client.post(path_of("approve", draft)).status_code == 404
