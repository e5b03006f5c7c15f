"""The doctor on a wrong key, as a terminal shows it."""

import io
import re
import subprocess
import sys

import pytest
from playwright.sync_api import Page
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from scillm_helpers.endpoint.serve import Endpoint
from tests_browser.lab import environ_on
from tests_browser.screenshots import Screenshots

COLUMNS = 88
# From where the cursor is hidden to where the line is erased.
_PROGRESS = re.compile(r"\x1b\[\?25l.*?\x1b\[1A\x1b\[2K", re.DOTALL)
PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>body {{ background: {background}; color: {foreground}; margin: 20px }}</style>
<body><pre style="font: 14px/1.35 'DejaVu Sans Mono', monospace; margin: 0"><code style="font: inherit">{code}</code></pre>"""


@pytest.mark.screenshot
def test_picture_of_a_wrong_key(page: Page, endpoint: Endpoint, screenshots: Screenshots) -> None:
    """The command itself on a real endpoint, its colors as its terminal gets them."""
    environ = environ_on(endpoint) | {
        "CHUTES_API_KEY": "sk-obviously-fake-wrong-7f3a",
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
    }
    command = [sys.executable, "-m", "scillm_helpers.smoke", "doctor"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    terminal = Console(record=True, width=COLUMNS, file=io.StringIO())
    left = _PROGRESS.sub("", done.stdout)
    terminal.print(Text.from_ansi(f"$ scillm-smoke doctor\n{left}"))
    page.set_content(terminal.export_html(theme=MONOKAI, inline_styles=True, code_format=PAGE))
    lines = page.locator("code").bounding_box()
    assert lines is not None
    page.set_viewport_size({"width": int(lines["width"]) + 40, "height": int(lines["height"]) + 40})
    screenshots(page, "doctor", part="code")
