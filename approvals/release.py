"""Which build of the desk a process runs, to notice two of them at work on one database."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PARTS = ("agentmail", "approvals", "audit", "config", "gateway", "policies")


@cache
def fingerprint() -> str:
    """Twelve characters that differ when any source file of the desk does; read once a process."""
    digest = hashlib.sha256()
    for part in _PARTS:
        for file in sorted((_ROOT / part).rglob("*.py")):
            digest.update(str(file.relative_to(_ROOT)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
