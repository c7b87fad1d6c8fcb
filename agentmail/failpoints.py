"""Places where a process can be made to die or freeze, so that tests can show what survives.

Inert unless the environment variable FAILPOINT is set; production refuses to start with it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

VARIABLE = "FAILPOINT"

_passes: Counter[str] = Counter()
_lock = threading.Lock()


def is_armed() -> bool:
    return bool(os.environ.get(VARIABLE))


def reach(name: str) -> None:
    """Kill the own process on its n-th pass here when FAILPOINT is `name:n`; stop it for `name:n:stop`.

    Passes are counted per process and name, from 1. `ValueError` when the variable cannot be read.
    """
    armed = os.environ.get(VARIABLE)
    if not armed:
        return
    target, at_pass, sent_signal = _parsed(armed)
    if target != name:
        return
    with _lock:
        _passes[name] += 1
        is_due = _passes[name] == at_pass
    if is_due:
        os.kill(os.getpid(), sent_signal)


def _parsed(armed: str) -> tuple[str, int, signal.Signals]:
    name, _, rest = armed.partition(":")
    number, _, manner = rest.partition(":")
    if not name or not number.isdecimal() or int(number) < 1 or manner not in ("", "stop"):
        raise ValueError(f"{VARIABLE} must look like C7:3 or C7:3:stop, not {armed!r}")
    return name, int(number), signal.SIGSTOP if manner else signal.SIGKILL
