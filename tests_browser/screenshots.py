"""Pictures of the README, taken by tests; each carries the text that the page had, so that a later run can compare."""

import io
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page

from tools.stored import numberless

_KEY = "shown"


class Screenshots:
    """Take the pictures of a folder, or compare what the pages show with those that are there."""

    def __init__(self, folder: Path, take: bool) -> None:
        self._folder = folder
        self._take = take

    def __call__(self, page: Page, name: str, part: str = "body") -> None:
        """Write `NAME.png` where that was asked for; else require that it was taken of a page with the same text.

        `part` selects what of the page has that text; numbers may differ. Raises AssertionError.
        """
        path = self._folder / f"{name}.png"
        text = numberless(page.locator(part).first.inner_text())
        if self._take:
            info = PngInfo()
            info.add_itxt(_KEY, text)
            Image.open(io.BytesIO(page.screenshot())).save(path, pnginfo=info, optimize=True)
        assert path.is_file(), f"docs/{path.name} is missing; run make screenshot"
        with Image.open(path) as picture:
            taken_of = numberless(picture.info.get(_KEY, ""))
        assert taken_of == text, f"docs/{path.name} shows something else; run make screenshot"
