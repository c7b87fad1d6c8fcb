"""What it takes before a category is suggested to be automatic, and how sure a share is."""

from __future__ import annotations

import pytest

from policies.evidence import AUTOMATIC_CATEGORY, Share, are_met, thresholds

ENOUGH = {"days": 14, "compared": 100, "wrong": 0}


@pytest.mark.row("K19")
def test_fourteen_days_a_hundred_drafts_and_nothing_wrong_suggest_automatic() -> None:
    assert are_met(thresholds(AUTOMATIC_CATEGORY, **ENOUGH))


@pytest.mark.row("K19")
@pytest.mark.parametrize("short", [{"days": 13}, {"compared": 99}, {"wrong": 1}])
def test_one_threshold_that_is_missed_is_enough_not_to(short: dict[str, int]) -> None:
    asked = thresholds(AUTOMATIC_CATEGORY, **(ENOUGH | short))

    assert not are_met(asked)
    assert [one.name for one in asked if not one.is_met] == list(short)


@pytest.mark.row("003-38")
def test_share_has_an_interval_that_narrows_with_its_number() -> None:
    few, many = Share(19, 20).interval, Share(950, 1000).interval

    assert few is not None and many is not None
    assert (round(few[0], 2), round(few[1], 2)) == (0.76, 0.99)
    assert (round(many[0], 2), round(many[1], 2)) == (0.93, 0.96)


@pytest.mark.row("003-38")
def test_share_of_nothing_is_nothing() -> None:
    assert (Share(0, 0).value, Share(0, 0).interval) == (None, None)
