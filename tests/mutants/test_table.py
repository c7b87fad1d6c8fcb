from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import ROOT, mutated
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_the_guard_still_stands_where_the_mutant_removes_it(mutant: Mutant) -> None:
    ast.parse(mutated((ROOT / mutant.path).read_text(encoding="utf-8"), mutant))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_the_test_that_must_fail_exists(mutant: Mutant) -> None:
    path, _, name = mutant.test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_every_mutant_is_in_the_documents() -> None:
    text = Path(ROOT / "docs/mutants.md").read_text(encoding="utf-8")
    assert [m.guard for m in MUTANTS if f"| {m.guard} |" not in text] == []
    assert [m.test for m in MUTANTS if m.test.partition("::")[2] not in text] == []
