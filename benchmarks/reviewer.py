"""How long a scripted reviewer needs for a hundred mixed drafts, keys alone; see `tests.browser.hundred`."""

from __future__ import annotations

from pathlib import Path

from tests.availability import CHROMIUM, missing_for_browser


def run(directory: Path) -> None:
    if missing := missing_for_browser():
        print(f"a reviewer with a hundred drafts: {missing}")
        return
    # Only make test-browser installs what these need.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    from tests.browser import hundred  # noqa: PLC0415
    from tests.browser.demo import running  # noqa: PLC0415
    from tests.browser.desk import Person  # noqa: PLC0415

    with running(directory) as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        people = []
        for name in ("admin", "reviewer"):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            people.append(Person(demo, name, context.new_page(), has_script=True))
            people[-1].sign_in()
        day = hundred.play(demo, *people)
        caught = set(day.shift.rejected) & set(day.world.traps)
        print(
            f"a reviewer with {hundred.ITEMS} mixed drafts: {day.shift.seconds:.0f} s, "
            f"{len(caught)} of {len(day.world.traps)} traps rejected, "
            f"{len(day.shift.approved & set(day.world.traps))} approved"
        )
        browser.close()
