"""What the name of a file gives away."""

from __future__ import annotations

import mimetypes

_PROGRAMS = (
    ".exe",
    ".com",
    ".bat",
    ".cmd",
    ".scr",
    ".pif",
    ".msi",
    ".js",
    ".jse",
    ".vbs",
    ".vbe",
    ".wsf",
    ".hta",
    ".ps1",
    ".jar",
    ".lnk",
    ".iso",
    ".img",
    ".html",
    ".htm",
    ".svg",
    ".docm",
    ".xlsm",
    ".pptm",
    ".zip",
    ".rar",
    ".7z",
    ".tar",
    ".gz",
)
# Programs that know no type say one of these of any file.
_ANY_KIND = frozenset({"", "application/octet-stream", "text/plain"})
# Spreadsheets register these names for themselves.
_NAMED_BY_OTHERS = frozenset({"text/csv", "text/tab-separated-values"})


def runs_programs(filename: str) -> bool:
    """Whether a file of this name can run something or hide other files when it is opened."""
    return (filename or "").strip().casefold().endswith(_PROGRAMS)


def is_of_another_kind(filename: str, content_type: str) -> bool:
    """Whether the stated type of a file is none that its name lets one expect, such as a picture named report.pdf."""
    stated = content_type.partition(";")[0].strip().casefold()
    expected = mimetypes.guess_type(filename, strict=False)[0]
    if expected is None or stated in _ANY_KIND or expected in _NAMED_BY_OTHERS:
        return False
    (main, _slash, sub), (stated_main, _slash, stated_sub) = expected.partition("/"), stated.partition("/")
    return main != stated_main and sub != stated_sub
