import pytest
from django.template.loader import render_to_string

from approvals.templatetags.bar import THEME_COOKIE
from approvals.views.appearance import own_path
from tests.pages import scenes
from tests.pages.pages import browser


@pytest.mark.parametrize(
    "address", ["/accounts/password/change/", "/accounts/logout/", "/accounts/reauthenticate/"]
)
def test_account_pages_are_well_made(desk, address):
    assert desk.page(address).status == 200


def test_sign_in_has_labelled_fields(db):
    page = browser().page("/accounts/login/")

    assert [page.text(label) for label in page.all("label")][:2] == ["Username", "Password"]


def test_a_person_signs_in_and_comes_to_the_queue(alice):
    response = browser().post(
        "/accounts/login/", {"login": "alice", "password": scenes.PASSWORD}, follow=True
    )

    assert response.redirect_chain[-1][0] == "/queue/"


def test_a_wrong_password_keeps_the_name_and_says_the_same_for_everybody(alice):
    wrong = browser().submit("/accounts/login/", {"login": "alice", "password": "wrong"})
    unknown = browser().submit("/accounts/login/", {"login": "nobody", "password": "wrong"})

    assert wrong.all("input", name="login")[0].get("value") == "alice"
    assert wrong.text(wrong.classed("faults")[0]) == unknown.text(unknown.classed("faults")[0])


def test_a_disabled_account_learns_no_more_than_a_wrong_password(alice):
    alice.is_active = False
    alice.save()

    response = browser().post("/accounts/login/", {"login": "alice", "password": "wrong"})

    assert response.status_code == 200


def test_a_chosen_theme_is_kept_on_the_browser(desk):
    response = desk.post("/theme/", {"theme": "dark", "next": "/queue/?q=x"})

    assert response["Location"] == "/queue/?q=x"
    assert desk.page("/queue/").root.get("data-theme") == "dark"


def test_the_system_theme_forgets_the_choice(desk):
    desk.post("/theme/", {"theme": "dark"})
    desk.post("/theme/", {"theme": ""})

    assert desk.page("/queue/").root.get("data-theme") is None


def test_a_forged_theme_is_ignored(desk):
    desk.cookies[THEME_COOKIE] = '"><script>'

    assert desk.page("/queue/").root.get("data-theme") is None


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "queue",
        "/\t/evil.example",
    ],
)
def test_nobody_is_sent_to_another_site(address):
    assert own_path(address) == "/"


def test_every_page_carries_its_security_headers(desk):
    response = desk.get("/queue/")

    policy = response["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert response["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    assert response["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("name", ["400", "403", "404", "500", "csrf"])
def test_an_error_page_stands_without_request_and_database(name):
    assert "Countersign" in render_to_string(f"{name}.html")


def test_whoever_was_signed_out_is_told_why(db):
    page = browser().page("/accounts/login/?ended=yes")

    assert "You were signed out here" in page.text()
    assert "signed out" not in browser().page("/accounts/login/").text()
