from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from approvals import people
from approvals.ledgers import mailbox_rows
from approvals.people import Right
from approvals.policy_rows import changed_rows
from approvals.views.access import person_of, signed_in

CHANGES_SHOWN = 20


@require_safe
@signed_in
def policies(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    may_read = people.may(person, Right.READ_POLICIES)
    if not may_read and not people.may(person, Right.EDIT_LISTS):
        raise PermissionDenied
    context: dict[str, Any] = {
        "here": "policies",
        "now": timezone.now(),
        "rows": mailbox_rows(person) if may_read else [],
        "changed": changed_rows(CHANGES_SHOWN) if people.may_everywhere(person, Right.READ_POLICIES) else [],
    }
    return render(request, "approvals/policies.html", context)
