"""What a file is by its first bytes, and whether that is what its name and its stated type say."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# So much of a file tells its kind.
LOOKED_AT_BYTES = 8192

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rtf", "rtf"),
    (b"Rar!\x1a\x07", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"\xfe\xed\xfa", "program"),
    (b"\xcf\xfa\xed\xfe", "program"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"ID3", "mp3"),
    (b"OggS", "ogg"),
)
_EXTENSIONS: Mapping[str, str] = {
    "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "gif": "gif", "webp": "webp", "pdf": "pdf",
    "bmp": "bmp", "tif": "tiff", "tiff": "tiff", "mp3": "mp3", "ogg": "ogg",
    "zip": "zip", "docx": "zip", "xlsx": "zip", "pptx": "zip", "docm": "zip", "xlsm": "zip", "pptm": "zip",
    "odt": "zip", "ods": "zip", "odp": "zip", "jar": "zip", "epub": "zip",
    "doc": "ole", "xls": "ole", "ppt": "ole", "msg": "ole", "msi": "ole",
    "rtf": "rtf", "rar": "rar", "7z": "7z", "gz": "gzip", "tgz": "gzip",
    "exe": "program", "dll": "program", "scr": "program", "com": "program",
    "txt": "text", "csv": "text", "md": "text", "log": "text", "json": "text", "xml": "text", "html": "text",
    "htm": "text", "svg": "text", "ics": "text", "vcf": "text", "eml": "text", "tsv": "text", "yaml": "text",
    "yml": "text", "js": "text", "ini": "text",
}  # fmt: skip
_TYPES: Mapping[str, str] = {
    "image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp",
    "image/bmp": "bmp", "image/tiff": "tiff", "image/svg+xml": "text", "application/pdf": "pdf",
    "application/x-pdf": "pdf", "application/zip": "zip", "application/x-zip-compressed": "zip",
    "application/msword": "ole", "application/rtf": "rtf", "text/rtf": "rtf",
    "application/gzip": "gzip", "application/x-rar-compressed": "rar", "application/x-7z-compressed": "7z",
    "application/json": "text", "application/xml": "text",
    "application/x-msdownload": "program", "application/x-dosexec": "program",
}  # fmt: skip
# Old programs save one under the name of the other, and open both.
_ALSO = frozenset({("ole", "zip"), ("ole", "rtf"), ("ole", "text"), ("text", "rtf")})


KIND_WORDS: Mapping[str, str | Promise] = {
    "png": _("PNG picture"), "jpeg": _("JPEG picture"), "gif": _("GIF picture"), "webp": _("WebP picture"),
    "bmp": _("BMP picture"), "tiff": _("TIFF picture"), "pdf": _("PDF document"), "text": _("text"),
    "zip": _("ZIP archive or office document"), "ole": _("older office document"), "rtf": _("RTF document"),
    "rar": _("RAR archive"), "7z": _("7-Zip archive"), "gzip": _("gzip archive"), "program": _("program"),
    "mp3": _("sound"), "ogg": _("sound or film"), "data": _("data of no known kind"),
}  # fmt: skip


def kind_of(data: bytes) -> str:
    """What a file is: "png", "jpeg", "gif", "webp", "pdf", "zip", … or "text"; "data" for what is none of these."""
    beginning = data[:LOOKED_AT_BYTES]
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "webp"
    found = next((kind for start, kind in _BEGINNINGS if beginning.startswith(start)), "")
    if found:
        return found
    if b"%PDF-" in beginning[:1024]:
        return "pdf"
    return "text" if is_text(beginning) else "data"


def is_text(beginning: bytes) -> bool:
    """Whether bytes can be read as text: no controls that text does not have, unless they are UTF-16 with its mark."""
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in beginning)


def claimed_kinds(filename: str, content_type: str) -> set[str]:
    """The kinds that a name and a stated type say; none where they say nothing that is known here."""
    extension = filename.strip().casefold().rpartition(".")[2] if "." in filename else ""
    stated = content_type.partition(";")[0].strip().casefold()
    by_type = _TYPES.get(stated)
    if by_type is None and stated.startswith("text/") and stated != "text/plain":
        by_type = "text"
    if by_type is None and stated.startswith(("application/vnd.openxmlformats", "application/vnd.oasis")):
        by_type = "zip"
    return {kind for kind in (_EXTENSIONS.get(extension), by_type) if kind}


def differs(kind: str, filename: str, content_type: str) -> bool:
    """Whether a file of this kind is none that its name or its stated type says; no for a kind that is not known."""
    if not kind:
        return False
    return any(
        claimed != kind and (claimed, kind) not in _ALSO for claimed in claimed_kinds(filename, content_type)
    )
