"""Deciding about many mails in one request: each as by its own request, and none touched by another's refusal."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User

from agentmail.client import configured_client
from approvals import mailboxes
from approvals.models import Decision, Draft
from audit.models import Entry
from audit.record import SYSTEM
from gateway import mails
from gateway.callers import Caller
from gateway.models import Token
from gateway.schemas import DecideOneIn
from tests.gateway.conftest import Program, mail, taken_in, token_of


def handed_in(agent: Program, count: int, **fields: Any) -> list[str]:
    """Mails that wait for a decision; their ids."""
    ids = [
        str(agent.post("/emails/send", mail(subject=f"Order {n}", **fields)).json()["id"])
        for n in range(count)
    ]
    taken_in()
    return ids


def wanted(action: str, *ids: str) -> list[dict[str, Any]]:
    return [{"id": one, "action": action, "reason": "Checked."} for one in ids]


def decide(program: Program, *decisions: dict[str, Any]) -> Any:
    return program.post("/emails/decide", {"decisions": list(decisions)})


@pytest.mark.row("004-31")
def test_a_hundred_mails_are_decided_about_in_one_request(agent: Program, reviewer: Program) -> None:
    ids = handed_in(agent, 100)

    answer = decide(reviewer, *wanted("approve", *ids[:30]), *wanted("reject", *ids[30:]))

    results = answer.json()["results"]
    assert (answer.status_code, [one["id"] for one in results]) == (200, ids)
    assert {one["code"] for one in results[:30]} == {"approved_holding"}
    assert {(one["status"], one["code"], one["reason"]) for one in results[30:]} == {
        ("blocked", "rejected", "Checked.")
    }
    assert {one["decided_by"] for one in results} == {"Alice"}
    assert Draft.objects.filter(state="approved").count() == 30
    assert Draft.objects.filter(state="rejected").count() == 70


@pytest.mark.row("004-31")
def test_what_is_refused_about_one_mail_touches_no_other(
    agent: Program, reviewer: Program, ada: User, sandbox: Any
) -> None:
    first, decided, last = handed_in(agent, 3)
    reviewer.post(f"/emails/{decided}/decide", {"action": "reject", "reason": "Off-topic."})
    foreign = mailboxes.connect(
        configured_client(),
        sandbox.post("grants", email="sales@harbour.example", name="Sales")["grant"]["id"],
        actor=SYSTEM,
    )
    seller = Program(token_of(ada, foreign, name="Seller").secret)
    (elsewhere,) = handed_in(seller, 1, **{"from": foreign.address})
    nowhere = str(uuid4())

    results = decide(reviewer, *wanted("approve", first, decided, elsewhere, nowhere, last)).json()["results"]

    assert [(one["id"], one.get("error"), one.get("code")) for one in results] == [
        (first, None, "approved_holding"),
        (decided, "not_decided", None),
        (elsewhere, "not_found", None),
        (nowhere, "not_found", None),
        (last, None, "approved_holding"),
    ]
    assert "Alice decided this before" in results[1]["reason"]
    assert Draft.objects.get(public_id=elsewhere).state == "pending"


@pytest.mark.row("004-31", "K4")
def test_the_same_decisions_again_change_nothing(agent: Program, reviewer: Program) -> None:
    ids = handed_in(agent, 3)
    decisions = [*wanted("approve", *ids[:2]), *wanted("reject", ids[2])]
    first = decide(reviewer, *decisions).json()["results"]
    recorded = Entry.objects.count()

    again = decide(reviewer, *decisions).json()["results"]

    assert [(one["id"], one["code"], one["decided_by"]) for one in again] == [
        (one["id"], one["code"], one["decided_by"]) for one in first
    ]
    assert (Decision.objects.count(), Entry.objects.count()) == (3, recorded)


@pytest.mark.row("004-31")
@pytest.mark.parametrize("ids", [[], [uuid4() for _ in range(101)], [UUID(int=7), UUID(int=7)]])
def test_none_too_many_and_twice_the_same_are_refused_at_the_field(
    reviewer: Program, ids: list[UUID]
) -> None:
    answer = decide(reviewer, *wanted("reject", *map(str, ids)))

    assert (answer.status_code, answer.json()["field"]) == (400, "decisions")


def test_more_than_a_hundred_are_refused_with_the_limit(reviewer: Program) -> None:
    answer = decide(reviewer, *wanted("reject", *(str(uuid4()) for _ in range(101))))

    assert "100" in answer.json()["reason"]


@pytest.mark.row("004-31", "004-36")
def test_a_token_that_decides_nothing_is_refused_once_and_the_attempt_is_recorded(agent: Program) -> None:
    ids = handed_in(agent, 2)

    answer = decide(agent, *wanted("approve", *ids))

    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    entry = Entry.objects.get(action="gateway.attempt.refused")
    assert (entry.actor_kind, entry.data["attempt"]) == ("agent", "POST /api/v1/emails/decide")
    assert set(Draft.objects.values_list("state", flat=True)) == {"pending"}


def test_a_mail_whose_owner_may_not_decide_there_is_refused_and_that_is_recorded(
    agent: Program, olga: User
) -> None:
    (id,) = handed_in(agent, 1)
    operator = Program(token_of(olga, kind="operator", name="Olga's script").secret)

    answer = decide(operator, *wanted("approve", id))

    assert (answer.status_code, answer.json()["results"][0]["error"]) == (200, "forbidden")
    assert Entry.objects.filter(action="gateway.attempt.refused").count() == 1


def test_a_mail_whose_turn_does_not_come_in_time_is_not_decided_about(
    agent: Program, reviewer: Program
) -> None:
    (id,) = handed_in(agent, 1)
    caller = Caller(Token.objects.get(name="Review script"))

    ((_id, refusal),) = mails.decide_each(caller, [DecideOneIn(id=UUID(id), action="approve")], seconds=0)

    assert "no time left" in str(refusal)
    assert Draft.objects.get().state == "pending"
