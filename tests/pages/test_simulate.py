"""The simulation: what another mode or other rules would have made of the last drafts."""

import json

import pytest

from agentmail.models import Mailbox
from approvals import jobs
from approvals.models import Draft, Job, JobKind, Judgement, Membership
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


def asked(box, **fields):
    return {"mailbox": str(box.public_id), "last": "100", "mode": "", "rules": ""} | fields


def submitted(person, box, **fields):
    return browser(person).submit(PAGE, asked(box, **fields))


def simulated(person, box, **fields):
    """The page of a simulation that was asked for and done."""
    client = browser(person)
    response = client.post(PAGE, asked(box, **fields))
    jobs.work(JobKind.SIMULATION)
    return client.page(response["Location"])


def counts(page):
    return {row["word"]: (row["before"], row["after"]) for row in page.response.context["counts"]}


def test_a_stricter_mode_shows_what_it_would_block(support, alice):
    scenes.draft_in_thread(support)
    scenes.draft_in_thread(support)

    page = simulated(alice, support, mode="read_only")

    assert counts(page) == {
        "leaves by itself": (0, 0),
        "waits for a person": (2, 0),
        "blocked": (0, 2),
    }
    assert "2 drafts would be treated differently" in page.text()
    assert "oversight_mode is read_only" in page.text()


def test_the_bars_have_a_legend_of_every_colour(support, alice):
    scenes.draft_in_thread(support)

    page = simulated(alice, support)

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

    page = simulated(alice, support, mode="read_only")

    [table] = page.classed("counts")
    rows = [[page.text(cell) for cell in row.iter("td")] for row in table.iter("tr")]
    assert [row[-1] for row in rows if row] == ["0", "\N{MINUS SIGN}2", "+2"]


def test_a_colon_parts_the_gate_from_its_sentence(support, alice):
    scenes.draft_in_thread(support)

    page = simulated(alice, support, mode="read_only")

    assert "Mode: oversight_mode is read_only" in page.text()


def test_other_rules_show_which_drafts_they_would_block(support, alice):
    plates = scenes.draft_in_thread(support)
    scenes.draft_in_thread(support, subject="Re: Opening hours")

    page = simulated(alice, support, rules=json.dumps(BLOCK_PLATES))

    assert counts(page)["blocked"] == (0, 1)
    [row] = page.response.context["rows"]
    assert row["draft"].pk == plates.pk
    assert "No plates" in page.text()


def test_a_simulation_changes_nothing(support, alice):
    scenes.draft_in_thread(support)
    before = (Entry.objects.count(), Judgement.objects.count(), Draft.objects.values().get())

    simulated(alice, support, mode="autonomous", rules=json.dumps(BLOCK_PLATES))

    entries = Entry.objects.exclude(action="approvals.sign_in.succeeded").count()
    assert (entries, Judgement.objects.count(), Draft.objects.values().get()) == before
    assert Mailbox.objects.get(pk=support.pk).mode == "gated_send"


def test_only_the_last_drafts_are_judged(support, alice):
    for _ in range(3):
        scenes.draft_in_thread(support)

    page = simulated(alice, support, last="2", mode="read_only")

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


def asked_by(person, box, **fields):
    client = browser(person)
    return client, client.post(PAGE, asked(box, **fields))["Location"]


def region(page):
    [found] = page.all("div", id="simulated")
    return found


def test_a_simulation_waits_for_a_worker_and_shows_how_far_it_is(support, alice):
    scenes.draft_in_thread(support)
    client, address = asked_by(alice, support, mode="read_only")

    page = client.page(address)

    assert "Simulation under way" in page.text()
    assert "A worker begins within 5 s." in page.text()
    assert not page.all("section", id="result")
    assert client.get(region(page).get("hx-get")).status_code == 204


def test_the_open_page_gets_the_result_when_it_is_there_and_asks_no_more(support, alice):
    scenes.draft_in_thread(support)
    client, address = asked_by(alice, support, mode="read_only")
    asks = region(client.page(address)).get("hx-get")

    jobs.work(JobKind.SIMULATION)

    answer = client.get(asks)
    assert answer.status_code == 200
    html = answer.content.decode()
    assert html.startswith('<div class="stack" id="simulated">')
    assert "1 of 1 drafts" in html
    assert "1 draft would be treated differently" in html
    assert region(client.page(address)).get("hx-get") is None


def test_the_form_beside_a_result_holds_what_was_asked(support, alice):
    page = simulated(alice, support, mode="monitored", rules=json.dumps(BLOCK_PLATES), last="7")

    [rules] = page.all("textarea", name="rules")
    assert json.loads(page.text(rules)) == BLOCK_PLATES
    assert page.all("input", name="last")[0].get("value") == "7"
    assert [one.get("value") for one in page.all("option", selected="")] == [
        str(support.public_id),
        "monitored",
    ]


def test_a_second_simulation_waits_for_the_first_and_loses_nothing_typed(support, alice):
    asked_by(alice, support)

    page = submitted(alice, support, rules=json.dumps(BLOCK_PLATES))

    assert page.status == 409
    assert "One at a time for each person" in page.text()
    [rules] = page.all("textarea", name="rules")
    assert json.loads(page.text(rules)) == BLOCK_PLATES
    assert Job.objects.count() == 1


def test_the_simulation_of_one_person_is_no_obstacle_for_another(support, alice, bob):
    asked_by(alice, support)

    client, address = asked_by(bob, support)

    assert "1 that was asked for before has its turn first." in client.page(address).text()


def test_a_cancelled_simulation_says_so_and_is_not_done(support, alice):
    client, address = asked_by(alice, support)

    page = client.submit(f"/jobs/{Job.objects.get().public_id}/cancel/", follow=True)
    jobs.work(JobKind.SIMULATION)

    assert "You cancelled it. Nothing of it is kept." in page.text()
    assert Job.objects.get().state == "cancelled"
    assert region(client.page(address)).get("hx-get") is None


def test_a_simulation_whose_rules_do_not_fit_any_more_says_what_failed_and_what_to_do(support, alice):
    client, address = asked_by(alice, support)
    Job.objects.update(parameters=Job.objects.get().parameters | {"rules": "{"})

    jobs.work(JobKind.SIMULATION)

    text = client.page(address).text()
    assert "Simulation failed" in text
    assert "JSON" in text
    assert "Nothing was changed. Ask for it again." in text


def test_a_result_is_hidden_from_who_may_not_see_the_mailbox_any_more(support, orders, alice):
    client, address = asked_by(alice, support)
    jobs.work(JobKind.SIMULATION)
    Membership.objects.filter(user=alice).update(mailbox=orders)

    assert client.get(address).status_code == 403


def test_a_right_that_was_taken_before_its_turn_ends_the_simulation(support, orders, alice):
    asked_by(alice, support)
    Membership.objects.filter(user=alice).update(mailbox=orders)

    jobs.work(JobKind.SIMULATION)

    job = Job.objects.get()
    assert (job.state, job.result) == ("failed", {})
    assert job.failure == "You may not see this mailbox or its policies any more."


def test_the_simulation_of_somebody_else_does_not_exist(support, alice, bob):
    _client, address = asked_by(alice, support)

    assert browser(bob).get(address).status_code == 404


def test_the_page_leads_back_to_the_simulations_of_the_person(support, alice, bob):
    client, address = asked_by(alice, support)

    assert client.page(PAGE).all("a", href=address)
    assert not browser(bob).page(PAGE).all("a", href=address)


def test_a_simulation_that_is_shown_is_not_listed_beside_itself(support, alice):
    first = simulated(alice, support)
    second = simulated(alice, support, mode="read_only")

    assert [row["job"] for row in second.response.context["own_jobs"]] == [first.response.context["job"]]
