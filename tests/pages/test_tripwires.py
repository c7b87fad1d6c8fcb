"""The desk stops a mailbox by itself, and says with which numbers."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection

from agentmail.types import ReplyClass
from approvals import switchboard, tripwires
from approvals.models import Attempt, Send
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import scopes, switch, trips
from policies.models import TripLimits, Workspace, WorkspaceMember
from tests.pages import pages, scenes, sends

pytestmark = pytest.mark.django_db

ADDRESS = "priya.nair@example.org"
LOW = {"bounce_sample": 5, "bounce_percent": 10, "complaint_sample": 20, "failures_in_a_row": 3}


@pytest.fixture(autouse=True)
def unlimited():
    cache.clear()


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


@pytest.fixture
def ada():
    return scenes.person("ada", "admin", name="Ada Admin")


def limit(scope=switch.GLOBAL, **fields):
    return TripLimits.objects.create(scope=scope, **LOW | fields)


def accepted(box, person, count, **outcomes):
    return [sends.accepted(scenes.draft(box), person, **outcomes) for _ in range(count)]


def bounced(box, person, count):
    return accepted(box, person, count, priya_nair=[("hard_bounce", "5.1.1")])


def one_a_minute(box, person, count):
    """Mail that left yesterday, one more in each of so many minutes."""
    yesterday = (database_now() - timedelta(days=1)).replace(second=5)
    for number, send in enumerate(accepted(box, person, count)):
        began = yesterday + timedelta(minutes=number)
        Attempt.objects.filter(send=send).update(request_started_at=began)


def is_open(box):
    return switch.read([box.scope]).is_open


def test_too_many_hard_bounces_stop_the_mailbox_with_the_numbers(box, mara):
    limit()
    accepted(box, mara, 4)
    bounced(box, mara, 2)

    assert tripwires.check_all() == 1

    reading = switch.read([box.scope])
    assert "2 of 6 mails of the last 24 h bounced hard, more than 10 %." in reading.sentence
    entry = Entry.objects.get(action="policies.switch.tripped")
    assert (entry.outcome, entry.mailbox_id, entry.data["bounced"]) == ("bounces", box.pk, 2)
    assert Entry.objects.get(action="policies.switch.engaged").actor_kind == "system"


@pytest.fixture
def unstoppable(box):
    """The switch of the mailbox cannot be written, as by a broken row or disk."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TRIGGER unstoppable BEFORE UPDATE ON policies_switch "
            f"WHEN NEW.scope = '{box.scope}' BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )
    yield box
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER unstoppable")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the trigger is written for SQLite")
def test_a_mailbox_that_cannot_be_stopped_leaves_the_others_watched(unstoppable, mara):
    limit()
    other = scenes.mailbox("other@example.com", undo_seconds=0)
    omar = scenes.person("omar", "reviewer", other)
    bounced(unstoppable, mara, 6)
    bounced(other, omar, 6)

    assert tripwires.check_all() == 1

    assert not is_open(other)


def test_one_bounce_of_two_trips_nothing(box, mara):
    bounced(box, mara, 1)
    accepted(box, mara, 1)

    assert tripwires.check_all() == 0
    assert is_open(box)


def test_a_single_bounce_never_trips_however_low_the_limit_is(box, mara):
    limit(bounce_percent=1)
    accepted(box, mara, 5)
    bounced(box, mara, 1)

    assert tripwires.check_all() == 0


def test_a_share_at_the_limit_does_not_trip(box, mara):
    limit(bounce_percent=40)
    accepted(box, mara, 3)
    bounced(box, mara, 2)

    assert tripwires.check_all() == 0


def test_bounces_of_mail_before_the_window_do_not_count(box, mara):
    limit(window_hours=1)
    for send in bounced(box, mara, 6):
        Send.objects.filter(pk=send.pk).update(accepted_at=send.accepted_at - timedelta(hours=2))

    assert tripwires.check_all() == 0


def test_complaints_stop_the_mailbox(box, mara):
    limit(complaint_sample=20, complaints_per_thousand=50)
    accepted(box, mara, 18)
    accepted(box, mara, 2, priya_nair=[("complaint", "")])

    assert tripwires.check_all() == 1
    assert "2 of 20 mails of the last 168 h were complained about" in switch.read([box.scope]).sentence


def test_failures_in_a_row_stop_the_mailbox(box, mara):
    limit()
    for _ in range(3):
        sends.failed(scenes.draft(box), mara)

    assert tripwires.check_all() == 1
    assert "3 sends in a row failed" in switch.read([box.scope]).sentence


def test_an_acceptance_ends_a_row_of_failures(box, mara):
    limit()
    for _ in range(2):
        sends.failed(scenes.draft(box), mara)
    accepted(box, mara, 1)
    sends.failed(scenes.draft(box), mara)

    assert tripwires.check_all() == 0


def test_a_provider_that_asks_to_wait_is_no_failure(box, mara):
    limit(failures_in_a_row=2)
    for _ in range(3):
        sends.answered(scenes.draft(box), mara, ReplyClass.RATE_LIMITED, "Wait.", status_code=429)

    assert tripwires.check_all() == 0


def test_a_pace_far_above_the_usual_stops_the_mailbox(box, mara):
    limit(pace_minimum=5, pace_factor=2)
    one_a_minute(box, mara, tripwires.USUAL_MINUTES)
    accepted(box, mara, 6)

    assert tripwires.check_all() == 1
    assert "6 sends within a minute; usual are" in switch.read([box.scope]).sentence


def test_a_mailbox_without_a_usual_pace_is_left_to_its_caps(box, mara):
    limit(pace_minimum=5, pace_factor=2)
    one_a_minute(box, mara, tripwires.USUAL_MINUTES - 1)
    accepted(box, mara, 30)

    assert tripwires.check_all() == 0


def test_a_pace_that_is_usual_trips_nothing(box, mara):
    limit(pace_minimum=5, pace_factor=2)
    for _ in range(3):
        one_a_minute(box, mara, tripwires.USUAL_MINUTES)
    accepted(box, mara, 6)

    assert tripwires.check_all() == 0


def test_a_trip_is_made_once_and_counts_anew_after_a_release(box, mara):
    limit()
    bounced(box, mara, 6)
    assert tripwires.check_all() == 1
    assert tripwires.check_all() == 0

    switchboard.release_as(SYSTEM, box.scope, reason="List cleaned.")

    assert tripwires.check_all() == 0
    assert is_open(box)
    bounced(box, mara, 5)
    assert tripwires.check_all() == 1
    assert Entry.objects.filter(action="policies.switch.tripped").count() == 2


def test_limits_that_are_off_trip_nothing(box, mara):
    limit(is_on=False)
    bounced(box, mara, 6)

    assert tripwires.check_all() == 0


def test_the_narrowest_limits_count(box):
    workspace = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=workspace, mailbox_id=box.pk)
    assert trips.of(box.pk).version == 0
    for scope in (switch.GLOBAL, scopes.workspace_scope(workspace.pk), box.scope):
        limit(scope)
        assert trips.of(box.pk).scope == scope


# The page


def fields_of(**changes):
    return (
        {name: getattr(TripLimits(), name) for name in trips.LIMITS}
        | {
            "version": 0,
            "is_on": "on",
            "reason": "Fewer bounces wanted.",
        }
        | changes
    )


def save(person, scope="global", **changes):
    return sends.signed_in(person).post(f"/policies/trips/?scope={scope}", fields_of(**changes))


def test_an_admin_sets_limits_for_the_desk_and_for_one_mailbox(box, ada):
    assert save(ada, bounce_percent=7).status_code == 302
    assert save(ada, box.scope, bounce_percent=3).status_code == 302

    assert trips.of_scope(switch.GLOBAL).bounce_percent == 7
    assert trips.of(box.pk).bounce_percent == 3
    shown = sends.words(sends.signed_in(ada).get("/policies/trips/"))
    assert box.address in shown


@pytest.mark.parametrize("name", trips.LIMITS)
def test_a_limit_outside_its_bounds_is_refused_at_its_field(ada, name):
    low, high = trips.LIMITS[name]
    for value, words in ((low - 1, f"{low}"), (high + 1, f"{high}"), ("x", "whole number")):
        response = save(ada, **{name: value})

        assert response.status_code == 422
        assert words in sends.words(response)
    assert not TripLimits.objects.exists()


def test_two_admins_who_save_at_once_get_the_difference(box, ada):
    save(ada, bounce_percent=7)

    response = save(ada, bounce_percent=9)

    assert response.status_code == 409
    shown = sends.words(response)
    assert "7" in shown
    assert 'value="9"' in response.content.decode()
    assert trips.of_scope(switch.GLOBAL).bounce_percent == 7
    again = pages.looked_at(response).form_values("limits")
    assert sends.signed_in(ada).post("/policies/trips/?scope=global", again).status_code == 302
    assert trips.of_scope(switch.GLOBAL).bounce_percent == 9


def test_limits_of_a_mailbox_are_removed_again(box, ada):
    save(ada, box.scope, bounce_percent=3)

    response = save(ada, box.scope, version=1, remove="yes")

    assert response.status_code == 302
    assert not TripLimits.objects.exists()


def test_a_scope_that_is_not_there_is_not_found(ada):
    for scope in ("mailbox:999", "workspace:999", "domain:example.org", "x"):
        assert sends.signed_in(ada).get(f"/policies/trips/?scope={scope}").status_code == 404


@pytest.mark.parametrize(
    ("role", "seen", "saved"),
    [
        ("reviewer", 200, 403),
        ("operator", 200, 403),
        ("admin", 200, 302),
        ("auditor", 200, 403),
        ("list_editor", 403, 403),
        (None, 403, 403),
    ],
)
def test_the_page_of_the_limits_answers_each_role(role, seen, saved):
    person = scenes.person("rolf", role)

    assert sends.signed_in(person).get("/policies/trips/").status_code == seen
    assert save(person).status_code == saved


def test_limits_of_a_workspace_without_an_own_mailbox_do_not_exist(box, mara):
    own = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=own, mailbox_id=box.pk)
    foreign = Workspace.objects.create(name="Board")
    client = sends.signed_in(mara)

    assert client.get(f"/policies/trips/?scope={scopes.workspace_scope(own.pk)}").status_code == 200
    assert client.get(f"/policies/trips/?scope={scopes.workspace_scope(foreign.pk)}").status_code == 404
    assert "Board" not in client.get("/policies/trips/").content.decode()
