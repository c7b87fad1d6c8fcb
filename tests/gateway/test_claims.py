"""A program that decides keeps off what a person is deciding about on the pages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from approvals.models import Draft
from approvals.transitions import claims
from tests.gateway.conftest import Program
from tests.gateway.test_batches import decide, handed_in, wanted


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_a_mail_that_another_person_is_deciding_about_is_refused_with_their_name(
    agent: Program, reviewer: Program, bruno: User, action: str
) -> None:
    [id] = handed_in(agent, 1)
    claims.claim(Draft.objects.get().pk, person=bruno)

    answer = reviewer.post(f"/emails/{id}/decide", {"action": action, "reason": "Checked."})

    assert (answer.status_code, answer.json()["error"]) == (409, "claimed")
    assert "Bruno is deciding about this" in answer.json()["reason"]
    assert Draft.objects.get().state == "pending"


def test_a_claim_of_the_owner_of_the_token_refuses_nothing(
    agent: Program, reviewer: Program, alice: User
) -> None:
    [id] = handed_in(agent, 1)
    claims.claim(Draft.objects.get().pk, person=alice)

    assert reviewer.post(f"/emails/{id}/decide", {"action": "approve"}).status_code == 200


def test_a_claim_refuses_one_of_many_and_touches_no_other(
    agent: Program, reviewer: Program, bruno: User
) -> None:
    free, held = handed_in(agent, 2)
    claims.claim(Draft.objects.get(public_id=held).pk, person=bruno)

    results = decide(reviewer, *wanted("reject", free, held)).json()["results"]

    assert [one.get("error") for one in results] == [None, "claimed"]
