from __future__ import annotations

import pytest

from approvals.models import Send
from tests.pages import scenes, sends
from tests.pages.pages import browser


@pytest.fixture
def queued(db):
    mailbox = scenes.mailbox("support@example.com")
    alice = scenes.person("alice", "reviewer", mailbox)
    draft = scenes.draft(mailbox)
    sends.queued(draft, alice)
    return draft, browser(alice)


def test_a_held_mail_can_be_taken_back_and_counts_nothing_down(queued):
    draft, desk = queued
    Send.objects.filter(draft=draft).update(held="blocked_kill_switch")

    page = desk.get(f"/drafts/{draft.public_id}/").content.decode()

    assert "Held; you can take it back" in page
    assert "data-left" not in page


def test_a_running_hold_counts_down(queued):
    draft, desk = queued

    page = desk.get(f"/drafts/{draft.public_id}/").content.decode()

    assert "data-left" in page
