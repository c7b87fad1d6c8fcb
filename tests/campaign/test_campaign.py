from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.campaign import report
from tests.campaign.desk import SETTINGS, Desk
from tests.campaign.run import plans, run


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_a_bad_day_leaves_nothing_doubled_lost_or_wrong(
    sandbox: Any, connected_settings: Any, tmp_path: Path
) -> None:
    for name, value in SETTINGS.items():
        setattr(connected_settings, name, value)

    tally = run(Desk(sandbox), connected_settings, tmp_path, count=60, seed=1)

    assert tally.is_clean(), report.text(tally, count=60, seed=1)
    assert tally.done["kills"] > 0
    assert tally.findings.sends == 60


def test_the_same_seed_chooses_the_same_plans() -> None:
    assert list(plans(50, 7)) == list(plans(50, 7))
    assert list(plans(50, 7)) != list(plans(50, 8))
