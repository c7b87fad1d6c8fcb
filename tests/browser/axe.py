"""Axe, the checker of accessibility, on an open page: which rules are asked, and what a page breaks."""

import json
from functools import cache
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parent / "vendor"
FILE = VENDOR / "axe-core" / "axe.min.js"

# Every rule of these groups is asked; none is switched off. `target-size` is of WCAG 2.2, which Axe leaves off itself.
GROUPS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {
    "runOnly": {"type": "tag", "values": GROUPS},
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
    # The frame of a letter runs no script at all, so nothing can be asked inside it.
    "iframes": False,
    "preload": False,
}

THEMES = ("light", "dark")
WIDTHS = (1280, 320)
EVERYWHERE = [(theme, width) for width in WIDTHS for theme in THEMES]
ONCE_EACH = [("light", 1280), ("dark", 320)]

RUN = """async () => {
  const found = await axe.run(document, %s);
  return found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.target.join(' ')}: ${node.failureSummary.split('\\n').slice(1, 3).join('; ').trim()}`
    + `: ${node.html.slice(0, 160)}`));
}"""


@cache
def source() -> str:
    return FILE.read_text(encoding="utf-8")


def broken(page: Any, looks: list[tuple[str, int]] = EVERYWHERE) -> list[str]:
    """Sentences about the rules that the page breaks as it stands: theme and width, rule, element, what is wrong.

    The window and the theme of the page are changed. Colours that are on their way to others would be asked as they
    are just then, so motion is reduced.
    """
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(source())
    found = []
    for theme, width in looks:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        found += [f"{theme} at {width}: {one}" for one in page.evaluate(RUN % json.dumps(OPTIONS))]
    return found
