"""The sandbox as a process of a run, without the fixtures of the test runner."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import ROOT, START_SECONDS, Sandbox


@contextmanager
def running(directory: Path, seed: int) -> Iterator[Sandbox]:
    store = directory / "provider.sqlite3"
    command = [sys.executable, "-m", "agentmail.sandbox", "--port=0", f"--store={store}", f"--seed={seed}"]
    command += [f"--api-key={Sandbox.api_key}", "--scenario=empty"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("SANDBOX "):
                raise RuntimeError(f"the sandbox did not start; it said {line!r}")
            yield Sandbox(line.split()[1], store)
        finally:
            process.terminate()
            process.wait(START_SECONDS)
