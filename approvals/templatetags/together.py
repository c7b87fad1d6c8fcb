from __future__ import annotations

from datetime import datetime

from django import template
from django.contrib.auth.models import User

from approvals import people, together
from approvals.models import Claim, Draft

register = template.Library()


@register.filter
def person_name(person: User | None) -> str:
    """What a person is called on pages and in the record; nothing for nobody."""
    return people.name_of(person) if person is not None else ""


@register.filter
def shown_claim(draft: Draft, now: datetime) -> Claim | None:
    return together.shown_claim(draft, now)
