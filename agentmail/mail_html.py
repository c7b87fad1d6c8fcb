"""HTML of strangers: made safe to show, turned into text, and searched for what it hides.

Nothing here trusts that two parsers agree: the text side reads the source with a small linear scanner of its
own, the picture side is cleaned by nh3 and still shown only in a frame without scripts, network or links.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import quote, unquote, urlsplit

import nh3
from django.utils.translation import gettext as _

LARGEST_HTML = 512 * 1024
LARGEST_TEXT = 2 * 1024 * 1024

# An HTML parser repeats open formatting elements in each new block: few bytes can become many elements.
_MOST_ELEMENTS = 3_000_000
_DEEPEST_NESTING = 1000
_MOST_FINDINGS = 200
# As many as a long newsletter has; what is beyond them stays text.
MOST_REMOTE_IMAGES = 100
_LONGEST_IMAGE_ADDRESS = 2000

_TAGS = {
    "a",
    "abbr",
    "address",
    "article",
    "aside",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "main",
    "mark",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
}
_TAGS_REMOVED_WITH_CONTENT = {
    "applet",
    "audio",
    "canvas",
    "embed",
    "frame",
    "frameset",
    "head",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "object",
    "plaintext",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "video",
    "xmp",
}
_LAYOUT = {"align", "bgcolor", "dir", "height", "lang", "valign", "width", "style"}
_ATTRIBUTES = {
    "*": {"align", "dir", "lang", "style"},
    "col": {"span", "width"},
    "font": {"color", "face", "size"},
    "img": {"alt", "height", "src", "width"},
    "li": {"value"},
    "ol": {"start", "type"},
    "table": _LAYOUT | {"border", "cellpadding", "cellspacing"},
    "td": _LAYOUT | {"colspan", "rowspan"},
    "th": _LAYOUT | {"colspan", "rowspan"},
    "tr": _LAYOUT,
}
# No display, visibility, opacity, position or overflow: what a mail hides is shown to the reviewer.
_STYLE_PROPERTIES = {
    "background-color",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-style",
    "border-top-width",
    "border-width",
    "color",
    "direction",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-width",
    "min-width",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "text-align",
    "text-decoration",
    "text-indent",
    "text-transform",
    "vertical-align",
    "white-space",
    "width",
    "word-break",
    "word-wrap",
}
_STYLE_VALUE = re.compile(
    r"(?!.*(?:url|image|expression|element|attr|var|env)\s*\()[\w#.,%()!'\" +/-]{1,200}", re.I
)
_INLINE_IMAGE = re.compile(r"data:image/(?:png|jpe?g|gif);base64,[A-Za-z0-9+/=\s]+", re.I)
# What an address of elsewhere becomes while HTML is cleaned, so that none can be left in what comes out.
_REMOTE = "data:remote,"
_IMAGE = re.compile(r'<img((?: [a-z-]+="[^"]*")*) ?/?>')
_IMAGE_PLACE = re.compile(r'<span data-image="(\d{1,3})">([^<]*)</span>')
_CLEANED_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')

_HTML_TAG = re.compile(
    r"<(?:!doctype\s+html|/?(?:html|head|body|div|p|br|hr|span|a|b|i|u|em|strong|font|center|table|tbody|tr|td|th"
    r"|ul|ol|li|h[1-6]|img|blockquote|pre|code|style|meta|title|section|article))(?:\s[^<>]*)?/?>",
    re.I,
)
_ATTRIBUTE = re.compile(r"""([^\s=/"'<>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?""")
_TAG_CHARACTERS = re.compile("[\U000e0020-\U000e007e]{4,}")
_TAG_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9:-]*")
_SPACE = re.compile(r"[ \t\r\n\f]+")

# Elements that have no end tag, and those whose content is not markup.
VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
}
_CLOSED_BY_OTHERS = {"p", "li", "td", "th", "tr", "tbody", "thead", "tfoot", "dt", "dd", "option", "colgroup"}
_FORMATTING = {"b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"}
RAW = {"script", "style", "title", "textarea", "xmp", "noembed", "noframes", "iframe", "template"}
_BLOCKS = {
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre"}
_LENGTH = re.compile(r"([+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))(px|pt|em|rem|%)?")
# About how many pixels one of a unit is; a share counts of the text's size, or of a column of 1000.
_PIXELS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0}
_SMALLEST_TEXT_PIXELS = 2.5
_OFF_SCREEN_PIXELS = -100.0
_TIGHTEST_LETTERS_PIXELS = -5.0
_NO_COLOUR = re.compile(
    r"transparent|#[0-9a-f]{3}0|#[0-9a-f]{6}00|(?:rgba|hsla)\((?:[^,()]*,){3}0?\.?0*%?\)|[a-z]+\([^()]*/0?\.?0*%?\)"
)
_COLOUR = re.compile(r"(?<![-\w])color\s*:\s*([^;!]+)", re.I)
_BACKGROUND = re.compile(r"background(?:-color)?\s*:\s*([^;!]+)", re.I)
_WHITE = {"white", "#fff", "#ffffff", "rgb(255,255,255)", "#fefefe", "#fffffe"}


def is_html(body: str) -> bool:
    """Whether a body that comes without a type is HTML: it holds at least one tag that mail uses."""
    return _HTML_TAG.search(body) is not None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """HTML for the frame, and the addresses of the remote images that it holds the places of."""

    html: str
    remote_images: tuple[str, ...] = ()


def clean(html: str) -> str:
    """Return HTML that is safe inside the scriptless frame: allowed tags and style properties, no links.

    Images that are not inline become the visible text `[image: alt]`. HTML above 512 kB, or built to grow
    when it is parsed, becomes its text with a note.
    """
    return cleaned(html).html


def cleaned(html: str) -> Cleaned:
    """The same as `clean`, with the web addresses of the images that became text, each at its place in the HTML."""
    html = html.replace("\0", "\ufffd")
    if len(html.encode("utf-8", "replace")) > LARGEST_HTML:
        return Cleaned(_as_text_only(html, _("This mail is larger than 512 kB: only its text is shown.")))
    if _would_grow(html):
        return Cleaned(
            _as_text_only(html, _("This mail is nested too deep to be shown safely: only its text is shown."))
        )
    found: list[str] = []
    shown = _IMAGE.sub(lambda match: _image_or_its_text(match, found), _cleaner.clean(html))
    return Cleaned(shown, tuple(found))


def with_images(html: str, images: Mapping[int, str]) -> str:
    """Cleaned HTML with some of its remote images put in their places, as `data:` addresses of pictures of ours."""

    def put(match: re.Match[str]) -> str:
        source = images.get(int(match.group(1)), "")
        if not _INLINE_IMAGE.fullmatch(source):
            return match.group()
        return f'<img src="{source}" alt="{match.group(2).replace(chr(34), "&quot;")}">'

    return _IMAGE_PLACE.sub(put, html)


def to_text(html: str) -> str:
    """Return the text of the HTML, hidden parts included, quotes marked with `>`. Linear in its length."""
    writer = _TextWriter()
    for token in _tokens(html[:LARGEST_TEXT]):
        writer.take(token)
    return writer.result()


def text_in_tags(text: str) -> list[str]:
    """What is written in tag characters, which no program shows and every machine reads."""
    return [
        "".join(chr(ord(character) - 0xE0000) for character in run)[:1000]
        for run in _TAG_CHARACTERS.findall(text)[:_MOST_FINDINGS]
    ]


def links(html: str) -> list[tuple[str, str]]:
    """The text and the target of each link as written, in order, at most 200."""
    found: list[tuple[str, str]] = []
    text: list[str] = []
    target: str | None = None
    for token in _tokens(html[:LARGEST_TEXT]):
        if token.kind == "text" and target is not None:
            text.append(token.content)
        elif token.name == "a" and token.kind in ("open", "close"):
            if target:
                found.append((_flat("".join(text)), target))
            text = []
            target = _attributes(token).get("href", "").strip() if token.kind == "open" else None
        elif token.name == "area" and token.kind == "open":
            attributes = _attributes(token)
            if attributes.get("href", "").strip():
                found.append((_flat(attributes.get("alt", "")), attributes["href"].strip()))
        elif token.name == "img" and target is not None:
            text.append(f"[{_attributes(token).get('alt', '')}]")
        if len(found) >= _MOST_FINDINGS:
            return found
    if target:
        found.append((_flat("".join(text)), target))
    return found


def hidden_text(html: str) -> list[str]:
    """Texts that a reader of the rendered mail would probably not see, comments among them; best effort.

    Finds what the source itself hides (styles on an element, the `hidden` attribute, white on no background);
    a style sheet is not evaluated.
    """
    found: list[str] = []
    stack: list[tuple[str, bool, str]] = []
    open_names: Counter[str] = Counter()
    text: list[str] = []
    for token in _tokens(html[:LARGEST_TEXT]):
        is_hidden = bool(stack) and stack[-1][1]
        if token.kind == "text" and is_hidden:
            text.append(token.content)
        elif token.kind == "comment" and not token.content.lstrip().lower().startswith("[if"):
            found.append(_flat(token.content))
        elif token.kind == "open" and token.name not in VOID and len(stack) < _DEEPEST_NESTING:
            attributes = _attributes(token)
            background = _background_of(attributes) or (stack[-1][2] if stack else "")
            stack.append((token.name, is_hidden or _hides(attributes, background), background))
            open_names[token.name] += 1
        elif token.kind == "close" and open_names[token.name]:
            name = ""
            while name != token.name:
                name, _was_hidden, _background = stack.pop()
                open_names[name] -= 1
            if text and not (stack and stack[-1][1]):
                found.append(_flat("".join(text)))
                text = []
        if len(found) >= _MOST_FINDINGS:
            break
    found.append(_flat("".join(text)))
    return [finding[:1000] for finding in found if finding]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # open, close, text, comment
    name: str = ""
    content: str = ""


def _tokens(html: str) -> Iterator[_Token]:
    # Each search either moves on or ends the scan, so the time is linear whatever is left open.
    lowered = html.lower()
    if len(lowered) != len(html):
        # A few letters change their length in lower case; positions must agree.
        lowered = html = "".join(c if len(c.lower()) == 1 else "\ufffd" for c in html)
        lowered = html.lower()
    position = 0
    while True:
        start = html.find("<", position)
        if start < 0:
            yield _Token("text", content=unescape(html[position:]))
            return
        if start > position:
            yield _Token("text", content=unescape(html[position:start]))
        if html.startswith("<!--", start):
            end = html.find("-->", start + 4)
            yield _Token("comment", content=html[start + 4 : end if end >= 0 else len(html)])
            if end < 0:
                return
            position = end + 3
            continue
        end = html.find(">", start + 1)
        if end < 0:
            yield _Token("text", content=unescape(html[start:]))
            return
        match = _TAG_NAME.match(html, start + 1)
        if match is None:
            if html[start + 1] in "!?/":
                position = end + 1
            else:
                yield _Token("text", content="<")
                position = start + 1
            continue
        name = match.group().lower()
        position = end + 1
        if name.startswith("/"):
            yield _Token("close", name[1:])
            continue
        yield _Token("open", name, html[match.end() : end])
        if name in RAW:
            closing = lowered.find(f"</{name}", position)
            if closing < 0:
                return
            position = closing


def _attributes(token: _Token) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(token.content[:20_000]):
        name, *values = match.groups()
        found.setdefault(name.lower(), unescape(next((value for value in values if value is not None), "")))
    return found


class _TextWriter:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._quotes = 0
        self._verbatim = 0

    def take(self, token: _Token) -> None:
        if token.kind == "text":
            self._write(token.content)
        elif token.kind == "open":
            self._open(token)
        elif token.kind == "close":
            self._close(token.name)

    def result(self) -> str:
        self._end_line()
        text = "\n".join(self._lines)
        return re.sub(r"\n(?:>* *\n){3,}", "\n\n\n", text).strip("\n")

    def _write(self, content: str) -> None:
        if self._verbatim:
            first, *others = content.replace("\r\n", "\n").split("\n")
            self._line += first
            for other in others:
                self._end_line()
                self._line = other
            return
        flat = _SPACE.sub(" ", content)
        self._line += flat.lstrip(" ") if not self._line or self._line[-1] in " \t" else flat

    def _open(self, token: _Token) -> None:
        name = token.name
        if name == "br":
            self._end_line()
            return
        if name in _BLOCKS and self._line.strip():
            self._end_line()
        if name in _PARAGRAPHS:
            self._blank_line()
        if name == "blockquote":
            self._quotes += 1
        elif name == "pre":
            self._verbatim += 1
        elif name == "li":
            self._line += "- "
        elif name in ("td", "th") and self._line.strip():
            self._line = self._line.rstrip() + "\t"
        elif name == "hr":
            self._line = "---"
            self._end_line()
        elif name == "img":
            alt = _flat(_attributes(token).get("alt", ""))
            self._line += f"[image: {alt}]" if alt else ""

    def _close(self, name: str) -> None:
        if name in _BLOCKS and self._line.strip():
            self._end_line()
        if name in _PARAGRAPHS:
            self._blank_line()
        if name == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        elif name == "pre":
            self._verbatim = max(0, self._verbatim - 1)

    def _end_line(self) -> None:
        mark = ">" * min(self._quotes, 9)
        line = self._line.rstrip()
        self._lines.append(f"{mark} {line}".rstrip() if mark else line)
        self._line = ""

    def _blank_line(self) -> None:
        if self._lines and self._lines[-1].strip("> "):
            self._lines.append("")


def _flat(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _background_of(attributes: dict[str, str]) -> str:
    match = _BACKGROUND.search(attributes.get("style", ""))
    written = match.group(1) if match else attributes.get("bgcolor", "")
    colour = "".join(written.split()).lower()
    return "" if _NO_COLOUR.fullmatch(colour) else colour


def _hides(attributes: dict[str, str], background: str) -> bool:
    """Whether an element hides what is in it; `background` is the colour behind it, empty for that of the page."""
    if "hidden" in attributes:
        return True
    style = attributes.get("style", "")
    if any(_is_hiding(name, value) for name, value in _declarations(style)):
        return True
    colour_match = _COLOUR.search(style)
    colour = colour_match.group(1) if colour_match else attributes.get("color", "")
    colour = "".join(colour.split()).lower()
    return bool(colour) and (colour == background or (not background and colour in _WHITE))


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style[:10_000].split(";"):
        name, _colon, value = declaration.partition(":")
        yield name.strip().lower(), value.strip()


def _is_hiding(name: str, value: str) -> bool:
    value = value.lower().replace("!important", "").strip()
    match name:
        case "display":
            return value == "none"
        case "visibility":
            return value in ("hidden", "collapse")
        case "mso-hide":
            return value == "all"
        case "clip":
            return value.startswith("rect")
        case "color":
            return _NO_COLOUR.fullmatch("".join(value.split())) is not None
        case "font-size":
            return any(pixels < _SMALLEST_TEXT_PIXELS for pixels in _pixels(value, share=0.16))
        case "opacity" | "height" | "width" | "max-height" | "max-width":
            return any(pixels == 0 for pixels in _pixels(value, share=10.0))
        case "text-indent" | "left" | "top" | "right" | "margin" | "margin-left" | "margin-top":
            return any(pixels <= _OFF_SCREEN_PIXELS for pixels in _pixels(value, share=10.0))
        case "letter-spacing":
            return any(pixels <= _TIGHTEST_LETTERS_PIXELS for pixels in _pixels(value, share=0.16))
    return False


def _pixels(value: str, *, share: float) -> Iterator[float]:
    for part in value.split():
        length = _LENGTH.fullmatch(part)
        if length is not None:
            number, unit = length.groups()
            yield float(number) * (share if unit == "%" else _PIXELS[unit or ""])


def _as_text_only(html: str, note: str) -> str:
    text = to_text(html)[:LARGEST_HTML]
    return f"<p><em>{escape(note)}</em></p><pre>{escape(text)}</pre>"


def _would_grow(html: str) -> bool:
    opened: dict[str, int] = {}
    formats: set[str] = set()
    elements = 0
    irregular = 0
    for match in re.finditer(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)", html):
        slash, name, rest = match.groups()
        name = name.lower()
        if slash:
            opened[name] = max(0, opened.get(name, 0) - 1)
            continue
        elements += 1
        if name not in VOID and name not in _CLOSED_BY_OTHERS:
            opened[name] = opened.get(name, 0) + 1
        if name in _FORMATTING:
            # Equal ones are repeated three times at most. One whose end is in doubt counts as different.
            is_regular = rest.count('"') % 2 == 0 and "'" not in rest
            if is_regular:
                formats.add(name + rest)
            else:
                irregular += 1
    repeated = 3 * len(formats) + irregular
    return sum(opened.values()) > _DEEPEST_NESTING or repeated * elements > _MOST_ELEMENTS


def _kept_attribute(tag: str, attribute: str, value: str) -> str | None:
    if attribute == "style":
        return _kept_style(value)
    if attribute == "src":
        return value if _INLINE_IMAGE.fullmatch(value) else _as_remote(value)
    if attribute in ("width", "height", "border", "cellpadding", "cellspacing", "colspan", "rowspan", "span"):
        return value if re.fullmatch(r"\d{1,4}(?:px|%)?", value.strip()) else None
    return value[:500]


def _as_remote(address: str) -> str | None:
    address = address.strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    is_of_the_web = parts.scheme.lower() in ("http", "https") and bool(parts.netloc)
    return (
        _REMOTE + quote(address, safe="")
        if is_of_the_web and len(address) <= _LONGEST_IMAGE_ADDRESS
        else None
    )


def _kept_style(style: str) -> str | None:
    kept = []
    for name, value in _declarations(style):
        if name in _STYLE_PROPERTIES and _STYLE_VALUE.fullmatch(value) and not _is_hiding(name, value):
            kept.append(f"{name}: {value}")
    return "; ".join(kept) or None


def _image_or_its_text(match: re.Match[str], remote: list[str]) -> str:
    attributes = dict(_CLEANED_ATTRIBUTE.findall(match.group(1)))
    source = attributes.get("src", "")
    if source and not source.startswith(_REMOTE):
        return match.group()
    alt = attributes.get("alt", "").strip()
    text = f"[image: {alt}]".replace("<", "&lt;").replace(">", "&gt;") if alt else "[image]"
    if not source or len(remote) >= MOST_REMOTE_IMAGES:
        return text
    remote.append(unquote(source.removeprefix(_REMOTE)))
    return f'<span data-image="{len(remote) - 1}">{text}</span>'


_cleaner = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags=_TAGS_REMOVED_WITH_CONTENT,
    attributes=_ATTRIBUTES,
    attribute_filter=_kept_attribute,
    link_rel=None,
    # Addresses of images alone get so far, and none comes out as it went in: see `_kept_attribute`.
    url_schemes={"data", "http", "https"},
    url_relative="deny",
    filter_style_properties=_STYLE_PROPERTIES,
    generic_attribute_prefixes=set(),
)
