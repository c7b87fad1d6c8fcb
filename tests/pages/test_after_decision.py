"""What a person sees after a decision: the next draft of their list, what was decided, and the way back."""

from datetime import timedelta

import pytest
from django.urls import reverse

from agentmail.types import Address
from approvals.models import Decision, Draft
from approvals.transitions import drafts
from tests.pages import scenes, sends

KEYBOARD = "/keyboard/"


def address(draft, name="draft"):
    return reverse(f"approvals:{name}", args=[draft.public_id])


def values_on(page, **changes):
    return page.form_values("decision") | changes


def reject(desk, draft, query="", reason="No."):
    values = values_on(desk.page(address(draft) + query), reason=reason)
    return desk.post(address(draft, "reject") + query, values)


@pytest.fixture
def three(support):
    made = [scenes.draft_in_thread(support, subject=f"Order {number}") for number in range(3)]
    for draft in made:
        draft.refresh_from_db()
    return made


def test_a_rejection_opens_the_next_draft_of_the_list(desk, three):
    first, second, _third = three

    assert reject(desk, first)["Location"] == address(second)


def test_a_request_for_changes_opens_the_next_draft(desk, three):
    first, second, _third = three
    values = values_on(desk.page(address(first)), reason="Shorter.")

    response = desk.post(address(first, "request_changes"), values)

    assert response["Location"] == address(second)


def test_the_next_draft_is_of_the_same_filter(desk, support, three):
    first, *_rest = three
    other = scenes.draft_in_thread(support, subject="Order of another kind")

    response = reject(desk, first, "?q=order+kind")

    assert response["Location"] == address(other) + "?q=order+kind"


def test_after_the_last_draft_of_a_list_its_first_one_is_opened(desk, three):
    first, _second, third = three

    assert reject(desk, third)["Location"] == address(first)


def test_the_next_page_says_what_was_decided_and_has_the_heading_in_focus(desk, three):
    first, second, _third = three

    page = desk.page(reject(desk, first)["Location"])

    assert "Rejected by you: Priya Nair. Nothing was sent." in page.text(page.classed("notices")[0])
    [heading] = page.all("h1")
    assert page.text(heading) == second.subject
    assert heading.get("autofocus") is not None
    assert heading.get("tabindex") == "-1"


def test_a_page_that_no_decision_opened_takes_no_focus(desk, three):
    [heading] = desk.page(address(three[0])).all("h1")

    assert heading.get("autofocus") is None


def test_when_nothing_is_left_the_page_says_so_and_where_to_go(desk, support):
    only = scenes.draft_in_thread(support)
    back = scenes.draft_in_thread(support)
    reject(desk, back)
    Decision.objects.filter(draft=back).update(kind="request_changes")
    Draft.objects.filter(pk=back.pk).update(state="changes_requested")

    page = desk.page(reject(desk, only)["Location"])

    assert "Nothing left" in page.text()
    [link] = page.classed("where")[0].iter("a")
    assert page.text(link) == "Drafts sent back"
    assert link.get("href") == "/queue/?state=changes_requested"


def test_a_filtered_list_that_is_cleared_leads_to_what_still_waits(desk, support, three):
    other = scenes.draft_in_thread(support, subject="The only refund")

    page = desk.page(reject(desk, other, "?q=refund")["Location"])

    assert "That was the last draft of this list." in page.text()
    assert "Every draft that waits 3" in page.text(page.classed("where")[0])


def test_a_person_may_choose_to_stay_on_the_draft(desk, three):
    values = desk.page(KEYBOARD).form_values_of_post(KEYBOARD)
    del values["opens_next"]
    desk.post(KEYBOARD, values)

    response = reject(desk, three[0])

    assert response["Location"] == address(three[0])
    assert "Rejected by Alice Reviewer" in desk.page(response["Location"]).text()


def test_giving_the_keys_back_keeps_what_follows_a_decision(desk, three):
    values = desk.page(KEYBOARD).form_values_of_post(KEYBOARD)
    del values["opens_next"]
    desk.post(KEYBOARD, values)

    desk.post(KEYBOARD, values | {"reset": "yes"})

    assert reject(desk, three[0])["Location"] == address(three[0])


def test_a_refused_decision_stays_on_its_draft(desk, three):
    answer = desk.submit(address(three[0], "reject"), values_on(desk.page(address(three[0])), reason=" "))

    assert answer.status == 422
    assert three[0].subject in answer.text(answer.all("h1")[0])


def done(page):
    return [page.text(row) for row in page.classed("row--done")]


def order(page):
    return [page.text(row) for row in page.classed("row__who")]


def test_what_a_person_decided_keeps_its_place_and_says_so(desk, support):
    for name in ("Ann", "Ben", "Cai"):
        scenes.draft_in_thread(support, to=(Address("priya.nair@example.org", name),))
    second = Draft.objects.get(counterpart="Ben")

    page = desk.page(reject(desk, second)["Location"])

    assert order(page) == ["Ann", "Ben", "Cai"]
    [row] = done(page)
    assert "Rejected by you" in row
    assert "Undo" not in row


def test_an_approval_can_be_undone_in_its_row(desk, alice, three):
    sends.queued(three[0], alice)

    page = desk.page("/queue/")

    [row] = done(page)
    assert "Approved by you" in row
    assert "sending in 15 s" in row
    [form] = [
        form
        for form in page.classed("row--done")[0].iter("form")
        if form.get("action") == address(three[0], "undo")
    ]
    assert desk.post(form.get("action"))["Location"] == address(three[0])


def test_what_somebody_else_decided_names_them_and_offers_nothing(desk, support, three):
    ruth = scenes.person("ruth", "reviewer", support, name="Ruth")
    drafts.reject(three[0].pk, person=ruth, seen=scenes.seen(three[0]), reason="No.", form_id=None)

    page = desk.page("/queue/")

    [row] = done(page)
    assert "Rejected by Ruth" in row
    assert not list(page.classed("row--done")[0].iter("form"))
    assert not [a for a in page.classed("row--done")[0].iter("a") if a.get("data-command")]


def test_a_decision_of_another_mailbox_is_not_shown(desk, orders, three):
    eve = scenes.person("eve", "reviewer", orders)
    theirs = scenes.draft_in_thread(orders)
    drafts.reject(theirs.pk, person=eve, seen=scenes.seen(theirs), reason="No.", form_id=None)

    assert done(desk.page("/queue/")) == []


def test_a_decision_that_is_older_than_a_minute_leaves_the_list(desk, alice, three):
    drafts.reject(three[0].pk, person=alice, seen=scenes.seen(three[0]), reason="No.", form_id=None)
    decision = Decision.objects.get(draft=three[0])
    Decision.objects.filter(pk=decision.pk).update(made_at=decision.made_at - timedelta(seconds=61))

    assert done(desk.page("/queue/")) == []


def test_a_decided_draft_is_shown_in_the_lists_it_stood_in_only(desk, alice, three):
    drafts.reject(three[0].pk, person=alice, seen=scenes.seen(three[0]), reason="No.", form_id=None)

    assert len(done(desk.page("/queue/?q=order"))) == 1
    assert done(desk.page("/queue/?q=refund")) == []
    assert done(desk.page("/queue/?state=rejected")) == []
    assert len(done(desk.page("/queue/?risk=2"))) == 1
    assert done(desk.page("/queue/?risk=1")) == []


def test_where_the_queue_is_not_shown_the_undo_is_docked_on_the_next_draft(desk, alice, three):
    sends.queued(three[0], alice)

    docked = desk.page(address(three[1])).classed("docked")

    [form] = [form for one in docked for form in one.iter("form")]
    assert form.get("action") == address(three[0], "undo")
