"""Categories, known templates, domains of high value, and what the classifier makes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from audit.record import Actor
from policies import changes, shipped
from policies.classifier import Family, Kind, Rulebook
from policies.models import Category, ClassifierSettings, HighValueDomain, TemplateFamily, Tier
from policies.words import words_of_phrase

SETTINGS_ID = 1
LINES, LINE_CHARACTERS = 200, 200
REASON_CHARACTERS = 2000
LISTS = ("outbound_words", "outbound_globs", "inbound_words", "inbound_globs")

_DOMAIN = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


class CategoryRefused(Exception):
    """Nothing was written. `field` names what is wrong, the text says why and what the limit is."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def rulebook() -> Rulebook:
    """Everything in force that decides about the category of a mail."""
    return Rulebook(
        kinds=tuple(
            Kind(
                id=row.pk,
                version=row.version,
                key=row.key,
                name=row.name,
                tier=row.tier,
                position=row.position,
                is_high_risk=row.is_high_risk,
                **{name: tuple(map(str, getattr(row, name))) for name in LISTS},
            )
            for row in Category.objects.filter(is_enabled=True)
        ),
        families=tuple(
            Family(
                id=row.pk,
                version=row.version,
                category_id=row.category_id,
                name=row.name,
                subject_glob=row.subject_glob,
                body_globs=tuple(map(str, row.body_globs)),
            )
            for row in TemplateFamily.objects.filter(is_enabled=True)
        ),
        high_value_domains=tuple(HighValueDomain.objects.values_list("domain", flat=True)),
        least_confidence=settings().least_confidence,
    )


def settings() -> ClassifierSettings:
    """The settings in force; not saved, with version 0, while the defaults hold."""
    return ClassifierSettings.objects.order_by("pk").first() or ClassifierSettings(version=0)


def write_settings(*, version: int, actor: Actor, least_confidence: float) -> ClassifierSettings:
    """Set how sure an agent must be, from 0 to 1. Raises CategoryRefused or `changes.Conflict`."""
    if not 0 <= least_confidence <= 1:
        raise CategoryRefused("least_confidence", _("Between 0 and 1."))
    current = settings()
    if current.pk is not None:
        return changes.change(
            ClassifierSettings, current.pk, version=version, actor=actor, least_confidence=least_confidence
        )
    if version != 0:
        raise changes.Conflict(current, {})
    try:
        with transaction.atomic():
            return changes.create(
                ClassifierSettings, actor=actor, id=SETTINGS_ID, least_confidence=least_confidence
            )
    except IntegrityError as error:
        raise changes.Conflict(settings(), {}) from error


def add(*, actor: Actor, reason: str = "", **fields: Any) -> Category:
    """Add a category of one's own. Raises CategoryRefused with the field that is wrong."""
    checked = _checked(Category(), fields)
    try:
        with transaction.atomic():
            return changes.create(Category, actor=actor, reason=reason, **checked)
    except IntegrityError as error:
        raise CategoryRefused("key", _("There is a category of this key already.")) from error


def edit(pk: int, *, version: int, actor: Actor, reason: str = "", **fields: Any) -> Category:
    """Change a category whose `version` the editor saw.

    One that is never to be automated becomes automatic, or is switched off, with a typed `override_reason` only, which
    the record keeps; the row forgets it when neither is so any more. Raises CategoryRefused or `changes.Conflict`.
    """
    row = Category.objects.filter(pk=pk).first()
    if row is None:
        raise changes.Conflict(None, {})
    checked = _checked(row, fields)
    checked.pop("key", None)
    why = reason or str(checked.get("override_reason", ""))
    return changes.change(Category, pk, version=version, actor=actor, reason=why, **checked)


def remove(pk: int, *, version: int, actor: Actor) -> None:
    """Remove a category of one's own that has no templates. Raises CategoryRefused or `changes.Conflict`."""
    row = Category.objects.filter(pk=pk).first()
    if row is not None and row.shipped_key:
        raise CategoryRefused("key", _("A shipped category can be switched off, not removed."))
    try:
        changes.remove(Category, pk, version=version, actor=actor)
    except ProtectedError as error:
        raise CategoryRefused("key", _("Remove its templates first.")) from error


def demote(pk: int, *, actor: Actor, reason: str) -> Category:
    """Take an automatic category back to approval, whatever version of it was seen: stricter is always right.

    Raises `changes.Conflict` when it is gone.
    """
    with transaction.atomic():
        row = Category.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            raise changes.Conflict(None, {})
        if row.tier != Tier.AUTO:
            return row
        kept = row.override_reason if row.never_automate and not row.is_enabled else ""
        return changes.change(
            Category,
            pk,
            version=row.version,
            actor=actor,
            reason=reason,
            tier=Tier.APPROVE,
            override_reason=kept,
        )


def add_family(category: Category, *, actor: Actor, **fields: Any) -> TemplateFamily:
    """Add a known template to a category. Raises CategoryRefused with the field that is wrong."""
    checked = _checked_family(fields)
    try:
        with transaction.atomic():
            return changes.create(TemplateFamily, actor=actor, category=category, **checked)
    except IntegrityError as error:
        raise CategoryRefused("name", _("This category has a template of this name already.")) from error


def edit_family(pk: int, *, version: int, actor: Actor, **fields: Any) -> TemplateFamily:
    """Change a template whose `version` the editor saw. Raises CategoryRefused or `changes.Conflict`."""
    checked = _checked_family(fields)
    try:
        with transaction.atomic():
            return changes.change(TemplateFamily, pk, version=version, actor=actor, **checked)
    except IntegrityError as error:
        raise CategoryRefused("name", _("This category has a template of this name already.")) from error


def remove_family(pk: int, *, version: int, actor: Actor) -> None:
    changes.remove(TemplateFamily, pk, version=version, actor=actor)


def add_domain(domain: str, *, note: str = "", actor: Actor) -> HighValueDomain:
    """Mark a domain, or `*.domain` for everything below it, as of high value. Raises CategoryRefused."""
    written = domain.strip().casefold().rstrip(".")
    try:
        ascii_domain = written.encode("idna").decode() if not written.isascii() else written
    except UnicodeError:
        ascii_domain = ""
    if len(ascii_domain) > 253 or not _DOMAIN.fullmatch(ascii_domain):
        raise CategoryRefused("domain", _("Not a domain. Write it as example.com or *.example.com."))
    try:
        with transaction.atomic():
            return changes.create(HighValueDomain, actor=actor, domain=ascii_domain, note=note)
    except IntegrityError as error:
        raise CategoryRefused("domain", _("This domain is on the list already.")) from error


def remove_domain(pk: int, *, version: int, actor: Actor) -> None:
    changes.remove(HighValueDomain, pk, version=version, actor=actor)


def restore_shipped(*, actor: Actor) -> list[Category]:
    """Add every shipped category that is missing, as it was shipped; what is there stays as it is."""
    known = set(Category.objects.values_list("key", flat=True))
    return [changes.create(Category, actor=actor, **row) for row in shipped.rows() if row["key"] not in known]


def checked_lines(name: str, lines: Sequence[str], *, are_words: bool) -> list[str]:
    """The lines of a list, trimmed, each once, empty ones left out. Raises CategoryRefused naming the limit."""
    kept = list(dict.fromkeys(filter(None, (" ".join(line.split()) for line in lines))))
    if len(kept) > LINES:
        raise CategoryRefused(
            name, _("%(count)d lines; at most %(limit)d.") % {"count": len(kept), "limit": LINES}
        )
    for line in kept:
        if len(line) > LINE_CHARACTERS:
            raise CategoryRefused(
                name,
                _("“%(line)s…” is longer than %(limit)d characters.")
                % {"line": line[:40], "limit": LINE_CHARACTERS},
            )
        if are_words and not words_of_phrase(line):
            raise CategoryRefused(name, _("“%(line)s” holds no word to look for.") % {"line": line})
        if not are_words and not line.strip("*? "):
            raise CategoryRefused(
                name, _("“%(line)s” fits everything. Write some text beside the stars.") % {"line": line}
            )
    return kept


def _checked(row: Category, fields: dict[str, Any]) -> dict[str, Any]:
    checked = dict(fields)
    for name in LISTS:
        if name in checked:
            checked[name] = checked_lines(name, checked[name], are_words=name.endswith("words"))
    tier = checked.get("tier", row.tier)
    if tier not in Tier.values:
        raise CategoryRefused("tier", _("Automatic, approval or human only."))
    override = str(checked.get("override_reason", row.override_reason)).strip()
    if len(override) > REASON_CHARACTERS:
        raise CategoryRefused(
            "override_reason", _("At most %(limit)d characters.") % {"limit": REASON_CHARACTERS}
        )
    # Switched off, its mail could leave by another category as well.
    is_loose = tier == Tier.AUTO or not checked.get("is_enabled", row.is_enabled)
    if is_loose and row.never_automate and not override:
        raise CategoryRefused(
            "override_reason",
            _("This was shipped as never to be automated. Type why it should be; the record keeps it."),
        )
    checked["override_reason"] = override if is_loose and row.never_automate else ""
    return checked


def _checked_family(fields: dict[str, Any]) -> dict[str, Any]:
    checked = dict(fields)
    subject = " ".join(str(checked["subject_glob"]).split())
    if not subject:
        raise CategoryRefused("subject_glob", _("Write a pattern for the subject; * stands for any text."))
    if len(subject) > LINE_CHARACTERS:
        raise CategoryRefused("subject_glob", _("At most %(limit)d characters.") % {"limit": LINE_CHARACTERS})
    lines = [" ".join(line.split()) for line in checked["body_globs"]]
    lines = [line for line in lines if line]
    if not lines:
        raise CategoryRefused("body_globs", _("Write at least one line of the template."))
    if len(lines) > LINES:
        raise CategoryRefused(
            "body_globs", _("%(count)d lines; at most %(limit)d.") % {"count": len(lines), "limit": LINES}
        )
    long = next((line for line in lines if len(line) > LINE_CHARACTERS), None)
    if long is not None:
        raise CategoryRefused(
            "body_globs",
            _("“%(line)s…” is longer than %(limit)d characters.")
            % {"line": long[:40], "limit": LINE_CHARACTERS},
        )
    return checked | {"subject_glob": subject, "body_globs": lines}
