"""Asking the caps of many mailboxes at once: the same answers as one by one, in a fixed number of questions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from policies import cap_usage, caps, changes, mailbox_settings
from policies.models import OrganisationCap, Policy, Reservation, Workspace, WorkspaceMember
from tests.policies.conftest import OPERATOR

NOW = datetime(2026, 3, 4, 0, 20, tzinfo=UTC)
MINUTES_AGO = (1, 2, 10, 19, 25, 59, 61, 300, 1439, 1441)


def reserved(mailbox_id, *minutes_ago):
    for minutes in minutes_ago:
        at = NOW - timedelta(minutes=minutes)
        Reservation.objects.create(mailbox_id=mailbox_id, send_key=f"{mailbox_id}-{minutes}", reserved_at=at)


def asked(*mailbox_ids, now=NOW):
    return cap_usage.ask_each(mailbox_settings.of_many(mailbox_ids), now=now)


@pytest.fixture
def mailboxes(db):
    """One mailbox for each way to come by a policy, with sends around every boundary."""
    default = Policy.objects.get(is_default=True)
    changes.change(Policy, default.pk, version=default.version, actor=OPERATOR, spacing_seconds=600)
    sliding = caps.add_policy(actor=OPERATOR, name="Sliding", window="sliding", hour_cap=3, day_cap=6)
    closed = caps.add_policy(
        actor=OPERATOR, name="Closed", window="sliding", hour_cap=0, spacing_seconds=3600
    )
    workspace = changes.create(Workspace, actor=OPERATOR, name="Pilots", policy=sliding)
    empty = changes.create(Workspace, actor=OPERATOR, name="Empty")
    for mailbox_id, of in ((2, workspace), (3, workspace), (4, empty)):
        changes.create(WorkspaceMember, actor=OPERATOR, workspace=of, mailbox_id=mailbox_id)
    mailbox_settings.write(3, version=0, actor=OPERATOR, policy=closed)
    mailbox_settings.write(4, version=0, actor=OPERATOR, live_since=NOW - timedelta(hours=2))
    changes.create(OrganisationCap, actor=OPERATOR, id=cap_usage.ORGANISATION_ID, hour_cap=10, day_cap=None)
    for mailbox_id in (1, 2, 3, 4):
        reserved(mailbox_id, *MINUTES_AGO)
    Reservation.objects.filter(send_key="1-1").update(refunded_at=NOW)
    return (1, 2, 3, 4, 5)


@pytest.mark.parametrize("minutes", [0, 1, 39, 41, 700])
def test_every_mailbox_gets_the_answer_it_gets_alone(mailboxes, minutes):
    now = NOW + timedelta(minutes=minutes)

    found = asked(*mailboxes, now=now)

    assert found == {pk: caps.ask(pk, now=now) for pk in mailboxes}


def test_many_mailboxes_take_as_many_questions_as_one(mailboxes, django_assert_num_queries):
    for some in ((2,), mailboxes):
        settings = mailbox_settings.of_many(some)
        with django_assert_num_queries(6):
            cap_usage.ask_each(settings, now=NOW)
