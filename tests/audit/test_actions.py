import re
from pathlib import Path

import pytest

from audit.actions import ACTIONS, Action

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "audit-actions.md"


def test_every_action_is_documented_and_nothing_else() -> None:
    documented = re.findall(
        r"^\| `([a-z_]+\.[a-z_.]+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert sorted(documented) == sorted(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=str)
def test_every_action_has_a_proper_name_and_sentence(action: Action) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+\.[a-z_]+", action.name)
    assert str(action.label)
    assert str(action.sentence) % {"actor": "Ana", "outcome": "bounced", "reason": "why"}


def test_no_action_is_named_twice() -> None:
    text = (Path(__file__).resolve().parent.parent.parent / "audit" / "actions.py").read_text(
        encoding="utf-8"
    )
    names = re.findall(r'"((?:approvals|policies|agentmail|gateway)\.[a-z_]+\.[a-z_]+)"', text)

    assert sorted(names) == sorted(ACTIONS)


def test_every_action_is_recorded_somewhere():
    """An action whose name is put together at the call is named by its first two parts there."""
    root = Path(__file__).parents[2]
    source = "\n".join(
        file.read_text()
        for app in ("agentmail", "approvals", "policies", "gateway")
        for file in (root / app).rglob("*.py")
    )
    together = {"approvals.draft.{to.value}", "approvals.send.{to.value}", "approvals.send.{kind}"}
    assert all(f'f"{name}"' in source for name in together)
    made = {
        *("approvals.draft.rejected", "approvals.draft.changes_requested"),
        *("approvals.send.closed_sent", "approvals.send.closed_not_sent"),
        *("approvals.send.content_differs", "approvals.send.contradicted", "approvals.send.second_copy"),
    }

    assert [name for name in ACTIONS if name not in source and name not in made] == []
