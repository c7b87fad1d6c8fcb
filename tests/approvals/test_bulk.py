"""Mail that looks as if it went to many is warned about when it does not say who sends it and how to opt out."""

from datetime import timedelta

import pytest

from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import bulk, mailboxes
from approvals.models import Draft
from approvals.queries import QueueFilter, queue_page
from approvals.transitions import drafts
from audit.models import Entry
from audit.record import SYSTEM
from tests.pages import scenes

pytestmark = pytest.mark.django_db
ADDRESS = "Harbour Lane Ltd\n3 Quay Street\nBristol BS1 4DJ"
LINK = "https://harbour.example/unsubscribe"
IDENTITY = {"sender_name": "Harbour Lane", "postal_address": ADDRESS, "unsubscribe": LINK}


@pytest.fixture
def box():
    return scenes.mailbox()


def identified(box, **changes):
    return mailboxes.change(box.pk, actor=SYSTEM, **(IDENTITY | changes))


def judged(draft):
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft.pk)
    return bulk.judge(draft, draft.current_revision)


def many(count):
    return tuple(Address(f"person{number}@example.org") for number in range(count))


def offers(box, count, subject="An offer for {name}", **fields):
    people = [(f"Person{'abcdefgh'[number]}", f"person.{number}@example.org") for number in range(count)]
    return [
        scenes.draft(box, to=(Address(email, name),), subject=subject.format(name=name), **fields)
        for name, email in people
    ]


def rows(person):
    return {draft.pk: draft.is_bulk_like for draft in queue_page(person, QueueFilter()).drafts}


def test_an_ordinary_mail_does_not_look_like_bulk_mail(box):
    assert judged(scenes.draft(box)) is None


@pytest.mark.parametrize(("count", "looks"), [(bulk.RECIPIENTS, False), (bulk.RECIPIENTS + 1, True)])
def test_more_recipients_than_the_number_look_like_bulk_mail(box, count, looks):
    found = judged(scenes.draft(box, to=many(count - 1), bcc=(Address("last@example.org"),)))

    assert (found is not None) is looks


@pytest.mark.parametrize(
    "text",
    ["Our Newsletters are new.", "Click here to UNSUBSCRIBE.", "To opt-out, answer.", "Vous désabonner"],
)
def test_a_word_of_the_list_looks_like_bulk_mail(box, text):
    [sign] = judged(scenes.draft(box, body=text)).signs

    assert sign.startswith("It says “")


def test_a_part_of_a_word_is_not_the_word(box):
    assert judged(scenes.draft(box, body="He was unsubscribed by hand.")) is None


def test_one_subject_to_several_people_looks_like_bulk_mail_from_the_number_on(box):
    *before, last = offers(box, bulk.SIMILAR)

    assert "5 different recipients" in judged(last).signs[0]
    Draft.objects.filter(pk=before[0].pk).update(state="rejected")
    assert judged(last) is None


def test_the_same_recipient_counts_once(box):
    for _ in range(bulk.SIMILAR + 1):
        last = scenes.draft(box, subject="An offer")

    assert judged(last) is None


def test_numbers_in_a_subject_do_not_hide_its_family(box):
    for number in range(bulk.SIMILAR):
        last = scenes.draft(box, subject=f"Offer {number}", to=(Address(f"a{number}@example.org"),))

    assert judged(last) is not None


def test_without_a_subject_the_text_is_the_family(box):
    assert judged(offers(box, bulk.SIMILAR, subject="", body="Good news for you.")[-1]) is not None


def test_answers_are_no_family(box):
    for number in range(bulk.SIMILAR):
        last = scenes.draft_in_thread(box, to=(Address(f"a{number}@example.org"),), subject="Your order")

    assert judged(last) is None


def test_mail_of_another_day_or_another_mailbox_is_not_counted(box):
    *_, last = offers(box, bulk.SIMILAR - 1)
    offers(scenes.mailbox("sales@example.com"), 1)
    [old] = offers(box, 1)
    Draft.objects.filter(pk=old.pk).update(arrived_at=old.arrived_at - bulk.WINDOW - timedelta(minutes=1))

    assert judged(last) is None


@pytest.mark.row("004-28")
def test_a_mailbox_without_identity_is_named_as_missing_it(box):
    found = judged(scenes.draft(box, body="Unsubscribe here."))

    assert not found.is_set
    assert found.missing == (
        "Its mailbox does not say who the sender is.",
        "Its mailbox has no postal address.",
        "Its mailbox does not say how to unsubscribe.",
    )


@pytest.mark.row("004-28")
def test_a_text_without_postal_address_and_link_is_named_as_missing_them(box):
    identified(box)

    found = judged(scenes.draft(box, body="Our newsletter."))

    assert found.is_set
    assert found.missing == (
        "The text lacks the postal address of the sender.",
        f"The text has no link to unsubscribe; it is {LINK}.",
    )


@pytest.mark.parametrize(
    "body",
    [
        f"Our newsletter.\n\nHarbour Lane Ltd, 3 Quay Street, BRISTOL BS1 4DJ\nUnsubscribe: {LINK}?id=7",
        "<p>Our newsletter.</p><p>Harbour Lane Ltd<br>3 Quay Street<br>Bristol BS1 4DJ</p>"
        f'<p><a href="{LINK}?id=7&amp;list=2">Unsubscribe</a></p>',
    ],
)
def test_a_text_that_carries_both_lacks_nothing(box, body):
    identified(box)

    found = judged(scenes.draft(box, body=body, is_plaintext=not body.startswith("<")))

    assert found.missing == ()


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        (f"{ADDRESS}\nOur newsletter. Write to stop@harbour.example to end it.", False),
        (f"{ADDRESS}\nOur newsletter. Write to us to end it.", True),
    ],
)
def test_a_mail_address_to_unsubscribe_may_stand_in_the_text(box, body, lacks):
    identified(box, unsubscribe="mailto:stop@harbour.example?subject=stop")

    assert bool(judged(scenes.draft(box, body=body)).missing) is lacks


def test_the_queue_says_the_same_as_the_page_of_each_draft(box):
    person = scenes.person("mara", "reviewer", box)
    made = [
        scenes.draft(box),
        scenes.draft(box, body="Unsubscribe here."),
        scenes.draft(box, to=many(11)),
        *offers(box, bulk.SIMILAR),
        *offers(box, bulk.SIMILAR - 1, subject="Hello {name}"),
    ]

    said = rows(person)

    assert said == {draft.pk: judged(draft) is not None for draft in made}
    assert sum(said.values()) == 2 + bulk.SIMILAR


def test_an_edit_is_judged_as_it_reads_then(box):
    person = scenes.person("mara", "reviewer", box)
    draft = scenes.draft(box, body="Unsubscribe here.")

    drafts.edit(
        draft.pk, person=person, seen=scenes.seen(draft), content=scenes.content(box, body="Good morning.")
    )

    assert rows(person) == {draft.pk: False}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sender_name", "x" * 201),
        ("postal_address", "x" * 501),
        ("unsubscribe", "https://harbour.example/" + "x" * 500),
        ("unsubscribe", "http://harbour.example/"),
        ("unsubscribe", "javascript:alert(1)"),
        ("unsubscribe", "mailto:"),
        ("unsubscribe", "mailto:nobody"),
        ("unsubscribe", "mailto:a@example.org,b@example.org"),
        ("unsubscribe", "https://[harbour/"),
        ("unsubscribe", "stop@harbour.example"),
    ],
)
def test_an_identity_that_cannot_be_right_is_refused_by_its_field(box, field, value):
    with pytest.raises(mailboxes.MailboxRefused) as refusal:
        mailboxes.change(box.pk, actor=SYSTEM, **{field: value})

    assert refusal.value.field == field
    assert getattr(Mailbox.objects.get(pk=box.pk), field) == ""


@pytest.mark.row("004-28")
def test_a_change_of_the_identity_is_recorded_with_old_and_new(box):
    identified(box)
    identified(box, sender_name="Harbour Lane Ltd", postal_address=ADDRESS.replace("\n", "\r\n\r\n"))

    entry = Entry.objects.filter(action="agentmail.mailbox.changed").latest("sequence")
    assert entry.data["changes"] == {"sender_name": ["Harbour Lane", "Harbour Lane Ltd"]}
