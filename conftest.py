"""Let nbval compare what it leaves alone: JSON outputs, and displays that are updated in place."""

from collections.abc import Callable
from typing import Any

import pytest
from nbformat import from_dict
from nbval.plugin import IPyNbCell, IPyNbFile

from tools.stored import sanitized


def pytest_configure(config: pytest.Config) -> None:
    """Extend nbval for this session (pytest calls this)."""
    IPyNbCell.sanitize = lambda self, value: sanitized(value, self.parent.sanitize_patterns)
    IPyNbFile.get_kernel_message = _applying_updates(IPyNbFile.get_kernel_message)


def _applying_updates(get_message: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Fold each `update_display_data` message into the display that it updates, as Jupyter does.

    nbval 0.11 keeps a display as it was first, and the stored notebook holds what it was last.
    """

    def get_updated_message(self: IPyNbFile, timeout: float | None = None, stream: str = "iopub") -> dict[str, Any]:
        shown = self.__dict__.setdefault("_displays", {})
        while True:
            message = get_message(self, timeout=timeout, stream=stream)
            content = message["content"]
            display_id = content.get("transient", {}).get("display_id")
            if message["msg_type"] == "display_data" and display_id is not None:
                # A NotebookNode is kept as it is by the output that nbval makes of it.
                content["data"] = shown[display_id] = from_dict(content["data"])
            if message["msg_type"] != "update_display_data":
                return message
            shown[display_id].clear()
            shown[display_id].update(from_dict(content["data"]))

    return get_updated_message
