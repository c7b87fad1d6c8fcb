"""Which entry of the lists decides about an address."""

from __future__ import annotations

import itertools

import pytest

from audit.models import Entry
from policies import changes, recipients, scopes
from policies.models import Change, RecipientEntry, Workspace, WorkspaceMember
from policies.recipients import NewEntry, Outcome
from tests.policies.conftest import OPERATOR

ADDRESS = "anna+news@mail.example.com"
MAILBOX = 12
GRANULARITIES = {
    "address": "anna+news@mail.example.com",
    "domain": "mail.example.com",
    "below": "*.example.com",
}


def entry(kind: str, pattern: str, scope: str = "global") -> RecipientEntry:
    return RecipientEntry(kind=kind, pattern=pattern, scope=scope)


def outcome(address: str, *entries: RecipientEntry) -> Outcome:
    return recipients.decide(address, entries).outcome


@pytest.mark.row("000-17")
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["deny anna@example.com", "allow anna@example.com", "allow example.com"], Outcome.DENIED),
        (["allow anna@example.com"], Outcome.ALLOWED_ADDRESS),
        (["allow example.com"], Outcome.ALLOWED_DOMAIN),
        (["allow example.com", "allow anna@example.com"], Outcome.ALLOWED_ADDRESS),
        ([], Outcome.UNKNOWN),
    ],
    ids=["in_all_three", "exact_only", "domain_only", "exact_before_domain", "in_none"],
)
def test_lists_are_asked_deny_then_exact_then_domain(entries: list[str], expected: Outcome) -> None:
    assert outcome("anna@example.com", *(entry(*one.split()) for one in entries)) == expected


@pytest.mark.row("000-15")
def test_listed_domain_is_allowed_and_another_is_not() -> None:
    listed = entry("allow", "yourcompany.com")

    assert outcome("anna@yourcompany.com", listed) == Outcome.ALLOWED_DOMAIN
    assert outcome("anna@theircompany.com", listed) == Outcome.UNKNOWN
    assert outcome("anna@notyourcompany.com", listed) == Outcome.UNKNOWN


@pytest.mark.row("000-19")
@pytest.mark.parametrize(
    ("address", "pattern", "expected"),
    [
        ("anna@mail.yourcompany.com", "allow yourcompany.com", Outcome.UNKNOWN),
        ("anna@mail.yourcompany.com", "allow *.yourcompany.com", Outcome.ALLOWED_DOMAIN),
        ("anna@yourcompany.com", "allow *.yourcompany.com", Outcome.UNKNOWN),
        ("anna@evilyourcompany.com", "allow *.yourcompany.com", Outcome.UNKNOWN),
        ("anna+x@yourcompany.com", "allow anna@yourcompany.com", Outcome.UNKNOWN),
        ("ANNA@YourCompany.com", "allow anna@yourcompany.com", Outcome.ALLOWED_ADDRESS),
        (" CEO@YourCompany.com ", "deny ceo@yourcompany.com", Outcome.DENIED),
        ("ceo+board@yourcompany.com", "deny ceo@yourcompany.com", Outcome.DENIED),
        ("ceo@yourcompany.com", "deny ceo+board@yourcompany.com", Outcome.DENIED),
        ("anna@a.b.yourcompany.com", "deny yourcompany.com", Outcome.DENIED),
        ("anna@yourcompany.com", "deny *.yourcompany.com", Outcome.UNKNOWN),
        ("anna@evilyourcompany.com", "deny yourcompany.com", Outcome.UNKNOWN),
        ("a@yourcompany.com@example.net", "allow yourcompany.com", Outcome.UNKNOWN),
        ("+tag@yourcompany.com", "deny anna@yourcompany.com", Outcome.UNKNOWN),
    ],
)
def test_deny_is_wide_and_allow_is_narrow(address: str, pattern: str, expected: Outcome) -> None:
    assert outcome(address, entry(*pattern.split())) == expected


@pytest.mark.row("K11")
@pytest.mark.parametrize("deny_scope", ["global", "workspace", "mailbox"])
@pytest.mark.parametrize("allow_scope", ["global", "workspace", "mailbox"])
@pytest.mark.parametrize(
    ("deny", "allow"), list(itertools.product([*GRANULARITIES, "parent"], GRANULARITIES))
)
def test_deny_anywhere_beats_allow_anywhere(
    db: None, deny_scope: str, allow_scope: str, deny: str, allow: str
) -> None:
    workspace = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=workspace, mailbox_id=MAILBOX)
    named = {
        "global": scopes.GLOBAL,
        "workspace": scopes.workspace_scope(workspace.pk),
        "mailbox": scopes.mailbox_scope(MAILBOX),
    }
    denied = {**GRANULARITIES, "address": "anna@mail.example.com", "parent": "example.com"}[deny]
    allowed = NewEntry("allow", named[allow_scope], GRANULARITIES[allow])
    recipients.add([allowed], actor=OPERATOR)

    [before] = recipients.matches([ADDRESS], scopes.scopes_of(MAILBOX))
    recipients.add([NewEntry("deny", named[deny_scope], denied)], actor=OPERATOR)
    [after] = recipients.matches([ADDRESS], scopes.scopes_of(MAILBOX))

    assert before.outcome in (Outcome.ALLOWED_ADDRESS, Outcome.ALLOWED_DOMAIN)
    assert after.outcome == Outcome.DENIED
    assert after.entry is not None
    assert (after.entry.scope, after.entry.pattern) == (named[deny_scope], denied)


def test_entries_of_other_mailboxes_and_workspaces_say_nothing(db: None) -> None:
    other = Workspace.objects.create(name="Sales")
    for scope in (scopes.mailbox_scope(MAILBOX + 1), scopes.workspace_scope(other.pk)):
        recipients.add([NewEntry("deny", scope, "example.com")], actor=OPERATOR)

    [match] = recipients.matches(["anna@example.com"], scopes.scopes_of(MAILBOX))

    assert match.outcome == Outcome.UNKNOWN


def test_many_addresses_of_deep_domains_are_matched_together(db: None) -> None:
    deep = ".".join(["a"] * 60) + ".example.com"
    recipients.add([NewEntry("deny", "global", "example.com")], actor=OPERATOR)

    found = recipients.matches([f"reader{number}@x{number}.{deep}" for number in range(50)], ["global"])

    assert {match.outcome for match in found} == {Outcome.DENIED}


def test_entries_are_added_once_and_counted_as_changes(db: None) -> None:
    wanted = [NewEntry("allow", "global", "example.com"), NewEntry("allow", "global", "example.net", "ours")]
    recipients.add(wanted[:1], actor=OPERATOR)

    made = recipients.add([*wanted, *wanted], actor=OPERATOR)

    assert [one.pattern for one in made] == ["example.net"]
    assert list(RecipientEntry.objects.values_list("pattern", "version").order_by("pattern")) == [
        ("example.com", 1),
        ("example.net", 1),
    ]
    change = Change.objects.get(object_id=made[0].pk)
    assert change.after == {"kind": "allow", "scope": "global", "pattern": "example.net", "note": "ours"}
    assert changes.current_version() == change.pk


def test_thousand_entries_are_one_entry_of_the_record(db: None) -> None:
    made = recipients.add(
        [NewEntry("deny", "mailbox:12", f"d{number}.example.com") for number in range(1000)], actor=OPERATOR
    )

    entry = Entry.objects.get(action="policies.rows.created")
    assert (entry.mailbox_id, entry.data["count"]) == (12, 1000)
    assert entry.data["rows"][0] == {
        "id": made[0].pk,
        "kind": "deny",
        "scope": "mailbox:12",
        "pattern": "d0.example.com",
        "note": "",
    }
    assert Change.objects.count() == 1000
