"""A client whose every page is checked: what a browser, a screen reader and htmx rely on."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

import html5lib
from django.test import Client


@dataclass
class Page:
    status: int
    html: str
    root: Element
    response: object

    def all(self, tag, **attributes):
        return [
            element
            for element in self.root.iter(tag)
            if all(
                element.get(name.strip("_").replace("_", "-")) == value for name, value in attributes.items()
            )
        ]

    def text(self, element=None):
        """What a person reads: without windows that are closed, and without hints that are no part of a name."""
        return " ".join("".join(_read(self.root if element is None else element)).split())

    def button(self, name):
        found = [element for element in self.all("button") if self.text(element) == name]
        assert len(found) == 1, f"{len(found)} buttons are named {name!r}"
        return found[0]

    def buttons(self):
        return [self.text(element) for element in self.all("button")]

    def form_values(self, form_id):
        [form] = self.all("form", id=form_id)
        values = {}
        for element in form.iter():
            if element.tag == "input" and element.get("name"):
                values[element.get("name")] = element.get("value", "")
            elif element.tag == "textarea":
                values[element.get("name")] = "".join(element.itertext()).removeprefix("\n")
        return values

    def form_values_of_post(self, action):
        """What the one form that posts to an address would send as it is shown."""
        [form] = self.all("form", method="post", action=action)
        values = {}
        for element in form.iter():
            name = element.get("name")
            if element.tag == "input" and name and element.get("type") == "checkbox":
                if element.get("checked") is not None:
                    values.setdefault(name, []).append(element.get("value", "on"))
            elif element.tag == "input" and name:
                values[name] = element.get("value", "")
            elif element.tag == "textarea":
                values[name] = "".join(element.itertext()).removeprefix("\n")
            elif element.tag == "select" and name:
                values[name] = [
                    option.get("value")
                    for option in element.iter("option")
                    if option.get("selected") is not None
                ]
        return values

    def classed(self, name):
        return [element for element in self.root.iter() if name in (element.get("class") or "").split()]


def _read(element):
    if not isinstance(element.tag, str):  # a comment
        return
    if element.tag == "dialog" and element.get("open") is None:
        return
    if element.tag == "kbd" and element.get("aria-hidden") == "true":
        return
    yield element.text or ""
    for child in element:
        yield from _read(child)
        yield child.tail or ""


class Browser(Client):
    """Signs in and looks at pages; a page that is not well made fails the test that fetched it."""

    def page(self, address, **extra):
        return looked_at(self.get(address, **extra))

    def submit(self, address, data=None, **extra):
        return looked_at(self.post(address, data or {}, **extra))


def browser(user=None):
    client = Browser()
    if user is not None:
        client.force_login(user)
    return client


def looked_at(response):
    html = response.content.decode()
    root = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    page = Page(response.status_code, html, root, response)
    assert_well_made(page)
    return page


def assert_well_made(page):
    headings = page.all("h1")
    assert len(headings) == 1, f"{len(headings)} h1"
    [title] = page.all("title")
    assert title.text.endswith(" · Countersign")
    assert title.text.removesuffix(" · Countersign").strip()
    ids = [element.get("id") for element in page.root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)), sorted(one for one in ids if ids.count(one) > 1)
    for element in page.root.iter():
        assert element.get("style") is None, "inline style"
        assert not [name for name in element.attrib if name.startswith(("on", "hx-on"))]
        for name in ("aria-labelledby", "aria-describedby"):
            missing = [one for one in (element.get(name) or "").split() if one not in ids]
            assert not missing, f"{name} names {missing}"
        target = element.get("hx-target")
        assert target is None or target == "this" or target.removeprefix("#") in ids
        assert "[" not in (element.get("hx-trigger") or "")
    assert not page.all("style"), "inline style sheet"
    for script in page.all("script"):
        assert script.get("src") and not (script.text or "").strip(), "inline script"
    for label in page.all("label"):
        assert label.get("for") in ids, "label without its control"
    labelled = {label.get("for") for label in page.all("label")}
    for tag in ("input", "textarea", "select"):
        for control in page.all(tag):
            hidden = control.get("type") == "hidden"
            assert hidden or control.get("id") in labelled or control.get("aria-label"), control.attrib
    for form in page.all("form"):
        assert form.get("method") in ("get", "post")
        assert form.get("action")
        if form.get("method") == "post":
            names = [field.get("name") for field in form.iter("input")]
            assert "csrfmiddlewaretoken" in names, "form without CSRF token"
    for frame in page.all("iframe"):
        assert frame.get("sandbox") == ""
        assert frame.get("title")
    for link in page.all("a"):
        assert link.get("href")
        assert page.text(link) or link.get("aria-label")
    for button in page.all("button"):
        assert page.text(button)
    for image in page.all("svg"):
        assert image.get("aria-hidden") == "true" or image.get("role") == "img"
    assert page.root.find("html") is None or page.root.find("html").get("lang")
    assert "{{" not in page.html and "{%" not in page.html
