"""A page that is held to what it may do."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page


@contextmanager
def watched(browser: Browser, **context: object) -> Iterator[Page]:
    """Open an empty page; at the end it has asked nobody but this machine, and complained about nothing."""
    with noted(browser, **context) as (page, seen):
        yield page
    assert seen == []


@contextmanager
def noted(browser: Browser, **context: object) -> Iterator[tuple[Page, list[str]]]:
    """Open an empty page; yield it, and the requests to other machines and the complaints that it has made so far."""
    own = browser.new_context(**context)  # type: ignore[arg-type]
    seen: list[str] = []
    own.on("request", lambda request: seen.append(request.url) if _is_elsewhere(request.url) else None)
    own.on("console", lambda message: seen.append(message.text) if message.type == "error" else None)
    own.on("weberror", lambda error: seen.append(str(error.error)))
    yield own.new_page(), seen
    own.close()


def _is_elsewhere(url: str) -> bool:
    return not url.startswith(("http://localhost:", "http://127.0.0.1:", "data:", "blob:"))
