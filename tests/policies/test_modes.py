"""The ladder of oversight modes, and the one table of what an agent may do in each."""

from __future__ import annotations

import pytest

from agentmail.models import OversightMode
from policies import modes
from policies.modes import Answer

# "x" executed, "p" pending, "-" blocked; the columns are the modes from the strictest to the loosest.
EXPECTED = {
    "check_inbox": "xxxxx",
    "read_email": "xpxxx",
    "manage_contacts": "xxxxx",
    "tag": "-xxxx",
    "draft": "-ppxx",
    "send_email": "-ppxx",
    "reply_email": "-ppxx",
    "list_pending": "xxxxx",
    "cancel_message": "xxxxx",
    "change_mode": "-----",
    "decide_email": "-----",
}
ANSWERS = {"x": Answer.EXECUTED, "p": Answer.PENDING, "-": Answer.BLOCKED}


@pytest.mark.row("004-01")
def test_the_ladder_is_the_vocabulary_of_the_mailboxes_in_their_order() -> None:
    assert list(modes.LADDER) == OversightMode.values
    assert modes.LADDER == ("read_only", "gated_all", "gated_send", "monitored", "autonomous")


@pytest.mark.row("004-04", "004-05", "004-07", "004-25", "K17")
@pytest.mark.parametrize("action", EXPECTED)
@pytest.mark.parametrize("mode", modes.LADDER)
def test_each_action_has_one_answer_in_each_mode(mode: str, action: str) -> None:
    expected = ANSWERS[EXPECTED[action][modes.LADDER.index(mode)]]

    found = modes.ruling(mode, action)

    assert found.answer is expected
    assert str(found.sentence)


@pytest.mark.parametrize("mode", modes.LADDER)
def test_an_agent_never_changes_its_own_mode(mode: str) -> None:
    assert modes.ruling(mode, "change_mode").answer is Answer.BLOCKED


def test_every_action_of_the_table_is_tested() -> None:
    assert set(EXPECTED) == set(modes.ACTIONS) == set(modes.ACTION_WORDS)
    assert all(set(rulings) == set(modes.ACTIONS) for rulings in modes.MATRIX.values())


@pytest.mark.row("004-24")
@pytest.mark.parametrize("action", ["send_email", "reply_email", "tag"])
def test_what_read_only_refuses_is_told_in_the_words_of_the_contract(action: str) -> None:
    assert modes.ruling("read_only", action).sentence == "oversight_mode is read_only"


@pytest.mark.parametrize(("mode", "action"), [("root", "read_email"), ("autonomous", "delete_everything")])
def test_what_is_not_in_the_table_is_blocked(mode: str, action: str) -> None:
    assert modes.ruling(mode, action).answer is Answer.BLOCKED


def test_a_mode_is_looser_than_those_before_it() -> None:
    ladder = modes.LADDER

    assert [modes.is_looser(one, "gated_send") for one in ladder] == [False, False, False, True, True]
    assert modes.strictest("autonomous", "gated_all", "monitored") == "gated_all"


def test_a_mode_that_is_not_known_has_no_place_on_the_ladder() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        modes.strictest("root", "autonomous")
    assert modes.needs_person("root")


@pytest.mark.parametrize("before", modes.LADDER)
@pytest.mark.parametrize("after", modes.LADDER)
def test_the_preview_names_exactly_what_differs(before: str, after: str) -> None:
    named = {one.action for one in modes.differences(before, after)}

    assert named == {one for one in modes.ACTIONS if modes.ruling(before, one) != modes.ruling(after, one)}
    assert bool(named) == (before != after)
