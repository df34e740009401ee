"""The page in a real browser: no request, nothing hostile runs; mouse, keys, touch, no script."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from asking import need
from peers.chromium import Chromium

from broker.cli.matrix_html import page
from catalog.evidence import Basis, Confidence, Evidence, Source, Status
from catalog.matrix import Matrix, Row
from catalog.reading import shipped_matrix

HOSTILE = (
    "<script>window.hurt=1</script><img src=x onerror=window.hurt=1>\"'><svg/onload=window.hurt=1>"
    "</style></script></article><!-- ${window.hurt=1} {{hurt}} javascript:hurt"
)
CELL = 'a[href="#archives.nbia-cip.deidentification_standard"]'


def hostile() -> Matrix:
    """What ships, with an archive all of whose texts are hostile."""
    source = Source(HOSTILE, HOSTILE, "javascript:window.hurt=1", HOSTILE)
    e = Evidence(
        Status.TEXT, Basis.PROBE, source, HOSTILE, HOSTILE, HOSTILE, Confidence.MEASURED, HOSTILE, by=HOSTILE
    )
    row = Row(HOSTILE, HOSTILE, "archives", "own", 99, {"size": (e,)}, HOSTILE, HOSTILE)
    base = shipped_matrix()
    return Matrix(base.capabilities, (*base.rows, row), (HOSTILE,))


class Tags(HTMLParser):
    """Every tag and attribute of a page, as a parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_hostile_words_make_no_tag_and_no_attribute() -> None:
    plain, bad = Tags(page(shipped_matrix())), Tags(page(hostile()))
    assert {t for t, _ in bad.tags} == {t for t, _ in plain.tags}
    assert [t for t, _ in bad.tags].count("script") == 1
    for _, attributes in bad.tags:
        assert not [a for a in attributes if a.startswith("on") or a in ("style", "src")]
        assert (attributes.get("href") or "#").startswith(("#", "https://", "http://"))


def test_every_cell_leads_to_its_evidence() -> None:
    tags = Tags(page(hostile())).tags
    targets = [a["id"] for _, a in tags if "id" in a]
    links = [a["href"] for t, a in tags if t == "a" and (a.get("href") or "").startswith("#")]
    assert len(links) == (25 + 1) * 18 + 6 * 14
    assert len(set(targets)) == len(targets)
    assert {(link or "").removeprefix("#") for link in links} <= set(targets)


def test_a_part_of_the_matrix_makes_a_page_too() -> None:
    for rows, capabilities in ((["nirl"], []), (["xnat"], []), ([], ["public_api"])):
        assert "</html>" in page(shipped_matrix().narrowed(rows, capabilities))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a file, with the hostile archive in it."""
    need(Chromium.missing())
    place = tmp_path_factory.mktemp("page") / "matrix.html"
    place.write_text(page(hostile()), encoding="utf-8")
    return place


@pytest.fixture
async def wide(file: Path) -> AsyncIterator[Chromium]:
    """A browser on a desk that has opened it."""
    async with Chromium(1280, 900) as browser:
        await browser.open(file.as_uri())
        yield browser


@pytest.fixture
async def phone(file: Path) -> AsyncIterator[Chromium]:
    """A browser on a phone."""
    async with Chromium(390, 844) as browser:
        await browser.open(file.as_uri())
        yield browser


async def shown(browser: Chromium) -> str | None:
    """What the panel says, if it is seen."""
    await asyncio.sleep(0.05)
    text = await browser.js(
        "document.querySelector('#panel').hidden ? null : document.querySelector('#panel').innerText"
    )
    return text if text is None else str(text)


async def rows(browser: Chromium) -> list[str]:
    """The names of the archives that are seen, in order."""
    found: list[str] = await browser.js(
        "[...document.querySelectorAll('table.archives tbody tr:not(.group)')].filter(r => !r.hidden)"
        ".map(r => r.querySelector('.name').textContent)"
    )
    return found


async def test_the_page_asks_no_network_and_complains_of_nothing(wide: Chromium, file: Path) -> None:
    await wide.click(CELL)
    assert wide.requests == [file.as_uri()]
    assert wide.said == []
    assert await wide.js("window.hurt === undefined")
    assert await wide.js("document.scripts.length") == 1


async def test_what_is_injected_later_does_not_run_either(wide: Chromium) -> None:
    """The policy of the page, and not only its escaping: what is added may not load or run."""
    await wide.js(
        "document.body.insertAdjacentHTML('beforeend', '<img src=http://127.0.0.1:9/x onerror=hurt=1>');"
        "const s = document.createElement('script'); s.textContent = 'hurt=1'; document.body.append(s);"
        "fetch('http://127.0.0.1:9/y').catch(() => 0)"
    )
    await asyncio.sleep(0.2)
    assert await wide.js("window.hurt === undefined")
    assert any("Content Security Policy" in said for said in wide.said)


async def test_over_http_only_the_page_is_asked_for(file: Path) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/m" else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(file.read_bytes() if self.path == "/m" else b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        async with Chromium(1280, 900) as browser:
            await browser.open(f"http://127.0.0.1:{server.server_port}/m")
            await browser.click(CELL)
            await asyncio.sleep(0.3)
        server.shutdown()
    assert asked == ["/m"]


async def test_pointing_shows_the_evidence_and_clicking_keeps_it(wide: Chromium) -> None:
    assert await shown(wide) is None
    await wide.mouse(CELL)
    told = await shown(wide)
    assert told is not None
    assert "Supplement 142 w/ Keep Description" in told
    assert "2010-08" in told
    await wide.mouse("h1")
    assert await shown(wide) is None
    await wide.click(CELL)
    await wide.mouse("h1")
    assert await shown(wide) is not None
    await wide.click(".close")
    assert await shown(wide) is None


async def test_hostile_words_are_seen_as_they_are(wide: Chromium) -> None:
    link = await wide.js(
        "[...document.querySelectorAll('td a.c')].find(a => a.textContent.includes('svg/onload')).hash"
    )
    await wide.click(f'a[href="{link}"]')
    told = await shown(wide) or ""
    assert HOSTILE.replace("\n", " ") in told
    assert await wide.js("document.querySelectorAll('#panel script, #panel img, #panel svg').length") == 0


async def test_keys_alone_reach_keep_and_leave_the_evidence(wide: Chromium) -> None:
    await wide.js("document.querySelector('table.archives a[tabindex=\"0\"]').focus()")
    for key in ("ArrowRight",) * 7:
        await wide.key(key)
    assert await wide.js("document.activeElement.hash") == "#archives.nbia-cip.deidentification_standard"
    assert "Supplement 142" in (await shown(wide) or "")
    await wide.key("ArrowDown")
    assert await wide.js("document.activeElement.hash") == "#archives.nbia-niams.deidentification_standard"
    await wide.key("ArrowUp")
    await wide.key("Enter")
    assert await wide.js("document.activeElement.className") == "close"
    await wide.key("Escape")
    assert await shown(wide) is None
    assert await wide.js("document.activeElement.hash") == "#archives.nbia-cip.deidentification_standard"
    stops = await wide.js(
        "[...document.querySelectorAll('table.archives tbody a')].filter(a => a.tabIndex === 0).length"
    )
    assert stops == 1


_BOX = """(() => {
  const box = document.querySelector('%s').getBoundingClientRect();
  return [box.top, box.bottom];
})()"""


async def test_the_panel_stays_in_sight_wherever_the_cell_is(wide: Chromium) -> None:
    """The evidence of cells at the top, in the middle and at the bottom; the longest scrolls in its panel."""
    for ident in ("archives.idc", "archives.webmirs-nhanes", "archives.osa.content_type", "software.webmirs"):
        await wide.click(f'a[href="#{ident}"]')
        for scroll in (-250, 500):
            await wide.js(f"scrollBy(0, {scroll}); dispatchEvent(new Event('resize'))")
            await asyncio.sleep(0.1)
            panel = await wide.js(_BOX % "#panel")
            cell = (await wide.js(_BOX % f'a[href="#{ident}"]'))[0]
            if 100 < cell < 700:
                assert 0 <= panel[0] < panel[1] <= 900
        await wide.key("Escape")


async def test_a_column_sorts_and_a_second_click_puts_it_back(wide: Chromium) -> None:
    listed = await rows(wide)
    head = "table.archives thead th:nth-child(13) button"  # Public API
    await wide.click(head)
    ordered = await rows(wide)
    assert sorted(ordered) == sorted(listed)
    assert ordered[0] == "Central XNAT"
    assert await wide.js("document.querySelectorAll('[aria-sort=ascending]').length") == 1
    await wide.click(head)
    assert await rows(wide) == listed


async def test_filters_by_word_by_answer_and_by_layer(wide: Chromium) -> None:
    everything = await rows(wide)
    assert len(everything) == 26

    async def fill(script: str) -> list[str]:
        await wide.js(
            f"(() => {{ const f = document.querySelector('.controls'); f.reset(); {script};"
            "f.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        return await rows(wide)

    assert await fill("f.elements.words.value = 'supplement 142'") == ["NBIA, CIP/CBIIT node"]
    rest = await fill(
        "f.elements.capability.value = 'public_api';"
        "[...f.elements.status].find(c => c.value === 'yes').checked = true"
    )
    wanted = [
        r.title for r in shipped_matrix().of("archives").rows if r.cell("public_api").status is Status.YES
    ]
    assert rest == wanted
    today = await fill("[...f.elements.layer].find(c => c.value === 'survey').checked = false")
    assert "Central XNAT" not in today
    assert len(today) == 12
    assert await wide.js("document.querySelector('output').textContent") == "12 of 26 archives"
    assert len(await fill("")) == 26


async def test_on_a_phone_it_fits_and_a_touch_shows_the_evidence(phone: Chromium) -> None:
    assert await phone.js("document.documentElement.scrollWidth") == 390
    assert await phone.js(f"document.querySelector('{CELL}').getBoundingClientRect().height") >= 36
    assert (
        await phone.js(f"getComputedStyle(document.querySelector('{CELL}'), '::after').content") == '"De-id"'
    )
    await phone.click(CELL)
    assert "Supplement 142" in (await shown(phone) or "")
    box = await phone.js(
        "(() => { const r = document.querySelector('#panel').getBoundingClientRect();"
        "return [r.left, r.right, r.bottom]; })()"
    )
    assert box == [0, 390, 844]
    assert await phone.js("document.querySelector('.more').offsetHeight") == 0
    await phone.click(".close")
    await phone.click(".toggle")
    assert await phone.js("document.querySelector('.more').offsetHeight") > 100


async def test_without_colour_every_answer_has_a_sign_and_words(wide: Chromium) -> None:
    texts = await wide.js(
        "[...document.querySelectorAll('td a.c')].map(a => [a.className.split(' ')[1],"
        "a.firstChild.textContent, a.querySelector('.out').textContent])"
    )
    assert len({(status, sign) for status, sign, _ in texts}) == len({status for status, _, _ in texts})
    assert all(sign.strip() and ":" in words for _, sign, words in texts)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as `rgb(r, g, b)` (WCAG 2.1, relative luminance)."""

    def light(text: str) -> float:
        parts = [int(p) / 255 for p in re.findall(r"\d+", text)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_colour_can_be_read(scheme: str, wide: Chromium, file: Path) -> None:
    await wide.send(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    pairs = await wide.js(
        "['yes', 'no', 'partial', 'planned', 'text'].map(s => document.querySelector('.legend .' + s))"
        ".map(e => getComputedStyle(e)).map(c => [c.color, c.backgroundColor])"
    )
    assert all(contrast(ink, ground) >= 4.5 for ink, ground in pairs), pairs
    paper = await wide.js("getComputedStyle(document.body).backgroundColor")
    for selector, least in (("body", 7), (".soft", 4.5), ("td .unknown", 3)):
        ink = await wide.js(f"getComputedStyle(document.querySelector('{selector}')).color")
        assert contrast(ink, paper) >= least, (selector, ink, paper)


async def test_without_scripts_the_evidence_stands_below_the_grid(file: Path) -> None:
    async with Chromium(1280, 900, scripts=False) as browser:
        await browser.open(file.as_uri())
        node = await browser.send("DOM.getDocument", depth=0)
        found = await browser.send(
            "DOM.querySelector", nodeId=node["root"]["nodeId"], selector="[id='archives.nbia-cip.public_api']"
        )
        box = await browser.send("DOM.getBoxModel", nodeId=found["nodeId"])
        assert box["model"]["height"] > 50
        assert browser.requests == [file.as_uri()]


def test_the_picture_in_the_readme_is_small() -> None:
    picture = Path(__file__).parent.parent / "docs" / "matrix.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
