"""Long work that a worker does: its page shows how far it is, and what came of it, with script by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.demo import Demo

pytestmark = pytest.mark.browser


def test_a_simulation_shows_that_it_is_under_way_and_ends_by_itself(
    demo: Demo, person: Any, script: bool
) -> None:
    admin = person("admin", script=script)
    progress = admin.page.locator("#job-progress")
    with demo.without_worker():
        admin.go("/policies/simulate/")
        admin.press("Show the difference")

        progress.get_by_text("under way").wait_for()
        assert progress.locator("progress").count() == 1
        assert progress.get_by_role("link", name="Look again").count() == (0 if script else 1)

    admin.watch("would be treated differently", within="#simulated")
    progress.get_by_text("done").wait_for()
    assert admin.page.locator("#simulated").get_attribute("hx-get") is None
    assert admin.page.get_by_role("button", name="Cancel it").count() == 0


def test_a_simulation_is_cancelled_while_it_waits(demo: Demo, person: Any, script: bool) -> None:
    admin = person("admin", script=script)
    with demo.without_worker():
        admin.go("/policies/simulate/")
        admin.press("Show the difference")

        admin.press("Cancel it")

        admin.says("You cancelled it. Nothing of it is kept.")
        # The next one can be asked for at once.
        admin.go("/policies/simulate/")
        admin.press("Show the difference")
        admin.press("Cancel it")
        admin.says("You cancelled it. Nothing of it is kept.")
