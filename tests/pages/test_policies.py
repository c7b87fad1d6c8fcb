from __future__ import annotations

import pytest
from django.urls import reverse

from audit.record import SYSTEM
from policies import changes, lists
from policies.models import Policy
from policies.recipients import NewEntry
from policies.recipients import add as add_recipients
from tests.pages import scenes
from tests.pages.pages import browser

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(db):
    return scenes.person("ada", "admin")


def rows_of(page):
    [table] = [one for one in page.all("table") if "Version" in page.text(one)]
    return [page.text(row) for row in table.iter("tr")][1:]


def test_a_change_is_named_in_words_with_the_page_of_its_row(ada):
    [entry] = add_recipients([NewEntry("deny", "global", "rival.example", "")], actor=SYSTEM)

    page = browser(ada).page(reverse("approvals:policies"))

    [added] = rows_of(page)
    assert f"Recipient entry {entry.pk} added" in added
    assert "rival.example" in added
    assert reverse("approvals:recipient", args=[entry.pk]) in page.html


def test_a_row_that_was_removed_is_named_and_leads_nowhere(ada):
    policy = changes.create(Policy, actor=SYSTEM, name="Trade fair")
    changes.remove(Policy, policy.pk, version=policy.version, actor=SYSTEM, reason="The fair is over.")

    page = browser(ada).page(reverse("approvals:policies"))

    removed, added = rows_of(page)[:2]
    assert f"Caps {policy.pk} removed" in removed
    assert "Trade fair" in removed
    assert f"Caps {policy.pk} added" in added
    assert reverse("approvals:cap_policy", args=[policy.pk]) not in page.html


def test_a_list_whose_values_changed_was_not_added_or_removed(ada):
    made = lists.create({"name": "Rivals", "type": "domain"}, actor=SYSTEM)
    lists.add_items(made.pk, ["rival.example"], actor=SYSTEM)
    lists.remove_items(made.pk, ["rival.example"], actor=SYSTEM)

    taken, given, added = rows_of(browser(ada).page(reverse("approvals:policies")))

    assert [f"List {made.pk} changed" in taken, f"List {made.pk} changed" in given] == [True, True]
    assert f"List {made.pk} added" in added
