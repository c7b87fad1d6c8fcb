"""The benchmark: ratios of medians taken in turn within one run. Absolute times are this machine's mood."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from pathlib import Path

from benchmarks import cost, pages, quotes, reviewer, sends, submissions

parser = ArgumentParser(prog="python -m benchmarks")
parser.add_argument("--rows", type=int, default=100_000, help="drafts in the large database")
parser.add_argument("--sends", type=int, default=60, help="approvals handed over")
parser.add_argument("--submissions", type=int, default=500, help="mails handed in")
options = parser.parse_args()
with tempfile.TemporaryDirectory(prefix="countersign-bench-") as directory:
    pages.run(Path(directory) / "pages", options.rows)
    cost.run(Path(directory) / "cost", options.rows)
    sends.run(Path(directory) / "sends", options.sends)
    submissions.run(Path(directory) / "submissions", options.submissions)
    quotes.run(Path(directory) / "quotes")
    reviewer.run(Path(directory) / "reviewer")
