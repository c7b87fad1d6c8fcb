"""Files of strangers become pictures of ours or text, or the reason why not; nothing of theirs is passed on."""

import io
import json
import threading

import pypdfium2
import pytest
from PIL import Image, PngImagePlugin

from approvals import renderings
from approvals.file_kinds import differs, kind_of
from approvals.renderings import Frame


@pytest.fixture(autouse=True)
def kept(settings, tmp_path):
    settings.VAR_DIR = tmp_path
    return tmp_path / "renderings"


def image(kind, size=(30, 20), mode="RGB", **options):
    drawn = io.BytesIO()
    Image.new(mode, size, "red").save(drawn, kind, **options)
    return drawn.getvalue()


def pdf(pages=1):
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(200, 300)
    drawn = io.BytesIO()
    document.save(drawn)
    document.close()
    return drawn.getvalue()


def locked_pdf():
    """A PDF that asks for a password, as small as one can be."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
        b"3 0 obj<</Filter/Standard/V 1/R 2/O(" + b"A" * 32 + b")/U(" + b"B" * 32 + b")/P -4>>endobj\n"
        b"trailer<</Root 1 0 R/Encrypt 3 0 R/ID[(a)(a)]>>\n%%EOF"
    )


def opened(picture):
    return Image.open(io.BytesIO(picture.png))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_is_drawn_anew_as_png(kind):
    found = renderings.render(image(kind))

    [picture] = found.pictures
    assert (found.kind, found.trouble) == (kind.lower(), "")
    assert (opened(picture).format, opened(picture).size) == ("PNG", (30, 20))


def test_what_a_picture_carries_beside_its_pixels_is_left_behind():
    said = PngImagePlugin.PngInfo()
    said.add_text("Comment", "from 10.0.0.7")
    data = image("PNG", pnginfo=said) + b"<script>trailing</script>"

    [picture] = renderings.render(data).pictures

    assert b"10.0.0.7" not in picture.png
    assert b"trailing" not in picture.png


def test_a_picture_is_made_to_fit_and_one_of_too_many_pixels_is_not_drawn():
    assert opened(renderings.render(image("JPEG", (3000, 2000))).pictures[0]).size == (1200, 800)
    # One colour, so that the file is small: 400 million pixels would take more than a gigabyte.
    assert renderings.render(image("PNG", (20_000, 20_000), mode="1")).trouble == "pixels"


def test_the_first_pages_of_a_pdf_are_drawn_and_all_are_counted():
    found = renderings.render(pdf(pages=7))

    assert (found.kind, found.total, len(found.pictures)) == ("pdf", 7, renderings.PAGES)
    assert all(opened(picture).format == "PNG" for picture in found.pictures)


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (b"\x89PNG\r\n\x1a\nbroken", "broken"),
        (image("PNG")[:60], "broken"),
        (image("JPEG", (300, 300))[:400], "broken"),
        (b"GIF89a", "broken"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "broken"),
        (b"%PDF-1.4\nbroken", "broken"),
        (locked_pdf(), "locked"),
        (b"PK\x03\x04archive", "kind"),
        (b"MZ\x90\0program", "kind"),
        (b"\0\1\2\3", "kind"),
    ],
)
def test_what_cannot_be_drawn_says_why(data, trouble):
    found = renderings.render(data)

    assert (found.trouble, found.pictures, found.text) == (trouble, (), "")


def test_a_drawing_program_is_never_shown_as_a_picture():
    found = renderings.render(b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')

    assert (found.kind, found.pictures) == ("text", ())
    assert "<script>" in found.text


@pytest.mark.parametrize(
    ("data", "text", "charset"),
    [
        (b"plain", "plain", "ascii"),
        ("größer".encode(), "größer", "utf-8"),
        ("größer".encode("latin-1"), "größer", "windows-1252"),
        (b"\xef\xbb\xbfmark", "mark", "utf-8"),
        ("größer".encode("utf-16"), "größer", "utf-16"),
        (b"", "", "ascii"),
    ],
)
def test_text_is_read_in_the_character_set_it_seems_to_be_in(data, text, charset):
    found = renderings.render(data)

    assert (found.text, found.charset, found.trouble) == (text, charset, "")


def test_of_a_long_text_only_the_beginning_is_shown_and_no_character_is_cut():
    found = renderings.render(b"a" + "ä".encode() * renderings.TEXT_BYTES)

    assert found.is_cut
    assert found.charset == "utf-8"
    assert set(found.text) == {"a", "ä"}


def test_a_child_that_is_killed_means_no_preview(monkeypatch):
    monkeypatch.setattr(renderings, "WHOLE_SECONDS", 0.001)

    found = renderings.render(image("PNG"))

    assert (found.trouble, found.pictures) == ("child", ())


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.abort()",
        "raise SystemExit(3)",
        "print('no json')",
        "print('[]')",
        "print('[' * 90_000)",
        r"""import sys; sys.stdout.buffer.write(b'{"total": Infinity, "pictures": [[1, 1, 8]]}\n\x89PNG\r\n\x1a\n')""",
        'print(\'{"total": 1, "pictures": [[3, 2, 5]]}\'); print("not a png")',
        'print(\'{"total": 1, "pictures": [[3, 2, 500]]}\'); print("short")',
        'print(\'{"total": 1, "pictures": []}\')',
        'print(\'{"trouble": "<b>"}\')',
        "import sys; sys.stdout.write('x' * 1_000_000)",
    ],
)
def test_whatever_a_child_answers_that_is_no_picture_means_no_preview(monkeypatch, tmp_path, program):
    child = tmp_path / "child.py"
    child.write_text(program)
    monkeypatch.setattr(renderings, "CHILD", child)

    found = renderings.render(image("PNG"))

    assert (found.trouble, found.pictures) == ("child", ())


def test_the_child_that_draws_has_its_limits_and_no_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_DESK", "x")
    said = tmp_path / "said"
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import json, os, resource, sys\n"
        f"sys.path.insert(0, {str(renderings.CHILD.parent)!r})\n"
        "import render_child as child\n"
        f"said = open({str(said)!r}, 'w')\n"
        "def opens():\n"
        "    os.close(0)\n"
        "    try:\n"
        "        os.open('/dev/null', os.O_RDONLY)\n"
        "    except OSError:\n"
        "        return False\n"
        "    return True\n"
        "def probe(*given):\n"
        "    child._alone()\n"
        "    names = ('AS', 'CPU', 'FSIZE', 'CORE', 'NPROC')\n"
        "    limits = {name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[1] for name in names}\n"
        "    json.dump([limits, opens(), sorted(os.environ)], said)\n"
        "    said.close()\n"
        "    raise child.NotDrawn('broken')\n"
        "child._image = probe\n"
        "child.main()\n"
    )
    monkeypatch.setattr(renderings, "CHILD", probe)

    assert renderings.render(image("PNG")).trouble == "broken"

    limits, opens, environment = json.loads(said.read_text())
    assert limits == {"AS": 1_000_000_000, "CPU": 10, "FSIZE": 40_000_000, "CORE": 0, "NPROC": 0}
    assert not opens
    # The interpreter itself sets the one that says how it writes text.
    assert set(environment) <= {"LC_CTYPE"}


def test_what_was_drawn_is_kept_and_read_no_second_time(kept):
    reads = []

    def read():
        reads.append(1)
        return image("PNG")

    first, second = (renderings.rendered("key", read) for _ in range(2))

    assert first == second
    assert len(reads) == 1
    assert renderings.rendered("key", read, Frame("small", 3, 3, 1)).pictures[0].width == 3
    assert kept.stat().st_mode & 0o777 == 0o700


def test_a_kept_preview_that_is_damaged_is_drawn_again(kept):
    first = renderings.rendered("key", lambda: image("PNG"))
    for place in kept.iterdir():
        place.write_bytes(b"{}\n")

    assert renderings.rendered("key", lambda: image("PNG")) == first


def test_the_oldest_previews_are_forgotten_first(kept):
    for number in range(4):
        renderings.rendered(f"key {number}", lambda: image("PNG"))
    on_disk = max(place.stat().st_blocks * 512 for place in kept.iterdir())

    renderings.forget(2 * on_disk)

    assert len(list(kept.iterdir())) == 2


def test_small_previews_count_as_what_they_take_on_the_disk(kept):
    for number in range(4):
        renderings.rendered(f"key {number}", lambda: image("PNG"))
    written = sum(place.stat().st_size for place in kept.iterdir())
    on_disk = sum(place.stat().st_blocks * 512 for place in kept.iterdir())
    assert written < on_disk

    renderings.forget(on_disk - 1)

    assert len(list(kept.iterdir())) == 3


def test_more_than_a_few_are_not_drawn_at_once(monkeypatch):
    monkeypatch.setattr(renderings, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(renderings, "WAIT_SECONDS", 0.01)
    renderings._places.acquire()

    with pytest.raises(renderings.Busy):
        renderings.render(image("PNG"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (image("PNG"), "png"),
        (b"text, with \x1b[31m colour", "text"),
        (b"\0\0\0", "data"),
        (b"junk before %PDF-1.7", "pdf"),
        (b"PK\x03\x04", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    ],
)
def test_the_first_bytes_tell_the_kind(data, kind):
    assert kind_of(data) == kind


@pytest.mark.parametrize(
    ("kind", "filename", "content_type"),
    [
        ("program", "invoice.pdf", "application/pdf"),
        ("zip", "photo.png", ""),
        ("pdf", "photo", "image/png"),
        ("data", "photo.jpg", "image/jpeg"),
        ("png", "notes.txt", ""),
    ],
)
def test_a_file_that_is_not_what_it_says_differs(kind, filename, content_type):
    assert differs(kind, filename, content_type)


@pytest.mark.parametrize(
    ("kind", "filename", "content_type"),
    [
        ("pdf", "invoice.PDF", "application/octet-stream"),
        ("jpeg", "photo.jpg", "image/jpg"),
        ("zip", "letter.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("ole", "letter.doc", "application/msword"),
        ("text", "prices.csv", "application/vnd.ms-excel"),
        ("data", "unknown.xyz", "application/x-unknown"),
        ("", "photo.png", "image/png"),
    ],
)
def test_a_file_that_is_what_it_says_or_of_which_nothing_is_known_does_not_differ(
    kind, filename, content_type
):
    assert not differs(kind, filename, content_type)
