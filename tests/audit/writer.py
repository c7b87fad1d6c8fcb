"""A process that appends entries to the record: python writer.py NUMBER COUNT. Says so after the first."""

import os
import sys

sys.path.insert(0, os.getcwd())

import django

django.setup()

from django.db import transaction  # noqa: E402

from audit.record import Actor, record  # noqa: E402

number, count = sys.argv[1:]
for turn in range(int(count)):
    with transaction.atomic():
        record(
            "approvals.draft.arrived", actor=Actor("agent", number, f"Agent {number}"), data={"turn": turn}
        )
    if not turn:
        print("first", flush=True)  # noqa: T201
