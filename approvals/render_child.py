"""Draws a file of a stranger as pictures, in a process of its own that has little and is ended when it takes long.

A program, not a module: `python -I render_child.py KIND WIDTH HEIGHT PAGES`, the file on the standard input. It writes
one line of JSON, then the pictures as PNG one after the other. It knows no settings, and takes nothing from the
environment.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

MEMORY_BYTES = 1_000_000_000
CPU_SECONDS = 10
OUTPUT_BYTES = 40_000_000
MOST_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


class NotDrawn(Exception):
    """The file cannot be drawn; the message is a word of `approvals.renderings.TROUBLES`."""


def main() -> None:
    kind, width, height, pages = sys.argv[1], *map(int, sys.argv[2:5])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, CPU_SECONDS)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_FSIZE, OUTPUT_BYTES)
    drawers = {"image": _image, "pdf": _pdf}
    data = sys.stdin.buffer.read()
    try:
        total, drawn = drawers[kind](data, width, height, pages)
        pictures = [(picture.size, _as_png(picture)) for picture in drawn]
    except NotDrawn as trouble:
        _say({"trouble": str(trouble)})
        return
    _say({"total": total, "pictures": [[*size, len(png)] for size, png in pictures]})
    for _size, png in pictures:
        sys.stdout.buffer.write(png)
    sys.stdout.buffer.flush()


def _limit(what: int, most: int) -> None:
    _soft, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _alone() -> None:
    """From here on, when all libraries are loaded: no other processes, no files and no connections."""
    _limit(resource.RLIMIT_NPROC, 0)
    # Not three: a place among these that is closed could be taken again.
    _limit(resource.RLIMIT_NOFILE, 0)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()


def _image(data: bytes, width: int, height: int, pages: int) -> tuple[int, list[Any]]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - the limits stand before

    for name in FORMATS:
        # Parts of the library are loaded when they are needed first.
        known = io.BytesIO()
        Image.new("RGB", (2, 2)).save(known, name)
        _as_png(_opened(known.getvalue(), 1, 1)[1])
    # Twice as many are an error for the library.
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2
    _alone()
    try:
        total, drawn = _opened(data, width, height)
    except Image.DecompressionBombError:
        raise NotDrawn("pixels") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError):
        raise NotDrawn("broken") from None
    return total, [drawn]


def _opened(data: bytes, width: int, height: int) -> tuple[int, Any]:
    """How many pictures the file holds, and the first as it is meant to be looked at, made to fit."""
    from PIL import Image, ImageOps  # noqa: PLC0415 - the limits stand before

    image = Image.open(io.BytesIO(data), formats=FORMATS)
    total = int(getattr(image, "n_frames", 1))
    image.draft("RGB", (width, height))
    turned = ImageOps.exif_transpose(image)
    drawn = turned.convert("RGBA" if "A" in turned.getbands() or "transparency" in turned.info else "RGB")
    drawn.thumbnail((width, height))
    return total, drawn


def _pdf(data: bytes, width: int, height: int, pages: int) -> tuple[int, Iterator[Any]]:
    import pypdfium2  # noqa: PLC0415 - the limits stand before
    from PIL import Image  # noqa: PLC0415 - the limits stand before

    known = pypdfium2.PdfDocument.new()
    _as_png(known.new_page(9, 9).render(scale=1, may_draw_forms=False).to_pil().convert("RGB"))
    known.close()
    Image.init()
    _alone()
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise NotDrawn("locked" if "password" in str(error).lower() else "broken") from None
    if not len(document):
        raise NotDrawn("broken")

    def drawn() -> Iterator[Any]:
        for number in range(min(pages, len(document))):
            try:
                page = document[number]
                wide, high = page.get_size()
                if not (0 < wide < 1e6 and 0 < high < 1e6):
                    raise NotDrawn("pixels")
                scale = min(width / wide, height / high)
                yield page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
            except pypdfium2.PdfiumError:
                raise NotDrawn("broken") from None

    return len(document), drawn()


def _as_png(picture: Any) -> bytes:
    kept = io.BytesIO()
    # A new picture of the pixels alone: no text, profile or place of the file goes along.
    picture.info = {}
    picture.save(kept, "PNG", compress_level=6)
    return kept.getvalue()


if __name__ == "__main__":
    main()
