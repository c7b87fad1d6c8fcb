"""The sandbox as a program: its options, its start and its end."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from . import scenario
from .arriving import deliver_locally, reply_as_customer
from .live import Live
from .outcomes import happen
from .sending import leave_queue, send_scheduled
from .server import Server
from .world import World


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8800, help="0 picks a free port")
    parser.add_argument(
        "--store", type=Path, required=True, help="file that keeps the mail; two logs lie beside it"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", choices=("empty", "demo"), default="empty")
    parser.add_argument("--api-key", default="", help="the only key taken; without it, any key is")
    parser.add_argument("--sends-per-second", type=float, default=0.0, help="0 is unlimited")
    parser.add_argument("--live", action=argparse.BooleanOptionalAction, default=None, help="keep playing")
    parser.add_argument("--print-port", action="store_true", help="the address is printed in any case")


def make_world(options: argparse.Namespace) -> World:
    world = World(
        options.store, seed=options.seed, api_key=options.api_key, sends_per_second=options.sends_per_second
    )
    world.agenda.handlers = {
        "outcome": lambda work: happen(
            world, work, lambda message, email: deliver_locally(world, message, email)
        ),
        "queued_send": lambda work: leave_queue(world, work),
        "customer_reply": lambda work: reply_as_customer(world, work),
        "scheduled_send": lambda work: send_scheduled(world, work),
    }
    return world


def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT. The first line on standard output is `SANDBOX http://HOST:PORT`."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    world = make_world(options)
    if options.scenario == "demo" and not world.store.all("grant"):
        scenario.seed_demo(world)
    is_live = options.scenario == "demo" if options.live is None else options.live
    world.switches.change({"live": is_live})
    server = Server((options.host, options.port), world)

    def stop(number: int, frame: FrameType | None) -> None:
        # shutdown() waits for the loop that this handler interrupts, so it needs a thread of its own.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    world.agenda.start()
    world.events.start()
    Live(world).start()
    host, port = server.server_address[:2]
    sys.stdout.write(f"SANDBOX http://{host!s}:{port}\n")
    sys.stdout.flush()
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        world.close()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="sandbox", description="A local mail provider for demonstrations and tests"
    )
    add_arguments(parser)
    run(parser.parse_args(arguments))
