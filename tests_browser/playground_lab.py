"""A real JupyterLab with the playground in a real chromium."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.conftest import ROOT
from tests.polling import until

TOKEN = "obviously-fake-token"
NOTEBOOK = "00_playground.ipynb"


@contextmanager
def started(folder: Path, **environ: str) -> Iterator[str]:
    """Start JupyterLab on a copy of the notebook, with nothing of the user's own; yield its address."""
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = folder / "home"
    home.mkdir()
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "JUPYTER_DEFAULT_PROVISIONER_NAME": "scillm-warm"}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
    options = [f"--IdentityProvider.token={TOKEN}", "--ServerApp.port_retries=0", f"--notebook-dir={folder}"]
    with (folder / "lab.log").open("wb") as log:
        lab = subprocess.Popen([*command, *options], cwd=folder, env=own | environ, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: _answers(f"{address}/api?token={TOKEN}"))
        yield address
    finally:
        lab.terminate()
        lab.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url):
            return True
    except OSError:
        return False


@contextmanager
def opened(browser: Browser, address: str, dark: bool = False) -> Iterator[Page]:
    """Open the notebook, and run all of its cells."""
    context = browser.new_context(viewport={"width": 1280, "height": 1100})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}/lab/tree/{NOTEBOOK}?token={TOKEN}")
    page.locator(".jp-Notebook").wait_for(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.get_by_role("button", name="No", exact=True).click()  # no news
    if dark:
        menu(page, "Settings", "Theme", "JupyterLab Dark")
    run_all(page)
    yield page
    context.close()


def menu(page: Page, *names: str) -> None:
    """Choose from JupyterLab's menus."""
    page.locator("#jp-MainMenu").get_by_text(names[0], exact=True).click()
    for name in names[1:]:
        page.locator(".lm-Menu-itemLabel").get_by_text(name, exact=True).click()


def run_all(page: Page) -> None:
    """Run all cells, and wait for the panel."""
    menu(page, "Run", "Run All Cells")
    page.locator(".scillm-prompt textarea").wait_for(timeout=60_000)
