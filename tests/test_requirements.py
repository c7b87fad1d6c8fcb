from __future__ import annotations

from tests import rows


def test_the_page_of_requirement_rows_says_what_the_tests_name() -> None:
    assert rows.PAGE.read_text(encoding="utf-8") == rows.page(), "write it with: python -m tests.rows"


def test_every_row_is_shown_by_a_test_or_says_why_not() -> None:
    shown = rows.marked()

    assert [row for row in rows.ROWS if row not in shown and row not in rows.LATER] == []


def test_a_row_that_a_test_shows_is_not_put_off() -> None:
    assert sorted(set(rows.LATER) & set(rows.marked())) == []


def test_no_test_names_a_row_that_is_not_there() -> None:
    assert sorted(set(rows.marked()) - set(rows.ROWS)) == []
