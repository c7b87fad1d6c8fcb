"""Every page of every role: no complaint of the browser or of Axe, narrow and dark windows, a name everywhere."""

import pytest

from tests.browser import axe
from tests.browser.desk import Person
from tests.browser.furniture import allow_again, furnish
from tests.browser.walk import pages

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

ROLES = ["reviewer", "operator", "admin", "auditor", "list_editor"]
# Between them these two see every page; of the others' pages each theme and each width is asked once.
WIDEST_ROLES = ["reviewer", "admin"]

# What a screen reader, a keyboard or a phone needs, asked of the page itself; gives sentences about what is wrong.
FAULTS = """() => {
  const faults = [];
  const shown = (e) => e.checkVisibility({visibilityProperty: true});
  const name = (e) => (e.getAttribute('aria-label') || [...(e.labels || [])].map((l) => l.textContent).join(' ')
    || e.getAttribute('title') || e.textContent || e.getAttribute('alt') || '').trim();
  const what = (e) => e.outerHTML.slice(0, 120);
  const controls = 'a[href], button, input:not([type=hidden]), select, textarea, iframe, summary';
  for (const e of document.querySelectorAll(controls))
    if (shown(e) && !name(e)) faults.push('no name: ' + what(e));
  for (const e of document.querySelectorAll('svg'))
    if (!e.closest('[aria-hidden=true]') && !(e.getAttribute('role') === 'img' && name(e)))
      faults.push('an unnamed picture: ' + what(e));
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((i) => i === id).length > 1) faults.push('an id twice: ' + id);
  for (const attribute of ['aria-labelledby', 'aria-describedby', 'for'])
    for (const e of document.querySelectorAll(`[${attribute}]`))
      for (const id of e.getAttribute(attribute).split(/\\s+/))
        if (!document.getElementById(id)) faults.push(`${attribute} names no element: ` + what(e));
  if (document.querySelectorAll('h1').length !== 1) faults.push(document.querySelectorAll('h1').length + ' h1');
  if (document.querySelectorAll('main').length !== 1) faults.push(document.querySelectorAll('main').length + ' main');
  if (!document.documentElement.lang) faults.push('no language');
  if (!document.title.trim()) faults.push('no title');
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const {data, parentElement: holder} = texts.currentNode;
    if (!shown(holder) || holder.closest('pre, code, textarea') || holder.getBoundingClientRect().width < 2) continue;
    for (const word of data.matchAll(/(?<=^|[\\s(“])\\p{L}{2,18}(?=$|[\\s.,)”])/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1)
        faults.push(`${word[0]} is broken in two: ` + what(holder));
    }
  }
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) faults.push(`${wide} wide in a window of ${innerWidth}`);
  return faults;
}"""

# Luminance of the page and of its text, from the pixels the styles resolve to.
BRIGHTNESS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  };
  const style = getComputedStyle(document.body);
  return [light(style.backgroundColor), light(style.color)];
}"""


@pytest.fixture(scope="module")
def furnished(demo, browser, browser_context_args, signed_in):
    context = browser.new_context(**browser_context_args, storage_state=signed_in("admin"))
    admin = Person(demo, "admin", context.new_page(), has_script=True)
    yield furnish(admin)
    allow_again(admin)
    context.close()


def faults_of(one, looks):
    found = []
    one.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    for width in (320, 1280):
        one.page.set_viewport_size({"width": width, "height": 700})
        found += [f"at {width}: {fault}" for fault in one.page.evaluate(FAULTS)]
    paper, text = one.page.evaluate(BRIGHTNESS)
    if not paper < 0.2 < 0.6 < text:
        found.append(f"paper {paper:.2f} and text {text:.2f} in the dark")
    return found + axe.broken(one.page, looks)


@pytest.mark.parametrize("role", ROLES)
def test_every_page_is_named_and_fits_phone_and_desk_in_the_dark(person, letter, furnished, role):
    letter()
    one = person(role, color_scheme="dark", reduced_motion="reduce")
    looks = axe.EVERYWHERE if role in WIDEST_ROLES else axe.ONCE_EACH
    begin = ["/", "/accounts/password/change/"]
    if role != "list_editor":
        begin += [
            "/queue/?state=rejected",
            furnished,
            f"{furnished}mode/?to=monitored",
            f"{furnished}inbound/",
        ]
    found = []

    for path in pages(one, *begin):
        found += [(path, fault) for fault in faults_of(one, looks)]
        if path == "/policies/simulate/":
            one.page.get_by_role("button", name="Show the difference").click()
            one.page.locator("#job-progress").wait_for()
            found += [("being simulated", fault) for fault in faults_of(one, looks)]
            one.page.locator("#result").wait_for()
            found += [("simulated", fault) for fault in faults_of(one, looks)]
        if path == "/policies/recipients/":
            one.press("Export as CSV")
            one.page.locator("#job-progress").wait_for()
            found += [("being exported", fault) for fault in faults_of(one, looks)]
            one.page.get_by_role("link", name="Download recipients.csv").wait_for()
            found += [("exported", fault) for fault in faults_of(one, looks)]

    assert found == []


def test_the_editor_fits_a_small_phone(person, letter):
    draft = letter()
    reviewer = person("reviewer", viewport={"width": 320, "height": 640})
    reviewer.open_draft(draft.subject)

    reviewer.page.get_by_role("link", name="Edit draft").click()
    reviewer.page.get_by_role("button", name="Keep this version").wait_for()

    assert reviewer.page.evaluate(FAULTS) == []


def test_every_seeded_draft_opens_without_a_complaint(person):
    reviewer = person("reviewer")
    reviewer.go("/queue/")
    drafts = [
        row.get_attribute("href") for row in reviewer.page.locator(".queue__list .row__who[href]").all()
    ]
    assert len(drafts) >= 15

    for address in drafts:
        reviewer.go(address)
        reviewer.page.locator("#letter-head").wait_for()

    assert reviewer.complaints == []
