"""Every route for every role, on an own and on a foreign mailbox; a route that is not in the table fails."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import URLPattern, get_resolver, reverse

from approvals import batches, jobs, kept_reasons, saved_views
from approvals.models import Batch, JobKind
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
    "presence": ("post", SEE),
    "beside": ("get", SEE),
    "claim": ("post", DECIDE),
    "release_claim": ("post", DECIDE),
    "take_over": ("post", DECIDE),
    "assign": ("get", DECIDE),
    "assign_to_me": ("post", DECIDE),
    "escalate": ("get", DECIDE),
    "end_escalation": ("post", DECIDE),
    "snooze": ("get", SEE),
    "unsnooze": ("post", SEE),
    "edit": ("get", DECIDE),
    "edit_check": ("post", DECIDE),
    "unsaved_keep": ("post", DECIDE),
    "unsaved_discard": ("post", DECIDE),
    "revision_body": ("get", SEE),
    "message_body": ("get", SEE),
    "message_attachment": ("get", SEE),
    "message_source": ("get", SEE),
    "message_source_file": ("get", SEE),
    "attachment": ("get", SEE),
    "message_images": ("post", DECIDE),
    "revision_images": ("post", DECIDE),
    "attachment_preview": ("get", SEE),
    "attachment_picture": ("get", SEE),
    "attachment_thumbnail": ("get", SEE),
    "message_attachment_preview": ("get", SEE),
    "message_attachment_picture": ("get", SEE),
    "message_attachment_thumbnail": ("get", SEE),
}
PLAIN_ROUTES = {
    "batches": "get",
    "front": "get",
    "theme": "post",
    "queue": "get",
    "insights": "get",
    "keyboard": "get",
    "notices": "get",
    "views": "get",
    "reasons": "get",
    "notices_read": "post",
    "notice_read": "post",
    "notice_settings": "get",
}
OUR_VIEWS = tuple(
    f"approvals.views.{name}"
    for name in (
        "appearance",
        "assigning",
        "batch",
        "content",
        "draft",
        "edit",
        "file_previews",
        "insights",
        "jobs",
        "kept_reasons",
        "keyboard",
        "notices",
        "queue",
        "saved_views",
        "source",
        "together",
    )
)
# What belongs to the person who opened it, and exists for nobody else.
OWN_ROUTES = {
    "batch": "get",
    "batch_approve": "post",
    "batch_reject": "post",
    "batch_stop": "post",
    "batch_undo": "post",
}
JOB_ROUTES = {"job": "get", "job_file": "get", "job_cancel": "post"}
ROLES = {"alice": {SEE, DECIDE}, "bob": {SEE}, "carol": {SEE}, "dave": {SEE}, "eve": set(), "mallory": set()}


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory):
    return {"alice": alice, "bob": bob, "carol": carol, "dave": dave, "eve": eve, "mallory": mallory}


@pytest.fixture
def draft(support):
    message = scenes.message(support, "t", body="<p>x</p>", attachments=[{"id": "a1", "filename": "a.png"}])
    return scenes.draft(
        support, messages=[message], body="<p>y</p>", is_plaintext=False, attachments=(scenes.picture(),)
    )


def desk_routes():
    patterns = get_resolver("approvals.urls").url_patterns
    return {pattern.name: pattern for pattern in patterns if isinstance(pattern, URLPattern)}


def path_of(name, draft):
    message = scenes.Message.objects.get(mailbox=draft.mailbox)
    sha256 = draft.current_revision.attachments[0]["sha256"]
    more = {
        "revision_body": [1],
        "message_body": [message.pk],
        "message_attachment": [message.pk],
        "message_source": [message.pk],
        "message_source_file": [message.pk],
        "message_images": [message.pk],
        "message_attachment_preview": [message.pk],
        "message_attachment_picture": [message.pk, 1],
        "message_attachment_thumbnail": [message.pk],
        "revision_images": [1],
        "attachment": [sha256],
        "attachment_preview": [sha256],
        "attachment_picture": [sha256, 1],
        "attachment_thumbnail": [sha256],
    }
    path = reverse(f"approvals:{name}", args=[draft.public_id, *more.get(name, [])])
    return path + "?id=none" if name.startswith("message_attachment") else path


def test_every_route_of_the_desk_is_in_a_table():
    ours = {name for name, pattern in desk_routes().items() if pattern.callback.__module__ in OUR_VIEWS}

    assert ours == set(DRAFT_ROUTES) | set(PLAIN_ROUTES) | set(OWN_ROUTES) | set(JOB_ROUTES) | KEPT_ROUTES


KEPT_ROUTES = {"view_change", "reason_change"}


@pytest.mark.parametrize("who", ROLES)
def test_what_a_person_keeps_exists_for_nobody_else(people, who):
    view = saved_views.keep(people["alice"], name="Mine", query="q=order")
    reason = kept_reasons.keep(people["alice"], text="Not now.")
    client = browser(people[who])

    changes = [
        client.post(reverse("approvals:view_change", args=[view.public_id]), {"do": "remove"}),
        client.post(reverse("approvals:reason_change", args=[reason.pk]), {"do": "remove"}),
    ]

    assert [one.status_code for one in changes] == ([302, 302] if who == "alice" else [404, 404])


@pytest.mark.parametrize("who", ROLES)
def test_only_an_admin_changes_what_everybody_has(people, who):
    view = saved_views.keep(people["carol"], name="Ours", query="q=order", is_shared=True)
    reason = kept_reasons.keep(people["carol"], text="Not now.", is_shared=True)
    client = browser(people[who])

    changes = [
        client.post(reverse("approvals:view_change", args=[view.public_id]), {"do": "remove"}),
        client.post(reverse("approvals:reason_change", args=[reason.pk]), {"do": "remove"}),
    ]

    assert [one.status_code for one in changes] == ([302, 302] if who == "carol" else [403, 403])


@pytest.mark.parametrize("name", OWN_ROUTES)
@pytest.mark.parametrize("who", ROLES)
def test_a_batch_exists_for_the_person_who_opened_it_alone(people, draft, name, who):
    batch = batches.open_batch(people["alice"], [draft.public_id])
    path = reverse(f"approvals:{name}", args=[batch.public_id])

    status = getattr(browser(people[who]), OWN_ROUTES[name])(path).status_code

    assert status in (200, 302, 409, 422) if who == "alice" else status == 404


@pytest.mark.parametrize("name", JOB_ROUTES)
@pytest.mark.parametrize("who", ROLES)
def test_a_job_exists_for_the_person_who_asked_alone(people, name, who):
    job = jobs.ask(people["alice"], JobKind.RECIPIENTS, {"kind": "", "scope": "", "q": ""})
    jobs.work(JobKind.RECIPIENTS)
    response = getattr(browser(people[who]), JOB_ROUTES[name])(
        reverse(f"approvals:{name}", args=[job.public_id])
    )

    if response.streaming:
        assert b"".join(response.streaming_content) == b"kind,scope,pattern,note\r\n"
    assert response.status_code in (200, 302) if who == "alice" else response.status_code == 404


@pytest.mark.parametrize("who", ROLES)
def test_only_who_may_decide_opens_a_batch(people, draft, who):
    client = browser(people[who])

    status = client.post(reverse("approvals:batches"), {"draft": [str(draft.public_id)]}).status_code

    if DECIDE in ROLES[who]:
        assert status == 302
    else:
        # Eve decides elsewhere: for her the draft is none.
        assert status == (302 if who == "eve" else 403)
    assert Batch.objects.exists() == (DECIDE in ROLES[who])


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
    elif name.startswith("message_attachment"):
        assert status == 404  # visible, but there is no such file
    elif name.startswith("message_source"):
        assert status == 502  # visible, but no provider is there to give it
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
