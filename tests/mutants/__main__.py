"""`python -m tests.mutants [words]`: remove each guard in a copy of the checkout and see the test that must fail.

Exit code 1 when a test goes on passing without its guard. The words choose mutants whose guard contains them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    *("agentmail", "approvals", "audit", "config", "policies", "tests", "templates", "static"),
    *("manage.py", "pyproject.toml"),
)
KILLED, SURVIVED = 1, 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only the guards that contain all of these")
    words = parser.parse_args().words
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.guard for word in words)]
    failures = 0
    with tempfile.TemporaryDirectory(prefix="countersign-mutants-") as name:
        checkout = Path(name) / "checkout"
        copy(checkout)
        for mutant in chosen:
            began = time.monotonic()
            code = outcome(mutant, checkout)
            verdict = {KILLED: "killed", SURVIVED: "SURVIVED"}.get(code, f"NOT RUN (code {code})")
            failures += code != KILLED
            sys.stdout.write(f"{verdict:10} {time.monotonic() - began:4.0f} s  {mutant.guard}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - failures} of {len(chosen)} killed\n")
    return 1 if failures else 0


def copy(checkout: Path) -> None:
    checkout.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, checkout / name)


def outcome(mutant: Mutant, checkout: Path) -> int:
    """Run the mutant's test without its guard; pytest's exit code, 1 when the test failed."""
    path = checkout / mutant.path
    original = path.read_text(encoding="utf-8")
    path.write_text(mutated(original, mutant), encoding="utf-8")
    try:
        ran = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutant.test],
            cwd=checkout,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        path.write_text(original, encoding="utf-8")
    # A test that could not even be set up has caught nothing.
    return ran.returncode if " failed" in ran.stdout or ran.returncode != KILLED else -1


def mutated(source: str, mutant: Mutant) -> str:
    for old, new in mutant.changes:
        if source.count(old) != 1:
            raise ValueError(f"{mutant.guard}: {old!r} stands {source.count(old)} times in {mutant.path}")
        source = source.replace(old, new)
    return source


if __name__ == "__main__":
    sys.exit(main())
