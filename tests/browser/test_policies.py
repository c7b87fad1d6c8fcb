"""The policies in the browser: a list that refuses mail, a rule tried before it holds, and caps with their limits."""

import itertools
import json

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NUMBERS = itertools.count(1)
QUICK = "quick@harbourlane.example"


def may_be_approved(draft_page):
    return draft_page.get_by_role("button", name="Approve and send").is_enabled()


@pytest.mark.row("001-19", "001-31", "000-17")
def test_a_domain_that_a_list_editor_denies_refuses_the_next_draft_to_it(
    demo, person, grants, letter, script
):
    domain = f"denied{next(NUMBERS)}.example"
    editor = person("list_editor", script=script)
    editor.go("/")
    editor.page.get_by_role("heading", name="Recipients", exact=True).wait_for()
    add = editor.page.locator("#add")
    add.get_by_label("List").select_option("deny")
    add.get_by_label("Addresses and domains, one a line").fill(domain)
    add.get_by_label("Note").fill("They asked us to stop.")
    editor.press("Add to the list")
    editor.says("1 entry was added.")

    mail = letter(f"buyer@{domain}")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(mail.subject)

    reviewer.says(f"buyer@{domain} is denied by the entry {domain} for all mailboxes.")
    assert not may_be_approved(reviewer.page)
    reviewer.page.locator(".gates a[href^='/policies/recipients/']").click()
    reviewer.page.get_by_role("heading", name=domain).wait_for()
    reviewer.says("Denied for all mailboxes.")
    reviewer.says("They asked us to stop.")
    assert demo.sent(mail.subject) == []


def test_a_list_editor_reaches_the_lists_and_no_mail(person):
    editor = person("list_editor")
    editor.go("/policies/")

    assert editor.page.locator(".places a").all_inner_texts() == ["Policies", "Audit"]
    assert editor.page.locator(".policy-places a").all_inner_texts() == ["Overview", "Recipients", "Lists"]


def test_a_rule_is_tried_over_the_last_drafts_before_it_is_switched_on(person, letter, script):
    domain = f"tried{next(NUMBERS)}.example"
    mail = letter(f"buyer@{domain}")
    reviewer = person("reviewer", script=script)
    reviewer.open_draft(mail.subject)
    rule = {
        "name": f"No mail to {domain}",
        "trigger": "outbound",
        "match": {
            "operator": "all",
            "conditions": [{"field": "recipient.domain", "operator": "is", "value": domain}],
        },
        "actions": [{"type": "block"}],
    }
    admin = person("admin", script=script)
    admin.go("/policies/simulate/")
    admin.page.locator("#id_mailbox").select_option(label=QUICK)
    admin.page.locator("#id_last").fill("1")
    admin.page.locator("#id_rules").fill(json.dumps([rule]))

    admin.page.locator("main form .btn--sign").click()

    admin.watch("1 draft of", within="#simulated")
    now, then = admin.page.locator("#result .simulated > svg").all()
    assert now.locator("rect").get_attribute("class") == "fate-waits"
    assert then.locator("rect").get_attribute("class") == "fate-blocked"
    assert "+1" in admin.page.locator("#result td.num").all_inner_texts()
    changed = admin.page.locator("section[aria-labelledby=rows-head] tbody tr")
    assert changed.count() == 1
    changed.get_by_role("link", name=mail.subject).wait_for()
    changed.get_by_text(f"No mail to {domain}").wait_for()
    admin.go("/policies/rules/")
    assert admin.page.get_by_text(domain).count() == 0
    reviewer.page.reload()
    assert may_be_approved(reviewer.page)


@pytest.mark.row("000-07", "001-10")
def test_the_caps_page_shows_what_is_used_and_when_it_resets(demo, person, letter):
    mail = letter()
    reviewer = person("reviewer")
    reviewer.open_draft(mail.subject)
    reviewer.decide("Approve and send")
    reviewer.watch("Accepted by the provider")
    admin = person("admin")
    admin.go("/policies/caps/")

    hour, day = admin.page.locator("tr", has_text=QUICK).locator(".meter").all()

    used, rest = day.inner_text().split(" ", 1)
    assert int(used) >= len(demo.sent(mail.subject)) == 1
    assert rest.startswith("of 200 today")
    assert "of 50 this hour" in hour.inner_text()
    assert [one.locator("time").get_attribute("datetime")[14:19] for one in (hour, day)] == ["00:00", "00:00"]


def new_cap_policy(admin, **fields):
    admin.go("/policies/caps/new/")
    for name, value in {"name": f"Prototypes {next(NUMBERS)}", **fields}.items():
        admin.page.locator(f"#policy_{name}").fill(value)


@pytest.mark.row("000-09", "K25")
def test_a_cap_above_the_ceiling_of_the_provider_is_warned_about_with_both_numbers(person, script):
    admin = person("admin", script=script)
    new_cap_policy(admin, day_cap="600")
    admin.page.locator("#policy_ceiling").select_option(label="Gmail: 500 a day")

    admin.press("Keep this policy")

    admin.says("Above the provider: 600 a day here, 500 there")


def test_a_cap_beyond_the_limit_is_refused_at_its_field_and_kept_as_typed(person, script):
    admin = person("admin", script=script)
    admin.is_conflict_expected = True
    new_cap_policy(admin, day_cap="100001", hour_cap="40")

    admin.press("Keep this policy")

    field = admin.page.locator(".field", has=admin.page.locator("#policy_day_cap"))
    field.get_by_text("At most 100000.").wait_for()
    assert field.get_by_label("Sends a day").input_value() == "100001"
    assert admin.page.locator("#policy_hour_cap").input_value() == "40"
