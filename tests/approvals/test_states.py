from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from approvals.models import VoidReason
from approvals.states import (
    ATTEMPT_MOVES,
    BATCH_ITEM_MOVES,
    BATCH_MOVES,
    DRAFT_MOVES,
    JOB_MOVES,
    SEND_MOVES,
    DraftState,
    SendState,
    check_moves,
)
from tests.processes import ROOT

DOCUMENT = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
MACHINES = {
    "Draft": DRAFT_MOVES,
    "Send": SEND_MOVES,
    "Attempt": ATTEMPT_MOVES,
    "Batch": BATCH_MOVES,
    "Batch item": BATCH_ITEM_MOVES,
    "Job": JOB_MOVES,
}


def rows_of(heading: str) -> dict[str, str]:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section.group(1), re.MULTILINE)
    return {name: rest for name, rest in rows}


@pytest.mark.parametrize("heading", MACHINES)
def test_document_shows_the_table_of_moves(heading: str) -> None:
    moves: Mapping[Any, frozenset[Any]] = MACHINES[heading]
    shown = {name: set(re.findall(r"`(\w+)`", rest.split("|")[1])) for name, rest in rows_of(heading).items()}

    assert shown == {str(state): {str(to) for to in after} for state, after in moves.items()}


def test_document_explains_every_reason_for_a_void_decision() -> None:
    assert set(rows_of("Held, waiting, voided")) == set(VoidReason.values)


def test_nothing_leads_from_unknown_or_accepted_to_a_state_that_is_sent_by_itself() -> None:
    reached = {SendState.ACCEPTED}
    frontier = [SendState.ACCEPTED]
    while frontier:
        for state in SEND_MOVES[frontier.pop()] - reached:
            reached.add(state)
            frontier.append(state)

    assert reached == {SendState.ACCEPTED}
    assert not SEND_MOVES[SendState.UNKNOWN] & {SendState.QUEUED, SendState.STOPPED, SendState.FAILED}


def test_table_with_an_unreachable_state_is_refused() -> None:
    moves = {state: frozenset() for state in DraftState}

    with pytest.raises(ValueError, match="unreachable"):
        check_moves(DraftState.PENDING, moves, list(DraftState))


def test_table_without_a_state_is_refused() -> None:
    moves = {state: after for state, after in DRAFT_MOVES.items() if state != DraftState.EXPIRED}

    with pytest.raises(ValueError, match="exactly these states"):
        check_moves(DraftState.PENDING, moves, list(DraftState))
