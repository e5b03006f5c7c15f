"""The printed tutorials, served on loopback and read in a real browser."""

import functools
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, Page, Request

from tests import working_tree
from tests.browser import inaccessible, opened
from tests.conftest import ROOT
from tests_browser.screenshots import Screenshots

LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
LAB = "http://localhost:8888/lab/tree"
BINDER = "https://mybinder.org/v2/gh/example/notebooks/HEAD?urlpath=lab/tree/notebooks"


def _build(project: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.site"]
    given = {name: value for name, value in os.environ.items() if name != "GITHUB_REPOSITORY"} | environ
    return subprocess.run(command, cwd=project, env=given, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site where nothing was run before, and the repository has an address."""
    project = working_tree.copied(tmp_path_factory.mktemp("site"))
    done = _build(project, GITHUB_REPOSITORY="example/notebooks")
    assert done.returncode == 0, done
    assert f"{len(LESSONS)} passed" in done.stdout, "there was no run, and so no report"
    return project / "build" / "site"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def base(site: Path) -> Iterator[str]:
    """Serve the site on a loopback port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[Callable[..., Page]]:
    """Return a way to open a page; no page may ask another host, or complain."""
    seen: list[str] = []
    contexts = []

    def open_page(address: str = "index.html", **context: object) -> Page:
        contexts.append(browser.new_context(base_url=base, **context))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        own = (base, "data:", "blob:", "file:")
        page.on("request", lambda request: None if request.url.startswith(own) else seen.append(request.url))
        page.on("response", lambda response: seen.append(response.url) if response.status >= 400 else None)
        page.on("requestfailed", lambda request: seen.extend(_failed(request)))
        page.on("console", lambda message: seen.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


def _failed(request: Request) -> list[str]:
    """Return what to complain of; an icon that was still to come as the page was left is nothing."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed: {request.url} {request.failure}"]


def _links(page: Page) -> set[str]:
    return set(page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)"))


def test_every_page_is_found_and_every_link_leads_somewhere(visit: Callable[..., Page], base: str, site: Path) -> None:
    """From the front page on, places within pages too; the report's pages are among them."""
    page = visit()
    places: dict[str, set[str]] = {}  # of each page, the ids in it
    wanted, elsewhere, waiting = set(), set(), [base + "index.html"]
    while waiting:
        address = waiting.pop()
        if address in places:
            continue
        page.goto(address)
        places[address] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
        for link in _links(page):
            if not link.startswith(base):
                elsewhere.add(link)
                continue
            target, place = urldefrag(link)
            wanted.add((target, place))
            if target.endswith(".html"):
                waiting.append(target)
            else:
                assert urllib.request.urlopen(target).status == 200
    assert {base + path.relative_to(site).as_posix() for path in site.rglob("*.html")} - set(places) <= {
        base + f"_static/{name}.html" for name in ("sbt-webpack-macros", "webpack-macros")
    } | {base + "search.html"}
    assert {(target, place) for target, place in wanted if place and place not in places.get(target, ())} == set()
    assert elsewhere == {f"{where}/{name}.ipynb" for where in (LAB, BINDER) for name in LESSONS}
    assert len([address for address in places if "/report/" in address]) == 1 + len(LESSONS)


def test_front_page_lists_each_lesson_in_its_own_words(visit: Callable[..., Page]) -> None:
    """The title, which leads there, and the first sentence."""
    items = visit().locator("#the-lessons li")
    assert items.count() == len(LESSONS)
    for item, name in zip(items.all(), LESSONS, strict=True):
        heading, _, prose = (
            nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells[0].source.partition("\n")
        )
        assert item.locator("a").get_attribute("href") == f"{name}.html"
        title, _, promise = item.inner_text().partition(
            ": " if ": " not in heading else heading.partition(": ")[2] + ": "
        )
        assert heading.removeprefix("# ").startswith(title.rstrip(": "))
        assert promise.endswith(".")
        assert " ".join(prose.replace("`", "").split()).startswith(promise)


def test_notebook_is_opened_and_downloaded(visit: Callable[..., Page]) -> None:
    """In the Lab of `make lab`, on Binder, and as the file that it is."""
    page = visit()
    for name in LESSONS:
        page.goto(f"{name}.html")
        links = page.locator("nav.open-notebook a")
        assert {link.inner_text(): link.get_attribute("href") for link in links.all()} == {
            "Open in Lab": f"{LAB}/{name}.ipynb",
            "Open in Binder": f"{BINDER}/{name}.ipynb",
            "Download": f"notebooks/{name}.ipynb",
            "Latest report": "report/report.html",
        }
        with page.expect_download() as started:
            page.get_by_role("link", name="Download").click()
        assert started.value.suggested_filename == f"{name}.ipynb"
        assert started.value.path().read_bytes() == (ROOT / "notebooks" / f"{name}.ipynb").read_bytes()


@pytest.mark.screenshot
def test_picture_of_a_tutorial(visit: Callable[..., Page], screenshots: Screenshots) -> None:
    """As a reader first sees it."""
    page = visit("02_streaming.html", color_scheme="light", viewport={"width": 1200, "height": 1250})
    screenshots(page, "tutorial", part="main")


def test_stored_outputs_are_shown(visit: Callable[..., Page]) -> None:
    """What a cell printed, a picture with its text, and a record as people read it."""
    assert "3 models, for example embedded/omni-1" in visit("01_setup.html").locator("main").inner_text()
    page = visit("09_model_matrix.html")
    assert "Measured: a bar for each model" in (page.locator("main img").first.get_attribute("alt") or "")
    assert page.locator("main img:not([alt]), main img[alt='']").count() == 0
    assert "model_matrix: ok (" in page.locator("main").inner_text()


@pytest.mark.parametrize("by", ["http", "file"])
def test_search_finds_a_word(visit: Callable[..., Page], site: Path, by: str) -> None:
    """With no server either."""
    page = visit(
        "index.html" if by == "http" else (site / "index.html").as_uri(), viewport={"width": 1300, "height": 900}
    )
    page.keyboard.press("Control+k")
    page.keyboard.type("cooldown")
    page.keyboard.press("Enter")
    found = page.locator("#search-results li a")
    found.first.wait_for()
    addresses = {urlsplit(link.get_attribute("href") or "").path for link in found.all()}
    assert "07_fallbacks.html" in addresses
    assert "01_setup.html" not in addresses
    found.first.click()
    page.wait_for_url("**/07_fallbacks.html*")
    assert "cooldown" in page.locator("main").inner_text()


def test_copy_button_copies_the_code(visit: Callable[..., Page]) -> None:
    """All of a cell, and nothing of its output."""
    page = visit("01_setup.html", permissions=["clipboard-read", "clipboard-write"])
    cells = nbformat.read(ROOT / "notebooks" / "01_setup.ipynb", as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    blocks = page.locator("div.cell_input")
    assert blocks.count() == len(sources)
    for block, source in zip(blocks.all(), sources, strict=True):
        block.hover()
        block.locator("button.copybtn").click()
        page.locator("button.copybtn.success").first.wait_for()
        assert page.evaluate("navigator.clipboard.readText()").strip() == source
    assert page.locator("div.cell_output button.copybtn").count() == 0


def test_dark_mode_is_toggled_and_remembered(visit: Callable[..., Page]) -> None:
    """On the next page, and after loading it again."""
    page = visit("01_setup.html", color_scheme="light", viewport={"width": 1300, "height": 900})
    shown = "document.documentElement.dataset.theme"
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Color mode").click()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(shown) == "dark"
    page.goto("02_streaming.html")
    page.reload()
    assert page.evaluate(shown) == "dark"
    assert page.evaluate(background) != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(browser: Browser, site: Path, scheme: str) -> None:
    """axe-core finds nothing, on a wide screen and on a phone."""
    for name, width in (("index", 1300), ("03_json_mode", 1300), ("04_multimodal", 390), ("search", 390)):
        with opened(browser, site / f"{name}.html", color_scheme=scheme, viewport={"width": width, "height": 900}) as (
            page,
            _,
        ):
            assert inaccessible(page) == [], name


def test_phone_scrolls_code_and_nothing_else_sideways(visit: Callable[..., Page]) -> None:
    """The page is as wide as the screen, and each of its code blocks."""
    page = visit(viewport={"width": 390, "height": 800})
    for name in ["index", *LESSONS]:
        page.goto(f"{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") == 390, name
        wide = "[...document.querySelectorAll('main pre')].filter(e => e.getBoundingClientRect().right > 390).length"
        assert page.evaluate(wide) == 0, name


def test_dead_link_fails_a_build_by_hand(site: Path, tmp_path: Path) -> None:
    """A page that leads nowhere is not published. Without the repository's address nothing leads to Binder; no run is needed."""
    project = working_tree.copied(tmp_path)
    shutil.copytree(site.parent.parent / "runs", project / "runs", symlinks=True)
    lesson = project / "notebooks" / "01_setup.ipynb"
    for path in set(lesson.parent.glob("*.ipynb")) - {lesson}:
        path.unlink()
    done = _build(project)
    assert (done.returncode, done.stdout) == (1, "")
    assert "02_streaming.ipynb" in done.stderr
    pages = project / "build" / "site"
    assert "Open in Lab" in (pages / "01_setup.html").read_text()
    assert not [page for page in pages.glob("*.html") if "binder" in page.read_text().lower()]
