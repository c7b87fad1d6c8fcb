"""The one way in for configuration: typed readers that stop the start and name the variable."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environs
from django.core.exceptions import ImproperlyConfigured

_environment = environs.Env()


def _read(reader: Callable[..., Any], name: str, default: Any, **options: Any) -> Any:
    try:
        return reader(name, default, **options)
    except (environs.EnvError, ValueError) as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def text(name: str, default: str = "") -> str:
    return _read(_environment.str, name, default).strip()


def flag(name: str, default: bool) -> bool:
    return _read(_environment.bool, name, default)


def words(name: str, default: list[str]) -> list[str]:
    return [word.strip() for word in _read(_environment.list, name, default) if word.strip()]


def whole_number(name: str, default: int, *, at_least: int, at_most: int) -> int:
    value = _read(_environment.int, name, default)
    if not at_least <= value <= at_most:
        raise ImproperlyConfigured(f"{name} is {value}; it must be between {at_least} and {at_most}")
    return value


def seconds(name: str, default: float, *, at_least: float, at_most: float) -> float:
    value = _read(_environment.float, name, default)
    if not at_least <= value <= at_most:
        raise ImproperlyConfigured(f"{name} is {value} seconds; it must be between {at_least} and {at_most}")
    return value


def rising_seconds(name: str, default: str) -> tuple[int, ...]:
    value = text(name, default)
    try:
        steps = tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must be whole seconds separated by commas, not {value!r}"
        ) from error
    if steps[0] < 1 or any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise ImproperlyConfigured(
            f"{name} must start at 1 or more and rise from step to step, not {value!r}"
        )
    return steps


def one_of(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
    return value


def path(name: str, default: Path | str) -> Path:
    return Path(text(name, str(default))).expanduser().absolute()


def secret(name: str, default: str = "") -> str:
    """Read NAME, or the content of the file that NAME_FILE points to, without the line end.

    Setting both stops the start, so that nobody wonders which one counts.
    """
    value = text(name)
    file_name = text(f"{name}_FILE")
    if value and file_name:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; keep one of them")
    if not file_name:
        return value or default
    try:
        return Path(file_name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}") from error
