"""A picture that the README shows is of what a page shows today."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests_browser.screenshots import Screenshots

# The pictures themselves are taken where their pages are tested, each by a test with the mark `screenshot`, which ends
# with `screenshots(page, "NAME", part=...)`: the playground streaming, the doctor on a wrong key, a tutorial page.


def test_picture_is_written_only_when_asked(page: Page, tmp_path: Path) -> None:
    """And holds for the same text with other numbers."""
    page.set_content("<p>first token after 0.12 s</p>")
    with pytest.raises(AssertionError, match="is missing; run make screenshot"):
        Screenshots(tmp_path, take=False)(page, "stream")
    assert list(tmp_path.iterdir()) == []
    Screenshots(tmp_path, take=True)(page, "stream")
    page.set_content("<p>first token after 0.3 s</p>")
    Screenshots(tmp_path, take=False)(page, "stream")


def test_picture_of_something_else_is_refused(page: Page, tmp_path: Path) -> None:
    """The page has changed since."""
    page.set_content("<p>first token after 0.12 s</p>")
    Screenshots(tmp_path, take=True)(page, "stream")
    page.set_content("<p>last token after 0.12 s</p>")
    with pytest.raises(AssertionError, match=r"stream.png shows something else; run make screenshot"):
        Screenshots(tmp_path, take=False)(page, "stream")
