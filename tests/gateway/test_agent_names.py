"""What was handed in with a token is named after the token wherever people see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from approvals.models import Draft
from audit.models import Entry
from tests.gateway.conftest import Program, mail, taken_in, token_of
from tests.pages.pages import browser

NAME = "Returns clerk"


@pytest.fixture
def agent(ada: User, mailbox: Mailbox) -> Program:
    return Program(token_of(ada, mailbox, name=NAME).secret)


@pytest.fixture
def draft(agent: Program) -> Draft:
    agent.post("/emails/send", mail())
    (draft,) = taken_in()
    return draft


def test_the_record_names_the_agent_in_all_that_it_does(agent: Program, draft: Draft) -> None:
    agent.post("/emails/send", mail(body="<p>On Friday.</p>", revises=str(draft.public_id)))
    taken_in()
    agent.post(f"/emails/{draft.public_id}/cancel")

    done = Entry.objects.filter(draft_id=draft.pk, actor_kind="agent").order_by("pk")
    assert {entry.actor_name for entry in done} == {NAME}
    assert [entry.action.rpartition(".")[2] for entry in done] == [
        "arrived",
        "received",
        "revised",
        "withdrawn",
    ]


def test_the_page_of_the_draft_names_its_author(draft: Draft, alice: User) -> None:
    page = browser(alice).page(f"/drafts/{draft.public_id}/")

    [signs] = page.classed("signs")
    [history] = [one for one in page.all("section") if one.get("id") == "history"]
    assert page.text(signs).startswith(f"{NAME}Written by the agent")
    assert f"Draft arrived {NAME}" in " ".join(page.text(history).split())


def test_the_queue_names_the_agent(draft: Draft, alice: User) -> None:
    page = browser(alice).page("/queue/")

    assert [page.text(one) for one in page.classed("row__box")] == [draft.mailbox.address, NAME]


def test_a_draft_that_was_written_at_the_provider_names_none(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox
) -> None:
    draft = agent_writes()

    page = browser(alice).page("/queue/")

    assert [page.text(one) for one in page.classed("row__box")] == [mailbox.address]
    assert draft.current_revision.author_name == mailbox.display_name
    assert Entry.objects.get(draft_id=draft.pk, action="approvals.draft.arrived").actor_name == "agent"
