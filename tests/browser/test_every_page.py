"""Every page of every role: no complaint of the browser or of Axe, narrow and dark windows, a name everywhere."""

import re

import pytest

from tests.browser import axe
from tests.browser.desk import Person, connected

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

ROLES = ["reviewer", "operator", "admin", "auditor", "list_editor"]
# Between them these two see every page; of the others' pages each theme and each width is asked once.
WIDEST_ROLES = ["reviewer", "admin"]

LINKS = "(links) => links.map((link) => link.pathname + link.search)"

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

WORKSHOP = "workshop@harbourlane.example"
# Files and the frames of a letter are no pages of their own.
NO_PAGES = re.compile(r"/(export|body)/|/attachments?/(?!([^/]+/)?preview/($|\?))|\.json$")


@pytest.fixture(scope="module")
def furnished(demo, browser, browser_context_args, signed_in):
    """A row of each kind that an admin makes, held incoming mail and one stop; gives the address of its mailbox."""
    context = browser.new_context(**browser_context_args, storage_state=signed_in("admin"))
    admin = Person(demo, "admin", context.new_page(), has_script=True)
    page = admin.page
    grant = connected(demo, admin, WORKSHOP, 60)
    mailbox = page.url
    page.goto(f"{mailbox}mode/")
    admin.press("Tighten to gated_all")
    admin.says("The mode is gated_all from the next action of its agents on.")
    admin.go("/policies/lists/new/")
    page.get_by_label("Name").fill("Rival houses")
    admin.press("Keep this list")
    page.get_by_label("Values, one a line").fill("rival-house.example")
    admin.press("Add them")
    admin.says("1 value added.")
    admin.go("/policies/recipients/")
    page.locator("#add").get_by_label("List").select_option("deny")
    page.locator("#add").get_by_label("Addresses and domains, one a line").fill("closed-house.example")
    admin.press("Add to the list")
    admin.says("1 entry was added.")
    admin.go("/policies/caps/new/")
    page.get_by_label("Name").fill("Trade fair")
    page.get_by_label("Sends a day").fill("600")
    page.get_by_label("Ceiling of the provider").select_option(label="Gmail: 500 a day")
    admin.press("Keep this policy")
    admin.says("Above the provider")
    admin.go("/policies/categories/")
    page.locator("main td a").first.click()
    page.locator("main a[href*='/templates/new/']").click()
    page.get_by_label("Name").fill("Parcel on its way")
    page.get_by_label("Subject").fill("Re: Order *")
    page.get_by_label("Text").fill("Your parcel leaves *.")
    admin.press("Add this template")
    page.wait_for_url(re.compile(r"/policies/categories/\d+/$"))
    admin.go("/operations/stop-one/")
    page.get_by_label("What to stop").select_option("domain")
    page.get_by_label("Which one").fill("closed-house.example")
    page.get_by_label("Why").fill("Their house is closed.")
    admin.press("Stop it")
    page.wait_for_url("**/operations/")
    demo.customer(grant, subject="May I ask?", body="<p>Where is it?</p>")
    letter = demo.customer(grant, subject="Legal action", body="<p>My lawyer prepares legal proceedings.</p>")
    demo.reply(
        grant, letter, to="customer@example.net", subject="Legal action", body="<p>We see it otherwise.</p>"
    )
    admin.until(page.get_by_role("link", name="Legal action"), "/needs-a-person/")
    yield mailbox.removeprefix(demo.url)
    admin.go("/operations/")
    page.locator("a[href*='/resume-one/']").click()
    page.get_by_label("What was put right").fill("Their house is open again.")
    password = page.get_by_label("Your password")
    if password.count():
        password.fill(demo.passwords["admin"])
    admin.press("Resume sending")
    page.wait_for_url("**/operations/")
    context.close()


def kind_of(address):
    """Pages of one kind differ in the number or the name of their row only, or in the values of a filter."""
    path, _, query = address.partition("?")
    path = re.sub(r"/[^/]*\d[^/]*(?=/)", "/#", path)
    return path, tuple(sorted(part.partition("=")[0] for part in query.split("&")))


def pages(one, *begin):
    """Follow the links from page to page, to one page of each kind; give each address that was opened."""
    waiting = list(begin)
    seen = {kind_of(address) for address in begin}
    for address in waiting:
        one.go(address)
        yield address
        for found in one.page.locator("a[href^='/'], a[href^='?']").evaluate_all(LINKS):
            if kind_of(found) not in seen and not NO_PAGES.search(found):
                seen.add(kind_of(found))
                waiting.append(found)


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
            one.page.locator("main form .btn--sign").click()
            one.page.locator("#result").wait_for()
            found += [("simulated", fault) for fault in faults_of(one, looks)]

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
    drafts = [row.get_attribute("href") for row in reviewer.page.locator(".queue__list .row__who").all()]
    assert len(drafts) >= 15

    for address in drafts:
        reviewer.go(address)
        reviewer.page.locator("#letter-head").wait_for()

    assert reviewer.complaints == []
