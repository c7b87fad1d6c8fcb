import pytest
from django.urls import reverse

from agentmail.types import Address
from approvals.forms import html_of
from approvals.models import Revision
from approvals.states import DraftState
from approvals.transitions import drafts
from tests.pages import scenes

HTML = "<p>Dear Priya,</p><p>two plates<br>and a bowl &amp; more</p>"


def address(draft, name="edit"):
    return reverse(f"approvals:{name}", args=[draft.public_id])


@pytest.fixture
def draft(support):
    return scenes.draft_in_thread(
        support, cc=(Address("cc@example.org", "Cecil"),), body="First line\n\nSecond"
    )


@pytest.fixture
def html_draft(support):
    return scenes.draft_in_thread(support, body=HTML, is_plaintext=False)


def form_of(page):
    [form] = [form for form in page.all("form") if (form.get("action") or "").endswith("/edit/")]
    values = {}
    for element in form.iter():
        if element.tag == "input" and element.get("name") and element.get("type") != "checkbox":
            values[element.get("name")] = element.get("value", "")
        elif element.tag == "textarea":
            values[element.get("name")] = "".join(element.itertext()).removeprefix("\n")
    return values


def latest(draft):
    return Revision.objects.filter(draft=draft).order_by("-number").first()


def test_a_field_of_addresses_is_as_tall_as_what_stands_in_it(desk, draft):
    values = form_of(desk.page(address(draft))) | {"cc": "a@example.org\nb@example.org\nc@localhost"}

    page = desk.submit(address(draft), values)

    assert [field.get("rows") for field in page.all("textarea") if field.get("name") in ("to", "cc")] == [
        "1",
        "3",
    ]


@pytest.mark.parametrize(
    ("end", "said", "is_open"),
    [
        ("<p>-- </p><p>Ann, Sales</p>", "The signature stays as it is", True),
        (f"<table><tr><td>{'<br>'.join('abcdefghijkl')}</td></tr></table>", "The end stays as it is", False),
    ],
)
def test_what_stays_below_the_editor_is_named_and_a_signature_is_shown(desk, support, end, said, is_open):
    made = scenes.draft_in_thread(support, body=HTML + end, is_plaintext=False)

    page = desk.page(address(made))

    [below] = [one for one in page.all("details") if one.get("id") == "kept-below"]
    assert page.text(below).startswith(said)
    assert (below.get("open") is not None) is is_open


def test_saving_without_a_change_makes_no_version(desk, draft):
    page = desk.page(address(draft))

    response = desk.post(address(draft), form_of(page))

    assert response.status_code == 302
    assert latest(draft).number == 1


def test_a_typed_international_domain_is_kept_in_its_ascii_form(desk, draft):
    values = form_of(desk.page(address(draft))) | {"to": "Casey <casey@bücher.example>"}

    desk.post(address(draft), values)

    assert latest(draft).to == [{"email": "casey@xn--bcher-kva.example", "name": "Casey"}]


def test_saving_html_without_a_change_keeps_every_byte(desk, html_draft):
    desk.post(address(html_draft), form_of(desk.page(address(html_draft))))

    assert latest(html_draft).number == 1


def test_an_edit_makes_a_version_by_the_person(desk, draft, alice):
    values = form_of(desk.page(address(draft))) | {
        "body": "Other words\r\n\r\nSecond",
        "subject": "Re: other",
    }

    response = desk.post(address(draft), values)

    revision = latest(draft)
    assert response["Location"] == address(draft, "draft")
    assert (revision.number, revision.author_name) == (2, "Alice Reviewer")
    assert revision.body == "Other words\n\nSecond"
    assert revision.subject == "Re: other"
    assert revision.cc == [{"email": "cc@example.org", "name": "Cecil"}]


def test_simple_html_is_edited_as_text_and_kept_as_paragraphs(desk, html_draft):
    page = desk.page(address(html_draft))
    values = form_of(page)

    desk.post(address(html_draft), values | {"body": values["body"].replace("bowl", "<vase>")})

    assert "<" not in values["body"]
    assert (
        latest(html_draft).body == "<p>Dear Priya,</p>\n<p>two plates<br>\nand a &lt;vase&gt; &amp; more</p>"
    )


def test_laid_out_html_is_edited_as_its_source(desk, support):
    draft = scenes.draft_in_thread(support, body="<table><tr><td>1</td></tr></table>", is_plaintext=False)

    values = form_of(desk.page(address(draft)))

    assert values["body"] == "<table><tr><td>1</td></tr></table>"
    assert values["body_form"] == "html"


def test_the_source_can_be_asked_for(desk, html_draft):
    assert form_of(desk.page(address(html_draft), data={"as": "html"}))["body"] == HTML


def test_recipients_are_read_one_a_line_with_and_without_names(desk, draft):
    values = form_of(desk.page(address(draft)))

    desk.post(
        address(draft),
        values | {"to": 'Tom Ash <tom@example.org>\n"Eve" <eve@example.org>,\nbare@example.org'},
    )

    assert latest(draft).to == [
        {"email": "tom@example.org", "name": "Tom Ash"},
        {"email": "eve@example.org", "name": "Eve"},
        {"email": "bare@example.org"},
    ]


@pytest.mark.parametrize(
    "wrong", ["no at sign", "a@b@c.example", "x@localhost", "a b@example.org", "x@[127.0.0.1]"]
)
def test_a_wrong_address_names_line_and_reason_and_loses_nothing(desk, draft, wrong):
    values = form_of(desk.page(address(draft))) | {"bcc": f"good@example.org\n{wrong}", "body": "typed words"}

    page = desk.submit(address(draft), values)

    assert page.status == 422
    assert "Line 2" in page.text()
    assert form_of(page)["body"] == "typed words"
    assert form_of(page)["bcc"] == f"good@example.org\n{wrong}"
    assert latest(draft).number == 1


def test_too_many_recipients_name_the_limit(desk, draft):
    values = form_of(desk.page(address(draft)))

    page = desk.submit(address(draft), values | {"cc": "\n".join(f"p{n}@example.org" for n in range(51))})

    assert page.status == 422
    assert "one mail can have 50" in page.text()


@pytest.mark.parametrize("field", ["to", "cc", "subject", "body"])
def test_an_emptied_field_asks_for_a_confirmation(desk, draft, field):
    values = form_of(desk.page(address(draft))) | {field: ""}

    page = desk.submit(address(draft), values)

    assert page.status == 422
    assert "Yes, leave what I emptied empty" in page.text()
    assert latest(draft).number == 1


def test_an_emptied_field_that_is_confirmed_is_kept_empty(desk, draft):
    values = form_of(desk.page(address(draft))) | {"cc": "", "confirm_empty": "on"}

    desk.post(address(draft), values)

    assert latest(draft).cc == []


def test_html_without_any_text_counts_as_emptied(desk, html_draft):
    values = form_of(desk.page(address(html_draft), data={"as": "html"})) | {"body": "<p> </p>"}

    assert desk.submit(address(html_draft), values).status == 422


def test_a_subject_of_two_lines_is_refused(desk, draft):
    values = form_of(desk.page(address(draft))) | {"subject": "one\nBcc: x@example.org"}

    page = desk.submit(address(draft), values)

    assert page.status == 422
    assert "A subject is one line" in page.text()


def test_an_edit_of_an_older_version_is_refused_and_keeps_the_words(desk, draft):
    page = desk.page(address(draft))
    desk.post(address(draft), form_of(page) | {"body": "first"})

    answer = desk.submit(address(draft), form_of(page) | {"body": "second"})

    assert answer.status == 409
    assert form_of(answer)["body"] == "second"
    assert latest(draft).body == "first"


def test_a_decided_draft_is_not_edited(desk, draft, alice):
    drafts.reject(draft.pk, person=alice, seen=scenes.seen(draft), reason="no", form_id=None)

    assert desk.get(address(draft)).status_code == 302
    draft.refresh_from_db()
    assert draft.state == DraftState.REJECTED


def test_text_becomes_the_plainest_html():
    assert html_of("a <b>\n\n\nc\nd\n") == "<p>a &lt;b&gt;</p>\n<p>c<br>\nd</p>"
