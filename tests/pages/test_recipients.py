"""The pages of the recipient lists: who sees and edits what, what is typed and what becomes of it."""

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from audit.models import Entry
from audit.record import SYSTEM
from policies import changes, mailbox_settings, recipients, scopes
from policies.models import RecipientEntry, Workspace, WorkspaceMember
from policies.recipients import NewEntry
from tests.pages import scenes
from tests.pages.pages import browser

LIST = reverse("approvals:recipients")
ADD = reverse("approvals:recipients_add")
IMPORT = reverse("approvals:recipients_import")
EXPORT = reverse("approvals:recipients_export")


def entry(kind, pattern, scope="global", note=""):
    [made] = recipients.add([NewEntry(kind, scope, pattern, note)], actor=SYSTEM)
    return made


def address(of, name="recipient"):
    return reverse(f"approvals:{name}", args=[of.pk])


@pytest.fixture
def lena(db):
    """Edits the lists of all mailboxes and nothing else."""
    return scenes.person("lena", "list_editor", name="Lena Lists")


@pytest.fixture
def liam(support):
    """Edits the lists of one mailbox and nothing else."""
    return scenes.person("liam", "list_editor", support, name="Liam Lists")


@pytest.fixture
def people(alice, bob, carol, dave, eve, mallory, lena, liam):
    return {
        "alice": alice,
        "bob": bob,
        "carol": carol,
        "dave": dave,
        "eve": eve,
        "mallory": mallory,
        "lena": lena,
        "liam": liam,
    }


# Who may

SEES_LISTS = {"alice", "bob", "carol", "dave", "eve", "lena", "liam"}
SEES_SUPPORT = SEES_LISTS - {"eve"}
EDITS_ALL = {"carol", "lena"}
EDITS_SUPPORT = EDITS_ALL | {"liam"}
EVERYBODY = sorted(SEES_LISTS | {"mallory"})


def adds(scope):
    return {"kind": "deny", "scope": scope, "lines": "added.example.com", "note": ""}


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_role_sees_the_lists_as_the_table_says(people, who):
    assert browser(people[who]).get(LIST).status_code == (200 if who in SEES_LISTS else 403)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("where", ["global", "support"])
def test_each_role_reads_and_edits_an_entry_as_the_table_says(people, support, who, method, where):
    made = entry("allow", "example.com", "global" if where == "global" else support.scope)
    sees, edits = (SEES_LISTS, EDITS_ALL) if where == "global" else (SEES_SUPPORT, EDITS_SUPPORT)
    data = {"version": 1, "note": "x"}

    status = getattr(browser(people[who]), method)(address(made), data).status_code

    if who == "mallory":
        assert status == 403
    elif who not in sees:
        assert status == 404
    elif method == "get":
        assert status == 200
    else:
        assert status == (302 if who in edits else 403)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("where", ["global", "workspace", "support"])
def test_each_role_removes_an_entry_as_the_table_says(people, support, who, where):
    workspace = Workspace.objects.create(name="Support")
    WorkspaceMember.objects.create(workspace=workspace, mailbox_id=support.pk)
    scope = {
        "global": "global",
        "workspace": scopes.workspace_scope(workspace.pk),
        "support": support.scope,
    }[where]
    sees = SEES_LISTS if where == "global" else SEES_SUPPORT
    edits = EDITS_SUPPORT if where == "support" else EDITS_ALL
    made = entry("allow", "example.com", scope)

    status = browser(people[who]).post(address(made, "recipient_remove"), {"version": 1}).status_code

    assert status == (403 if who == "mallory" else 404 if who not in sees else 302 if who in edits else 403)
    assert RecipientEntry.objects.exists() == (status != 302)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("where", ["global", "support", "orders"])
def test_each_role_adds_as_the_table_says(people, support, orders, who, where):
    scope = {"global": "global", "support": support.scope, "orders": orders.scope}[where]
    edits = EDITS_SUPPORT if where == "support" else EDITS_ALL

    status = browser(people[who]).post(ADD, adds(scope)).status_code

    # A scope that is not the editor's own is no choice of the form.
    assert status == (302 if who in edits else 422 if who == "liam" else 403)
    assert RecipientEntry.objects.exists() == (who in edits)


@pytest.mark.parametrize("name", ["recipients", "recipients_add"])
def test_a_stranger_is_sent_to_the_sign_in_page(db, name):
    method = "post" if name == "recipients_add" else "get"

    response = getattr(browser(), method)(reverse(f"approvals:{name}"))

    assert response["Location"].startswith("/accounts/login/")


def test_a_list_editor_sees_no_mail(liam, support):
    draft = scenes.draft_in_thread(support)

    assert browser(liam).get(reverse("approvals:draft", args=[draft.public_id])).status_code == 404
    assert "Recipients" in browser(liam).page(LIST).text()


def test_an_entry_leads_to_its_evaluations_whoever_may_read_them(lena, alice, support):
    made = entry("deny", "rival.example")
    history = f"{reverse('approvals:history')}?rule=recipiententry%3A{made.pk}"

    assert history in browser(alice).page(address(made)).html
    assert reverse("approvals:history") not in browser(lena).page(address(made)).html


def test_entries_of_foreign_mailboxes_are_not_listed(eve, support, orders):
    entry("deny", "support-only.example", support.scope)
    entry("deny", "orders-only.example", orders.scope)
    entry("deny", "everywhere.example")

    text = browser(eve).page(LIST).text()

    assert "support-only.example" not in text
    assert "orders-only.example" in text
    assert "everywhere.example" in text


# Adding


def test_lines_are_added_normalised_and_recorded(lena):
    lines = " CEO@YourCompany.com \r\n\r\n@press.example\r\n*.Bücher.example\r\n"

    page = browser(lena).submit(
        ADD, {"kind": "deny", "scope": "global", "lines": lines, "note": "No press."}, follow=True
    )

    assert "3 entries were added." in page.text()
    assert set(RecipientEntry.objects.values_list("kind", "scope", "pattern", "note")) == {
        ("deny", "global", "ceo@yourcompany.com", "No press."),
        ("deny", "global", "press.example", "No press."),
        ("deny", "global", "*.xn--bcher-kva.example", "No press."),
    }
    assert Entry.objects.get(action="policies.rows.created").actor_name == "Lena Lists"


def test_faulty_lines_are_named_and_nothing_is_lost_or_added(lena):
    lines = "good.example.com\nnot a domain\nanna@@example.com"

    page = browser(lena).submit(ADD, {"kind": "allow", "scope": "global", "lines": lines, "note": "Partners"})

    assert page.status == 422
    assert "Line 2, “not a domain”" in page.text()
    assert "Line 3, “anna@@example.com”: An address has exactly one @." in page.text()
    assert lines in "\n".join("".join(area.itertext()).strip() for area in page.all("textarea"))
    assert page.all("input", value="Partners")
    assert not RecipientEntry.objects.exists()


@pytest.mark.row("001-08")
def test_a_thousand_lines_are_taken_and_one_more_is_not(lena):
    lines = "\n".join(f"d{number}.example.com" for number in range(1000))

    page = browser(lena).submit(ADD, adds("global") | {"lines": f"{lines}\none-more.example.com"})
    assert page.status == 422
    assert "These are 1001 lines; at most 1000 can be added at once." in page.text()
    assert not RecipientEntry.objects.exists()

    assert browser(lena).post(ADD, adds("global") | {"lines": lines}).status_code == 302
    assert RecipientEntry.objects.count() == 1000


@pytest.mark.row("001-08")
def test_an_entry_that_is_too_long_is_refused_with_the_limit_named(lena):
    page = browser(lena).submit(ADD, adds("global") | {"lines": "a" * 321})

    assert page.status == 422
    assert "This has 321 characters; an entry has at most 320." in page.text()


def test_a_note_that_is_too_long_is_refused_with_the_limit_named(lena):
    page = browser(lena).submit(ADD, adds("global") | {"note": "n" * 201})

    assert page.status == 422
    assert "at most 200 characters" in page.text()


def test_adding_what_is_there_changes_nothing(lena):
    entry("deny", "added.example.com", note="first")

    page = browser(lena).submit(ADD, adds("global") | {"note": "second"}, follow=True)

    assert "0 entries were added. 1 was there already." in page.text()
    assert RecipientEntry.objects.get().note == "first"


# Files


def upload(client, text, **extra):
    data = text if isinstance(text, bytes) else text.encode()
    return client.submit(IMPORT, {"file": SimpleUploadedFile("r.csv", data, "text/csv")}, **extra)


def exported(client, query=""):
    response = client.get(f"{EXPORT}?{query}")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="recipients.csv"'
    return b"".join(response.streaming_content).decode()


@pytest.mark.row("000-16")
def test_a_file_of_two_is_imported(lena, support):
    page = upload(
        browser(lena),
        "kind,scope,pattern,note\r\n"
        "Deny,global, CEO@YourCompany.com ,office\r\n"
        f"deny,mailbox:{support.address.upper()},press@yourcompany.com,\r\n",
        follow=True,
    )

    assert "2 entries were added." in page.text()
    assert set(RecipientEntry.objects.values_list("kind", "scope", "pattern", "note")) == {
        ("deny", "global", "ceo@yourcompany.com", "office"),
        ("deny", support.scope, "press@yourcompany.com", ""),
    }


def test_what_is_exported_is_imported_again(lena, support):
    entry("allow", "+plus@example.com", note="=1+1")
    entry("allow", "example.com", support.scope, note='with "quotes", and a comma')
    entry("deny", "*.example.net", note="'=quoted")
    client = browser(lena)
    before = list(RecipientEntry.objects.values_list("kind", "scope", "pattern", "note").order_by("pattern"))

    text = exported(client)
    RecipientEntry.objects.all().delete()
    upload(client, text, follow=True)

    rows = RecipientEntry.objects.values_list("kind", "scope", "pattern", "note").order_by("pattern")
    assert list(rows) == before


def test_no_exported_cell_is_a_formula(lena):
    for number, start in enumerate("=+-@"):
        entry("allow", f"d{number}.example", note=f"{start}cmd|' /C calc'!A0")
    entry("allow", "=x@example.com")

    cells = [cell for row in csv.reader(io.StringIO(exported(browser(lena)))) for cell in row]

    assert [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))] == []
    assert len(cells) == 4 * 6


def test_the_export_holds_what_the_filter_shows_and_the_person_may_see(lena, eve, support):
    entry("allow", "a.example")
    entry("deny", "b.example", support.scope)

    assert exported(browser(lena), "kind=deny") == (
        f"kind,scope,pattern,note\r\ndeny,{support.scope},b.example,\r\n"
    )
    assert "b.example" not in exported(browser(eve))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty."),
        ("\n", "The first line must name the columns"),
        ("kind;scope;pattern;note\n", "The first line must name the columns"),
        ("kind,scope,pattern,note\n", "The file has no entry"),
        ("kind,scope,pattern,note\nallow,global,ok.example,\nmaybe,global,x.example,\n", "Line 3"),
        ("kind,scope,pattern,note\nallow,global,ok.example\n", "The line has 3 cells; it needs 4."),
        ("kind,scope,pattern\nallow,global,not a domain\n", "Line 2"),
        ("kind,scope,pattern\nallow,mailbox:999999,x.example\n", "the scope mailbox:999999"),
        (f"kind,scope,pattern,note\nallow,global,x.example,{'n' * 201}\n", "at most 200"),
        ('kind,scope,pattern,note\nallow,global,x.example,"a\nb"\n', "a line break"),
        ('kind,scope,pattern,note\nallow,global,"x.example\n', "cannot be read as CSV"),
        (b"kind,scope,pattern\nallow,global,b\xfccher.example\n", "not UTF-8"),
        ("kind,scope,pattern\n" + "allow,global,x.example\n" * 10_001, "more than 10000 lines"),
        (b"x" * 2_000_001, "The file has 2000001 bytes; at most 2000000"),
    ],
)
def test_a_faulty_file_is_refused_as_a_whole_and_the_fault_named(lena, text, said):
    page = upload(browser(lena), text)

    assert page.status == 422
    assert said in page.text()
    assert not RecipientEntry.objects.exists()


def test_a_file_names_no_foreign_scope(liam, support, orders):
    lines = "".join(f"deny,{scope},x.example\n" for scope in ("global", orders.scope, support.scope))

    page = upload(browser(liam), f"kind,scope,pattern\n{lines}")

    assert page.status == 422
    assert "You cannot add entries for the scope global." in page.text()
    assert f"You cannot add entries for the scope {orders.scope}." in page.text()
    assert "Line 4" not in page.text()
    assert not RecipientEntry.objects.exists()


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_role_exports_and_imports_as_the_table_says(people, who):
    client = browser(people[who])

    assert client.get(EXPORT).status_code == (200 if who in SEES_LISTS else 403)
    assert client.get(IMPORT).status_code == (200 if who in EDITS_SUPPORT else 403)


# Recipients on no list


def keep(client, box, **fields):
    data = {"version": 0, "unknown_reviewed": "block", "unknown_unreviewed": "ask", "reason": "Trial."}
    return client.submit(reverse("approvals:recipients_unknown", args=[box.public_id]), data | fields)


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("method", ["get", "post"])
def test_each_role_reads_and_sets_what_unknown_means_as_the_table_says(people, support, who, method):
    target = reverse("approvals:recipients_unknown", args=[support.public_id])
    data = {"version": 0, "unknown_reviewed": "block", "unknown_unreviewed": "ask"}

    status = getattr(browser(people[who]), method)(target, data).status_code

    if who not in SEES_SUPPORT:
        assert status == 404
    elif method == "get":
        assert status == 200
    else:
        assert status == (302 if who == "carol" else 403)


@pytest.mark.row("K13")
def test_an_admin_sets_what_an_unknown_recipient_means(carol, alice, support):
    draft = scenes.draft_in_thread(support)
    client = browser(carol)

    client.post(
        reverse("approvals:recipients_unknown", args=[support.public_id]),
        {"version": 0, "unknown_reviewed": "block", "unknown_unreviewed": "block", "reason": "Trial."},
    )

    page = browser(alice).page(reverse("approvals:draft", args=[draft.public_id]))
    assert "This mailbox sends only to listed recipients." in page.text()
    assert Entry.objects.get(action="policies.row.created").reason == "Trial."


def test_two_admins_at_once_get_the_difference(carol, support):
    mailbox_settings.write(support.pk, version=0, actor=SYSTEM, unknown_unreviewed="ask")

    page = keep(browser(carol), support)

    assert page.status == 409
    assert "Somebody changed these settings meanwhile." in page.text()
    assert page.all("option", value="block", selected="")
    assert mailbox_settings.of(support.pk).unknown_reviewed == "ask"


def test_a_value_that_is_no_choice_is_refused(carol, support):
    assert keep(browser(carol), support, unknown_reviewed="always").status == 422


# Finding


def test_the_list_is_filtered_by_kind_scope_and_text(lena, support):
    entry("deny", "press.example", note="Journalists")
    entry("allow", "partner.example")
    entry("allow", "mine.example", support.scope)
    client = browser(lena)

    def shown(query):
        text = client.page(f"{LIST}?{query}").text()
        return [one for one in ("press.example", "partner.example", "mine.example") if one in text]

    assert shown("kind=deny") == ["press.example"]
    assert shown(f"scope={support.scope}") == ["mine.example"]
    assert shown("q=PARTNER") == ["partner.example"]
    assert shown("q=journal") == ["press.example"]
    assert shown("kind=allow&q=example") == ["partner.example", "mine.example"]


def test_pages_stay_in_place_while_entries_are_added(lena):
    for number in range(60):
        entry("allow", f"m{number:02}.example")
    client = browser(lena)
    first = client.page(LIST)
    [more] = [link for link in first.all("a") if first.text(link) == "More"]
    entry("allow", "a-new.example")

    second = client.page(LIST + more.get("href").removeprefix(LIST)).text()

    assert "m49.example" in first.text()
    assert "m49.example" not in second
    assert "m50.example" in second
    assert "m59.example" in second


def test_a_damaged_page_address_says_so(lena):
    assert "This page address is damaged" in browser(lena).page(f"{LIST}?after=zzz").text()


# One entry


def test_the_note_is_changed_and_the_version_counts(lena):
    made = entry("deny", "press.example")

    assert browser(lena).post(address(made), {"version": 1, "note": "Ask Paula."}).status_code == 302

    made.refresh_from_db()
    assert (made.note, made.version) == ("Ask Paula.", 2)
    assert Entry.objects.filter(action="policies.row.changed").exists()


def test_two_editors_at_once_get_the_difference_and_lose_nothing(lena, carol):
    made = entry("deny", "press.example")
    browser(carol).post(address(made), {"version": 1, "note": "Carol's"})

    page = browser(lena).submit(address(made), {"version": 1, "note": "Lena's"})

    assert page.status == 409
    assert "its note is now “Carol's”" in page.text()
    assert page.all("input", value="Lena's")
    made.refresh_from_db()
    assert made.note == "Carol's"


def test_an_entry_that_changed_is_not_removed_unseen(lena):
    made = entry("deny", "press.example")
    changes.change(RecipientEntry, made.pk, version=1, actor=SYSTEM, note="Keep this!")

    page = browser(lena).submit(address(made, "recipient_remove"), {"version": 1})

    assert page.status == 409
    assert "Keep this!" in page.text()
    assert RecipientEntry.objects.exists()


# Trying


def trial(client, box, to):
    return client.page(f"{LIST}?mailbox={box.public_id}&address={to}")


def test_the_test_box_shows_the_deciding_entry(lena, support):
    entry("allow", "example.com")
    made = entry("deny", "ceo@example.com", note="Never")

    page = trial(browser(lena), support, "CEO%2Bx@example.com")

    assert "ceo+x@example.com is denied by the entry ceo@example.com for all mailboxes." in page.text()
    assert page.all("a", href=address(made))


def test_the_test_box_says_what_an_unknown_recipient_means(lena, support):
    text = trial(browser(lena), support, "anna@example.com").text()

    assert "anna@example.com is on no list. Nothing was sent to example.com before." in text
    assert "A person decidesthe reviewer is asked" in text
    assert "Nobody decidesrefused" in text


def test_the_test_box_keeps_what_is_no_address(lena, support):
    page = trial(browser(lena), support, "anna")

    assert "An address has exactly one @." in page.text()
    assert page.all("input", value="anna")


def test_the_test_box_knows_no_foreign_mailbox(eve, support):
    page = trial(browser(eve), support, "anna@example.com")

    assert "is on no list" not in page.text()


# The draft


@pytest.mark.row("001-19")
def test_a_list_editor_adds_a_domain_and_the_next_mail_to_it_is_refused(lena, alice, support):
    draft = scenes.draft_in_thread(support)
    client = browser(alice)
    target = reverse("approvals:draft", args=[draft.public_id])
    assert "is on no list" in client.page(target).text()

    browser(lena).post(ADD, adds("global") | {"lines": "example.org"})

    text = client.page(target).text()
    assert "priya.nair@example.org is denied by the entry example.org for all mailboxes." in text
    assert "Cannot be approved" in text


@pytest.mark.row("000-16")
def test_denied_addresses_are_refused_though_their_domain_is_allowed(lena, alice, support):
    browser(lena).post(ADD, adds("global") | {"kind": "allow", "lines": "example.org"})
    browser(lena).post(ADD, adds("global") | {"lines": "ceo@example.org\npress@example.org"})

    for name in ("ceo", "press"):
        draft = scenes.draft(support, to=(scenes.Address(f"{name}@example.org"),))
        text = browser(alice).page(reverse("approvals:draft", args=[draft.public_id])).text()
        assert f"{name}@example.org is denied by the entry {name}@example.org" in text


# A decision that writes onto a list


@pytest.fixture
def rita(support):
    """Reviews the mailbox and edits its lists."""
    person = scenes.person("rita", "reviewer", support, name="Rita Reviewer")
    scenes.Membership.objects.create(user=person, role="list_editor", mailbox=support)
    return person


def target(draft, name="draft"):
    return reverse(f"approvals:{name}", args=[draft.public_id])


def decide(client, draft, name, **more):
    values = client.page(target(draft)).form_values("decision")
    return client.submit(target(draft, name), values | more, follow=True)


@pytest.mark.parametrize("name", ["approve_and_allow", "reject_and_deny"])
@pytest.mark.parametrize("who", [*EVERYBODY, "rita"])
def test_only_a_reviewer_who_edits_the_lists_decides_onto_them(people, rita, support, who, name):
    draft = scenes.draft_in_thread(support)
    person = {**people, "rita": rita}[who]

    status = browser(person).post(target(draft, name)).status_code

    # Rita's form is empty, which is the only thing wrong with it.
    sees = {"alice", "bob", "carol", "dave"}
    assert status == (422 if who == "rita" else 403 if who in sees else 404)


def test_the_buttons_show_to_a_reviewer_who_edits_the_lists(rita, alice, support):
    draft = scenes.draft_in_thread(support)

    hers = browser(rita).page(target(draft)).buttons()

    assert "Approve and always allow priya.nair@example.org" in hers
    assert "Reject and deny example.org" in hers
    assert not [one for one in browser(alice).page(target(draft)).buttons() if "allow" in one]


def test_rejecting_denies_the_domain_and_the_next_draft_to_it_is_refused(rita, support):
    draft = scenes.draft_in_thread(support)
    client = browser(rita)

    page = decide(client, draft, "reject_and_deny", reason="Not our customer.", domain="example.org")

    assert "example.org is denied for this mailbox." in page.text()
    draft.refresh_from_db()
    assert draft.state == "rejected"
    made = RecipientEntry.objects.get()
    assert (made.kind, made.scope, made.pattern) == ("deny", support.scope, "example.org")
    assert Entry.objects.get(action="policies.rows.created").actor_name == "Rita Reviewer"
    assert "is denied by the entry" in client.page(target(scenes.draft_in_thread(support))).text()


def test_rejecting_without_a_reason_denies_nothing(rita, support):
    draft = scenes.draft_in_thread(support)

    page = decide(browser(rita), draft, "reject_and_deny", reason=" ", domain="example.org")

    assert page.status == 422
    draft.refresh_from_db()
    assert (draft.state, RecipientEntry.objects.count()) == ("pending", 0)


@pytest.mark.parametrize("domain", ["", "example.com", "another.example", "org"])
def test_a_domain_the_draft_does_not_go_to_rejects_nothing(rita, support, domain):
    draft = scenes.draft_in_thread(support, cc=(scenes.Address("own@example.com"),))

    page = decide(browser(rita), draft, "reject_and_deny", reason="No.", domain=domain)

    assert page.status == 409
    assert "The draft is not addressed to" in page.text()
    draft.refresh_from_db()
    assert (draft.state, RecipientEntry.objects.count()) == ("pending", 0)


def test_each_recipient_shows_what_the_lists_say(lena, alice, support):
    entry("allow", "example.net")
    entry("deny", "press.example")
    draft = scenes.draft(
        support,
        to=(scenes.Address("anna@example.net"),),
        cc=(scenes.Address("eve@example.org"),),
        bcc=(scenes.Address("Editor@Press.example"),),
    )

    [goes] = browser(alice).page(target(draft)).classed("goes")
    text = " ".join("".join(goes.itertext()).split())

    assert "To anna@example.net allowed" in text
    assert "Cc eve@example.org on no list" in text
    assert "Bcc Editor@Press.example denied" in text
