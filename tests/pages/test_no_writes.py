"""A database that takes no writes: nothing is changed, and what was typed stands on the page."""

import json
import uuid

import pytest

from approvals import kept_reasons
from approvals.models import FollowUp, Job, KeptReason, Revision
from tests.database import read_only, read_only_table
from tests.pages import scenes, sends
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db(transaction=True)
TYPED = "Words that took an hour to find."
NO_SUCH_MAILBOX = ("hard_bounce", "smtp; 550 5.1.1 user unknown")


@pytest.fixture
def box():
    return scenes.mailbox(undo_seconds=0)


@pytest.fixture
def mara(box):
    return scenes.person("mara", "reviewer", box)


@pytest.fixture
def ines(box):
    return scenes.person("ines", "operator", box)


def posted(person, path, fields):
    client = sends.signed_in(person)
    # A session in use is written to once a minute, which is not what is asked here.
    client.get("/sent/")
    with read_only():
        return client.post(path, fields)


def shown_again(response):
    shown = sends.words(response)
    return response.status_code == 503 and "Nothing was changed" in shown and TYPED in shown


def test_an_edit_is_kept_in_its_form(box, mara):
    draft = scenes.draft(box)
    seen = scenes.seen(draft)
    fields = {
        "to": "priya.nair@example.org",
        "subject": "Re: Plates",
        "body": TYPED,
        "body_form": "text",
        "revision": seen.revision_number,
        "content_sha256": seen.content_sha256,
        "thread_fingerprint": seen.thread_fingerprint,
        "form_id": uuid.uuid4(),
        "confirm_empty": "on",
    }

    response = posted(mara, f"/drafts/{draft.public_id}/edit/", fields)

    assert shown_again(response)
    assert Revision.objects.count() == 1


def test_the_reason_to_close_a_follow_up_is_kept(box, mara):
    sends.accepted(scenes.draft(box), mara, priya_nair=[NO_SUCH_MAILBOX])
    follow_up = FollowUp.objects.get()

    response = posted(mara, f"/follow-ups/{follow_up.public_id}/close/", {"reason": TYPED})

    assert shown_again(response)
    follow_up.refresh_from_db()
    assert follow_up.state == "open"


def test_the_reason_to_close_an_unknown_send_is_kept(box, mara, ines):
    send = sends.unknown(scenes.draft_in_thread(box), mara)

    response = posted(ines, f"/unknown/{send.draft.public_id}/not-sent/", {"reason": TYPED})

    assert shown_again(response)
    send.refresh_from_db()
    assert send.state == "unknown"


def test_a_decision_stands_and_reads_so_when_the_use_of_its_kept_reason_cannot_be_counted(box, mara):
    draft = scenes.draft(box)
    kept_reasons.keep(mara, text=TYPED)
    client = sends.signed_in(mara)
    values = browser(mara).page(f"/drafts/{draft.public_id}/").form_values("decision")

    with read_only_table(KeptReason._meta.db_table):
        response = client.post(f"/drafts/{draft.public_id}/reject/", values | {"reason": TYPED})

    assert response.status_code == 302
    draft.refresh_from_db()
    assert (draft.state, KeptReason.objects.get().used) == ("rejected", 0)


def test_the_rules_to_simulate_are_kept_in_their_form(box, mara):
    rules = [
        {
            "name": TYPED,
            "trigger": "outbound",
            "match": {"conditions": [{"field": "subject", "operator": "contains", "value": "x"}]},
            "actions": [{"type": "block"}],
        }
    ]
    fields = {"mailbox": str(box.public_id), "last": "1", "mode": "", "rules": json.dumps(rules)}

    response = posted(mara, "/policies/simulate/", fields)

    assert shown_again(response)
    assert not Job.objects.exists()
