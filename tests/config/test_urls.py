import pytest
from django.test import Client


@pytest.mark.parametrize("path", ["/accounts/signup/", "/accounts/email/", "/accounts/password/reset/"])
def test_ways_in_that_we_do_not_offer_are_absent(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404
