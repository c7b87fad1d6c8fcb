"""The word-level difference between two revisions, kept with the later one."""

from __future__ import annotations

import difflib
import re
from typing import Any

from agentmail.types import Address
from approvals.content import Content

# Beyond this many words in one changed passage it is shown as replaced whole: difflib is quadratic.
PASSAGE_WORDS = 1200
LINE_LIMIT = 1200
# Pairs of words that are compared in one text, all passages together: the writer of a draft chooses their number, and
# a transaction waits meanwhile.
PAIR_LIMIT = 3_000_000

_WORDS = re.compile(r"\s+|[^\s]+")

Part = list[str]  # ["=" | "-" | "+", text]


def between(before: Content, before_text: str, after: Content, after_text: str) -> dict[str, Any]:
    """What changed, by field: subject and body as parts `["=", text]`, `["-", text]`, `["+", text]`;
    address fields and attachments as `{"removed": [...], "added": [...]}`. Unchanged fields are left out.

    The bodies are compared as the texts that a reader sees; `formatting` says that only the markup differs, `spacing`
    that only spaces or line ends do.
    """
    changes: dict[str, Any] = {}
    if before.subject != after.subject:
        changes["subject"] = words(before.subject, after.subject)
    if before_text != after_text:
        changes["body"] = words(before_text, after_text)
        if before_text.split() == after_text.split():
            changes["spacing"] = True
    elif before.body != after.body:
        changes["formatting"] = True
    for name in ("sender", "to", "cc", "bcc", "reply_to"):
        old, new = [_written(a) for a in getattr(before, name)], [_written(a) for a in getattr(after, name)]
        if old != new:
            changes[name] = {
                "removed": [a for a in old if a not in new],
                "added": [a for a in new if a not in old],
            }
    old_files = {(part.filename, part.sha256) for part in before.attachments}
    new_files = {(part.filename, part.sha256) for part in after.attachments}
    if old_files != new_files:
        changes["attachments"] = {
            "removed": sorted(name for name, _ in old_files - new_files),
            "added": sorted(name for name, _ in new_files - old_files),
        }
    return changes


def words(before: str, after: str) -> list[Part]:
    """The parts that turn one text into the other: lines first, then words inside changed lines."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) > LINE_LIMIT or len(new) > LINE_LIMIT:
        return _joined([["-", before], ["+", after]])
    parts: list[Part] = []
    pairs = 0
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            parts.append(["=", "".join(old[i1:i2])])
        else:
            before_words = _WORDS.findall("".join(old[i1:i2]))
            after_words = _WORDS.findall("".join(new[j1:j2]))
            pairs += len(before_words) * len(after_words)
            parts.extend(_passage(before_words, after_words, is_whole=pairs > PAIR_LIMIT))
    return _joined(parts)


def _passage(old: list[str], new: list[str], *, is_whole: bool) -> list[Part]:
    if is_whole or not old or not new or len(old) > PASSAGE_WORDS or len(new) > PASSAGE_WORDS:
        return [["-", "".join(old)], ["+", "".join(new)]]
    parts: list[Part] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(["=", "".join(old[i1:i2])])
        else:
            parts.extend((["-", "".join(old[i1:i2])], ["+", "".join(new[j1:j2])]))
    return parts


def _joined(parts: list[Part]) -> list[Part]:
    joined: list[Part] = []
    for sign, text in parts:
        if not text:
            continue
        if joined and joined[-1][0] == sign:
            joined[-1][1] += text
        else:
            joined.append([sign, text])
    return joined


def _written(address: Address) -> str:
    return f"{address.email} ({address.name})" if address.name else address.email
