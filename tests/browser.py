"""A real browser: Debian's chromium, or the Chrome that is there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tools import screenshot


def executable() -> str:
    """Return the browser's path; a test that needs one is skipped where there is none (`.ci/packages` installs it)."""
    found = screenshot.browser()
    if found is None:
        pytest.skip("no chromium is installed")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser, and close it after."""
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, **context: object) -> Iterator[tuple[Page, list[str]]]:
    """Open a page; yield it, and what it has asked for or complained about beyond its own file."""
    pages = browser.new_context(**context)  # type: ignore[arg-type]
    page = pages.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url) if request.url != path.as_uri() else None)
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("dialog", lambda dialog: seen.append(dialog.message))
    page.goto(path.as_uri())
    yield page, seen
    pages.close()


def broken_links(page: Page, path: Path) -> list[str]:
    """Return the links of a page that lead to no file and no place in it."""
    broken = []
    for link in page.locator("a[href]").all():
        url = urlsplit(link.get_attribute("href") or "")
        if url.scheme in ("http", "https"):
            continue
        target = path.parent / unquote(url.path) if url.path else path
        there = target.is_file()
        if there and url.fragment and target == path:
            there = page.evaluate("id => document.getElementById(id) !== null", unquote(url.fragment))
        if not there:
            broken.append(url.geturl())
    return broken


_TRANSITIONS_END = """() => Promise.allSettled(
    document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished))"""


def inaccessible(page: Page, but_for: Sequence[str] = ()) -> list[str]:
    """Return what axe-core finds wrong with a page, but for rules that are its author's to keep."""
    # In the middle of a transition colors have less contrast than they are to have.
    page.evaluate(_TRANSITIONS_END)
    return [
        f"{found['id']}: {node['html'][:120]} {node['failureSummary']}"
        for found in Axe().run(page).response["violations"]
        for node in found["nodes"]
        if found["id"] not in but_for
    ]
