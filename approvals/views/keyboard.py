from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from approvals import keyboard as keyboards
from approvals.forms_keyboard import KeyboardForm
from approvals.keys import COMMANDS
from approvals.views.access import person_of, signed_in
from approvals.views.writing import NotWritable, nothing_changed


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def keyboard(request: HttpRequest) -> HttpResponseBase:
    person = person_of(request)
    kept = keyboards.keyboard_of(person)
    if request.method != "POST":
        return _page(request, KeyboardForm(kept=kept))
    form = KeyboardForm(request.POST, kept=kept)
    is_reset = "reset" in request.POST
    if not is_reset and not form.is_valid():
        return _page(request, form, status=422)
    try:
        if is_reset:
            keyboards.reset(person)
        else:
            keyboards.keep(
                person,
                has_letters=form.cleaned_data["has_letters"],
                opens_next=form.cleaned_data["opens_next"],
                keys=form.keys(),
            )
    except NotWritable:
        return _page(request, form, problem=nothing_changed(), status=503)
    messages.success(request, _("Every key is again as it came.") if is_reset else _("Your keys are kept."))
    return redirect("approvals:keyboard")


def _page(request: HttpRequest, form: KeyboardForm, *, problem: str = "", status: int = 200) -> HttpResponse:
    fixed = [command for command in COMMANDS.values() if command.is_fixed]
    context = {"form": form, "fixed": fixed, "problem": problem}
    return render(request, "approvals/keyboard.html", context, status=status)
