"""The gate of recipients: lists of every scope, every field of the mail, and the questions a reviewer answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentmail.models import Mailbox
from agentmail.types import Address
from approvals import decisions, dispatch, gates, recipients
from approvals.gates import Consequence, Standing, Verdict
from approvals.models import DomainContact, Draft, Judgement, Membership, Role, Send, Stage
from approvals.recipients import PatternError, parse_pattern
from approvals.transitions.drafts import GateRefused, NotAllowed, QuestionsChanged, Seen
from audit.clock import database_now
from audit.record import SYSTEM
from policies import changes, mailbox_settings, scopes
from policies import recipients as lists
from policies.models import RecipientEntry, Workspace, WorkspaceMember
from policies.recipients import NewEntry
from tests.approvals.conftest import actions, approve, person, seen, sent


def listed(kind: str, pattern: str, scope: str = "global") -> RecipientEntry:
    [entry] = lists.add([NewEntry(kind, scope, pattern)], actor=SYSTEM)
    return entry


def verdict(draft: Draft, *, is_reviewed: bool = True) -> Verdict:
    draft = Draft.objects.select_related("mailbox", "current_revision").get(pk=draft.pk)
    assert draft.current_revision is not None
    facts = gates.facts_about(draft, draft.current_revision, now=database_now(), is_reviewed=is_reviewed)
    return {one.gate: one for one in gates.evaluate(facts)}["recipients"]


def to(address: str) -> dict[str, Any]:
    return {"to": [{"email": address}]}


@pytest.mark.row("000-14", "001-20", "001-03")
def test_unlisted_recipient_of_mail_that_nobody_decides_is_refused(pending: Draft) -> None:
    answer = verdict(pending, is_reviewed=False)

    assert (answer.standing, answer.result) == (Standing.REFUSED, "blocked_recipient")
    assert answer.consequence is Consequence.STOP


@pytest.mark.row("K13")
def test_unlisted_recipient_of_reviewed_mail_is_a_question(agent_writes: Callable[..., Draft]) -> None:
    answer = verdict(agent_writes(**to("Anna@Example.org")))

    assert answer.standing is Standing.OPEN
    assert answer.asks == ("recipient:anna@example.org", "domain:example.org")
    assert "anna@example.org is on no list. First mail to example.org." in answer.sentence


@pytest.mark.row("K13")
@pytest.mark.parametrize(
    ("field", "is_reviewed", "value", "standing"),
    [
        ("unknown_reviewed", True, "ask", Standing.OPEN),
        ("unknown_reviewed", True, "block", Standing.REFUSED),
        ("unknown_unreviewed", False, "block", Standing.REFUSED),
        # Nobody is there to be asked.
        ("unknown_unreviewed", False, "ask", Standing.REFUSED),
        ("unknown_reviewed", True, "sorcery", Standing.REFUSED),
    ],
)
def test_mailbox_says_what_an_unknown_recipient_means(
    pending: Draft, mailbox: Mailbox, field: str, is_reviewed: bool, value: str, standing: Standing
) -> None:
    mailbox_settings.write(mailbox.pk, version=0, actor=SYSTEM, **{field: value})

    assert verdict(pending, is_reviewed=is_reviewed).standing is standing


@pytest.mark.row("001-35")
def test_first_mail_to_a_domain_is_asked_about_and_the_second_is_not(
    agent_writes: Callable[..., Draft], alice: User, mailbox: Mailbox
) -> None:
    mailbox_settings.write(mailbox.pk, version=0, actor=SYSTEM, unknown_unreviewed="ask")
    first = agent_writes(**to("anna@example.org"))
    assert verdict(first, is_reviewed=False).standing is Standing.REFUSED

    assert sent(first, alice).state == "accepted"

    second = agent_writes(**to("berta@example.org"))
    assert verdict(second).asks == ("recipient:berta@example.org",)
    assert verdict(second, is_reviewed=False).standing is Standing.PASSED
    assert [contact.domain for contact in DomainContact.objects.all()] == ["example.org"]


@pytest.mark.parametrize("pattern", ["anna@example.org", "example.org"])
def test_allow_entry_answers_the_first_contact_too(agent_writes: Callable[..., Draft], pattern: str) -> None:
    entry = listed("allow", pattern)

    answer = verdict(agent_writes(**to("anna@example.org")), is_reviewed=False)

    assert answer.standing is Standing.PASSED
    assert answer.rules == (f"recipiententry:{entry.pk}:1",)


@pytest.mark.row("001-17", "003-27", "K12")
@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
@pytest.mark.row("000-01")
def test_one_denied_recipient_in_any_field_refuses_the_whole_mail(
    pending: Draft, alice: User, field: str
) -> None:
    changed = {field: (Address("casey@example.net"), Address("press+daily@news.example.com", "Press"))}
    decisions.edit(pending, person=alice, seen=seen(pending), changes=changed)
    listed("allow", "example.net")
    entry = listed("deny", "example.com")

    answer = verdict(pending)

    assert (answer.standing, answer.result) == (Standing.REFUSED, "blocked_recipient")
    assert answer.rules == (f"recipiententry:{entry.pk}:1",)
    assert "press+daily@news.example.com is denied by the entry example.com for all mailboxes" in (
        answer.sentence
    )
    with pytest.raises(GateRefused, match="denied"):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)


@pytest.mark.row("K12")
def test_every_recipient_has_an_answer_of_its_own(mailbox: Mailbox) -> None:
    listed("allow", "anna@example.org")
    listed("allow", "example.net")
    listed("deny", "press.example.net")
    addresses = ["anna@example.org", "bob@example.net", "x@press.example.net", "eve@example.com"]

    found = recipients.judged(mailbox, [*addresses, "ANNA@example.org"])

    assert [(one.address, one.match.outcome.value) for one in found] == list(
        zip(addresses, ["allowed_address", "allowed_domain", "denied", "unknown"], strict=True)
    )


@pytest.mark.parametrize("scope", ["workspace", "mailbox"])
def test_sentence_names_the_list_that_denies(
    agent_writes: Callable[..., Draft], mailbox: Mailbox, scope: str
) -> None:
    workspace = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=workspace, mailbox_id=mailbox.pk)
    named = {
        "workspace": (scopes.workspace_scope(workspace.pk), "workspace Support"),
        "mailbox": (scopes.mailbox_scope(mailbox.pk), mailbox.address),
    }
    listed("deny", "anna@example.org", named[scope][0])

    assert named[scope][1] in verdict(agent_writes(**to("anna@example.org"))).sentence


def test_answers_to_the_mailbox_itself_are_no_question(pending: Draft, alice: User, mailbox: Mailbox) -> None:
    changed = {"to": (Address("anna@example.org"),), "reply_to": (Address(mailbox.address.upper()),)}
    decisions.edit(pending, person=alice, seen=seen(pending), changes=changed)

    assert verdict(pending).asks == ("recipient:anna@example.org", "domain:example.org")


@pytest.mark.row("000-19")
def test_domain_in_letters_of_another_script_meets_its_ascii_form(pending: Draft, alice: User) -> None:
    decisions.edit(
        pending, person=alice, seen=seen(pending), changes={"to": (Address("anna@bücher.example"),)}
    )
    listed("deny", "xn--bcher-kva.example")

    assert verdict(pending).standing is Standing.REFUSED


# An approval answers what it was shown


def test_reviewer_approves_a_reply_to_a_customer_on_a_fresh_desk(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = sent(pending, alice)

    assert send.state == "accepted"
    assert send.decision.answers == sorted(verdict_asks(pending))
    judgement = Judgement.objects.filter(draft=pending, stage=Stage.CLAIM).latest("pk")
    assert "approved knowing this" in str(judgement.verdicts)


def verdict_asks(draft: Draft) -> list[str]:
    email = draft.current_revision.to[0]["email"]
    return [f"recipient:{email}", f"domain:{email.partition('@')[2]}"]


def test_approval_that_was_not_shown_the_question_is_refused(pending: Draft, alice: User) -> None:
    shown = seen(pending)
    unasked = Seen(shown.revision_number, shown.content_sha256, shown.thread_fingerprint)

    with pytest.raises(QuestionsChanged, match="on no list"):
        decisions.approve(pending, person=alice, seen=unasked, form_id=None)


def test_deny_entry_between_approval_and_dispatch_returns_the_draft(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    send = approve(pending, alice)
    listed("deny", "example.net")

    assert dispatch.dispatch(send.pk) == "refused"

    send.refresh_from_db()
    pending.refresh_from_db()
    assert (send.state, pending.state) == ("stopped", "pending")
    assert "is denied by the entry example.net" in send.stop_reason
    assert sandbox.sends() == []


def test_allow_entry_that_is_gone_before_dispatch_returns_the_draft(
    pending: Draft, alice: User, sandbox: Any
) -> None:
    entry = listed("allow", "example.net")
    send = approve(pending, alice)
    changes.remove(RecipientEntry, entry.pk, version=1, actor=SYSTEM)

    assert dispatch.dispatch(send.pk) == "refused"

    pending.refresh_from_db()
    assert pending.state == "pending"
    assert sandbox.sends() == []


def may_list(user: User, mailbox: Mailbox) -> User:
    Membership.objects.create(user=user, role=Role.LIST_EDITOR, mailbox=mailbox)
    return user


def test_approving_and_allowing_writes_the_recipients_onto_the_list_of_the_mailbox(
    pending: Draft, alice: User, mailbox: Mailbox, sandbox: Any, agent_writes: Callable[..., Draft]
) -> None:
    may_list(alice, mailbox)

    decision = decisions.approve_and_allow(pending, person=alice, seen=seen(pending), form_id=None)

    email = pending.current_revision.to[0]["email"]
    entry = RecipientEntry.objects.get()
    assert (entry.kind, entry.scope, entry.pattern) == ("allow", mailbox.scope, email)
    assert dispatch.dispatch(Send.objects.get(decision=decision).pk) == "posted"
    assert verdict(agent_writes(**to(email)), is_reviewed=False).standing is Standing.PASSED


def test_approval_that_cannot_write_the_list_is_none(pending: Draft, alice: User, bruno: User) -> None:
    with pytest.raises(NotAllowed, match="lists"):
        decisions.approve_and_allow(pending, person=alice, seen=seen(pending), form_id=None)

    pending.refresh_from_db()
    assert pending.state == "pending"
    assert not RecipientEntry.objects.exists()
    assert "approvals.draft.approved" not in actions(pending)


def test_refused_approval_allows_nobody(pending: Draft, alice: User, mailbox: Mailbox) -> None:
    may_list(alice, mailbox)
    shown = seen(pending)
    listed("deny", "example.net")

    with pytest.raises(GateRefused):
        decisions.approve_and_allow(pending, person=alice, seen=shown, form_id=None)

    assert [entry.kind for entry in RecipientEntry.objects.all()] == ["deny"]


def test_only_recipients_that_were_shown_as_unknown_are_allowed(
    pending: Draft, alice: User, mailbox: Mailbox
) -> None:
    may_list(alice, mailbox)
    shown = seen(pending)
    more = Seen(
        shown.revision_number,
        shown.content_sha256,
        shown.thread_fingerprint,
        shown.asks | {"recipient:stranger@example.org"},
    )

    decisions.approve_and_allow(pending, person=alice, seen=more, form_id=None)

    assert [entry.pattern for entry in RecipientEntry.objects.all()] == [
        pending.current_revision.to[0]["email"]
    ]


@pytest.mark.row("001-16")
def test_denied_mail_leaves_no_copy_at_the_provider(pending: Draft, alice: User, sandbox: Any) -> None:
    listed("deny", "example.net")

    with pytest.raises(GateRefused):
        decisions.approve(pending, person=alice, seen=seen(pending), form_id=None)

    assert sandbox.sends() == []


@pytest.mark.row("000-18")
def test_recipients_are_judged_before_the_caps() -> None:
    names = [name for name, _gate in gates.GATES]

    assert "caps" not in names or names.index("recipients") < names.index("caps")


# Text and patterns


@pytest.mark.row("000-19")
@pytest.mark.parametrize(
    ("kind", "text", "pattern"),
    [
        ("allow", " CEO@YourCompany.com ", "ceo@yourcompany.com"),
        ("deny", "Ceo+Board@YourCompany.com", "ceo@yourcompany.com"),
        ("allow", "Ceo+Board@YourCompany.com", "ceo+board@yourcompany.com"),
        ("allow", "@yourcompany.com", "yourcompany.com"),
        ("allow", "YourCompany.com", "yourcompany.com"),
        ("deny", "*.YourCompany.com", "*.yourcompany.com"),
        ("deny", "Bücher.example", "xn--bcher-kva.example"),
        ("deny", "*.Bücher.example", "*.xn--bcher-kva.example"),
    ],
)
def test_text_becomes_a_pattern(kind: str, text: str, pattern: str) -> None:
    assert parse_pattern(text, kind) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "com",
        "*.com",
        "*",
        "*@example.com",
        "a*b.example.com",
        "Anna <anna@example.com>",
        "anna@example.com, bob@example.com",
        "an na@example.com",
        "example.com.",
        "exa\u200bmple.com",
        "\uff45xample.com",
        "anna@@example.com",
        "a" * 321,
    ],
)
def test_text_that_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(text, "allow")


def test_list_editor_of_one_mailbox_edits_that_scope_only(mailbox: Mailbox) -> None:
    editor = person("lena", Role.LIST_EDITOR, mailbox=mailbox)

    assert recipients.may_edit(editor, mailbox.scope)
    for scope in ("global", "workspace:1", f"mailbox:{mailbox.pk + 1}"):
        assert not recipients.may_edit(editor, scope)
