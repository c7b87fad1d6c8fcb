"""The checks, asked again about what is only typed."""

import pytest

from agentmail.types import Address
from approvals.models import Judgement, Revision
from approvals.previews import of_wording
from approvals.queries import conversation
from audit.clock import database_now
from audit.models import Entry
from audit.record import SYSTEM
from policies import recipients as lists
from policies import rules
from tests.pages import scenes, sends
from tests.pages.pages import browser
from tests.pages.test_edit import address, form_of
from tests.statements import statements

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft(support):
    return scenes.draft_in_thread(support, body="First line\n\nSecond line of the letter")


def asked(desk, draft, **typed):
    """The page without script, and what the chain says on it, by gate."""
    values = form_of(desk.page(address(draft))) | typed
    return desk.submit(address(draft, "edit_check"), values)


def said(page, section="preview"):
    [element] = [one for one in page.root.iter() if one.get("id") == section]
    return page.text(element)


def test_asking_keeps_nothing(desk, draft):
    before = (Entry.objects.count(), Judgement.objects.count())

    page = asked(desk, draft, body="Other words", to="stranger@new.example")

    assert page.status == 200
    assert form_of(page)["body"] == "Other words"
    assert (Entry.objects.count(), Judgement.objects.count()) == before
    assert Revision.objects.filter(draft=draft).count() == 1


def test_a_version_of_a_colleague_is_told_while_one_still_types(desk, draft, support):
    ann = scenes.person("ann", "reviewer", support, name="Ann Other")
    typed = form_of(desk.page(address(draft)))
    theirs = browser(ann)
    theirs.post(address(draft), form_of(theirs.page(address(draft))) | {"body": "Words of Ann"})

    page = desk.submit(address(draft, "edit_check"), typed | {"body": "Words of mine"})

    assert "Ann Other kept version 2 while you wrote" in said(page, "preview-said")
    assert form_of(page)["body"] == "Words of mine"


def test_the_page_opens_with_the_checks_of_the_draft_as_it_is(desk, draft):
    page = desk.page(address(draft))

    assert "priya.nair@example.org is on no list." in said(page)
    assert "Nothing yet." in said(page)


def test_a_denied_recipient_is_refused_as_soon_as_it_is_typed(desk, draft, support):
    lists.add([lists.NewEntry("deny", support.scope, "evil.example")], actor=SYSTEM)

    page = asked(desk, draft, cc="Mallory <mallory@evil.example>")

    assert "Cc mallory@evil.example Mallory denied" in said(page)
    assert "is denied by the entry evil.example" in said(page)
    assert "1 check refuses it." in said(page)


def test_an_address_that_reads_like_another_says_so_itself(desk, draft):
    page = asked(desk, draft, cc="priya@examp1e.org", bcc="other@examp1e.org\nann@friends.example")

    assert "Cc priya@examp1e.org on no list look-alike domain first contact" in said(page)
    assert "Bcc other@examp1e.org on no list look-alike domain first contact" in said(page)
    assert "Bcc ann@friends.example on no list first contact" in said(page)


def test_a_name_that_is_another_address_is_told_at_its_address(desk, draft):
    page = asked(desk, draft, cc='"ceo@example.org" <other@example.org>')

    assert "on no list misleading name" in said(page)


def test_an_allowed_recipient_is_told_with_the_entry_that_allows_it(desk, draft, support):
    lists.add([lists.NewEntry("allow", support.scope, "friends.example")], actor=SYSTEM)

    page = asked(desk, draft, to="finn@friends.example")

    assert "To finn@friends.example allowed" in said(page)
    assert "is allowed by the entry friends.example" in said(page)


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("nobody", "An address has exactly one @."),
        ("a b@example.org", "The address contains a space or an invisible character (U+0020)."),
        ("a@b@c.example", "An address has exactly one @."),
        ("x@localhost", "The domain is not a valid host name."),
        ('"quoted"@example.org', "Quoted addresses are not accepted."),
    ],
)
def test_what_is_no_address_is_named_with_its_reason_by_the_check_and_the_gate(desk, draft, typed, why):
    page = asked(desk, draft, bcc=typed)

    assert "no address" in said(page)
    assert said(page).count(why) == 2


def test_a_recipient_outside_the_conversation_and_a_first_contact_are_told(desk, draft):
    page = asked(desk, draft, to="priya.nair@example.org\nother@example.org\nnew@first.example")

    assert "other@example.org on no list first contact" in said(page)
    assert "new@first.example" in said(page)


def test_the_answers_to_the_mailbox_itself_need_no_list(desk, draft, support):
    assert f"Reply to {support.address} this mailbox" in said(asked(desk, draft, reply_to=support.address))


def test_an_international_domain_is_shown_readable_beside_its_ascii_form(desk, draft):
    page = asked(desk, draft, to="casey@bücher.example")

    assert "casey@xn--bcher-kva.example reads bücher.example" in said(page)


def test_a_rule_is_asked_about_what_is_typed(desk, draft):
    rules.create(
        {
            "name": "No refunds",
            "conditions": [{"field": "body", "operator": "contains", "value": "refund"}],
            "actions": [{"type": "block"}],
        },
        actor=SYSTEM,
    )

    assert "No refunds" not in said(desk.page(address(draft)))
    assert "The rule “No refunds” blocks it" in said(asked(desk, draft, body="You get a refund."))


def test_the_notes_speak_of_what_is_typed(desk, draft):
    page = asked(desk, draft, body="We give you 90% off, and the password: hunter2.")

    assert "It seems to give away a secret." in said(page)
    assert "90%" in said(page)


def test_the_notes_about_bulk_mail_speak_of_what_is_typed(desk, draft):
    page = asked(desk, draft, body="Click to unsubscribe from this newsletter.")

    assert "It looks like bulk mail" in said(page)


def test_what_was_changed_is_shown_by_its_words(desk, draft):
    page = asked(desk, draft, body="First line\n\nSecond row of the letter", subject="Re: Order 48214")

    removed = [page.text(one) for one in page.all("del")]
    added = [page.text(one) for one in page.all("ins")]
    assert "line" in removed and "row" in added
    assert "48214" in " ".join(added)


def test_a_change_of_spaces_alone_is_told_in_words(desk, draft):
    page = asked(desk, draft, body="First line\n\n\nSecond  line of the letter")

    assert "only spaces or line ends changed" in said(page)


def test_a_change_of_markup_alone_is_told_in_words(desk, support):
    draft = scenes.draft_in_thread(support, body="<p>Two plates</p>", is_plaintext=False)

    page = asked(desk, draft, body="<p>Two <b>plates</b></p>", body_form="html")

    assert "only the formatting changed" in said(page)


def test_the_script_gets_only_its_part_of_the_page(desk, draft):
    values = form_of(desk.page(address(draft)))

    answer = desk.post(address(draft, "edit_check"), values, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert 'id="preview"' in answer.content.decode()


def test_what_is_typed_as_markup_is_shown_as_text(desk, draft):
    page = asked(desk, draft, body="<script>alert(1)</script>", subject="<img src=x onerror=alert(1)>")

    assert "<script>alert(1)</script>" not in page.html
    assert "<img src=x" not in page.html


def test_a_text_beyond_the_limit_is_named(desk, draft):
    page = asked(desk, draft, body="x" * 1_000_001)

    assert "1000000 characters" in said(page) or "1,000,000" in said(page)


def test_the_preview_asks_the_same_number_of_queries_for_twelve_recipients_and_for_forty(desk, draft, alice):
    draft = desk.get(address(draft)).context["draft"]
    messages = conversation(draft, None).messages

    def queries(recipients):
        to = tuple(Address(f"p{number}@d{number}.example") for number in range(recipients))
        content = scenes.content(draft.mailbox, to=to)
        with statements() as asked:
            preview = of_wording(draft, content, messages, person=alice, now=database_now())
        assert len(preview.addressees) == recipients
        return len(asked)

    queries(12)  # what is read once for a person
    assert queries(40) == queries(12) <= 28


def test_addresses_of_the_conversation_and_of_earlier_mail_are_offered_and_no_others(
    desk, draft, support, alice
):
    support.undo_seconds = 0
    support.save()
    other = scenes.draft(support, to=(Address("earlier@example.net", "Earl Ier"),))
    sends.accepted(other, alice)
    scenes.draft(support, to=(Address("never-sent@example.net"),))

    page = desk.page(address(draft))

    [offered] = page.all("datalist")
    found = {option.get("value"): option.get("label") for option in offered}
    assert found == {"priya.nair@example.org": "Priya Nair", "earlier@example.net": "Earl Ier"}


def test_a_name_that_looks_like_an_address_is_not_offered(desk, support):
    message = scenes.message(support, "t", sender="mallory@evil.example", name="ceo@example.com")
    draft = scenes.draft(support, messages=[message])

    [offered] = desk.page(address(draft)).all("datalist")

    assert [(option.get("value"), option.get("label")) for option in offered] == [
        ("mallory@evil.example", None)
    ]
