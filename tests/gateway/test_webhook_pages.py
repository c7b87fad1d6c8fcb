"""The pages of webhooks: for admins only, their secrets shown once."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.cache import cache
from django.urls import URLPattern, get_resolver

from audit.models import Entry
from audit.record import SYSTEM
from gateway.webhooks import deliveries, endpoints, events
from gateway.webhooks.models import WebhookDelivery, WebhookEndpoint
from gateway.webhooks.secrets import secret_of
from tests.gateway.conftest import token_of
from tests.pages import scenes
from tests.pages.conftest import alice, bob, carol, dave, eve, mallory, orders, support  # noqa: F401
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
# Nobody answers there, and a literal address asks no name server.
URL = "https://93.184.215.14/hook?key=1"
# name: (method, what an admin is answered)
ROUTES = {
    "webhooks": ("get", 200),
    "webhook_new": ("get", 200),
    "webhook": ("get", 200),
    "webhook_edit": ("get", 200),
    "webhook_rotate": ("post", 200),
    "webhook_end_rotation": ("post", 302),
    "webhook_switch": ("post", 302),
    "webhook_test": ("post", 302),
    "webhook_remove": ("get", 200),
    "webhook_resend": ("post", 302),
}


@pytest.fixture(autouse=True)
def unlimited() -> None:
    # How often a password may be tried is remembered by user id, which the next test gives to somebody else.
    cache.clear()


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory):  # noqa: F811
    return {"alice": alice, "bob": bob, "carol": carol, "dave": dave, "eve": eve, "mallory": mallory}


@pytest.fixture
def endpoint(db) -> WebhookEndpoint:
    return endpoints.make(actor=SYSTEM, name="Back office", url=URL, types=list(events.TYPES))


def path_of(name: str, endpoint: WebhookEndpoint) -> str:
    begin = f"/webhooks/{endpoint.public_id}/"
    delivery = WebhookDelivery.objects.filter(endpoint=endpoint).first()
    return {
        "webhooks": "/webhooks/",
        "webhook_new": "/webhooks/new/",
        "webhook": begin,
        "webhook_edit": f"{begin}edit/",
        "webhook_rotate": f"{begin}secret/",
        "webhook_end_rotation": f"{begin}secret/end/",
        "webhook_switch": f"{begin}switch/",
        "webhook_test": f"{begin}test/",
        "webhook_remove": f"{begin}remove/",
        "webhook_resend": f"{begin}deliveries/{delivery.public_id if delivery else uuid.uuid4()}/resend/",
    }[name]


def given(**fields: Any) -> dict[str, Any]:
    return {
        "form_id": uuid.uuid4(),
        "version": 0,
        "name": "Orders",
        "url": URL,
        "types": ["email.sent", "email.rejected"],
        "signature_header": "X-MultiMail-Signature",
        "password": scenes.PASSWORD,
    } | fields


def secret_on(page: Any) -> str:
    [code] = [one for one in page.all("code") if page.text(one).startswith("whsec_")]
    return page.text(code)


def test_every_page_of_webhooks_is_in_the_table():
    patterns = get_resolver("gateway.page_urls").url_patterns
    ours = {one.name for one in patterns if isinstance(one, URLPattern) and "webhook" in str(one.name)}

    assert ours == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_each_route_answers_admins_alone(people, endpoint, name):
    endpoints.send_test(endpoint)
    method, answer = ROUTES[name]
    fields = {"version": 1, "on": "no", "password": scenes.PASSWORD}

    statuses = {
        who: getattr(browser(person), method)(path_of(name, endpoint), fields).status_code
        for who, person in people.items()
    }

    assert statuses == {who: answer if who == "carol" else 403 for who in people}


@pytest.mark.parametrize("name", ROUTES)
def test_a_stranger_is_sent_to_the_sign_in_page(endpoint, name):
    method, _answer = ROUTES[name]

    response = getattr(browser(), method)(path_of(name, endpoint))

    assert response["Location"].startswith("/accounts/login/")


def test_an_endpoint_is_made_and_its_secret_shown_once(carol, support):  # noqa: F811
    client = browser(carol)

    page = client.submit("/webhooks/new/", given(mailboxes=[str(support.public_id)]))

    made = WebhookEndpoint.objects.get()
    assert secret_on(page) == secret_of(made)
    assert "no-store" in page.response["Cache-Control"]
    assert made.types == ["email.rejected", "email.sent"]
    assert list(made.mailboxes.all()) == [support]
    assert "whsec_" not in client.page(f"/webhooks/{made.public_id}/").html
    assert "Orders" in client.page("/webhooks/").text()


def test_a_form_that_is_sent_again_makes_no_second_endpoint(carol):  # noqa: F811
    client = browser(carol)
    form = given()

    client.post("/webhooks/new/", form)
    client.post("/webhooks/new/", form)

    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "https://10.0.0.1/"}, "inside a private network"),
        ({"url": "http://hooks.example.com/"}, "must begin with https://"),
        ({"types": []}, "Choose at least one"),
        ({"types": ["email.read"]}, "Select a valid choice"),
        ({"signature_header": "webhook-id"}, "another meaning"),
        ({"signature_header": "X Y"}, "letters, digits and hyphens"),
        ({"name": " "}, "Give the webhook a name"),
        ({"agent": str(uuid.uuid4())}, "Select a valid choice"),
        ({"password": ""}, "password once more"),
        ({"version": "9" * 40}, "Make a webhook"),
    ],
)
def test_what_no_endpoint_may_be_is_refused(carol, support, fields, said):  # noqa: F811
    page = browser(carol).submit("/webhooks/new/", given(**fields))

    assert page.status == 422
    assert said in page.text()
    assert not WebhookEndpoint.objects.exists()


def test_an_agents_endpoint_is_for_no_mailbox_beyond_its_token(carol, support, orders):  # noqa: F811
    token = token_of(carol, support).token
    form = given(agent=str(token.public_id), mailboxes=[str(orders.public_id)])

    page = browser(carol).submit("/webhooks/new/", form)

    assert page.status == 422
    assert "not for all of these mailboxes" in page.text()


def test_a_change_is_kept_and_recorded_without_the_path(carol, endpoint):  # noqa: F811
    client = browser(carol)
    address = f"/webhooks/{endpoint.public_id}/edit/"
    client.page(address)

    client.post(address, given(version=1, name="New name"))

    endpoint.refresh_from_db()
    assert (endpoint.name, endpoint.version, endpoint.types) == (
        "New name",
        2,
        ["email.rejected", "email.sent"],
    )
    entry = Entry.objects.get(action="gateway.webhook.changed")
    assert entry.actor_name == "Carol Admin"
    assert "key=1" not in entry.body


def test_a_change_from_an_old_page_keeps_what_was_typed(carol, endpoint):  # noqa: F811
    endpoints.rotate(endpoint, version=1, actor=SYSTEM)
    address = f"/webhooks/{endpoint.public_id}/edit/"

    page = browser(carol).submit(address, given(version=1, name="Typed"))

    assert page.status == 409
    assert page.form_values_of_post(address)["name"] == "Typed"
    assert page.form_values_of_post(address)["version"] == "2"
    endpoint.refresh_from_db()
    assert endpoint.name == "Back office"


def test_a_rotation_needs_the_password_and_shows_the_new_secret(carol, endpoint):  # noqa: F811
    client = browser(carol)
    address = f"/webhooks/{endpoint.public_id}/secret/"

    refused = client.submit(address, {"version": 1, "password": ""})
    page = client.submit(address, {"version": 1, "password": scenes.PASSWORD})

    assert refused.status == 422
    old = secret_of(endpoint)
    endpoint.refresh_from_db()
    assert secret_on(page) == secret_of(endpoint) != old
    page.button("End the old secret now")


def test_a_rotation_that_is_sent_again_makes_no_third_secret(carol, endpoint):  # noqa: F811
    client = browser(carol)
    form = {"version": 1, "password": scenes.PASSWORD}
    client.submit(f"/webhooks/{endpoint.public_id}/secret/", form)
    endpoint.refresh_from_db()
    secret = secret_of(endpoint)

    page = client.submit(f"/webhooks/{endpoint.public_id}/secret/", form)

    endpoint.refresh_from_db()
    assert page.status == 409
    assert secret_of(endpoint) == secret


def test_the_log_shows_each_try_and_a_delivery_can_be_sent_again(carol, endpoint):  # noqa: F811
    delivery = endpoints.send_test(endpoint)
    WebhookEndpoint.objects.update(url="https://127.0.0.1/")
    deliveries.deliver_to(endpoint.pk)
    client = browser(carol)

    page = client.page(f"/webhooks/{endpoint.public_id}/")
    assert "webhook.test" in page.text()
    assert "inside a private network" in page.text()
    client.post(f"/webhooks/{endpoint.public_id}/deliveries/{delivery.public_id}/resend/")

    assert deliveries.due_endpoints() == [endpoint.pk]


def test_a_delivery_of_another_endpoint_is_not_found(carol, endpoint):  # noqa: F811
    other = endpoints.make(actor=SYSTEM, name="Other", url=URL, types=["email.sent"])
    delivery = endpoints.send_test(other)

    path = f"/webhooks/{endpoint.public_id}/deliveries/{delivery.public_id}/resend/"
    assert browser(carol).post(path).status_code == 404


def test_an_endpoint_that_is_off_says_so_and_is_switched_on_again(carol, endpoint):  # noqa: F811
    client = browser(carol)
    address = f"/webhooks/{endpoint.public_id}/"
    client.post(f"{address}switch/", {"version": 1, "on": "no"})

    page = client.page(address)
    assert "Switched off" in page.text()
    assert client.submit(f"{address}test/").status == 409
    client.post(f"{address}switch/", {"version": 2, "on": "yes"})

    endpoint.refresh_from_db()
    assert endpoint.is_enabled


def test_removing_asks_first_and_leaves_its_trace_in_the_record(carol, endpoint):  # noqa: F811
    client = browser(carol)
    address = f"/webhooks/{endpoint.public_id}/remove/"
    client.page(address).button("Remove this webhook")
    assert WebhookEndpoint.objects.exists()

    client.post(address, {"version": 1})

    assert not WebhookEndpoint.objects.exists()
    assert Entry.objects.get(action="gateway.webhook.removed").data["name"] == "Back office"


def test_a_body_that_could_deceive_is_shown_with_marks(carol, endpoint):  # noqa: F811
    endpoints.send_test(endpoint)
    WebhookDelivery.objects.update(body='{"subject": "<script>\u202e"}')

    page = browser(carol).page(f"/webhooks/{endpoint.public_id}/")

    assert "[U+202E]" in page.text()
    assert "<script>\u202e" not in page.html


@pytest.mark.parametrize(("who", "is_linked"), [("bob", False), ("carol", True)])
def test_operations_leads_admins_to_the_webhooks(people, who, is_linked):
    page = browser(people[who]).page("/operations/")

    assert bool(page.all("a", href="/webhooks/")) is is_linked
