"""One sender against the bare calls it cannot do without: the same GET and POST on one session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROVIDER_MS = 50


def run(directory: Path, count: int) -> None:
    """Approve drafts at a sandbox that takes 50 ms a call, then hand them over with one sender."""
    directory.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-m", "agentmail.sandbox", "--port=0", f"--store={directory / 'provider.sqlite3'}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as sandbox:
        try:
            line = sandbox.stdout.readline() if sandbox.stdout else ""
            environment = {
                **{
                    name: value
                    for name, value in os.environ.items()
                    if name not in ("DATABASE_URL", "REDIS_URL")
                },
                "VAR_DIR": str(directory / "var"),
                "NYLAS_API_URI": line.split()[1],
                "NYLAS_API_KEY": "bench",
                "SENDS_PER_SECOND": "0",
                "LOG_LEVEL": "ERROR",
            }
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.sender", str(count), str(PROVIDER_MS)],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
        finally:
            sandbox.terminate()
    for name, value in json.loads(done.stdout.splitlines()[-1]).items():
        print(f"{name:<60}{value:>10}")
