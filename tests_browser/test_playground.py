"""The playground in a real JupyterLab: what a person does with it, in a real chromium."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from scillm_helpers.endpoint import serve
from scillm_helpers.images import DEMO_IMAGE
from tests.conftest import ROOT
from tests.polling import PATIENCE, until
from tests_browser.lab import Lab, environ_on, running
from tests_browser.notebook import Notebook
from tests_browser.pages import watched
from tests_browser.screenshots import Screenshots

NAME = "00_playground.ipynb"
LONG = "Tell me a 100 word story."


@pytest.fixture(scope="module")
def live() -> Iterator[serve.Endpoint]:
    """Serve at the pace of a live endpoint."""
    running = serve.start(chunk_seconds=0.03)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def own_lab(live: serve.Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run JupyterLab on that endpoint."""
    folder = tmp_path_factory.mktemp("playground")
    (notebooks := folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / NAME, notebooks)
    with running(notebooks, folder / "home", environ_on(live), "--no-browser") as started:
        yield started


@pytest.fixture(scope="module")
def notebook(own_lab: Lab, browser: Browser) -> Iterator[Notebook]:
    """Open the notebook once, with all cells run."""
    permissions = ["clipboard-read", "clipboard-write"]
    with watched(browser, viewport={"width": 1280, "height": 1100}, permissions=permissions) as page:
        opened = Notebook(page, own_lab, NAME)
        _run_all(opened)
        yield opened


def _run_all(notebook: Notebook) -> None:
    notebook.run_all()
    notebook.wait()
    assert notebook.errors() == []


def test_run_all_leaves_the_panel_in_view(notebook: Notebook) -> None:
    """Jupyter goes to the last cell, and the panel comes back."""
    _run_all(notebook)
    expect(notebook.page.locator(".scillm-playground .scillm-prompt")).to_be_in_viewport(ratio=1)
    expect(notebook.page.locator(".scillm-playground .scillm-send")).to_be_in_viewport(ratio=1)


@pytest.fixture
def panel(notebook: Notebook) -> Locator:
    """Return the panel, with an empty conversation and nothing chosen."""
    panel = notebook.page.locator(".scillm-playground")
    panel.get_by_role("button", name="New conversation").click()
    until(lambda: panel.locator(".scillm-question").count() == 0)
    panel.get_by_label("JSON mode").uncheck()
    panel.scroll_into_view_if_needed()
    return panel


def _send(panel: Locator, prompt: str) -> None:
    panel.locator(".scillm-prompt textarea").fill(prompt)
    panel.page.keyboard.press("Control+Enter")


def _ready(panel: Locator) -> None:
    panel.locator(".scillm-send:enabled").wait_for()


def test_answer_grows_on_the_page(panel: Locator) -> None:
    """Sampled while Stop can be pressed; the figures are beside it, and the prompt is gone at the end."""
    _send(panel, LONG)
    answer = panel.locator(".scillm-answer").last
    sizes: set[int] = set()

    def grown() -> bool:
        sizes.add(len(answer.inner_text()))
        return panel.locator(".scillm-send:disabled").count() == 1 and len(sizes) > 4

    until(grown)
    _ready(panel)
    assert answer.inner_text().rstrip().endswith(".")
    assert "tokens/s" in panel.locator(".scillm-beside").inner_text()
    assert panel.locator(".scillm-prompt textarea").input_value() == ""


@pytest.mark.screenshot
def test_picture_while_an_answer_streams(panel: Locator, live: serve.Endpoint, screenshots: Screenshots) -> None:
    """Half of it has come: the endpoint holds the rest back."""
    with live.faults.scripted("stall"):
        _send(panel, "Tell me a story of 60 words.")
        panel.locator(".scillm-answer").get_by_text("the rain that night.").wait_for()
    screenshots(panel.page, "playground", part=".scillm-playground")
    panel.get_by_role("button", name="Stop").click()
    _ready(panel)


def test_stop_closes_the_connection(panel: Locator, live: serve.Endpoint) -> None:
    """The endpoint sees it, the text stays, and the next call is made."""
    before = len(live.log.entries)
    _send(panel, LONG)
    panel.get_by_text("The old lighthouse").wait_for()
    panel.get_by_role("button", name="Stop").click()
    (entry,) = live.log.wait_for(before + 1, PATIENCE)[before:]
    assert not entry.whole
    panel.get_by_text("Stopped.").wait_for()
    _send(panel, "Tell me a 5 word story.")
    until(lambda: panel.locator(".scillm-answer").count() == 2)
    _ready(panel)


def test_send_twice_says_so(panel: Locator, live: serve.Endpoint) -> None:
    """A click that was on its way before the button went grey; one request, and the answer goes on."""
    before = len(live.log.entries)
    panel.locator(".scillm-prompt textarea").fill(LONG)
    panel.locator(".scillm-send").evaluate("button => { button.click(); button.click(); }")
    panel.get_by_text("An answer is being streamed.").wait_for()
    _ready(panel)
    assert len(live.log.entries) == before + 1
    assert panel.locator(".scillm-answer").count() == 1


def test_bad_schema_is_told_in_the_panel(panel: Locator) -> None:
    """The prompt stays; mended, it is sent, and the answer is laid out."""
    panel.get_by_label("JSON mode").check()
    box = panel.locator(".scillm-schema textarea")
    box.fill("{city}")
    _send(panel, "Give me a city")
    panel.get_by_text("The schema is not JSON (line 1, column 2").wait_for()
    assert panel.locator(".scillm-prompt textarea").input_value() == "Give me a city"
    box.fill('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    _send(panel, "Give me a city")
    panel.get_by_text("Valid JSON, and as the schema wants it.").wait_for()


def test_pictures_of_50_mb_are_refused_and_small_ones_sent(
    panel: Locator, tmp_path: Path, live: serve.Endpoint
) -> None:
    """In the page, with no request; the connection to the kernel lives, and the panel is usable."""
    big = tmp_path / "big.png"
    with big.open("wb") as file:
        file.truncate(50 * 2**20)
    before = len(live.log.entries)
    chooser = panel.get_by_label("Picture from a file")
    chooser.set_input_files(big)
    panel.get_by_text("big.png has 50.0 MB, and the limit is 10 MB; make it smaller. Nothing was sent.").wait_for()
    assert len(live.log.entries) == before
    chooser.set_input_files(DEMO_IMAGE)
    panel.get_by_text("demo.png (").wait_for()
    _send(panel, "Which colors do you see?")
    panel.locator(".scillm-answer").get_by_text("blue").wait_for()
    _ready(panel)
    assert panel.locator("img.scillm-picture").get_attribute("alt") == "demo.png"


@pytest.mark.parametrize("language", ["Python", "curl"])
def test_copied_code_runs(panel: Locator, live: serve.Endpoint, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the clipboard; the key is not in it."""
    _send(panel, "Say 'Copied'")
    panel.locator(".scillm-answer").get_by_text("Copied").wait_for()
    _ready(panel)
    panel.get_by_role("tab", name=language).click()
    panel.get_by_role("button", name=f"Copy as {language}").click()
    panel.get_by_role("button", name="Copied").wait_for()
    code = panel.page.evaluate("navigator.clipboard.readText()")
    assert live.api_key not in code
    command = [sys.executable, "-c", code] if language == "Python" else ["bash", "-c", code]
    given = {"PATH": os.environ["PATH"]} | live.environ
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    assert _streamed(done.stdout) == "Copied"


def _streamed(printed: str) -> str:
    """Return the text of what was printed: the events that curl shows, or the text itself."""
    chunks = [json.loads(line[6:]) for line in printed.splitlines() if line.startswith("data: {")]
    if not chunks:
        return printed.strip()
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_errors_are_told_and_pass(panel: Locator, live: serve.Endpoint) -> None:
    """A wrong key, then a broken stream; each with what to do, and the prompt in its box."""
    live.faults.add("401")
    _send(panel, LONG)
    panel.get_by_text("The endpoint refused the key.").wait_for()
    live.faults.add("cut")
    _ready(panel)
    panel.page.keyboard.press("Control+Enter")
    panel.get_by_text("Not whole.").wait_for()
    assert panel.locator(".scillm-prompt textarea").input_value() == LONG


def test_panel_is_accessible(panel: Locator) -> None:
    """No finding of axe; and the keys of JupyterLab do nothing in it."""
    found = Axe().run(panel.page, context=".scillm-playground").response["violations"]
    assert [(rule["id"], node["html"][:100]) for rule in found for node in rule["nodes"]] == []
    cells = panel.page.locator(".jp-Cell").count()
    button = panel.get_by_role("button", name="New conversation")
    button.focus()
    panel.page.keyboard.press("x")
    panel.page.keyboard.press("a")
    panel.page.keyboard.press("Enter")
    assert panel.page.locator(".jp-Cell").count() == cells
    assert button.evaluate("button => button === document.activeElement")


def test_restart_while_streaming_loses_nothing(panel: Locator, notebook: Notebook) -> None:
    """The panel says so by itself; run again, it has the conversation, the part that came, and the prompt."""
    _send(panel, "Tell me a 200 word story.")
    panel.get_by_text("Far below a small red boat").wait_for()
    notebook.restart()
    panel.get_by_text("The kernel has restarted: run all cells to go on; the conversation is kept.").wait_for()
    _run_all(notebook)
    panel.get_by_text("Interrupted: the kernel ended while this was streamed.").wait_for()
    assert "The old lighthouse" in panel.locator(".scillm-answer").last.inner_text()
    assert panel.locator(".scillm-prompt textarea").input_value() == "Tell me a 200 word story."
    _send(panel, "Tell me a 5 word story.")
    until(lambda: panel.locator(".scillm-answer").count() == 2)
    _ready(panel)


def test_dark_theme_is_followed(panel: Locator, notebook: Notebook) -> None:
    """The panel's text is light on dark there."""
    markdown = (
        "## Plan\n\n| day | what |\n| --- | --- |\n| 1 | read |\n\n```python\ndef f(x=1):\n    return 'ok'  # yes\n```"
    )
    _send(panel, f'Say "{markdown.replace(chr(39), "")}"')
    panel.locator("td", has_text="read").wait_for()
    _ready(panel)
    notebook.choose("Settings", "Theme", "JupyterLab Dark")
    until(lambda: panel.page.evaluate("document.body.dataset.jpThemeLight") == "false")
    red = panel.evaluate("panel => Number(getComputedStyle(panel).color.match(/\\d+/)[0])")
    assert red > 180
