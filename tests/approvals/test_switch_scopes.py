"""The kill switch in parts: what a stop of a workspace, an agent or a domain holds, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from agentmail.client import configured_client
from agentmail.models import Mailbox
from approvals import dispatch, freshness, switch_scopes, switchboard
from approvals.models import Draft, Role, Send
from approvals.transitions import drafts
from audit.record import SYSTEM
from policies import scopes, switch
from policies.models import Switch, Workspace, WorkspaceMember
from tests.approvals.conftest import approve, person, retry

pytestmark = pytest.mark.django_db(transaction=True)

Writes = Callable[..., Draft]


@pytest.fixture
def workspace(mailbox: Mailbox) -> Workspace:
    made = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=made, mailbox_id=mailbox.pk)
    return made


@pytest.fixture
def admin(mailbox: Mailbox) -> User:
    return person("admin", Role.ADMIN)


def to(email: str) -> dict[str, Any]:
    return {"to": [{"email": email}]}


def stop(scope: str) -> switchboard.Acknowledgement:
    return switchboard.stop_as(SYSTEM, scope, reason="Test")


def test_a_mail_is_in_the_scopes_of_its_mailbox_its_agent_and_every_domain_it_goes_to(
    mailbox: Mailbox, workspace: Workspace
) -> None:
    draft = Draft(mailbox=mailbox, agent_id="agent-7")

    found = switch_scopes.scopes_of(draft, ["a@mail.example.co", "b@bücher.example", "not an address"])

    assert found == [
        "global",
        f"workspace:{workspace.pk}",
        mailbox.scope,
        "agent:agent-7",
        "domain:mail.example.co",
        "domain:example.co",
        "domain:xn--bcher-kva.example",
    ]


@pytest.mark.row("000-31", "000-34", "K24")
@pytest.mark.parametrize("kind", ["workspace", "mailbox", "agent", "domain", "parent domain"])
def test_a_stop_of_a_part_holds_what_is_queued_in_it_and_its_release_sends_nothing(
    agent_writes: Writes,
    alice: User,
    admin: User,
    mailbox: Mailbox,
    workspace: Workspace,
    sandbox: Any,
    kind: str,
) -> None:
    scope = {
        "workspace": scopes.workspace_scope(workspace.pk),
        "mailbox": mailbox.scope,
        "agent": "agent:agent-7",
        "domain": "domain:mail.example.org",
        "parent domain": "domain:example.org",
    }[kind]
    draft = agent_writes(**to("Priya@Mail.example.org"))
    Draft.objects.filter(pk=draft.pk).update(agent_id="agent-7")
    send = approve(draft, alice)

    given = stop(scope)

    assert (given.held, given.is_drained) == (1, True)
    assert dispatch.dispatch(send.pk) == "nothing"
    assert switchboard.resume_held([send.pk], person=admin) == 0
    assert switchboard.release(scope, person=admin, reason="Fine.") == 1
    assert retry(send) == "nothing"
    assert sandbox.sends() == []
    assert switchboard.resume_held([send.pk], person=admin) == 1
    assert retry(send) == "posted"


@pytest.mark.parametrize("scope", ["agent:agent-8", "domain:example.com", "domain:b.example.org"])
def test_a_stop_of_another_part_holds_nothing(
    agent_writes: Writes, alice: User, mailbox: Mailbox, scope: str
) -> None:
    draft = agent_writes(**to("priya@a.example.org"))
    Draft.objects.filter(pk=draft.pk).update(agent_id="agent-7")
    send = approve(draft, alice)

    assert stop(scope).held == 0
    assert dispatch.dispatch(send.pk) == "posted"


def test_a_copy_to_a_stopped_domain_holds_the_mail(
    agent_writes: Writes, alice: User, mailbox: Mailbox
) -> None:
    stop("domain:example.com")

    send = approve(agent_writes(bcc=[{"email": "spy@example.com"}]), alice)

    assert send.held == "blocked_kill_switch"


@pytest.mark.parametrize("scope", ["domain:example.net", "agent:agent-7"])
def test_an_approval_of_a_stopped_part_is_kept_and_held(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, scope: str
) -> None:
    Draft.objects.filter(pk=pending.pk).update(agent_id="agent-7")
    stop(scope)

    send = approve(pending, alice)

    assert (send.state, send.held) == ("queued", "blocked_kill_switch")
    assert dispatch.dispatch(send.pk) == "nothing"
    assert sandbox.sends() == []


def test_a_mailbox_that_joins_a_stopped_workspace_is_stopped(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    made = Workspace.objects.create(name="Stopped")
    stop(scopes.workspace_scope(made.pk))
    send = approve(pending, alice)
    WorkspaceMember.objects.create(workspace=made, mailbox_id=mailbox.pk)

    assert dispatch.dispatch(send.pk) == "refused"
    send.refresh_from_db()
    assert send.held == "blocked_kill_switch"


def test_an_approval_makes_the_rows_that_a_stop_needs_to_wait_for(
    agent_writes: Writes, alice: User, mailbox: Mailbox, workspace: Workspace
) -> None:
    approve(agent_writes(**to("priya@mail.example.org")), alice)

    assert set(Switch.objects.values_list("scope", flat=True)) == {
        "global",
        mailbox.scope,
        scopes.workspace_scope(workspace.pk),
        "domain:mail.example.org",
        "domain:example.org",
    }
    assert not Switch.objects.filter(is_engaged=True).exists()


def test_an_approval_by_the_mode_makes_them_too(agent_writes: Writes, mailbox: Mailbox) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(mode="autonomous")
    mailbox.refresh_from_db()
    draft = agent_writes()
    Switch.objects.filter(scope__startswith="domain:").delete()
    look = freshness.look(draft, configured_client(), verify_attachments=False)

    drafts.approve_by_mode(draft.pk, look=look)

    assert Switch.objects.filter(scope="domain:example.net", is_engaged=False).exists()


def test_a_preview_makes_no_rows_and_shows_an_open_switch(pending: Draft, mailbox: Mailbox) -> None:
    found = switch_scopes.scopes_of(pending, ["priya@example.org"])

    assert switch.read(found, is_preview=True).is_open
    assert not switch.read(found).is_open
    assert not Switch.objects.filter(scope__startswith="domain:").exists()


def test_a_stop_of_a_domain_names_the_send_to_it_that_is_under_way(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    send = approve(pending, alice)
    Send.objects.filter(pk=send.pk).update(state="dispatched")

    assert [one.pk for one in stop("domain:example.net").in_flight] == [send.pk]
    assert stop("domain:example.com").in_flight == []


def test_the_command_stops_lists_and_releases_each_kind(mailbox: Mailbox, workspace: Workspace) -> None:
    named = {
        "--workspace": ("support", f"workspace:{workspace.pk}"),
        "--mailbox": (mailbox.address, mailbox.scope),
        "--agent": ("agent-7", "agent:agent-7"),
        "--domain": ("Example.ORG", "domain:example.org"),
    }
    for option, (name, scope) in named.items():
        call_command("killswitch", "engage", option, name, "--reason=Test", stdout=StringIO())
        assert not switch.read([scope]).is_open
    said = StringIO()
    call_command("killswitch", "status", stdout=said)
    for words in ("workspace Support", f"mailbox {mailbox.address}", "agent agent-7", "domain example.org"):
        assert f"stopped, {words}: " in said.getvalue()
    for option, (name, scope) in named.items():
        call_command("killswitch", "release", option, name, "--reason=Test", stdout=StringIO())
        assert switch.read([scope]).is_open


@pytest.mark.parametrize("option", ["--workspace", "--mailbox", "--agent", "--domain"])
def test_the_command_refuses_a_name_that_names_nothing(mailbox: Mailbox, option: str) -> None:
    with pytest.raises(CommandError, match=option):
        call_command("killswitch", "engage", option, "no such thing", "--reason=Test")
