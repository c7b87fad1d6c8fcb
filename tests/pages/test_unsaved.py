"""What a person typed and did not save: theirs alone, back when they come back, gone when they are done."""

from datetime import timedelta

import pytest
from django.urls import reverse

from approvals import unsaved
from approvals.models import Revision, UnsavedEdit
from approvals.tasks import housekeeping
from approvals.transitions import drafts
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser
from tests.pages.test_edit import address, form_of, latest

pytestmark = pytest.mark.django_db
SCRIPT = {"HX-Request": "true"}


@pytest.fixture
def draft(support):
    return scenes.draft_in_thread(support, body="First line\n\nSecond line")


@pytest.fixture
def ann(support):
    return scenes.person("ann", "reviewer", support, name="Ann Other")


def keep(desk, draft, **typed):
    values = form_of(desk.page(address(draft))) | typed
    return desk.post(address(draft, "unsaved_keep"), values, headers=SCRIPT)


def revised(draft, body):
    """A new wording by the agent, as the provider would give it."""
    draft.refresh_from_db()
    content = scenes.content(draft.mailbox, body=body, parent_message_id=draft.parent_message_id)
    drafts.revise(draft.pk, content=content, thread=scenes.thread_look(draft.mailbox, draft.thread_id, []))
    draft.refresh_from_db()


def test_what_was_typed_is_there_again(desk, draft):
    answer = keep(desk, draft, body="Half a thought", cc="new@example.org")

    page = desk.page(address(draft))

    assert "Kept for you alone" in answer.content.decode()
    assert (form_of(page)["body"], form_of(page)["cc"]) == ("Half a thought", "new@example.org")
    assert "Your unsaved edit is back" in page.text()
    assert "Half" in page.text(page.classed("preview")[0])


def test_keeping_makes_no_version_and_no_entry_of_the_record(desk, draft):
    entries = Entry.objects.count()

    keep(desk, draft, body="Half a thought")

    assert Revision.objects.filter(draft=draft).count() == 1
    assert Entry.objects.count() == entries


def test_nobody_else_sees_it(desk, draft, ann):
    keep(desk, draft, body="Half a thought")

    for name in ("edit", "draft"):
        page = browser(ann).page(address(draft, name))
        assert "Half a thought" not in page.html
        assert "unsaved edit" not in page.text()


def test_the_page_of_the_draft_leads_back_to_it(desk, draft):
    keep(desk, draft, body="Half a thought")

    page = desk.page(address(draft, "draft"))

    assert "Your unsaved edit" in page.text()
    assert "Half a thought" not in page.html


def test_without_script_a_button_keeps_it_and_says_so(desk, draft):
    values = form_of(desk.page(address(draft))) | {"body": "Half a thought"}

    answer = desk.post(address(draft, "unsaved_keep"), values, follow=True)

    assert answer.redirect_chain[-1][0] == address(draft, "draft")
    assert "Kept for you alone" in answer.content.decode()


def test_it_is_discarded_by_a_press(desk, draft):
    keep(desk, draft, body="Half a thought")

    desk.post(address(draft, "unsaved_discard"))

    assert form_of(desk.page(address(draft)))["body"] == "First line\n\nSecond line"
    assert not UnsavedEdit.objects.exists()


def test_saving_drops_it(desk, draft):
    keep(desk, draft, body="Half a thought")

    desk.post(address(draft), form_of(desk.page(address(draft))))

    assert latest(draft).body == "Half a thought"
    assert not UnsavedEdit.objects.exists()


def test_typing_everything_back_drops_it(desk, draft):
    keep(desk, draft, body="Half a thought")

    keep(desk, draft, body="First line\r\n\r\nSecond line")

    assert not UnsavedEdit.objects.exists()


def test_an_own_decision_drops_it_and_that_of_another_person_does_not(desk, draft, alice, ann):
    keep(desk, draft, body="Half a thought")
    unsaved.keep_edit(draft, ann, number=1, fields={"body": "Hers"})

    drafts.reject(draft.pk, person=alice, seen=scenes.seen(draft), reason="no", form_id=None)

    assert [one.person for one in UnsavedEdit.objects.all()] == [ann]


def test_what_was_typed_is_still_shown_to_its_writer_after_a_colleague_decided(desk, draft, ann):
    keep(desk, draft, body="Half a <thought>")
    drafts.reject(draft.pk, person=ann, seen=scenes.seen(draft), reason="no", form_id=None)

    assert "Half a <thought>" in desk.page(address(draft, "draft")).text()
    assert "thought" not in browser(ann).page(address(draft, "draft")).html


@pytest.mark.parametrize("headers", [SCRIPT, {}], ids=["script", "no-script"])
def test_a_decided_draft_takes_nothing_more_and_what_was_typed_stays(desk, draft, alice, headers):
    values = form_of(desk.page(address(draft))) | {"body": "Too late"}
    drafts.reject(draft.pk, person=alice, seen=scenes.seen(draft), reason="no", form_id=None)

    answer = desk.post(address(draft, "unsaved_keep"), values, headers=headers)

    assert answer.status_code == 409
    assert "This was not kept" in answer.text
    assert headers or "Too late" in answer.text
    assert not UnsavedEdit.objects.exists()


def test_a_new_wording_is_shown_beside_what_was_typed_against_the_old_one(desk, draft):
    keep(desk, draft, body="First line\n\nSecond thought")
    revised(draft, "Another first line\n\nSecond line")

    page = desk.page(address(draft))

    assert form_of(page)["body"] == "First line\n\nSecond thought"
    assert form_of(page)["revision"] == "2"
    assert "You wrote against version 1; version 2 is by" in page.text()
    sides = [page.text(side) for side in page.classed("kept__side")]
    assert "Another" in sides[0] and "thought" not in sides[0]
    assert "thought" in sides[1] and "Another" not in sides[1]


def test_an_edit_of_an_older_version_is_kept_and_can_be_saved_after_the_newer_one(desk, draft):
    values = form_of(desk.page(address(draft))) | {"body": "First line\n\nSecond thought"}
    revised(draft, "Another first line\n\nSecond line")

    page = desk.submit(address(draft), values)

    assert page.status == 409
    assert "The draft changed while you wrote" in page.text()
    assert UnsavedEdit.objects.get().fields["body"].replace("\r\n", "\n") == "First line\n\nSecond thought"
    desk.post(address(draft), form_of(page))
    assert (latest(draft).number, latest(draft).body) == (3, "First line\n\nSecond thought")


def test_what_was_typed_in_the_editor_can_be_gone_on_with_as_source_and_as_text(desk, support):
    draft = scenes.draft_in_thread(support, body="<p>One</p><p>-- </p><p>Ann</p>", is_plaintext=False)
    keep(desk, draft, body="<p>One <b>two</b></p>", body_form="rich")

    assert form_of(desk.page(address(draft)))["body"] == "<p>One <b>two</b></p>"
    assert form_of(desk.page(address(draft), data={"as": "html"}))["body"] == (
        "<p>One <b>two</b></p><p>-- </p><p>Ann</p>"
    )
    assert form_of(desk.page(address(draft), data={"as": "text"}))["body"].startswith("One two")


def test_a_note_that_was_begun_is_in_its_field_again(desk, draft):
    desk.post(address(draft, "unsaved_keep"), {"reason": "Please name the"}, headers=SCRIPT)

    page = desk.page(address(draft, "draft"))

    [field] = [one for one in page.all("textarea") if one.get("name") == "reason"]
    assert "".join(field.itertext()).strip() == "Please name the"
    assert "Your unsaved note" in page.text()


@pytest.mark.parametrize("headers", [SCRIPT, {}], ids=["script", "no-script"])
def test_a_note_beyond_its_limit_is_refused_with_the_limit_and_is_not_lost(desk, draft, headers):
    note = "x" * 2001

    answer = desk.post(address(draft, "unsaved_keep"), {"reason": note}, headers=headers)

    assert (answer.status_code, UnsavedEdit.objects.exists()) == (422, False)
    assert "2000 characters at most" in answer.text
    assert headers or note in answer.text


def test_a_note_for_a_draft_at_its_end_is_not_kept_and_not_lost(desk, draft, alice):
    drafts.reject(draft.pk, person=alice, seen=scenes.seen(draft), reason="no", form_id=None)

    page = desk.submit(address(draft, "unsaved_keep"), {"reason": "Please name the product."})

    assert page.status == 409
    assert "Your note was not kept" in page.text()
    assert "Please name the product." in page.text(page.classed("band")[0])


@pytest.mark.parametrize("headers", [SCRIPT, {}], ids=["script", "no-script"])
def test_more_than_is_kept_names_the_limit_and_is_not_lost(desk, draft, headers):
    values = form_of(desk.page(address(draft))) | {"body": "x" * (unsaved.KEPT_CHARACTERS + 1)}

    answer = desk.post(address(draft, "unsaved_keep"), values, headers=headers)

    assert (answer.status_code, UnsavedEdit.objects.exists()) == (422, False)
    assert "1200000 characters at most" in answer.text
    assert headers or values["body"] in answer.text


def test_a_version_that_never_was_keeps_nothing(desk, draft):
    assert keep(desk, draft, body="x", revision="7").status_code == 409
    assert not UnsavedEdit.objects.exists()


def test_what_is_left_for_two_weeks_is_dropped(desk, draft):
    keep(desk, draft, body="Half a thought")
    UnsavedEdit.objects.update(
        kept_at=UnsavedEdit.objects.get().kept_at - timedelta(days=unsaved.DAYS, hours=-1)
    )
    unsaved.forget_old()
    assert UnsavedEdit.objects.exists()

    UnsavedEdit.objects.update(kept_at=UnsavedEdit.objects.get().kept_at - timedelta(hours=2))
    housekeeping()

    assert not UnsavedEdit.objects.exists()


def test_opening_the_pages_writes_nothing(desk, draft):
    keep(desk, draft, body="Half a thought")
    before = list(UnsavedEdit.objects.values())

    desk.get(address(draft))
    desk.get(reverse("approvals:queue"))

    assert list(UnsavedEdit.objects.values()) == before
