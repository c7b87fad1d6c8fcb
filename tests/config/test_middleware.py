import logging
import time

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client

from audit.context import request_id

PASSWORD = "correct horse battery"


@pytest.fixture
def mara(db: None) -> User:
    return get_user_model().objects.create_user("mara", password=PASSWORD)


def used_at(client: Client, moment: float) -> None:
    session = client.session
    session["used_at"] = int(moment)
    session.save()


def sign_in(client: Client, password: str = PASSWORD) -> int:
    return client.post("/accounts/login/", {"login": "mara", "password": password}).status_code


@pytest.mark.django_db
def test_pages_carry_the_headers_of_the_policy(client: Client) -> None:
    answer = client.get("/accounts/login/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_sign_in_fields_have_the_promised_labels(client: Client) -> None:
    page = client.get("/accounts/login/").content.decode()
    assert "Username" in page
    assert "Password" in page


def test_right_password_signs_in(client: Client, mara: User) -> None:
    assert sign_in(client) == 302
    assert client.session["_auth_user_id"] == str(mara.pk)


def test_after_five_wrong_tries_the_right_password_is_refused_too(client: Client, mara: User) -> None:
    for _ in range(5):
        sign_in(client, "wrong")
    sign_in(client)
    assert "_auth_user_id" not in client.session


def test_an_idle_session_ends(client: Client, mara: User) -> None:
    client.force_login(mara)
    client.get("/accounts/password/change/")
    used_at(client, time.time() - 1801)
    answer = client.get("/accounts/password/change/")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?ended=yes&next=%2Faccounts%2Fpassword%2Fchange%2F"


def test_a_session_ends_twelve_hours_after_signing_in(client: Client, mara: User) -> None:
    client.force_login(mara)
    session = client.session
    session["signed_in_at"] = int(time.time()) - 43201
    session["used_at"] = int(time.time())
    session.save()
    assert client.get("/accounts/password/change/").status_code == 302


def test_use_keeps_a_session_alive(client: Client, mara: User) -> None:
    client.force_login(mara)
    client.get("/accounts/password/change/")
    used_at(client, time.time() - 1000)
    client.get("/accounts/password/change/")
    assert time.time() - client.session["used_at"] < 60


def test_a_page_that_refreshes_itself_does_not_keep_a_session_alive(client: Client, mara: User) -> None:
    client.force_login(mara)
    client.get("/accounts/password/change/")
    used_at(client, time.time() - 1000)
    client.get("/accounts/password/change/", headers={"X-Self-Refresh": "1"})
    assert time.time() - client.session["used_at"] >= 1000


def test_htmx_is_told_to_sign_in_again_at_a_fixed_place(client: Client, mara: User) -> None:
    client.force_login(mara)
    client.get("/accounts/password/change/")
    used_at(client, time.time() - 1801)
    answer = client.get("/accounts/password/change/?next=//evil.example", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer["HX-Redirect"] == "/accounts/login/?ended=yes"


def test_every_answer_has_a_request_id_of_its_own(client: Client) -> None:
    first, second = client.get("/healthz"), client.get("/healthz")
    assert first["X-Request-ID"] != second["X-Request-ID"]


@pytest.mark.django_db
def test_the_log_line_of_a_refusal_carries_the_id_of_its_answer(client: Client) -> None:
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(request_id.get())
    logging.getLogger("django.request").addHandler(handler)
    answer = client.get("/readyz")
    logging.getLogger("django.request").removeHandler(handler)
    assert (answer.status_code, seen) == (503, [answer["X-Request-ID"]])
    assert request_id.get() == ""


def test_a_request_id_from_outside_is_believed_only_behind_a_proxy(client: Client, settings) -> None:
    given = {"X-Request-ID": "from-the-outside"}
    assert client.get("/healthz", headers=given)["X-Request-ID"] != "from-the-outside"
    settings.TRUSTED_PROXY_COUNT = 1
    assert client.get("/healthz", headers=given)["X-Request-ID"] == "from-the-outside"


def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: Client, settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    assert client.get("/healthz", headers={"X-Request-ID": "a b\tc d e f"})["X-Request-ID"] != "a b\tc d e f"
