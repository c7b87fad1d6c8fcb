"""Working side by side, as the pages show it; everything here is without a script."""

from datetime import timedelta

import pytest

from approvals.models import Claim, Presence
from approvals.transitions import claims
from tests.approvals.conftest import age
from tests.database import read_only
from tests.pages import scenes, sends
from tests.pages.pages import browser

TYPED = "The price is not ours to promise."


@pytest.fixture
def nora(support):
    return scenes.person("nora", "reviewer", support, name="Nora Neighbour")


@pytest.fixture
def draft(support):
    return scenes.draft_in_thread(support)


def at(draft, part=""):
    return f"/drafts/{draft.public_id}/{part}"


def here(client, draft, doing="viewing", **more):
    return client.post(at(draft, "presence/"), {"page": "p1", "doing": doing, **more})


def refresh_of(page):
    [matter] = page.all("div", id="matter")
    [beside] = page.all("input", name="beside")
    return f"{matter.get('hx-get')}&beside={beside.get('value')}"


def test_who_else_views_and_who_edits_is_said_in_words(desk, nora, dave, draft):
    here(browser(nora), draft, "editing")
    here(browser(dave), draft)

    page = desk.page(at(draft))

    assert "Nora Neighbour is editing" in page.text()
    assert "Dave Auditor is viewing" in page.text()
    assert "Alice Reviewer is viewing" not in page.text()


def test_who_left_is_gone_from_the_page(desk, nora, draft):
    client = browser(nora)
    here(client, draft)
    here(client, draft, "left")

    assert "Nora Neighbour" not in desk.page(at(draft)).text()


def test_a_page_that_fell_silent_counts_as_left_within_half_a_minute(desk, nora, draft):
    here(browser(nora), draft)
    age(Presence.objects.get(), seen_at=timedelta(seconds=26))

    assert "Nora Neighbour" not in desk.page(at(draft)).text()


def test_somebody_who_comes_or_goes_is_news_and_leaves_the_letter_alone(desk, nora, draft):
    page = desk.page(at(draft))
    assert desk.get(refresh_of(page)).status_code == 204
    here(browser(nora), draft)

    answer = desk.get(refresh_of(page))

    assert answer["HX-Reswap"] == "none"
    shown = answer.content.decode()
    assert "Nora Neighbour is viewing" in shown
    assert "letter-head" not in shown
    assert 'id="decide"' not in shown


def test_a_claim_of_somebody_else_takes_the_place_of_the_verbs(desk, nora, draft):
    page = desk.page(at(draft))
    claims.claim(draft.pk, person=nora)

    shown = desk.get(refresh_of(page)).content.decode()
    again = desk.page(at(draft))

    assert 'id="decide"' in shown
    assert "letter-head" not in shown
    assert "Nora Neighbour is deciding, until" in shown
    assert "Approve and send" not in shown
    assert "Approve and send" not in again.buttons()
    assert "Take over" in again.buttons()
    assert again.all("textarea", name="reason")


def test_ones_own_claim_changes_no_verb(desk, alice, draft):
    page = desk.page(at(draft))
    claims.claim(draft.pk, person=alice)

    shown = desk.get(refresh_of(page)).content.decode()

    assert "You are deciding, until" in shown
    assert 'id="decide"' not in shown


def test_a_claim_is_made_and_let_go_with_buttons(desk, alice, draft):
    page = desk.page(at(draft))
    desk.post(page.button("Claim").get("formaction"), page.form_values("decision"))
    assert Claim.objects.get().person == alice
    page = desk.page(at(draft))
    assert "You are deciding, until" in page.text()

    desk.post(page.button("Release").get("formaction"), page.form_values("decision"))

    assert not Claim.objects.exists()


@pytest.mark.parametrize("verb", ["reject", "request-changes"])
def test_deciding_what_another_claimed_meanwhile_is_refused_and_keeps_what_was_typed(desk, nora, draft, verb):
    values = desk.page(at(draft)).form_values("decision") | {"reason": TYPED}
    claims.claim(draft.pk, person=nora)

    page = desk.submit(at(draft, f"{verb}/"), values)

    assert page.status == 409
    assert "Nora Neighbour is deciding about this, until" in page.text()
    assert page.form_values("decision")["reason"] == TYPED
    draft.refresh_from_db()
    assert draft.state == "pending"


def test_whoever_takes_over_keeps_what_they_typed_and_decides(desk, alice, nora, draft):
    claims.claim(draft.pk, person=nora)
    page = desk.page(at(draft))

    page = desk.submit(
        page.button("Take over").get("formaction"), page.form_values("decision") | {"reason": TYPED}
    )

    assert (page.status, page.form_values("decision")["reason"]) == (200, TYPED)
    assert Claim.objects.get().person == alice
    told = browser(nora).page(at(draft))
    assert "Alice Reviewer took over from you and is deciding, until" in told.text()
    assert desk.post(at(draft, "reject/"), page.form_values("decision")).status_code == 302
    draft.refresh_from_db()
    assert draft.state == "rejected"


def test_a_page_that_says_it_goes_lets_go_of_the_claim(desk, draft):
    here(desk, draft, claim="keep")
    assert Claim.objects.exists()

    here(desk, draft, "left", claim="release")

    assert not Claim.objects.exists()


def test_whoever_may_only_read_is_seen_and_claims_nothing(bob, draft):
    client = browser(bob)

    assert here(client, draft, claim="keep").status_code == 204

    assert Presence.objects.get().person == bob
    assert not Claim.objects.exists()
    assert "Claim" not in client.page(at(draft)).buttons()


def test_a_page_that_says_nonsense_is_refused(desk, draft):
    assert here(desk, draft, "dancing").status_code == 422
    assert desk.post(at(draft, "presence/"), {"page": "<b>", "doing": "viewing"}).status_code == 422


def test_an_edit_of_what_another_claimed_is_kept_in_its_form_until_it_is_taken_over(desk, alice, nora, draft):
    page = desk.page(at(draft, "edit/"))
    values = page.form_values("edit") | {"body": TYPED}
    claims.claim(draft.pk, person=nora)

    refused = desk.submit(at(draft, "edit/"), values)

    assert refused.status == 409
    assert "Nora Neighbour is deciding about this" in refused.text()
    assert refused.form_values("edit")["body"] == TYPED
    [button] = [one for one in refused.all("button") if one.get("name") == "take_over"]
    assert button.get("form") == "edit"
    assert desk.post(at(draft, "edit/"), values | {"take_over": "1"}).status_code == 302
    draft.refresh_from_db()
    assert draft.current_revision.body == TYPED
    assert Claim.objects.get().person == alice


def test_the_queue_says_who_is_deciding_and_until_when(desk, nora, draft):
    claims.claim(draft.pk, person=nora)

    page = desk.page("/queue/")

    assert "Nora Neighbour is deciding, until" in page.text()


def test_a_claim_that_cannot_be_written_says_so(desk, draft, transactional_db):
    desk.get("/sent/")
    with read_only():
        response = desk.post(at(draft, "claim/"), {"reason": TYPED})

    assert response.status_code == 503
    assert TYPED in sends.words(response)


@pytest.fixture
def senior(support):
    one = scenes.person("sina", "reviewer", support, name="Sina Senior")
    scenes.Membership.objects.create(user=one, role="operator", mailbox=support)
    return one


def listed(client, query=""):
    page = client.page(f"/queue/?{query}")
    return [row.get("data-row") for row in page.all("li") if row.get("data-row")]


def test_a_draft_is_assigned_to_a_colleague_who_may_decide_and_shows_it(desk, nora, eve, draft):
    page = desk.page(at(draft, "assign/"))
    [select] = page.all("select", name="to")
    assert page.text(select) == "Nobody Alice Reviewer Nora Neighbour"

    desk.post(at(draft, "assign/"), {"to": nora.pk})

    assert "Assigned to Nora Neighbour" in desk.page(at(draft)).text()
    assert "Assigned to you" in browser(nora).page(at(draft)).text()
    assert "Assigned to Nora Neighbour" in desk.page("/queue/").text()
    assert desk.submit(at(draft, "assign/"), {"to": eve.pk}).status == 422
    desk.post(at(draft, "assign/"), {"to": ""})
    assert "Assigned to nobody" in desk.page(at(draft)).text()


def test_the_views_of_the_queue_narrow_it_and_count(desk, alice, nora, support):
    mine, hers, free = (scenes.draft_in_thread(support) for _ in range(3))
    desk.post(at(mine, "assign-to-me/"))
    browser(nora).post(at(hers, "assign-to-me/"))
    desk.post(at(hers, "escalate/"), {"reason": TYPED, "to": nora.pk})

    assert listed(desk, "only=mine") == [str(mine.public_id)]
    assert listed(desk, "only=unassigned") == [str(free.public_id)]
    assert listed(desk, "only=escalated") == [str(hers.public_id)]
    assert listed(desk, "only=snoozed") == []
    assert len(listed(desk)) == 3
    [views] = desk.page("/queue/").all("nav", aria_label="Show only")
    assert desk.page("/queue/").text(views) == "Mine 1 Unassigned Escalated 1 Snoozed"


def test_an_escalation_says_why_by_whom_and_raises_its_place(desk, nora, support):
    first, second = scenes.draft_in_thread(support), scenes.draft_in_thread(support)
    assert desk.submit(at(second, "escalate/"), {"reason": " ", "to": nora.pk}).status == 422
    assert desk.submit(at(second, "escalate/"), {"reason": TYPED, "to": ""}).status == 422

    desk.post(at(second, "escalate/"), {"reason": TYPED, "to": nora.pk})

    page = browser(nora).page(at(second))
    assert "Escalated by Alice Reviewer to Nora Neighbour" in page.text()
    assert TYPED in page.text()
    assert listed(desk) == [str(second.public_id), str(first.public_id)]
    assert "Escalated by Alice Reviewer" in desk.page("/queue/").text()
    desk.post(at(second, "end-escalation/"))
    assert listed(desk) == [str(first.public_id), str(second.public_id)]
    assert TYPED not in desk.page(at(second)).text().replace("History", "")[:1500]


def test_admins_and_operators_are_asked_where_one_may_decide(desk, senior, draft):
    page = desk.page(at(draft, "escalate/"))
    [select] = page.all("select", name="to")
    assert page.text(select).startswith("Admins and operators who may decide")

    assert desk.post(at(draft, "escalate/"), {"reason": TYPED, "to": ""}).status_code == 302

    draft.refresh_from_db()
    assert (draft.assigned_to, draft.escalation_reason) == (None, TYPED)


def test_escalating_says_from_whom_it_takes_the_draft_before_and_after(desk, nora, senior, draft):
    desk.post(at(draft, "assign/"), {"to": nora.pk})
    page = desk.page(at(draft, "escalate/"))
    assert "It is assigned to Nora Neighbour now; from then on it is with whomever you ask." in page.text()

    response = desk.post(at(draft, "escalate/"), {"reason": TYPED, "to": ""}, follow=True)

    assert "It is no longer assigned to Nora Neighbour." in response.content.decode()


def test_a_snoozed_draft_is_away_for_its_person_alone_until_it_is_shown_again(desk, nora, support):
    kept, away = scenes.draft_in_thread(support), scenes.draft_in_thread(support)

    response = desk.post(at(away, "snooze/"), {"choice": "hour"})

    assert response["Location"].startswith(at(kept))
    assert listed(desk) == [str(kept.public_id)]
    assert listed(desk, "only=snoozed") == [str(away.public_id)]
    assert len(listed(browser(nora))) == 2
    assert "Snoozed by you until" in desk.page(at(away)).text()
    desk.post(at(away, "unsnooze/"))
    assert len(listed(desk)) == 2


def test_a_time_beyond_three_quarters_is_refused_with_the_latest_and_kept_in_its_field(desk, draft):
    page = desk.submit(at(draft, "snooze/"), {"choice": "time", "time": "2099-01-01T09:00"})

    assert page.status == 422
    assert "at the latest, three quarters of its time" in page.text()
    [field] = page.all("input", name="time")
    assert field.get("value") == "2099-01-01T09:00"


@pytest.mark.parametrize("given", [{"choice": "time", "time": "soon"}, {"choice": "time"}, {}])
def test_a_snooze_without_a_time_is_refused(desk, draft, given):
    assert desk.submit(at(draft, "snooze/"), given).status == 422
