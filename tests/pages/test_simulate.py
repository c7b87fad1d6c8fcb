"""The simulation: what another mode or other rules would have made of the last drafts."""

import json

import pytest

from agentmail.models import Mailbox
from approvals.models import Draft, Judgement
from audit.models import Entry
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db
PAGE = "/policies/simulate/"
BLOCK_PLATES = [
    {
        "name": "No plates",
        "trigger": "outbound",
        "priority": 10,
        "enabled": True,
        "match": {
            "operator": "any",
            "conditions": [{"field": "subject", "operator": "contains", "value": "plates"}],
        },
        "actions": [{"type": "block"}],
    }
]


def submitted(person, box, **fields):
    values = {"mailbox": str(box.public_id), "last": "100", "mode": "", "rules": ""} | fields
    return browser(person).submit(PAGE, values)


def counts(page):
    return {row["word"]: (row["before"], row["after"]) for row in page.response.context["counts"]}


def test_a_stricter_mode_shows_what_it_would_block(support, alice):
    scenes.draft_in_thread(support)
    scenes.draft_in_thread(support)

    page = submitted(alice, support, mode="read_only")

    assert counts(page) == {
        "leaves by itself": (0, 0),
        "waits for a person": (2, 0),
        "blocked": (0, 2),
    }
    assert "2 drafts would be treated differently" in page.text()
    assert "oversight_mode is read_only" in page.text()


def test_the_bars_have_a_legend_of_every_colour(support, alice):
    scenes.draft_in_thread(support)

    page = submitted(alice, support)

    [legend] = page.classed("legend")
    named = {
        part.get("class"): page.text(entry)
        for entry in legend.iter("li")
        for part in entry.iter()
        if part.get("class")
    }
    assert named == {
        "fate-leaves": "leaves by itself",
        "fate-waits": "waits for a person",
        "fate-blocked": "blocked",
    }


def test_a_difference_is_a_plain_nought_or_a_number_with_its_sign(support, alice):
    scenes.draft_in_thread(support)
    scenes.draft_in_thread(support)

    page = submitted(alice, support, mode="read_only")

    [table] = page.classed("counts")
    rows = [[page.text(cell) for cell in row.iter("td")] for row in table.iter("tr")]
    assert [row[-1] for row in rows if row] == ["0", "\N{MINUS SIGN}2", "+2"]


def test_a_colon_parts_the_gate_from_its_sentence(support, alice):
    scenes.draft_in_thread(support)

    page = submitted(alice, support, mode="read_only")

    assert "Mode: oversight_mode is read_only" in page.text()


def test_other_rules_show_which_drafts_they_would_block(support, alice):
    plates = scenes.draft_in_thread(support)
    scenes.draft_in_thread(support, subject="Re: Opening hours")

    page = submitted(alice, support, rules=json.dumps(BLOCK_PLATES))

    assert counts(page)["blocked"] == (0, 1)
    [row] = page.response.context["rows"]
    assert row["draft"].pk == plates.pk
    assert "No plates" in page.text()


def test_a_simulation_changes_nothing(support, alice):
    scenes.draft_in_thread(support)
    before = (Entry.objects.count(), Judgement.objects.count(), Draft.objects.values().get())

    submitted(alice, support, mode="autonomous", rules=json.dumps(BLOCK_PLATES))

    entries = Entry.objects.exclude(action="approvals.sign_in.succeeded").count()
    assert (entries, Judgement.objects.count(), Draft.objects.values().get()) == before
    assert Mailbox.objects.get(pk=support.pk).mode == "gated_send"


def test_only_the_last_drafts_are_judged(support, alice):
    for _ in range(3):
        scenes.draft_in_thread(support)

    page = submitted(alice, support, last="2", mode="read_only")

    assert counts(page)["blocked"] == (0, 2)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"last": "501"}, "less than or equal to 500"),
        ({"mode": "sometimes"}, "Select a valid choice"),
        ({"rules": "{"}, "JSON"),
        ({"rules": '[{"name": "x", "match": {"conditions": []}, "actions": []}]'}, "conditions"),
    ],
    ids=["too_many", "no_mode", "no_json", "no_rule"],
)
def test_what_cannot_be_simulated_is_told_and_kept(support, alice, fields, told):
    page = submitted(alice, support, **fields)

    assert page.status == 422
    assert told in page.text()
    [typed] = [one for one in page.all("textarea", name="rules")]
    assert page.text(typed) == fields.get("rules", "")


def test_a_foreign_mailbox_cannot_be_simulated(support, eve):
    assert submitted(eve, support, mode="read_only").status == 422


@pytest.mark.parametrize(("who", "status"), [("mallory", 403), ("alice", 200), ("dave", 200), ("carol", 200)])
def test_reading_policies_opens_the_simulation(request, support, who, status):
    assert browser(request.getfixturevalue(who)).get(PAGE).status_code == status


def test_a_list_editor_simulates_nothing(support):
    ed = scenes.person("ed", "list_editor", name="Ed Lists")

    assert browser(ed).get(PAGE).status_code == 403
