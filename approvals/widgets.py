"""Fields of forms that Django has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms


class LongText(forms.Textarea):
    """A text of several lines: a browser counts the end of a line as one character and sends two, which are one here.

    See "Multipart form data" and the `maxlength` attribute of the HTML Living Standard.
    """

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        value = super().value_from_datadict(data, files, name)
        return value.replace("\r\n", "\n") if isinstance(value, str) else value
