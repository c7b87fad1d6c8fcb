"""What it takes before less is asked of people, and how sure a share is. It only ever suggests."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

# Half the width of the usual interval of 95 %, in standard deviations.
_Z = 1.96
# A line on the page, no gate: the share approved untouched that people speak of.
UNTOUCHED_LINE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `total`, with the interval (Wilson, 95 %) in which the true share likely lies."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        if not self.total:
            return None
        share, total = self.count / self.total, self.total
        middle = share + _Z**2 / (2 * total)
        spread = _Z * sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
        scale = 1 + _Z**2 / total
        return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a step usually has behind it: days, drafts about which people said a word, and how many may be wrong."""

    days: int
    compared: int
    wrong: int = 0


AUTOMATIC_CATEGORY = Needs(days=14, compared=100)
LEAVING_DRY_RUN = Needs(days=14, compared=100)
MONITORED_MAILBOX = Needs(days=30, compared=500)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One line of a step: `name` is days, compared or wrong; at most `needed` may be wrong, at least the others."""

    name: str
    needed: int
    found: int

    @property
    def is_met(self) -> bool:
        return self.found <= self.needed if self.name == "wrong" else self.found >= self.needed


def thresholds(needs: Needs, *, days: int, compared: int, wrong: int) -> tuple[Threshold, ...]:
    """What the step needs, and how far it is."""
    return (
        Threshold("days", needs.days, days),
        Threshold("compared", needs.compared, compared),
        Threshold("wrong", needs.wrong, wrong),
    )


def are_met(asked: tuple[Threshold, ...]) -> bool:
    return all(threshold.is_met for threshold in asked)
