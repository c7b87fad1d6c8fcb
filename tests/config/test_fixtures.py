import os

import pytest
from django.conf import settings

from policies.models import Switch
from tests.processes import Sandbox


def test_the_settings_are_those_of_this_test_process() -> None:
    assert str(settings.VAR_DIR) == os.environ["VAR_DIR"]
    assert settings.VAR_DIR.name == os.environ.get("PYTEST_XDIST_WORKER", "main")


def test_the_sandbox_starts_each_test_without_sends(sandbox: Sandbox) -> None:
    assert sandbox.sends() == []


@pytest.mark.parametrize("round_number", [1, 2])
@pytest.mark.django_db(transaction=True)
def test_an_emptied_database_keeps_the_rows_of_migrations(round_number: int) -> None:
    assert Switch.objects.filter(scope="global").count() == 1
