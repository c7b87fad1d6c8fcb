"""The code of a guide in docs/, run as its reader would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.processes import ROOT

SECONDS = 120
_BLOCK = re.compile(r"^```(?P<kind>[^\n]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_BEGINNING = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"


def run(page: str, folder: Path, environment: Mapping[str, str], replaced: Mapping[str, str]) -> str:
    """Run a guide in a folder of its own, with names of the page replaced by those of the test; what it printed.

    `sh` blocks run in one shell, in order; a `sh server` block goes on beside the others; `python NAME` is a file.
    """
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for name, by in replaced.items():
        text = text.replace(name, by)
    (folder / "manage.py").symlink_to(ROOT / "manage.py")
    script = _BEGINNING
    for found in _BLOCK.finditer(text):
        kind, _space, name = found["kind"].partition(" ")
        if kind == "python":
            (folder / name).write_text(found["text"], encoding="utf-8")
        elif kind == "json":
            json.loads(found["text"])
        elif kind == "sh" and name == "server":
            script += f"mkfifo ready\n{found['text'].strip()} >ready &\nread -r _ <ready\n"
        elif kind == "sh":
            script += found["text"]
        else:
            raise ValueError(f"{page} has a block of {kind}, which no test runs")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**environment, "PATH": path, "NO_PROXY": "*", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
