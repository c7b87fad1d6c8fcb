from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import Entry


@pytest.fixture
def maria(db: None) -> User:
    return User.objects.create_user("maria", password="a long enough password")


def sign_in(password: str) -> None:
    Client().post("/accounts/login/", {"login": "maria", "password": password})


def test_a_sign_in_is_recorded(maria: User) -> None:
    sign_in("a long enough password")

    assert Entry.objects.get(action="approvals.sign_in.succeeded").actor_id == str(maria.pk)


def test_a_failed_sign_in_is_recorded_without_what_was_typed(maria: User) -> None:
    sign_in("a wrong password")

    entry = Entry.objects.get(action="approvals.sign_in.failed")
    assert entry.data == {"person": maria.pk}
    assert "wrong password" not in entry.body
