from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "requirements.md"


def test_every_test_that_shows_a_requirement_exists():
    named = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))
    named = [(file, name) for file, name in named if file != "tests/test_requirements.py"]

    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).exists() or (name and f"def {name}(" not in (TESTS / file).read_text())
    ]

    assert len(named) > 40
    assert missing == []
