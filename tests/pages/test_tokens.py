"""One file names the colours and the sizes of type; no component is described twice."""

import re
from collections import defaultdict

import pytest

from tests.processes import ROOT

CSS = ROOT / "static" / "css"
FILES = sorted(path for path in CSS.glob("*.css") if path.name != "tokens.css")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
COLOUR = re.compile(
    r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color|light-dark|color-mix)a?\("
    r"|:\s*[^;{}]*(?<![\w-])(?:white|black|red|green|blue|yellow|orange|gr[ae]y|silver)(?![\w-])[^;{}]*;",
    re.IGNORECASE,
)
# The sizes in drawings are in units of the drawing.
TYPE = re.compile(r"(?<!svg \{ )font(?:-size)?:[^;/{}]*?(?<![\w.-])[\d.]+(?:rem|px)(?![^;]*--t)[^;{}]*;")


def text_of(path):
    return COMMENT.sub("", path.read_text(encoding="utf-8"))


def rules(text):
    """The selectors and declarations that stand in no at-rule."""
    depth, begin = 0, 0
    for match in re.finditer(r"[{}]", text):
        if match[0] == "{":
            if depth == 0:
                selector = " ".join(text[begin : match.start()].split())
                opened = match.end()
            depth += 1
        else:
            depth -= 1
            begin = match.end()
            if depth == 0 and not selector.startswith("@"):
                yield selector, text[opened : match.start()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_colours_are_named_by_tokens_only(path):
    assert [match[0] for match in COLOUR.finditer(text_of(path))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_sizes_of_type_are_named_by_tokens_only(path):
    found = [
        match[0]
        for selector, body in rules(text_of(path))
        for match in TYPE.finditer(f"{body};")
        if "svg" not in selector
    ]
    assert found == []


def test_no_component_is_described_in_two_files():
    places = defaultdict(set)
    for path in FILES:
        for selector, _ in rules(text_of(path)):
            places[selector].add(path.name)

    assert {selector: sorted(names) for selector, names in places.items() if len(names) > 1} == {}


def test_every_token_that_is_used_exists():
    known = set(re.findall(r"(--[\w-]+):", text_of(CSS / "tokens.css")))
    used = {(path.name, name) for path in FILES for name in re.findall(r"var\((--[\w-]+)", text_of(path))}
    own = {(path.name, name) for path in FILES for name in re.findall(r"(--[\w-]+):", text_of(path))}

    assert {(file, name) for file, name in used if name not in known} <= own
