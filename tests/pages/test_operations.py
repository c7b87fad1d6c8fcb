from datetime import timedelta

import pytest
from django.core.cache import cache

from agentmail.models import ProviderEvent, WebhookRejection
from approvals import switchboard
from approvals.models import Heartbeat, Send
from approvals.operations import processes
from audit.clock import database_now
from audit.models import Entry
from policies import switch
from tests.database import read_only
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unlimited():
    # How often a password may be tried is remembered by user id, which the next test gives to somebody else.
    cache.clear()


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def ines():
    return scenes.person("ines", "operator", name="Ines Duarte")


def page(person, query="", status=200):
    response = sends.signed_in(person).get(f"/operations/{query}")
    assert response.status_code == status
    return sends.words(response)


def post(person, verb, **fields):
    return sends.signed_in(person).post(f"/operations/{verb}/", fields)


def stop(person, reason="Old prices."):
    return post(person, "stop", reason=reason)


def resume(person, **changes):
    return post(person, "resume", **({"reason": "Prices loaded.", "password": scenes.PASSWORD} | changes))


def is_open():
    return switch.read([switch.GLOBAL]).is_open


def test_any_reviewer_stops_all_sending_and_everybody_reads_why(mara, ines):
    response = stop(mara)

    assert response.status_code == 302
    assert not is_open()
    shown = page(ines)
    assert "All sending is stopped" in shown
    assert "by Mara Okafor: “Old prices.”" in shown


def test_a_stop_does_not_wait_for_its_reason(mara):
    stop(mara, reason="")

    assert not is_open()
    assert "No reason was given." in page(mara)


def test_a_stop_says_how_long_it_waited_and_how_much_is_held(box, mara):
    sends.queued(scenes.draft(box), mara)

    client = sends.signed_in(mara)
    shown = sends.words(client.post("/operations/stop/", {"reason": "Old prices."}, follow=True))

    assert "Stopped. Nothing more leaves" in shown
    assert "1 mail is held." in shown
    assert "From the switch to the last answer" in shown


def test_what_is_under_way_at_a_stop_is_named(box, mara):
    sends.dispatched(scenes.draft(box, subject="Re: On its way"), mara)
    client = sends.signed_in(mara)

    shown = sends.words(client.post("/operations/stop/", {"reason": "Old prices."}, follow=True))

    assert "still under way: Priya Nair" in shown
    assert "Re: On its way" in shown


@pytest.mark.django_db(transaction=True)
def test_a_stop_that_cannot_be_written_says_what_to_do_and_the_pages_are_still_read(box, mara):
    client = sends.signed_in(mara)
    client.get("/operations/")

    with read_only():
        response = client.post("/operations/stop/", {"reason": "Old prices."})
        shown = sends.words(client.get("/operations/"))

    assert response.status_code == 503
    assert "create the file" in sends.words(response)
    assert "Sending is on" in shown


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "path", ["queue", "sent", "follow-ups", "unknown", "operations", "mailboxes", "audit"]
)
def test_pages_are_read_for_longer_than_a_minute_from_a_database_that_takes_no_writes(mara, path):
    client = sends.signed_in(mara)
    client.get("/sent/")
    session = client.session
    session["used_at"] -= 120
    session.save()

    with read_only():
        response = client.get(f"/{path}/")

    assert response.status_code == 200


def test_a_person_without_a_role_cannot_stop(box):
    nobody = scenes.person("nobody")

    assert stop(nobody).status_code == 403
    assert is_open()


def test_a_reviewer_cannot_resume_sending(mara, ines):
    stop(ines)

    assert resume(mara).status_code == 403
    assert not is_open()


def test_resuming_needs_a_reason_and_the_password(ines):
    stop(ines)

    response = resume(ines, reason="", password="wrong")

    shown = sends.words(response)
    assert response.status_code == 422
    assert "That is not your password" in shown
    assert "what was put right" in shown
    assert not is_open()


@pytest.mark.row("D7")
def test_an_operator_resumes_sending_and_held_mail_stays_held(box, mara, ines):
    send = sends.queued(scenes.draft(box, subject="Re: Held"), mara)
    stop(mara)

    response = resume(ines)

    assert response.status_code == 302
    assert is_open()
    send.refresh_from_db()
    assert send.held == "blocked_kill_switch"
    assert "Re: Held" in page(ines)


def test_the_stop_file_is_said_and_cannot_be_lifted_from_the_page(ines, settings, tmp_path):
    settings.KILL_SWITCH_FILE = tmp_path / "STOP"
    settings.KILL_SWITCH_FILE.write_text("maintenance\n")

    shown = page(ines)
    response = resume(ines)

    assert "maintenance" in shown
    assert response.status_code == 409
    assert "Remove the file first" in sends.words(response)


def test_selected_held_mail_is_resumed_and_the_rest_stays(box, mara, ines):
    first, second = (sends.queued(scenes.draft(box), mara) for _ in range(2))
    stop(mara)
    resume(ines)

    response = post(ines, "held", chosen=[str(first.draft.public_id)])

    assert response.status_code == 302
    assert [Send.objects.get(pk=send.pk).held for send in (first, second)] == ["", "blocked_kill_switch"]
    assert Entry.objects.filter(action="approvals.send.resumed").count() == 1


def test_all_held_mail_shown_is_resumed_at_once(box, mara, ines):
    held = [sends.queued(scenes.draft(box), mara) for _ in range(3)]
    stop(mara)
    resume(ines)

    post(ines, "held", all="yes", shown=[str(send.draft.public_id) for send in held])

    assert not Send.objects.exclude(held="").exists()


def test_nothing_is_resumed_while_sending_is_stopped(box, mara, ines):
    send = sends.queued(scenes.draft(box), mara)
    stop(mara)

    response = post(ines, "held", chosen=[str(send.draft.public_id)])

    assert response.status_code == 409
    assert "Resume sending first" in sends.words(response)
    send.refresh_from_db()
    assert send.held == "blocked_kill_switch"


def test_nothing_of_a_stopped_mailbox_is_resumed(box, mara, ines):
    send = sends.queued(scenes.draft(box), mara)
    switchboard.stop(box.scope, person=mara, reason="Old prices.")

    response = post(ines, "held", chosen=[str(send.draft.public_id)])

    assert response.status_code == 409
    assert "Nothing was resumed" in sends.words(response)
    send.refresh_from_db()
    assert send.held == "blocked_kill_switch"


def test_resuming_nothing_asks_to_choose(ines):
    response = post(ines, "held")

    assert response.status_code == 422
    assert "Choose at least one mail" in sends.words(response)


def test_held_mail_of_foreign_mailboxes_is_neither_shown_nor_resumed(box, mara):
    other = scenes.mailbox("sales@example.com", undo_seconds=0)
    omar = scenes.person("omar", "operator", other)
    send = sends.queued(scenes.draft(box, subject="Re: Not yours"), mara)
    Send.objects.filter(pk=send.pk).update(held="blocked_grant", held_at=send.queued_at)

    response = post(omar, "held", chosen=[str(send.draft.public_id)])

    assert response.status_code == 422
    assert "Re: Not yours" not in page(omar)
    send.refresh_from_db()
    assert send.held == "blocked_grant"


def test_a_reviewer_cannot_resume_held_mail(box, mara):
    assert post(mara, "held", chosen=[]).status_code == 403


def test_a_worker_that_is_alive_and_one_that_is_silent_are_told_apart(mara):
    now = database_now()
    Heartbeat.objects.create(kind="worker", name="fresh:1", at=now)
    Heartbeat.objects.create(kind="worker", name="old:2", at=now - timedelta(minutes=10))

    shown = page(mara)

    assert "fresh:1 alive" in shown
    assert "old:2 silent for 10 min" in shown


def test_a_silent_worker_is_flagged_though_the_one_for_webhooks_is_alive(mara):
    now = database_now()
    Heartbeat.objects.create(kind="webhooks", name="fresh:1/webhooks", at=now)
    Heartbeat.objects.create(kind="worker", name="dead:2", at=now - timedelta(minutes=10))
    Heartbeat.objects.create(kind="worker", name="gone:3", at=now - timedelta(minutes=20))

    found = {one.name: (one.is_alive, one.is_latest) for one in processes(now)}

    assert found == {
        "fresh:1/webhooks": (True, True),
        "dead:2": (False, True),
        "gone:3": (False, False),
    }


def test_a_worker_of_another_version_is_marked(mara):
    Heartbeat.objects.create(kind="worker", name="w:1", at=database_now(), detail={"release": "0123456789ab"})

    assert "another version than this page" in page(mara)


def test_no_worker_at_all_says_what_to_start(mara):
    assert "Start the worker and beat processes." in page(mara)


def test_a_send_that_is_long_due_is_counted(box, mara):
    send = sends.queued(scenes.draft(box), mara)
    Send.objects.filter(pk=send.pk).update(next_attempt_at=send.next_attempt_at - timedelta(minutes=5))

    assert "Due for over a minute 1" in page(mara)


def test_failing_events_are_counted_and_named(mara):
    ProviderEvent.objects.create(
        notification_id="n-1",
        type="message.created",
        body_sha256="0" * 64,
        payload={},
        state="failing",
        attempts=3,
        trouble="GET was answered with 503.",
    )

    assert "Provider events failing 1" in page(mara)
    assert "GET was answered with 503." in page(mara, "condition/")


def test_turned_away_notifications_are_counted_by_reason(mara):
    WebhookRejection.objects.create(day=database_now().date(), reason="bad_signature", count=7)

    assert "wrong signature 7" in page(mara, "condition/")


def test_the_condition_comes_alone_for_the_part_that_refreshes_itself(mara):
    response = sends.signed_in(mara).get("/operations/condition/", headers={"HX-Request": "true"})

    assert response.content.lstrip().startswith(b'<div id="condition"')


@pytest.mark.parametrize("verb", ["stop", "resume", "held"])
def test_nothing_is_switched_by_an_address_alone(ines, verb):
    assert sends.signed_in(ines).get(f"/operations/{verb}/").status_code == 405


@pytest.mark.parametrize("count", [1, 3])
def test_operations_asks_the_database_equally_often_for_one_row_and_three(box, mara, count):
    for _ in range(count):
        sends.queued(scenes.draft(box), mara)
        sends.dispatched(scenes.draft(box), mara)
    Send.objects.filter(state="queued").update(held="blocked_grant")
    assert sends.questions(mara, "/operations/") == 14
