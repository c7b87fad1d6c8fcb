"""How far long work has come, in the words and numbers of one component for every page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """What is done of how much, since when, what comes next, and what failed with what to do about it.

    `word` names the work and `unit` what is counted. Without a `total` it is not known how much there is; `ended_at`
    tells how long it took. `seen` is the address that answers 204 while nothing changed, empty for work that is over;
    `address` is the page itself.
    """

    word: str
    unit: str
    done: int
    total: int | None
    began_at: datetime | None
    is_over: bool
    ended_at: datetime | None = None
    next_step: str = ""
    failure: str = ""
    what_to_do: str = ""
    seen: str = ""
    address: str = ""
