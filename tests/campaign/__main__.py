"""`python -m tests.campaign --n 500 --seed 1`: exit code 1 when anything is doubled, lost or wrong."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

# What this shell says about a real desk or provider must not reach the run; the database's server may be named.
FOREIGN = ("REDIS_URL", "FAILPOINT", "NYLAS_WEBHOOK_SECRET", "KILL_SWITCH_FILE", "LOCKS_DIR", "SPOOL_DIR")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--n", type=int, default=500, help="how many mails")
    parser.add_argument("--seed", type=int, default=1, help="chooses what happens to each")
    parser.add_argument(
        "--flips", type=int, default=0, help="throw the switch so often in a run of n mails instead"
    )
    options = parser.parse_args()
    if options.n < 1:
        parser.error("--n: at least one mail is needed")
    with tempfile.TemporaryDirectory(prefix="countersign-campaign-") as name:
        return _run(Path(name), options.n, options.seed, options.flips)


def _run(directory: Path, count: int, seed: int, rounds: int) -> int:
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "VAR_DIR": str(directory),
        "PRODUCTION": "false",
        "SECRET_KEY": "only-for-campaigns-" + "0" * 50,
        "LOG_LEVEL": "ERROR",
    }
    import django  # noqa: PLC0415 - the environment above must be set before the settings are read

    django.setup()
    from django.conf import settings  # noqa: PLC0415 - as above
    from django.db import connection, connections  # noqa: PLC0415 - as above

    from tests.campaign import flips, provider, report  # noqa: PLC0415 - as above
    from tests.campaign.desk import SETTINGS, Desk  # noqa: PLC0415 - as above
    from tests.campaign.run import run  # noqa: PLC0415 - as above

    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        with provider.running(directory, seed) as sandbox:
            given = {**SETTINGS, "NYLAS_API_URI": sandbox.url, "NYLAS_API_KEY": sandbox.api_key}
            for name, value in given.items():
                setattr(settings, name, value)
            if rounds:
                stops = flips.run(Desk(sandbox), count=count, rounds=rounds)
                sys.stdout.write(stops.text())
                return 0 if stops.is_clean() else 1
            tally = run(Desk(sandbox), settings, directory, count=count, seed=seed)
    finally:
        connections.close_all()
        connection.creation.destroy_test_db(before, verbosity=0)
    sys.stdout.write(report.text(tally, count=count, seed=seed))
    return 0 if tally.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
