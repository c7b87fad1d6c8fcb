import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client, RequestFactory

from config import errors

PERSON = {"Accept": "text/html,application/xhtml+xml"}


def test_the_address_of_a_form_opened_by_hand_says_so(client: Client) -> None:
    answer = client.get("/theme/", headers=PERSON)

    assert answer.status_code == 405
    assert "This address only takes a form" in answer.text
    # A browser reads no further than this.
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_program_that_uses_the_wrong_method_gets_no_page(client: Client) -> None:
    assert client.get("/theme/", headers={"Accept": "application/json"}).content == b""


def test_a_form_that_is_too_large_is_refused_with_the_limit(client: Client) -> None:
    text = "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)

    answer = client.post("/theme/", {"theme": text}, content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 413
    assert "4.0\xa0MB and 1000 fields" in answer.text


def test_too_many_tries_say_how_long_to_wait(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("mara", password="a few words in a row"))
    for _ in range(5):
        client.post("/accounts/password/change/", {"oldpassword": "wrong"})

    answer = client.post("/accounts/password/change/", {"oldpassword": "wrong"})

    assert answer.status_code == 429
    assert "Wait a few minutes" in answer.text


@pytest.mark.parametrize(
    ("error", "status", "heading"),
    [
        (OperationalError("gone"), 503, "The database does not answer"),
        (ValueError("gone"), 500, "Something broke on our side"),
    ],
)
def test_what_broke_is_told_apart_without_asking_the_database(
    error: Exception, status: int, heading: str
) -> None:
    request = RequestFactory().get("/queue/")
    try:
        raise error
    except type(error):
        answer = errors.server_error(request)

    assert answer.status_code == status
    assert f"<h1>{heading}</h1>" in answer.text
