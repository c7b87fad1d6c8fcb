"""The restore guard: I20, H37, H38."""

from __future__ import annotations

import uuid
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from approvals import decisions, dispatch, instance
from approvals.models import Draft, Instance
from approvals.states import DraftState
from audit.models import Entry
from tests.approvals.conftest import seen


def test_a_new_installation_sends(pending: Draft, alice: User, sandbox: Any, transactional_db: None) -> None:
    decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert dispatch.dispatch(pending.send.pk) == "posted"
    assert instance.trouble() == ""


@pytest.fixture
def sent_before(pending: Draft, alice: User, transactional_db: None) -> Draft:
    decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)
    dispatch.dispatch(pending.send.pk)
    return pending


def approved(draft: Draft, person: User) -> Draft:
    decisions.approve(draft, person=person, seen=seen(draft), form_id=None)
    return Draft.objects.get(pk=draft.pk)


def test_a_database_behind_its_mark_sends_nothing(
    sent_before: Draft, agent_writes: Any, alice: User, sandbox: Any, settings: Any
) -> None:
    settings.INSTANCE_FILE.write_text(f"{Instance.objects.get().identity} {10**9:020d}\n")
    draft = approved(agent_writes(), alice)

    dispatch.dispatch(draft.send.pk)

    draft.send.refresh_from_db()
    assert draft.send.held == "blocked_kill_switch"
    assert len(sandbox.get("log")["sends"]) == 1


@pytest.mark.parametrize("content", [None, f"{uuid.UUID(int=7)} {1:020d}\n", "nonsense\n"])
def test_a_copied_database_sends_nothing(
    sent_before: Draft, agent_writes: Any, alice: User, sandbox: Any, settings: Any, content: str | None
) -> None:
    settings.INSTANCE_FILE.unlink()
    if content is not None:
        settings.INSTANCE_FILE.write_text(content)
    draft = approved(agent_writes(), alice)

    dispatch.dispatch(draft.send.pk)

    draft.send.refresh_from_db()
    assert draft.send.state == "queued"
    assert len(sandbox.get("log")["sends"]) == 1


def test_reconciling_after_a_restore_finds_mail_the_database_has_forgotten(
    sent_before: Draft, sandbox: Any, settings: Any, alice: User
) -> None:
    settings.INSTANCE_FILE.write_text(f"{Instance.objects.get().identity} {10**9:020d}\n")
    send = sent_before.send
    send.outcomes.all().delete()
    send.attempts.all().delete()
    send.delete()
    sent_before.decisions.all().delete()
    Draft.objects.filter(pk=sent_before.pk).update(**{"state": DraftState.PENDING})

    call_command("reconcile", after_restore=True, stdout=StringIO())

    sent_before.refresh_from_db()
    assert sent_before.state == DraftState.WITHDRAWN
    assert instance.trouble() == ""


def test_a_restored_database_that_has_grown_again_still_sends_nothing(
    sent_before: Draft, agent_writes: Any, alice: User, sandbox: Any, settings: Any
) -> None:
    identity, sequence, entry_hash = settings.INSTANCE_FILE.read_text().split()
    # The last send was made at an entry that the restore took away; its number is given to another one now.
    settings.INSTANCE_FILE.write_text(f"{identity} {int(sequence) + 2:020d} {entry_hash[::-1]}\n")
    drafts = [agent_writes() for _ in range(4)]
    assert Entry.objects.count() > int(sequence) + 2

    draft = approved(drafts[0], alice)

    dispatch.dispatch(draft.send.pk)
    draft.send.refresh_from_db()
    assert draft.send.held == "blocked_kill_switch"
    assert len(sandbox.get("log")["sends"]) == 1


def test_the_mark_of_an_older_release_is_taken_over(
    sent_before: Draft, agent_writes: Any, alice: User, sandbox: Any, settings: Any
) -> None:
    identity, sequence, _entry_hash = settings.INSTANCE_FILE.read_text().split()
    settings.INSTANCE_FILE.write_text(f"{identity} {sequence}\n")

    draft = approved(agent_writes(), alice)

    assert dispatch.dispatch(draft.send.pk) == "posted"
    identity, sequence, entry_hash = settings.INSTANCE_FILE.read_text().split()
    assert Entry.objects.get(pk=int(sequence)).hash == entry_hash
