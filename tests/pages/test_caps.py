"""The caps page and its forms, the switch of the dry run, and the word beside it."""

import pytest
from django.urls import reverse

from approvals import rehearsal
from approvals.transitions import sends as transitions
from audit.record import SYSTEM
from policies import caps, changes, mailbox_settings
from policies.models import OrganisationCap, Policy, Reservation, Workspace, WorkspaceMember
from tests.pages import scenes
from tests.pages import sends as scene_sends
from tests.pages.pages import browser
from tests.statements import statements

VALUES = {
    "name": "Prototype",
    "hour_cap": 10,
    "day_cap": 40,
    "window": "fixed",
    "spacing_seconds": 0,
    "ramp_hour_cap": 5,
    "ramp_hours": 24,
    "ceiling": 0,
    "limit_inbox_retention_period": 90,
    "limit_spam_retention_period": 14,
    "spam_sensitivity": 1.0,
    "version": 0,
    "reason": "",
}
# name: (method, roles that may)
ROUTES = {
    "caps": ("get", {"alice", "bob", "carol", "dave", "eve"}),
    "cap_policy_new": ("get", {"carol"}),
    "cap_attach": ("post", {"carol"}),
    "cap_organisation": ("post", {"carol"}),
    "cap_policy": ("post", {"carol"}),
    "cap_default": ("post", {"carol"}),
    "cap_remove": ("post", {"carol"}),
}
MAILBOX_ROUTES = {"dry_run_begin": {"carol"}, "dry_run_leave": {"carol"}}
PEOPLE = ("alice", "bob", "carol", "dave", "eve", "mallory", "lena")


@pytest.fixture
def lena(db):
    return scenes.person("lena", "list_editor", scenes.mailbox("lists@example.com"))


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory, lena):
    return {
        "alice": alice,
        "bob": bob,
        "carol": carol,
        "dave": dave,
        "eve": eve,
        "mallory": mallory,
        "lena": lena,
    }


def default():
    return Policy.objects.get(is_default=True)


def path_of(name):
    return reverse(
        f"approvals:{name}",
        args=[default().pk] if name in ("cap_policy", "cap_default", "cap_remove") else [],
    )


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("who", PEOPLE)
def test_a_route_of_the_caps_answers_each_role_as_the_table_says(people, support, who, name):
    method, may = ROUTES[name]

    status = getattr(browser(people[who]), method)(path_of(name)).status_code

    assert status == 403 if who not in may else status in (200, 302, 409, 422)


@pytest.mark.parametrize("name", MAILBOX_ROUTES)
@pytest.mark.parametrize("who", PEOPLE)
def test_a_switch_of_the_dry_run_answers_each_role_as_the_table_says(people, support, who, name):
    status = browser(people[who]).post(reverse(f"approvals:{name}", args=[support.public_id])).status_code

    if who in ("eve", "mallory", "lena"):
        assert status == 404
    elif who not in MAILBOX_ROUTES[name]:
        assert status in (403, 422)
    else:
        assert status in (302, 409, 422)


@pytest.mark.parametrize("name", ROUTES)
def test_a_stranger_is_sent_to_the_sign_in_page(db, name):
    method, _may = ROUTES[name]

    response = getattr(browser(), method)(path_of(name))

    assert response["Location"].startswith("/accounts/login/")


def admin(carol):
    return browser(carol)


@pytest.mark.row("000-07", "001-10")
def test_the_page_says_what_is_used_of_50_and_200_and_why(desk, support):
    Reservation.objects.create(mailbox_id=support.pk, send_key="a", reserved_at=caps.database_now())

    text = desk.page(path_of("caps")).text()

    assert "1 of 50 this hour" in text
    assert "1 of 200 today" in text
    assert "Default, the default" in text


def test_only_mailboxes_that_a_person_sees_are_listed(desk, support, orders):
    text = desk.page(path_of("caps")).text()

    assert support.address in text
    assert orders.address not in text


def test_the_page_takes_as_many_questions_for_one_mailbox_as_for_three(carol):
    policy = caps.add_policy(actor=SYSTEM, name="Sliding", window="sliding")
    client = admin(carol)

    def questions():
        client.get(path_of("caps"))
        with statements() as asked:
            client.get(path_of("caps"))
        return len(asked)

    rehearse("one@example.com", policy)
    for_one = questions()
    rehearse("two@example.com", policy)
    rehearse("three@example.com", policy)

    assert questions() == for_one


def rehearse(address, policy):
    box = scenes.mailbox(address)
    settings = {"policy": policy, "dry_run_since": caps.database_now(), "delivery": "dry_run"}
    mailbox_settings.write(box.pk, version=0, actor=SYSTEM, **settings)
    Reservation.objects.create(mailbox_id=box.pk, send_key=str(box.pk), reserved_at=caps.database_now())
    changes.create(Workspace, actor=SYSTEM, name=address)


def test_mailboxes_come_in_pages_and_a_form_comes_back_to_its_own(carol):
    boxes = [scenes.mailbox(f"box{number:02}@example.com") for number in range(52)]
    client = admin(carol)

    first = client.page(path_of("caps"))
    [more] = first.all("a", rel="next")
    second = client.page(more.get("href"))

    assert boxes[49].address in first.text() and boxes[50].address not in first.text()
    assert boxes[51].address in second.text() and boxes[49].address not in second.text()
    answer = client.post(
        path_of("cap_attach") + "?after=" + more.get("href").partition("after=")[2],
        {"scope": f"mailbox:{boxes[51].pk}", "version": 0, "policy": default().pk},
    )
    assert answer["Location"] == more.get("href")


def test_a_damaged_page_address_of_the_caps_says_so(carol):
    assert "This page address is damaged" in admin(carol).page(path_of("caps") + "?after=zzz").text()


def test_a_reader_opens_the_policy_that_the_list_leads_to(desk, support):
    page = desk.page(path_of("cap_policy"))

    assert (page.status, "Admins change this." in page.text()) == (200, True)


def test_a_reader_sees_only_the_workspaces_of_their_mailboxes(desk, support):
    mine = changes.create(Workspace, actor=SYSTEM, name="Mine")
    changes.create(Workspace, actor=SYSTEM, name="Others")
    changes.create(WorkspaceMember, actor=SYSTEM, workspace=mine, mailbox_id=support.pk)

    text = desk.page(path_of("caps")).text()

    assert "Mine" in text and "Others" not in text


def test_an_admin_adds_a_policy_and_attaches_it(carol, support):
    client = admin(carol)

    assert client.post(path_of("cap_policy_new"), VALUES).status_code == 302
    made = Policy.objects.get(name="Prototype")
    client.post(path_of("cap_attach"), {"scope": f"mailbox:{support.pk}", "version": 0, "policy": made.pk})

    assert "Prototype, attached to the mailbox" in client.page(path_of("caps")).text()


def test_a_workspace_gets_a_policy(carol, support):
    made = caps.add_policy(actor=SYSTEM, name="Prototype")
    workspace = changes.create(Workspace, actor=SYSTEM, name="Pilots")

    admin(carol).post(
        path_of("cap_attach"), {"scope": f"workspace:{workspace.pk}", "version": 1, "policy": made.pk}
    )

    workspace.refresh_from_db()
    assert workspace.policy == made


@pytest.mark.row("000-09", "K25")
def test_a_day_cap_above_the_provider_is_warned_about_with_both_numbers(carol, support):
    client = admin(carol)
    client.post(path_of("cap_policy_new"), VALUES | {"day_cap": 800, "ceiling": 500})

    text = client.page(path_of("caps")).text()

    assert "800 a day here, 500 there" in text


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"hour_cap": 100_001}, "hour_cap", "At most 100000."),
        ({"hour_cap": "many"}, "hour_cap", "Enter a whole number."),
        ({"limit_spam_retention_period": 90}, "limit_spam_retention_period", "fewer than 90"),
        ({"spam_sensitivity": 6}, "spam_sensitivity", "At most 5.0."),
    ],
)
def test_a_number_outside_its_limits_is_told_at_its_field_and_nothing_typed_is_lost(
    carol, values, field, says
):
    page = admin(carol).submit(path_of("cap_policy_new"), VALUES | values)

    assert page.status == 422
    assert says in page.text()
    [control] = page.all("input", name=field)
    assert control.get("value") == str(values[field])
    assert not Policy.objects.filter(name="Prototype").exists()


def test_a_policy_that_somebody_else_changed_shows_the_difference(carol):
    made = caps.add_policy(actor=SYSTEM, name="Prototype")
    caps.change_policy(made.pk, version=1, actor=SYSTEM, hour_cap=20)

    page = admin(carol).submit(
        reverse("approvals:cap_policy", args=[made.pk]), VALUES | {"hour_cap": 30, "version": 1}
    )

    made.refresh_from_db()
    assert (page.status, made.hour_cap) == (409, 20)
    assert "Somebody else changed this meanwhile" in page.text()
    [control] = page.all("input", name="hour_cap")
    assert control.get("value") == "30"
    [version] = page.all("input", name="version")
    assert version.get("value") == "2"


def test_a_policy_in_use_is_not_removed(carol, support):
    made = caps.add_policy(actor=SYSTEM, name="Prototype")
    mailbox_settings.write(support.pk, version=0, actor=SYSTEM, policy=made)

    page = admin(carol).submit(reverse("approvals:cap_remove", args=[made.pk]), {"version": 1})

    assert page.status == 409
    assert "attach another there first" in page.text()


def test_the_default_can_be_exchanged_and_not_removed(carol):
    made = caps.add_policy(actor=SYSTEM, name="Prototype")
    client = admin(carol)

    assert client.submit(path_of("cap_remove"), {"version": 1}).status == 409
    client.post(reverse("approvals:cap_default", args=[made.pk]), {"version": 1})

    assert default() == made


def test_the_organisation_cap_is_kept_and_drawn(carol, support):
    client = admin(carol)

    client.post(path_of("cap_organisation"), {"hour_cap": 90, "day_cap": "", "version": 0})

    assert OrganisationCap.objects.get().hour_cap == 90
    assert "0 of 90 this hour, all mailboxes" in client.page(path_of("caps")).text()


def test_an_organisation_cap_that_somebody_else_set_is_not_overwritten(carol, support):
    caps.set_organisation_cap(version=0, actor=SYSTEM, hour_cap=90, day_cap=None)

    page = admin(carol).submit(path_of("cap_organisation"), {"hour_cap": 10, "day_cap": "", "version": 0})

    assert (page.status, OrganisationCap.objects.get().hour_cap) == (409, 90)


# The dry run


def test_an_admin_begins_a_dry_run_and_leaves_it_with_reason_and_password(carol, support):
    client = admin(carol)
    client.post(reverse("approvals:dry_run_begin", args=[support.public_id]), {"version": 0})
    leave = reverse("approvals:dry_run_leave", args=[support.public_id])
    assert mailbox_settings.of(support.pk).delivery == "dry_run"

    refused = client.submit(leave, {"version": 1, "reason": "It did well", "password": "wrong"})
    client.post(leave, {"version": 1, "reason": "It did well", "password": scenes.PASSWORD})

    settings = mailbox_settings.of(support.pk)
    assert refused.status == 422
    assert settings.delivery == "live"
    assert settings.live_since is not None
    page = client.page(reverse("approvals:mailbox", args=[support.public_id]))
    assert "First day of sending live: 5 an hour" in page.text()


def test_a_dry_run_that_somebody_else_ended_is_told(carol, support):
    client = admin(carol)
    rehearsal.begin(support.pk, version=0, person=carol)

    page = client.submit(
        reverse("approvals:dry_run_leave", args=[support.public_id]),
        {"version": 0, "reason": "Done", "password": scenes.PASSWORD},
    )

    assert page.status == 409
    assert "Somebody else changed the settings" in page.text()


@pytest.fixture
def rehearsed(alice, carol, support):
    rehearsal.begin(support.pk, version=0, person=carol)
    draft = scenes.draft_in_thread(support)
    send = scene_sends.queued(draft, alice)
    transitions.Send.objects.filter(pk=send.pk).update(next_attempt_at=send.queued_at)
    transitions.claim(
        send.pk,
        decision_id=send.decision_id,
        transport=support.transport,
        look=scene_sends.look_at(draft),
        trouble="",
        worker="w",
        is_rehearsal=True,
    )
    draft.refresh_from_db()
    return draft


@pytest.mark.row("000-37", "001-23")
def test_the_draft_page_says_would_have_been_sent_with_every_recipient(desk, rehearsed):
    text = desk.page(reverse("approvals:draft", args=[rehearsed.public_id])).text()

    assert "Would have been sent" in text
    assert "priya.nair@example.org" in text


@pytest.mark.row("000-37")
def test_the_sent_page_lists_it_apart(desk, rehearsed):
    address = reverse("approvals:sent")

    assert "priya.nair@example.org" in desk.page(f"{address}?view=dry_run").text()
    assert "Priya Nair" not in desk.page(address).text()


def test_a_reviewer_says_it_would_have_been_wrong_and_the_evidence_counts_it(desk, carol, support, rehearsed):
    compare = reverse("approvals:compare", args=[rehearsed.public_id])

    faulty = desk.submit(compare, {"would_send": "no", "wrong_kind": "", "note": "The day is wrong"})
    desk.post(compare, {"would_send": "no", "wrong_kind": "fact", "note": "The day is wrong"})

    assert faulty.status == 422
    assert "The day is wrong" in faulty.text()
    page = desk.page(reverse("approvals:draft", args=[rehearsed.public_id]))
    assert "would not have sent it" in page.text()
    assert "1 compared, 1 wrong. Not ready" in admin(carol).page(path_of("caps")).text()


def test_a_full_hour_is_told_on_the_draft_page(desk, support):
    made = caps.add_policy(actor=SYSTEM, name="None", hour_cap=0)
    mailbox_settings.write(support.pk, version=0, actor=SYSTEM, policy=made)

    page = desk.page(reverse("approvals:draft", args=[scenes.draft_in_thread(support).public_id]))

    assert "Waits for the hour cap: next at" in page.text()
    assert page.button("Approve and send").get("disabled") is None
