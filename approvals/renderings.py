"""Files of strangers as something that is safe to look at: pictures of ours, or text. Whatever fails is not shown.

What a file is, its first bytes say. Pictures and PDF are drawn by `render_child.py`, in a process with limits; text is
read here. What came out is kept under VAR_DIR, up to a bound.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from approvals.file_kinds import kind_of
from approvals.render_child import OUTPUT_BYTES

logger = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("render_child.py")
WHOLE_SECONDS = 15.0
AT_ONCE = 2
WAIT_SECONDS = 10.0
PAGES = 5
TEXT_BYTES = 64 * 1024
CACHE_BYTES = 200_000_000
# What `st_blocks` counts in, whatever the blocks of the disk are (POSIX).
BLOCK_BYTES = 512
# What failed may have failed because the machine was busy.
FAILURE_SECONDS = 600.0
# A change of how files are drawn must not find what was kept before.
_VERSION = "1"

IMAGE_KINDS = frozenset({"png", "jpeg", "gif", "webp"})
DRAWN_KINDS = IMAGE_KINDS | {"pdf"}
TROUBLES: Mapping[str, str | Promise] = {
    "kind": _("Files of this kind are not shown here."),
    "broken": _("It is damaged, or not what it says it is."),
    "pixels": _("It would be larger than a preview may be."),
    "locked": _("It is locked with a password."),
    "child": _("It cannot be previewed: drawing it failed or took too long."),
    "busy": _("Too many files are being drawn at the moment. Load the page again."),
    "unread": _("The provider did not give the file. Try again in a moment."),
    "size": _("The file is larger than this desk takes."),
}


class Busy(Exception):
    """Too much is being drawn at once; nothing was done."""


@dataclass(frozen=True, slots=True)
class Picture:
    width: int
    height: int
    png: bytes


@dataclass(frozen=True, slots=True)
class Rendering:
    """What can be shown of a file. `kind` is that of its content; `total` counts its pages or pictures.

    `trouble` is a key of `TROUBLES`, empty when there is something to show: `pictures`, or `text` with its `charset`.
    """

    kind: str
    size: int
    sha256: str
    trouble: str = ""
    total: int = 0
    pictures: tuple[Picture, ...] = ()
    text: str = ""
    charset: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether the file holds more text than is shown."""
        return bool(self.text) and self.size > TEXT_BYTES


@dataclass(frozen=True, slots=True)
class Frame:
    """How large what is drawn may be, in pixels, and how many pages of it; `name` is that of what is kept."""

    name: str
    width: int
    height: int
    pages: int


FULL = Frame("full", 1200, 1700, PAGES)
THUMBNAIL = Frame("thumb", 240, 160, 1)

_places = threading.BoundedSemaphore(AT_ONCE)


def rendered(key: str, read: Callable[[], bytes], frame: Frame = FULL) -> Rendering:
    """What can be shown of the file that a key stands for; `read` gives its bytes when that is not kept already.

    The key must stand for the same bytes for ever. Passes on what `read` raises, and raises Busy.
    """
    place = _place_of(key, frame)
    kept = _kept(place)
    if kept is not None:
        return kept
    found = render(read(), frame)
    _keep(place, found)
    return found


def render(data: bytes, frame: Frame = FULL) -> Rendering:
    """What can be shown of these bytes. Raises Busy when too many files are being drawn."""
    kind = kind_of(data)
    about: dict[str, Any] = {"kind": kind, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if kind == "text":
        text, charset = readable(data[:TEXT_BYTES], is_whole=len(data) <= TEXT_BYTES)
        return Rendering(**about, total=1, text=text, charset=charset)
    if kind not in DRAWN_KINDS:
        return Rendering(**about, trouble="kind")
    return Rendering(**about, **_drawn("pdf" if kind == "pdf" else "image", data, frame))


def readable(data: bytes, *, is_whole: bool) -> tuple[str, str]:
    """Bytes as text, with the name of the character set they seem to be in; a character that is cut is left out."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            text = codecs.getincrementaldecoder(name)("replace").decode(data, is_whole)
            return text, name.removesuffix("-sig")
    with suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder("utf-8")().decode(data, is_whole)
        return text, "ascii" if data.isascii() else "utf-8"
    return data.decode("cp1252", "replace"), "windows-1252"


def _drawn(kind: str, data: bytes, frame: Frame) -> dict[str, Any]:
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise Busy
    try:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as drawn:
            given.write(data)
            given.seek(0)
            if not _run(kind, frame, given, drawn):
                return {"trouble": "child"}
            drawn.seek(0)
            return _read(drawn)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        logger.warning("a file could not be drawn: %s", type(error).__name__)
        return {"trouble": "child"}
    finally:
        _places.release()


def _run(kind: str, frame: Frame, given: IO[bytes], drawn: IO[bytes]) -> bool:
    """Let the child draw; whether it ended by itself and well."""
    sizes = map(str, (frame.width, frame.height, frame.pages))
    child = subprocess.Popen(
        [sys.executable, "-I", str(CHILD), kind, *sizes],
        stdin=given,
        stdout=drawn,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        status = child.wait(WHOLE_SECONDS)
    except subprocess.TimeoutExpired:
        status = -1
    finally:
        child.kill()
        child.wait()
    if status != 0:
        logger.warning("drawing a file of kind %s ended with %s", kind, status)
    return status == 0


def _read(drawn: IO[bytes]) -> dict[str, Any]:
    """What the child wrote, checked: it read the file of a stranger, so it may be the stranger's by now."""
    said = json.loads(drawn.readline(100_000))
    if trouble := said.get("trouble"):
        return {"trouble": trouble if trouble in TROUBLES else "child"}
    pictures = []
    for width, height, length in said["pictures"]:
        if not (0 < width <= 4000 and 0 < height <= 4000 and 0 < length <= OUTPUT_BYTES):
            raise ValueError
        png = drawn.read(length)
        if len(png) != length or kind_of(png) != "png":
            raise ValueError
        pictures.append(Picture(int(width), int(height), png))
    if not pictures:
        raise ValueError
    return {"total": int(said["total"]), "pictures": tuple(pictures)}


def _folder() -> Path:
    return Path(settings.VAR_DIR) / "renderings"


def _place_of(key: str, frame: Frame) -> Path:
    name = hashlib.sha256(f"{_VERSION} {frame.name} {key}".encode()).hexdigest()
    return _folder() / name


def _kept(place: Path) -> Rendering | None:
    try:
        with place.open("rb") as kept:
            about = json.loads(kept.readline(1_000_000))
            pictures = tuple(
                Picture(width, height, kept.read(length)) for width, height, length in about.pop("pictures")
            )
            found = Rendering(**about, pictures=pictures)
        is_old = bool(found.trouble) and place.stat().st_mtime < time.time() - FAILURE_SECONDS
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if is_old else found


def _keep(place: Path, found: Rendering) -> None:
    about = {name: getattr(found, name) for name in found.__slots__ if name != "pictures"}
    about["pictures"] = [[one.width, one.height, len(one.png)] for one in found.pictures]
    try:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as kept:
            kept.write(json.dumps(about).encode() + b"\n")
            for one in found.pictures:
                kept.write(one.png)
        os.replace(kept.name, place)
        forget(CACHE_BYTES)
    except OSError as error:
        # It is drawn again the next time.
        logger.warning("a preview could not be kept: %s", error)


def forget(most_bytes: int) -> None:
    """Remove the previews that were made first until those that stay take no more than so many bytes on the disk."""
    with suppress(OSError):
        found = []
        for place in _folder().iterdir():
            with suppress(OSError):
                about = place.stat()
                # A small file takes a whole block; some systems count blocks late.
                taken_by_it = max(about.st_size, about.st_blocks * BLOCK_BYTES)
                found.append((about.st_mtime, taken_by_it, place))
        taken = sum(size for _at, size, _place in found)
        for _at, size, place in sorted(found):
            if taken <= most_bytes:
                return
            place.unlink(missing_ok=True)
            taken -= size
