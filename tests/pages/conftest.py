import pytest

from tests.pages import scenes
from tests.pages.pages import browser


@pytest.fixture
def support(db):
    return scenes.mailbox("support@example.com")


@pytest.fixture
def orders(db):
    return scenes.mailbox("orders@example.com")


@pytest.fixture
def alice(support):
    return scenes.person("alice", "reviewer", support, name="Alice Reviewer")


@pytest.fixture
def bob(support):
    return scenes.person("bob", "operator", support, name="Bob Operator")


@pytest.fixture
def carol(db):
    return scenes.person("carol", "admin", name="Carol Admin")


@pytest.fixture
def dave(support):
    return scenes.person("dave", "auditor", support, name="Dave Auditor")


@pytest.fixture
def eve(orders):
    return scenes.person("eve", "reviewer", orders, name="Eve Elsewhere")


@pytest.fixture
def mallory(db):
    return scenes.person("mallory")


@pytest.fixture
def desk(alice):
    return browser(alice)
