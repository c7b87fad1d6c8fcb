"""Reasons that people keep: offered beside the reason of a decision, the most used first."""

import pytest

from approvals import kept_reasons
from approvals.models import Decision, KeptReason
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
PAGE = "/reasons/"


def offered(page):
    return [option.get("value") for option in page.all("select", name="kept")[0].iter("option")][1:]


def on_the_draft(client, draft):
    return client.page(f"/drafts/{draft.public_id}/")


def decided(client, draft, verb="reject", **fields):
    values = on_the_draft(client, draft).form_values("decision")
    return client.post(f"/drafts/{draft.public_id}/{verb}/", values | fields)


def test_a_kept_reason_is_offered_beside_the_reason(desk, support):
    draft = scenes.draft_in_thread(support)

    desk.post(PAGE, {"text": "  Names the   wrong product. "})

    page = on_the_draft(desk, draft)
    assert offered(page) == ["Names the wrong product."]
    [button] = [one for one in page.all("button") if one.get("data-fill")]
    assert button.get("aria-keyshortcuts") == "1"


def test_without_script_the_chosen_one_is_the_reason_when_none_is_written(desk, alice, support):
    kept_reasons.keep(alice, text="Names the wrong product.")

    decided(desk, scenes.draft_in_thread(support), kept="Names the wrong product.", reason="")

    assert Decision.objects.get().reason == "Names the wrong product."


def test_what_is_written_goes_before_what_is_chosen(desk, alice, support):
    kept_reasons.keep(alice, text="Names the wrong product.")

    decided(desk, scenes.draft_in_thread(support), kept="Names the wrong product.", reason="Too long.")

    assert Decision.objects.get().reason == "Too long."


def test_the_most_used_stands_first(desk, alice, support):
    kept_reasons.keep(alice, text="First kept.")
    kept_reasons.keep(alice, text="Often used.")

    decided(desk, scenes.draft_in_thread(support), "request-changes", reason="Often used.")

    assert offered(on_the_draft(desk, scenes.draft_in_thread(support))) == ["Often used.", "First kept."]
    assert "used once" in desk.page(PAGE).text()


def test_an_admin_keeps_one_for_everybody(desk, carol, support):
    browser(carol).post(PAGE, {"text": "Not in our name.", "shared": "yes"})

    assert offered(on_the_draft(desk, scenes.draft_in_thread(support))) == ["Not in our name."]
    assert Entry.objects.filter(action="approvals.reason.kept").count() == 1


def test_nobody_else_does(desk):
    page = desk.submit(PAGE, {"text": "Not in our name.", "shared": "yes"})

    assert page.status == 403
    assert "Only an admin keeps reasons for everybody." in page.text()
    assert "Not in our name." in page.html


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ", "Write a reason first."),
        ("x" * 501, "The reason has 501 characters; it can have 500."),
        ("There already.", "This reason is kept already."),
    ],
)
def test_what_cannot_be_kept_says_why_and_keeps_what_was_typed(desk, alice, text, said):
    kept_reasons.keep(alice, text="There already.")

    page = desk.submit(PAGE, {"text": text})

    assert page.status == 422
    assert said in page.text()
    assert "".join(page.all("textarea", id="reason-text")[0].itertext()).strip() == text.strip()


def test_their_number_has_a_limit_that_is_named(desk, alice):
    for number in range(kept_reasons.LIMIT):
        kept_reasons.keep(alice, text=f"Reason {number}")

    assert "There are 30 reasons already." in desk.submit(PAGE, {"text": "One more"}).text()


def test_a_reason_is_changed_and_removed(desk, alice):
    reason = kept_reasons.keep(alice, text="Old words.")

    desk.post(f"{PAGE}{reason.pk}/", {"text": "New words."})
    assert KeptReason.objects.get().text == "New words."
    desk.post(f"{PAGE}{reason.pk}/", {"do": "remove"})
    assert not KeptReason.objects.exists()


def test_the_reasons_of_a_colleague_are_their_own(desk, eve, support):
    kept_reasons.keep(eve, text="Eve's words.")

    assert "Eve's words." not in on_the_draft(desk, scenes.draft_in_thread(support)).html


def test_a_rejection_of_several_takes_a_kept_reason_too(desk, alice, support):
    kept_reasons.keep(alice, text="Written for last year.")
    rows = [scenes.draft_in_thread(support) for _ in range(2)]
    address = desk.post("/batch/", {"draft": [str(row.public_id) for row in rows]})["Location"]
    page = desk.page(address)
    values = {
        "line": [one.get("value") for one in page.all("input", name="line")],
        "proof": page.all("input", name="proof")[0].get("value"),
        "kept": offered(page)[0],
    }

    assert desk.post(address + "reject/", values).status_code == 302
    assert KeptReason.objects.get().used == 1
