"""Incoming mail of a mailbox that gates reads, too: the agent sees it once a person released it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from agentmail.models import Mailbox, Message
from approvals import inbound, intake
from approvals.models import Draft, InboundRelease
from audit.models import Entry
from tests.approvals.conftest import sent

pytestmark = pytest.mark.row("004-29", "K17")


@pytest.fixture
def gated(mailbox: Mailbox) -> Mailbox:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="gated_all")
    mailbox.refresh_from_db()
    return mailbox


def fetch(mailbox: Mailbox) -> None:
    intake.poll(mailbox, configured_client())


def test_what_arrives_is_held_until_a_person_releases_it(
    gated: Mailbox, customer_writes: Callable[..., Any], alice: User
) -> None:
    customer_writes(subject="Hello")
    fetch(gated)
    message = Message.objects.get()

    assert not inbound.is_released(message)
    assert list(inbound.released(Message.objects.all())) == []
    assert inbound.release(gated, [message.pk], person=alice) == 1
    assert inbound.is_released(message)
    assert list(inbound.released(Message.objects.all())) == [message]
    row = InboundRelease.objects.get()
    assert (row.released_by, row.released_at is not None) == (alice, True)
    assert list(
        Entry.objects.order_by("sequence")
        .filter(action__startswith="approvals.inbound")
        .values_list("action", flat=True)
    ) == [
        "approvals.inbound.held",
        "approvals.inbound.released",
    ]


@pytest.mark.parametrize("mode", ["read_only", "gated_send", "monitored", "autonomous"])
def test_in_the_other_modes_nothing_is_held(
    mailbox: Mailbox, customer_writes: Callable[..., Any], mode: str
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode=mode)
    customer_writes(subject="Hello")
    fetch(mailbox)

    assert inbound.is_released(Message.objects.get())


def test_what_arrived_before_stays_readable_and_what_is_held_stays_held(
    mailbox: Mailbox, customer_writes: Callable[..., Any], alice: User
) -> None:
    customer_writes(subject="Before")
    fetch(mailbox)
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="gated_all")
    customer_writes(subject="During")
    fetch(mailbox)
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="gated_send")
    customer_writes(subject="After")
    fetch(mailbox)

    readable = set(inbound.released(Message.objects.all()).values_list("subject", flat=True))
    assert readable == {"Before", "After"}
    held = inbound.held_in(mailbox).get()
    assert inbound.release(mailbox, [held.message_id], person=alice) == 1


def test_a_stranger_who_writes_as_the_mailbox_itself_is_held_too(
    gated: Mailbox, customer_writes: Callable[..., Any]
) -> None:
    customer_writes(**{"from": {"email": gated.address}}, subject="From yourself")
    fetch(gated)

    assert not inbound.is_released(Message.objects.get())


def test_a_message_with_the_id_of_mail_that_another_mailbox_sent_is_held_too(
    pending: Draft, alice: User
) -> None:
    send = sent(pending, alice)
    other = Mailbox.objects.create(grant_id="another", address="sales@harbour.example", mode="gated_all")

    message = Message.objects.create(mailbox=other, provider_id=send.provider_message_id)

    assert send.provider_message_id
    assert not inbound.is_released(message)


def test_a_message_that_is_known_in_part_is_held_and_cannot_be_released(gated: Mailbox, alice: User) -> None:
    message = Message.objects.create(mailbox=gated, provider_id="m-1", is_complete=False)

    with pytest.raises(inbound.ReleaseRefused, match="read in full"):
        inbound.release(gated, [message.pk], person=alice)

    assert not inbound.is_released(message)


def test_who_may_not_decide_releases_nothing(gated: Mailbox, olga: User, charlie: User) -> None:
    message = Message.objects.create(mailbox=gated, provider_id="m-1")

    for someone in (olga, charlie):
        with pytest.raises(inbound.ReleaseRefused, match="may not release"):
            inbound.release(gated, [message.pk], person=someone)


def test_a_message_of_another_mailbox_is_not_released(gated: Mailbox, alice: User) -> None:
    other = Mailbox.objects.create(grant_id="another", address="sales@harbour.example", mode="gated_all")
    message = Message.objects.create(mailbox=other, provider_id="m-1")

    assert inbound.release(gated, [message.pk], person=alice) == 0
    assert not inbound.is_released(message)


def test_a_second_release_changes_nothing(gated: Mailbox, alice: User, bruno: User) -> None:
    message = Message.objects.create(mailbox=gated, provider_id="m-1")
    inbound.release(gated, [message.pk], person=alice)

    assert inbound.release(gated, [message.pk], person=bruno) == 0
    assert InboundRelease.objects.get().released_by == alice
