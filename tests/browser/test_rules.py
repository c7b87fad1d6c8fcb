"""Rules and lists in the browser: a rule made row by row, a value added to its list, and the next mail refused."""

import itertools

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NUMBERS = itertools.count(1)


def make_list(one, name):
    one.go("/policies/lists/new/")
    one.page.get_by_label("Name").fill(name)
    one.press("Keep this list")
    one.says("Kept. It is empty; add its values here.")
    return one.page.url


@pytest.mark.row("001-04", "001-19", "001-31")
def test_a_value_added_to_a_list_refuses_the_next_mail_and_names_the_rule(
    demo, person, grants, letter, script
):
    number = next(NUMBERS)
    admin = person("admin", script=script)
    rivals = make_list(admin, f"Rivals {number}")
    admin.go("/policies/rules/new/")
    admin.press("Add a condition")
    admin.page.get_by_text("Condition 2", exact=True).wait_for()
    admin.page.get_by_label("Name").fill(f"No mail to rivals {number}")
    admin.page.locator("#id_conditions-0-field").select_option("recipient.domain")
    admin.page.locator("#id_conditions-0-operator").select_option("in_list")
    admin.page.locator("#id_conditions-0-lists").select_option(label=f"Rivals {number} (domain)")
    admin.page.locator("#id_actions-0-type").select_option("block")
    admin.press("Keep this rule")
    admin.says("Kept. It holds from the next evaluation on.")
    rule = admin.page.url

    admin.go(rivals)
    admin.page.get_by_label("Values, one a line").fill(f"Rival{number}.example")
    admin.press("Add them")
    admin.says("1 value added.")

    reviewer = person("reviewer", script=script)
    mail = letter(f"buyer@rival{number}.example")
    reviewer.open_draft(mail.subject)
    reviewer.says(
        f"The rule “No mail to rivals {number}” blocks it: recipient.domain “rival{number}.example”."
    )
    assert reviewer.page.get_by_role("button", name="Approve and send").is_disabled()
    reviewer.page.locator(f".gates a[href='{rule.removeprefix(demo.url)}']").first.click()
    reviewer.page.get_by_role("heading", name=f"No mail to rivals {number}").wait_for()
    reviewer.page.get_by_role("heading", name="Evaluations that named it").wait_for()
    assert demo.sent(mail.subject) == []


def test_a_faulty_condition_keeps_what_was_typed(person, script):
    admin = person("admin", script=script)
    admin.is_conflict_expected = True
    admin.go("/policies/rules/new/")
    admin.page.get_by_label("Name").fill("Large mail")
    admin.page.locator("#id_conditions-0-field").select_option("size")
    admin.page.locator("#id_conditions-0-operator").select_option("contains")
    admin.page.locator("#id_conditions-0-value").fill("much")
    admin.press("Keep this rule")

    admin.says("size takes is, is_not, greater_than, less_than.")
    assert admin.page.locator("#id_conditions-0-value").input_value() == "much"
