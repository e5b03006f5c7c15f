"""The widgets whose work is done in the browser: a picture from a file, code to copy, the keyboard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..images import MAX_BYTES

_HERE = Path(__file__).parent


class Keyboard(anywidget.AnyWidget):
    """Be what has keys pressed in the panel belong to it."""

    _esm = _HERE / "keyboard.js"


class Snippet(anywidget.AnyWidget):
    """Be code with a button that copies it."""

    _esm = _HERE / "snippet.js"
    language = traitlets.Unicode().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)


class Upload(anywidget.AnyWidget):
    """Be a file chooser for a picture; one that is too large is refused in the browser, with nothing sent."""

    _esm = _HERE / "upload.js"
    limit = traitlets.Int(MAX_BYTES).tag(sync=True)
    held = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, chosen: Callable[[str, bytes], None], refused: Callable[[str, int], None], removed: Callable[[], None]
    ) -> None:
        """Call `chosen` with name and bytes of a file, `refused` with name and size, or `removed`."""
        super().__init__()
        self._chosen, self._refused, self._removed = chosen, refused, removed
        self._pieces = bytearray()
        self.on_msg(self._received)

    def _received(self, _: object, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """Take what upload.js sends (ipywidgets calls this)."""
        if "refused" in content:
            self._refused(content["refused"], content["size"])
        elif "remove" in content:
            self._removed()
        else:
            if content["start"] == 0:
                self._pieces.clear()
            self._pieces += buffers[0]
            if len(self._pieces) == content["size"]:
                self._chosen(content["name"], bytes(self._pieces))
                self._pieces.clear()
