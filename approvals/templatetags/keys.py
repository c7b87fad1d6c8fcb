from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.template.context import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from approvals.keys import COMMANDS, Command, Does, Where
from approvals.templatetags.bar import facts_for

register = template.Library()


@register.simple_tag(takes_context=True)
def command(context: Context, name: str) -> SafeString:
    """The attributes of the element that a command presses, follows or focuses. Raises KeyError for no command."""
    found, keys = COMMANDS[name], _keys(context)[name]
    # Sequences have no place in aria-keyshortcuts, and a row would say its key each time it is read.
    if not keys or " " in keys or found.does is Does.OPEN:
        return format_html('data-command="{}"', name)
    return format_html('data-command="{}" aria-keyshortcuts="{}"', name, keys)


@register.simple_tag(takes_context=True)
def key(context: Context, name: str) -> SafeString:
    """The hint inside that element, hidden from screen readers: `command` tells them. Nothing without a key."""
    keys = _keys(context)[name]
    return format_html('<kbd aria-hidden="true">{}</kbd>', keys) if keys else SafeString("")


@register.inclusion_tag("components/keyboard.html", takes_context=True)
def keyboard(context: Context) -> dict[str, Any]:
    """The overlay with every command and its key, and the palette; the script leaves what applies on the page."""
    keys = _keys(context)
    return {
        "groups": [
            {
                "where": where,
                "commands": [_row(one, keys) for one in COMMANDS.values() if one.where == where],
            }
            for where in Where
        ],
        "approve_key": keys["approve"],
        "open_key": keys["open"],
        "has_letters": any(keys[one.id] for one in COMMANDS.values() if not one.is_fixed),
    }


@register.filter
def pressed(keys: str) -> SafeString:
    """Keys as they are pressed one after the other."""
    return format_html_join(" ", "<kbd>{}</kbd>", ((one,) for one in keys.split()))


def _row(one: Command, keys: Mapping[str, str]) -> dict[str, Any]:
    return {"id": one.id, "word": one.word, "does": one.does.value, "keys": keys[one.id]}


def _keys(context: Context) -> Mapping[str, str]:
    # The request of a `RequestContext` outlives an `include … only`, which empties the variables.
    return facts_for(context.request).keys  # type: ignore[attr-defined]
