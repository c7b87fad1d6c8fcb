"""A process that works with locks as it is told, a line of standard input at a time, and answers in lines.

hold NAME, alive, release, held NAME, share SCOPE, drain SCOPE SECONDS, child (forks one that stays).
"""

import os
import sys
import time
from contextlib import ExitStack

sys.path.insert(0, os.getcwd())

import django

django.setup()

from policies import locks  # noqa: E402

taken = ExitStack()
lock = None
for line in sys.stdin:
    command, *words = line.split()
    answer: object = "done"
    if command == "hold":
        lock = taken.enter_context(locks.hold(words[0]))
        answer = lock is not None
    elif command == "alive":
        answer = lock is not None and lock.is_alive()
    elif command == "held":
        answer = locks.is_held(words[0])
    elif command == "share":
        taken.enter_context(locks.fence_shared(words))
    elif command == "drain":
        answer = locks.fence_drain(words[0], float(words[1]))
    elif command == "release":
        taken.close()
        taken = ExitStack()
    elif command == "child":
        child = os.fork()
        if not child:
            os.close(0)
            time.sleep(30)
            os._exit(0)
        answer = child
    print(answer, flush=True)  # noqa: T201
