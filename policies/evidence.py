"""What the record says about a category, and what it takes to suggest that it be automatic. It only ever suggests."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

# Half the width of the usual interval of 95 %, in standard deviations.
_Z = 1.96
DAYS, COMPARED, WRONG = 14, 100, 0
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
class Threshold:
    name: str
    needed: int
    found: int
    is_met: bool


def category_thresholds(*, days: int, compared: int, wrong: int) -> tuple[Threshold, ...]:
    """What a category needs before it is suggested to be automatic, and how far it is."""
    return (
        Threshold("days", DAYS, days, days >= DAYS),
        Threshold("compared", COMPARED, compared, compared >= COMPARED),
        Threshold("wrong", WRONG, wrong, wrong <= WRONG),
    )


def suggests_auto(thresholds: tuple[Threshold, ...]) -> bool:
    return all(threshold.is_met for threshold in thresholds)
