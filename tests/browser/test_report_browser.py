"""The page in a real browser: Debian's chromium and chromium-driver; skipped where they are not installed, as in CI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cells import cell, named, plaid
from chromium import MISSING, Browser, browser
from drawings import first_stage, geometry, inputs

from harness import report

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")
VISIBLE = "[...document.querySelectorAll('#main tbody')].filter(row => row.checkVisibility())"
NAMES = f"return {VISIBLE}.map(row => row.dataset.center + ' ' + row.dataset.method)"
TITLES = ["Model", "Center", "Method", "PLAID", "rk=0", "rk=50", "rk=100", "Index"]
CARD = ["none muvera", "none smve", "corpus muvera", "corpus smve"]


@pytest.fixture(scope="module")
def window(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    some = [
        plaid(named([0.5, 0.7])),
        plaid(named([0.2, 0.4]), "nfcorpus"),
        cell("exact", {"final": named([0.6, 0.8])}, "none"),
        *(first_stage("muvera", "none", name, bytes={"index": 10**9}) for name in ("scifact", "nfcorpus")),
        *(first_stage("smve", "corpus", name, shift=0.2, bytes={"index": 5000}) for name in ("scifact", "nfcorpus")),
        *(first_stage("muvera", "corpus", name, shift=0.1) for name in ("scifact", "nfcorpus")),
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write(path, report.page(inputs(some, geometries=[geometry()]), some)[0])
    return path.as_uri()


@pytest.fixture
def page(window, address) -> Iterator[Browser]:
    window.size(1280)
    window.open("about:blank")  # another address: the page starts again
    window.open(address)
    yield window
    assert window.log() == []


def header(title):
    return f"#main thead th:nth-child({TITLES.index(title) + 1})"


def sorting(page, title):
    return page.run(f"return document.querySelector('{header(title)}').getAttribute('aria-sort')")


def test_sorting_by_a_column_orders_the_rows(page):
    assert page.run(NAMES) == CARD
    page.click(f"{header('rk=0')} button")
    assert page.run(NAMES) == ["corpus smve", "corpus muvera", "none muvera", "none smve"]
    assert sorting(page, "rk=0") == "descending"
    page.click(f"{header('rk=0')} button")
    assert page.run(NAMES) == ["none muvera", "corpus muvera", "corpus smve", "none smve"]  # not measured: last
    assert sorting(page, "rk=0") == "ascending" and sorting(page, "Model") == "none"
    page.click(f"{header('Index')} button")
    assert page.run(NAMES)[:2] == ["corpus smve", "none muvera"]  # by bytes, not by letters
    page.click(f"{header('Method')} button")
    assert page.run(NAMES) == ["none muvera", "corpus muvera", "none smve", "corpus smve"]


def test_filtering_hides_rows_and_columns_and_is_remembered(page, address):
    page.click("input[name=center][value=none]")
    page.click("input[name=depth][value='50']")
    page.click(f"{header('Method')} button")
    shown = ["corpus muvera", "corpus smve"]
    assert page.run(NAMES) == shown
    columns = "return [...document.querySelectorAll('#main thead th')].filter(h => h.checkVisibility()).length"
    assert page.run(columns) == 9 and page.run("return document.getElementById('count').textContent") == "2 of 4 rows"
    there = page.run("return location.href")
    assert there == f"{address}#center=corpus&depth=0&depth=100&sort=Method&order=ascending"
    page.open("about:blank")
    page.open(there)
    assert page.run(NAMES) == shown and page.run(columns) == 9 and sorting(page, "Method") == "ascending"
    page.click("button[type=reset]")
    assert page.run(NAMES) == CARD and page.run(columns) == 10 and page.run("return location.href") == address


def test_no_choice_is_no_row_and_an_anchor_changes_nothing(page):
    page.click("input[name=method][value=muvera]")
    page.click("input[name=method][value=smve]")
    assert page.run(NAMES) == [] and page.run("return location.hash") == "#method="
    page.run("location.hash = '#figures'")
    assert page.run(NAMES) == []


def test_unfolding_shows_the_data_sets_and_commands(page):
    below = f"return [...{VISIBLE}[0].rows].filter(row => row.checkVisibility()).map(row => row.cells[0].innerText)"
    assert len(page.run(below)) == 1
    page.click("#main .fold")
    found = page.run(below)
    assert found[1:3] == ["scifact", "nfcorpus"] and "python -m harness run -m dataset=" in found[3]
    fold = "const fold = document.querySelector('#main .fold'); return "
    assert page.run(fold + "fold.getAttribute('aria-expanded')") == "true"
    ids = page.run(fold + "fold.getAttribute('aria-controls')").split()
    assert len(ids) == 3 and page.run("return arguments[0].every(id => document.getElementById(id))", ids)
    page.click("#main .fold")
    assert len(page.run(below)) == 1
    page.click("#unfold")
    assert len(page.run(below)) == 4 and page.run(fold + "fold.getAttribute('aria-expanded')") == "true"


def test_the_keyboard_alone_does_all_of_it(page):
    focus = "const at = document.activeElement; return at.getAttribute('aria-label') || at.value || at.textContent"
    seen = []
    for _ in range(60):
        page.press("Tab")
        seen.append(page.run(focus))
        if seen[-1] == "corpus":
            page.press("Space")
            assert page.run(NAMES) == ["none muvera", "none smve"]
        if seen[-1] == "rk=50":
            page.press("Enter")
            assert sorting(page, "rk=50") == "descending"
        if seen[-1].startswith("Data sets and commands of LateOn, no, MUVERA"):
            page.press("Enter")
            assert page.run("return document.activeElement.getAttribute('aria-expanded')") == "true"
            page.press("Tab")
            assert page.run(focus) == "Copy the command for all data sets"
            break
    else:
        pytest.fail(f"never reached: {seen}")
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(outline) == "solid"


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_the_page_itself_never_scrolls_sideways(page, width):
    page.size(width)
    page.click("#unfold")
    page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_each_row_is_a_card_that_can_be_sorted(page):
    page.size(360)
    assert page.run("return document.querySelector('#main thead').checkVisibility()") is False
    place = "const cells = [...document.querySelectorAll('#main .mean')[0].cells].map(c => c.getBoundingClientRect());"
    assert page.run(place + "return cells.every(c => c.left >= 0 && c.right <= innerWidth)")
    label = "return getComputedStyle(document.querySelector('#main td[data-depth]'), '::before').content"
    assert page.run(label) == '"rk=0"'
    choose = "const s = document.querySelector('select[name=sort]'); s.value = 'rk=100';"
    page.run(choose + "s.dispatchEvent(new Event('change', {bubbles: true}))")
    assert page.run(NAMES)[0] == "corpus smve"


def test_in_print_all_is_unfolded_and_no_control_is_left(page):
    page.chrome("Emulation.setEmulatedMedia", media="print")
    try:
        page.run("dispatchEvent(new Event('beforeprint'))")
        assert page.run("return [...document.querySelectorAll('.set')].every(row => row.checkVisibility())")
        assert (
            page.run("return [...document.querySelectorAll('form, nav, .fold, .copy')].some(e => e.checkVisibility())")
            is False
        )
        assert (
            page.run("return getComputedStyle(document.querySelector('.loss4, .loss3')).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        closed = "return document.querySelectorAll('details:not(.long, [open])').length"
        assert page.run(closed) == 0
        page.run("dispatchEvent(new Event('afterprint'))")
        assert page.run(closed) > 0
    finally:
        page.chrome("Emulation.setEmulatedMedia", media="")
    assert page.pdf().startswith(b"%PDF")


def test_without_javascript_all_is_unfolded(page, address):
    page.chrome("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open("about:blank")
        page.open(address)
    finally:
        page.chrome("Emulation.setScriptExecutionDisabled", value=False)
    assert page.run("return [...document.querySelectorAll('.set, details > *')].every(e => e.checkVisibility())")
    assert page.run("return document.querySelectorAll('.fold').length") == 0
    assert page.run("return document.getElementById('controls').checkVisibility()") is False
