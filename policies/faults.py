"""What is wrong with something an admin wrote: the place and a sentence that names the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` names the field, such as "conditions[2].operator"; places count from 0.

    `line` is that of a file, from 1; 0 where there is none.
    """

    path: str
    sentence: str
    line: int = 0


class Invalid(Exception):
    """Nothing was written. `faults` holds at least one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(" ".join(f"{fault.path}: {fault.sentence}" for fault in faults))
        self.faults = list(faults)
