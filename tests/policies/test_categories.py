"""Categories as rows: three tiers, what is never automated, limits named at the field, every change on record."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from audit.models import Entry
from audit.record import Actor
from policies import categories, changes
from policies.categories import CategoryRefused
from policies.models import Category, ClassifierSettings, HighValueDomain, TemplateFamily, Tier

pytestmark = pytest.mark.django_db
ADMIN = Actor("person", "1", "Ana Admin")


def category(key: str) -> Category:
    return Category.objects.get(key=key)


def edited(row: Category, **fields: object) -> Category:
    return categories.edit(row.pk, version=row.version, actor=ADMIN, **fields)


@pytest.mark.row("003-16")
def test_a_category_has_one_of_exactly_three_tiers() -> None:
    assert Tier.values == ["auto", "approve", "human_only"]
    with pytest.raises(CategoryRefused) as refusal:
        edited(category("scheduling"), tier="sometimes")
    assert refusal.value.field == "tier"


@pytest.mark.row("000-02", "003-05")
def test_no_shipped_category_is_automatic_and_the_candidates_are_there() -> None:
    tiers = dict(Category.objects.values_list("key", "tier"))

    assert "auto" not in tiers.values()
    assert {"order_confirmation", "scheduling", "status_reply"} <= tiers.keys()
    assert (tiers["legal"], tiers["press"]) == ("human_only", "human_only")


@pytest.mark.row("000-03")
@pytest.mark.parametrize("key", ["money", "contracts", "legal"])
@pytest.mark.parametrize("change", [{"tier": "auto"}, {"is_enabled": False}])
def test_money_contracts_and_legal_are_automated_with_a_typed_reason_only(
    key: str, change: dict[str, object]
) -> None:
    with pytest.raises(CategoryRefused) as refusal:
        edited(category(key), **change, override_reason="  ")
    assert refusal.value.field == "override_reason"

    edited(category(key), **change, override_reason="Small vouchers only.")

    entry = Entry.objects.get(action="policies.row.changed")
    assert entry.reason == "Small vouchers only."
    assert entry.data["after"]["override_reason"] == "Small vouchers only."


@pytest.mark.row("000-03")
def test_the_override_is_forgotten_when_the_category_is_tightened_again() -> None:
    row = edited(category("money"), tier="auto", override_reason="Small vouchers only.")

    row = edited(row, tier="approve")

    assert row.override_reason == ""
    with pytest.raises(CategoryRefused):
        edited(row, tier="auto")


@pytest.mark.row("000-03")
def test_the_database_refuses_an_automatic_money_category_without_a_reason() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Category.objects.filter(key="money").update(tier="auto")


def test_other_categories_become_automatic_without_an_override() -> None:
    assert edited(category("scheduling"), tier="auto").tier == "auto"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([f"word{n}" for n in range(201)], "201 lines; at most 200"),
        (["x" * 201], "longer than 200 characters"),
        (["*"], "holds no word"),
        (["!!!"], "holds no word"),
    ],
)
def test_faulty_words_name_the_field_and_the_limit(lines: list[str], says: str) -> None:
    with pytest.raises(CategoryRefused, match=says) as refusal:
        edited(category("scheduling"), inbound_words=lines)
    assert refusal.value.field == "inbound_words"


def test_a_pattern_that_fits_everything_is_refused() -> None:
    with pytest.raises(CategoryRefused, match="fits everything"):
        edited(category("scheduling"), outbound_globs=["**"])


def test_lines_are_kept_once_and_trimmed() -> None:
    row = edited(category("scheduling"), inbound_words=[" see  you ", "see you", "", "later"])

    assert row.inbound_words == ["see you", "later"]


def test_a_second_editor_gets_the_difference() -> None:
    row = category("scheduling")
    edited(row, description="First")

    with pytest.raises(changes.Conflict) as conflict:
        edited(row, description="Second")

    assert conflict.value.differences == {
        "description": ("First", "Second"),
    }


def test_a_shipped_category_is_not_removed_and_an_own_one_is() -> None:
    with pytest.raises(CategoryRefused):
        categories.remove(category("scheduling").pk, version=1, actor=ADMIN)
    own = categories.add(actor=ADMIN, key="returns", name="Returns")

    categories.remove(own.pk, version=1, actor=ADMIN)

    assert not Category.objects.filter(key="returns").exists()


def test_a_category_with_templates_is_not_removed() -> None:
    own = categories.add(actor=ADMIN, key="returns", name="Returns")
    categories.add_family(own, actor=ADMIN, name="Label", subject_glob="Re: *", body_globs=["Hello *"])

    with pytest.raises(CategoryRefused, match="templates first"):
        categories.remove(own.pk, version=1, actor=ADMIN)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"subject_glob": " "}, "subject_glob"),
        ({"subject_glob": "x" * 201}, "subject_glob"),
        ({"body_globs": ["", " "]}, "body_globs"),
        ({"body_globs": ["x"] * 201}, "body_globs"),
        ({"body_globs": ["x" * 201]}, "body_globs"),
    ],
)
def test_a_faulty_template_names_the_field(fields: dict[str, object], field: str) -> None:
    template = {"name": "Label", "subject_glob": "Re: *", "body_globs": ["Hello *"]} | fields

    with pytest.raises(CategoryRefused) as refusal:
        categories.add_family(category("scheduling"), actor=ADMIN, **template)

    assert refusal.value.field == field
    assert not TemplateFamily.objects.exists()


@pytest.mark.parametrize(
    "domain", ["", "example", "exa mple.com", "*.*.com", "http://example.com", "a@b.example"]
)
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(CategoryRefused, match="domain"):
        categories.add_domain(domain, actor=ADMIN)


def test_a_domain_is_kept_in_its_plain_form_once() -> None:
    assert categories.add_domain(" Bücher.Example. ", actor=ADMIN).domain == "xn--bcher-kva.example"
    with pytest.raises(CategoryRefused, match="already"):
        categories.add_domain("bücher.example", actor=ADMIN)
    assert HighValueDomain.objects.count() == 1


def test_settings_begin_with_the_default_and_are_written_once() -> None:
    assert categories.settings().least_confidence == 0.8
    categories.write_settings(version=0, actor=ADMIN, least_confidence=0.9)
    assert ClassifierSettings.objects.get().pk == categories.SETTINGS_ID

    with pytest.raises(changes.Conflict):
        categories.write_settings(version=0, actor=ADMIN, least_confidence=0.5)
    with pytest.raises(CategoryRefused):
        categories.write_settings(version=1, actor=ADMIN, least_confidence=1.5)

    assert ClassifierSettings.objects.get().least_confidence == 0.9


@pytest.mark.row("000-02")
def test_seeding_again_brings_back_what_is_missing_and_changes_nothing_else() -> None:
    edited(category("status_reply"), tier="human_only")
    Category.objects.filter(key="scheduling").delete()
    out = StringIO()

    call_command("seed_categories", stdout=out)

    assert (category("scheduling").tier, category("status_reply").tier) == ("approve", "human_only")
    assert "scheduling" in out.getvalue()
    assert Entry.objects.filter(action="policies.row.created").count() == 1
