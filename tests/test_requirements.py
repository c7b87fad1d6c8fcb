from __future__ import annotations

from tests import rows


def test_no_test_names_a_row_that_is_not_there() -> None:
    assert sorted(set(rows.marked()) - set(rows.ROWS)) == []
