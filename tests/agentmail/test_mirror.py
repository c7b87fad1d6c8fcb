import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from agentmail import mirror
from agentmail.exceptions import ProviderUnavailable
from agentmail.models import Mailbox, Message, RuleEvaluation, Thread
from agentmail.types import Address, MessageSnapshot, RuleEvaluationSnapshot, ThreadSnapshot
from tests.agentmail.loopback import answering

pytestmark = pytest.mark.django_db

SNAPSHOT = MessageSnapshot(
    id="m1",
    grant_id="g1",
    thread_id="t1",
    from_=(Address("anna@example.net", "Anna"),),
    to=(Address("support@example.org"),),
    cc=(),
    bcc=(),
    reply_to=(),
    subject="Hello",
    body="<p>Hi <b>there</b><script>x()</script></p>",
    date=1790001234,
    headers=(("message-id", "<1@example.net>"),),
)
NOW = int(datetime.now(tz=UTC).timestamp())


@pytest.fixture
def mailbox():
    return Mailbox.objects.create(grant_id="g1", address="Support@example.org")


def test_stored_message_is_sanitised_once(mailbox):
    message = mirror.store_message(mailbox, SNAPSHOT)

    message.refresh_from_db()
    assert (message.body_html, message.body_text) == ("<p>Hi <b>there</b></p>", "Hi there")
    assert (message.sender, message.is_outbound) == ([{"email": "anna@example.net", "name": "Anna"}], False)
    assert (message.message_id, message.is_complete) == ("<1@example.net>", True)


def test_plain_text_is_stored_as_text(mailbox):
    message = mirror.store_message(mailbox, dataclasses.replace(SNAPSHOT, body="1 < 2\n> quoted"))

    assert (message.body_html, message.body_text) == ("", "1 < 2\n> quoted")


def test_message_from_the_mailbox_is_outbound_whatever_its_case(mailbox):
    sent = dataclasses.replace(SNAPSHOT, from_=(Address("SUPPORT@example.org"),))

    assert mirror.store_message(mailbox, sent).is_outbound


@pytest.mark.parametrize(
    ("folders", "left"), [((), True), (("f-in",), False), (("f-in", "f-sent"), True), (("f-own",), True)]
)
def test_message_in_the_name_of_the_mailbox_arrived_if_it_lies_in_the_inbox_alone(mailbox, folders, left):
    mailbox.sent_folder_id, mailbox.inbox_folder_id = "f-sent", "f-in"
    shown = dataclasses.replace(SNAPSHOT, from_=(Address("support@example.org"),), folders=folders)

    assert mirror.store_message(mailbox, shown).is_outbound is left


@pytest.mark.parametrize(("first", "then"), [("f-in", "f-own"), ("f-sent", "f-in")])
def test_a_message_that_is_moved_stays_what_it_was(mailbox, first, then):
    mailbox.sent_folder_id, mailbox.inbox_folder_id = "f-sent", "f-in"
    shown = dataclasses.replace(SNAPSHOT, from_=(Address("support@example.org"),), folders=(first,))
    before = mirror.store_message(mailbox, shown).is_outbound

    moved = mirror.store_message(mailbox, dataclasses.replace(shown, folders=(then,)))

    assert (moved.is_outbound, Message.objects.get().is_outbound) == (before, before)


def test_message_in_the_sent_folder_is_outbound(mailbox):
    mailbox.sent_folder_id = "f-sent"

    assert mirror.store_message(mailbox, dataclasses.replace(SNAPSHOT, folders=("f-sent",))).is_outbound


def test_message_stored_twice_is_one_row_with_its_text_unchanged(mailbox):
    first = mirror.store_message(mailbox, SNAPSHOT)
    second = mirror.store_message(
        mailbox, dataclasses.replace(SNAPSHOT, body="other", thread_id="t2", metadata={"key1": "T"})
    )

    second.refresh_from_db()
    assert second.pk == first.pk
    assert (second.body_text, second.thread_id, second.metadata) == ("Hi there", "t2", {"key1": "T"})


def test_incomplete_message_becomes_complete(mailbox):
    noted = mirror.note_incomplete(mailbox, "m1", "t1")
    message = mirror.store_message(mailbox, SNAPSHOT)

    message.refresh_from_db()
    assert (noted.is_complete, message.is_complete, message.pk == noted.pk) == (False, True, True)
    assert message.body_text == "Hi there"


def test_complete_message_never_becomes_incomplete(mailbox):
    mirror.store_message(mailbox, SNAPSHOT)
    mirror.note_incomplete(mailbox, "m1", "t1")
    message = mirror.store_message(mailbox, dataclasses.replace(SNAPSHOT, body=""), is_complete=False)

    message.refresh_from_db()
    assert (message.is_complete, message.body_text) == (True, "Hi there")


def test_thread_is_stored_once_and_replaced(mailbox):
    snapshot = ThreadSnapshot("t1", "g1", "Hello", (Address("a@example.net"),), ("m1",), (), 5, None)
    mirror.store_thread(mailbox, snapshot)
    mirror.store_thread(mailbox, dataclasses.replace(snapshot, message_ids=("m1", "m2")))

    thread = Thread.objects.get()
    assert (thread.message_ids, thread.participants) == (["m1", "m2"], [{"email": "a@example.net"}])
    assert (thread.latest_message_received_date, thread.latest_message_sent_date) == (5, None)


def evaluation(number):
    return RuleEvaluationSnapshot(
        f"e{number}", "g1", "", number, "outbound_send", {}, {"blocked": True}, ("r1",)
    )


@pytest.mark.row("001-32")
def test_evaluations_are_stored_once_with_the_newest_last(mailbox):
    first = mirror.store_rule_evaluations(mailbox, [evaluation(2), evaluation(1)])
    second = mirror.store_rule_evaluations(mailbox, [evaluation(3), evaluation(2), evaluation(1)])

    assert (first, second) == (2, 1)
    assert list(RuleEvaluation.objects.order_by("id").values_list("provider_id", flat=True)) == [
        "e1",
        "e2",
        "e3",
    ]


def test_evaluations_are_read_only_until_a_known_one(mailbox):
    mirror.store_rule_evaluations(mailbox, [evaluation(1)])
    asked = []

    def newest_first():
        for number in range(1000, 0, -1):
            asked.append(number)
            yield evaluation(number if number > 990 else 1)

    mirror.store_rule_evaluations(mailbox, newest_first())

    assert len(asked) <= 200


def test_broken_off_list_of_evaluations_hides_none(mailbox):
    def breaking():
        yield from (evaluation(number) for number in range(300, 100, -1))
        raise ProviderUnavailable("gone")

    with pytest.raises(ProviderUnavailable):
        mirror.store_rule_evaluations(mailbox, breaking())

    assert mirror.store_rule_evaluations(mailbox, [evaluation(number) for number in range(300, 0, -1)]) == 300


def listed(*identifiers, date=NOW - 100, **fields):
    return {
        "data": [
            {"id": identifier, "thread_id": "t1", "body": "x", "date": date, **fields}
            for identifier in identifiers
        ]
    }


def test_new_messages_are_returned_once(mailbox, serve, client_of):
    client = client_of(serve(answering((200, listed("m1", "m2")), (200, listed("m1", "m2", "m3")))))

    first = mirror.sync_messages(mailbox, client)
    second = mirror.sync_messages(mailbox, client)

    assert [message.provider_id for message in first] == ["m1", "m2"]
    assert [message.provider_id for message in second] == ["m3"]


def test_copies_of_sent_mail_are_among_the_new_messages(mailbox, serve, client_of):
    sent = listed("m1", **{"from": [{"email": "support@example.org"}], "metadata": {"key1": "TOKEN"}})

    (message,) = mirror.sync_messages(mailbox, client_of(serve(answering((200, sent)))))

    assert (message.is_outbound, message.metadata) == (True, {"key1": "TOKEN"})


def test_folders_are_found_once(mailbox, serve, client_of):
    folders = [{"id": "f-in", "name": "Inbox"}, {"id": "f-out", "name": "x", "attributes": ["\\Sent"]}]
    server = serve(answering((200, {"data": folders})))

    mirror.find_folders(mailbox, client_of(server))
    mirror.find_folders(Mailbox.objects.get(), client_of(server))

    found = Mailbox.objects.get()
    assert (found.sent_folder_id, found.inbox_folder_id) == ("f-out", "f-in")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [403, 404, 503])
def test_mailbox_without_readable_folders_goes_by_the_sender(mailbox, serve, client_of, status):
    mirror.find_folders(mailbox, client_of(serve(answering((status, {})))))

    assert Mailbox.objects.get().sent_folder_id == ""


def headers(*values):
    return {"headers": [{"name": "Message-ID", "value": value} for value in values]}


def test_message_ids_come_with_the_list_and_cost_no_request_of_their_own(mailbox, serve, client_of):
    server = serve(answering((200, listed("m1", "m2", **headers(" <1@example.net> ")))))

    mirror.sync_messages(mailbox, client_of(server))

    assert set(Message.objects.values_list("message_id", flat=True)) == {"<1@example.net>"}
    assert ["fields=include_headers" in request.target for request in server.requests] == [True]


def test_message_stored_without_its_headers_gets_its_message_id_and_is_not_new(mailbox, serve, client_of):
    mirror.store_message(mailbox, dataclasses.replace(SNAPSHOT, headers=()))
    server = serve(answering((200, listed("m1", subject="other", **headers("<1@example.net>")))))

    new = mirror.sync_messages(mailbox, client_of(server))

    message = Message.objects.get()
    assert new == []
    assert (message.message_id, message.subject) == ("<1@example.net>", "Hello")


@pytest.mark.parametrize("value", ["x" * 999, "\u2603" * 400, ""])
def test_message_id_that_cannot_be_kept_is_left_out(mailbox, value):
    message = mirror.store_message(mailbox, dataclasses.replace(SNAPSHOT, headers=(("Message-ID", value),)))

    assert message.message_id == ""


def test_next_look_overlaps_the_last_one(mailbox, serve, client_of):
    server = serve(answering((200, listed("m1", date=NOW - 5000))))
    client = client_of(server)

    mirror.sync_messages(mailbox, client)
    mirror.sync_messages(Mailbox.objects.get(), client)

    asked = [request.target.partition("received_after=")[2].partition("&")[0] for request in server.requests]
    assert asked[1] == str(NOW - 5000 - mirror.OVERLAP_SECONDS)


def test_date_in_the_future_does_not_hide_later_messages(mailbox, serve, client_of):
    server = serve(answering((200, listed("m1", date=NOW + 10**8))))

    mirror.sync_messages(mailbox, client_of(server))

    assert Mailbox.objects.get().messages_received_until <= int(timezone.now().timestamp())


def test_first_look_reaches_back_a_week(mailbox, serve, client_of):
    server = serve(answering((200, listed())))

    mirror.sync_messages(mailbox, client_of(server))

    since = int((mailbox.connected_at - timedelta(days=7)).timestamp()) - mirror.OVERLAP_SECONDS
    assert f"received_after={since}" in server.requests[0].target


def test_look_that_breaks_off_is_made_again_from_the_same_place(mailbox, serve, client_of):
    first = {**listed("m1"), "next_cursor": "c1"}
    server = serve(answering((200, first), (500, {})))

    with pytest.raises(ProviderUnavailable):
        mirror.sync_messages(mailbox, client_of(server))

    assert Mailbox.objects.get().messages_received_until is None


def test_incomplete_message_is_fetched_by_the_next_look(mailbox, serve, client_of):
    mirror.note_incomplete(mailbox, "m1", "t1")

    new = mirror.sync_messages(mailbox, client_of(serve(answering((200, listed("m1"))))))

    assert [message.provider_id for message in new] == ["m1"]
    assert Message.objects.get().is_complete
