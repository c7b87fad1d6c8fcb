import pytest

from approvals.models import Draft
from audit.record import SYSTEM
from policies import categories
from policies.models import Category
from tests.pages import scenes, sends

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box, name="Mara Okafor")


def page(person, query="", status=200):
    response = sends.signed_in(person).get(f"/sent/{query}")
    assert response.status_code == status
    return sends.words(response)


def test_sent_names_the_outcome_at_each_recipient_and_who_stood_for_it(box, mara):
    draft = scenes.draft(box, subject="Re: Two plates")
    sends.accepted(draft, mara, priya_nair=[("hard_bounce", "550 5.1.1 user unknown")])

    shown = page(mara)

    assert "Re: Two plates" in shown
    assert "Hard bounce" in shown
    assert "Accepted" in shown
    assert "Mara Okafor" in shown


def test_what_was_refused_stands_under_not_sent_only(box, mara):
    sends.failed(scenes.draft(box, subject="Re: Refused"), mara)

    assert "Re: Refused" not in page(mara)
    assert "An outbound rule of the provider refused it." in page(mara, "?view=not_sent")


def test_the_outcome_filter_keeps_only_mails_with_that_fact(box, mara):
    sends.accepted(scenes.draft(box, subject="Re: Arrived"), mara, priya_nair=[("delivered", "")])
    sends.accepted(scenes.draft(box, subject="Re: Came back"), mara, priya_nair=[("hard_bounce", "")])
    sends.accepted(scenes.draft(box, subject="Re: Silent"), mara)

    assert "Re: Came back" in page(mara, "?outcome=hard_bounce")
    assert "Re: Arrived" not in page(mara, "?outcome=hard_bounce")
    assert "Re: Silent" in page(mara, "?outcome=none")
    assert "Re: Arrived" not in page(mara, "?outcome=none")


def test_sends_of_foreign_mailboxes_do_not_exist(box, mara):
    other = scenes.mailbox("sales@example.com", undo_seconds=0)
    nina = scenes.person("nina", "reviewer", other)
    sends.accepted(scenes.draft(other, subject="Re: Not yours"), nina)

    assert "Re: Not yours" in page(nina)
    assert "Re: Not yours" not in page(mara)


def test_the_next_page_begins_below_the_last_row_whatever_was_sent_meanwhile(box, mara):
    sends.uncapped(box)
    for number in range(52):
        sends.accepted(scenes.draft(box, subject=f"Letter {number:02d}"), mara)
    first = sends.signed_in(mara).get("/sent/")
    sends.accepted(scenes.draft(box, subject="Letter 99"), mara)

    following = first.context["paging"]["next_address"]
    second = sends.signed_in(mara).get(following)

    assert [row.send.draft.subject for row in second.context["rows"]] == ["Letter 01", "Letter 00"]
    assert second.context["paging"]["next_address"] == ""


def test_a_damaged_place_shows_the_top_of_the_list_and_says_so(box, mara):
    assert "damaged" in page(mara, "?after=yesterday")


@pytest.mark.parametrize("count", [1, 3])
def test_sent_asks_the_database_equally_often_for_one_row_and_three(box, mara, count):
    for _ in range(count):
        sends.accepted(scenes.draft(box), mara, priya_nair=[("delivered", "")])
    assert sends.questions(mara, "/sent/") == 8


def test_strangers_are_sent_to_the_sign_in_page(client):
    assert client.get("/sent/").status_code == 302


def judge(person, draft, **fields):
    client = sends.signed_in(person)
    return client.post(f"/drafts/{draft.public_id}/compare/", fields, follow=True)


@pytest.mark.row("K19")
def test_a_reviewer_confirms_on_its_page_that_a_mail_was_wrong(box, mara):
    draft = scenes.draft(box, subject="Re: Two plates")
    Draft.objects.filter(pk=draft.pk).update(category="shipping_status")
    row = Category.objects.get(key="shipping_status")
    categories.edit(row.pk, version=row.version, actor=SYSTEM, tier="auto")
    sends.accepted(draft, mara)

    shown = sends.words(judge(mara, draft, would_send="no", wrong_kind="fact", note="The day."))

    assert "Kept. “Shipping status” waits for an approval from now on." in shown
    assert "Mara Okafor: it was wrong A fact is wrong" in shown


def test_a_word_without_what_was_wrong_is_asked_for_at_its_field(box, mara):
    draft = scenes.draft(box, subject="Re: Two plates")
    sends.accepted(draft, mara)

    response = judge(mara, draft, would_send="no", wrong_kind="", note="The day.")

    assert response.status_code == 422
    assert "Say what was wrong with it." in sends.words(response)
    assert "The day." in sends.words(response)


def test_who_may_not_decide_is_asked_nothing_about_a_sent_mail(box, mara):
    draft = scenes.draft(box, subject="Re: Two plates")
    sends.accepted(draft, mara)

    for name, role, is_asked in (("olga", "operator", False), ("nina", "reviewer", True)):
        reader = scenes.person(name, role, box)
        shown = sends.words(sends.signed_in(reader).get(f"/drafts/{draft.public_id}/"))
        assert ("Was it right?" in shown) is is_asked
