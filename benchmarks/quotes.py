"""What a long quotation costs: a text of 767 kB folded and shown, against an eighth of it, and against escaping it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

SIZE, TIMES = 767_000, 7


def run(directory: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("VAR_DIR", str(directory))
    import django  # noqa: PLC0415 - the settings need the environment

    django.setup()
    from django.utils.html import escape  # noqa: PLC0415 - as above

    from approvals.templatetags.mail import folded, visible  # noqa: PLC0415 - as above

    def shown(text: str) -> None:
        for part in folded(text):
            visible(part["text"])

    line = "> a line of a long quotation, with <angles>\n"
    turns = {
        "plain": line.lstrip("> "),
        "quoted": line,
        "in turn": f"{line}said between\n",
        "controls": line.replace("angles", "\u202e\u200b"),
    }
    for name, piece in turns.items():
        whole = piece * (SIZE // len(piece))
        part = whole[: SIZE // 8]
        taken: dict[str, list[float]] = {"whole": [], "part": [], "escaped": []}
        for _ in range(TIMES):
            taken["whole"].append(_seconds(shown, whole))
            taken["part"].append(_seconds(shown, part))
            taken["escaped"].append(_seconds(escape, whole))
        large, small, bare = (median(taken[one]) for one in ("whole", "part", "escaped"))
        print(
            f"a text of 767 kB, {name}: {large:.3f} s; to an eighth of it {large / small:.1f} (linear: 8); "
            f"to escaping it {large / bare:.1f}"
        )


def _seconds(what: Callable[[str], object], text: str) -> float:
    start = time.perf_counter()
    what(text)
    return time.perf_counter() - start
