"""One JupyterLab, one endpoint and one browser for all tests; a page for each."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from scillm_helpers.endpoint import serve
from tests import browser as browsers
from tests.conftest import ROOT
from tests_browser.ends import StreamEnds
from tests_browser.lab import Lab, environ_on, running
from tests_browser.notebook import Notebook
from tests_browser.pages import noted, watched
from tests_browser.screenshots import Screenshots
from tools import screenshot

SIZE = {"viewport": {"width": 1280, "height": 900}}
CHUNK_SECONDS = 0.25  # slower than ipykernel passes on what is printed: each 0.2 s


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let pictures be taken (pytest calls this)."""
    parser.addoption("--take-screenshots", action="store_true", help="write the pictures of docs/ anew")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to begin without a browser (pytest calls this)."""
    if screenshot.browser() is None:
        raise pytest.UsageError("no chromium is installed; run make packages")


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Screenshots:
    """Return what takes, or compares, the pictures of the README."""
    return Screenshots(ROOT / "docs", request.config.getoption("--take-screenshots"))


@pytest.fixture(scope="session")
def endpoint() -> Iterator[serve.Endpoint]:
    """Serve the embedded endpoint, slowly enough to be watched."""
    started = serve.start(chunk_seconds=CHUNK_SECONDS)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def _ends(endpoint: serve.Endpoint) -> StreamEnds:
    return StreamEnds(endpoint)


@pytest.fixture
def ends(_ends: StreamEnds) -> StreamEnds:
    """Return the ends of the streams of this test."""
    _ends.forget()
    return _ends


@pytest.fixture(scope="session")
def lab_environ(endpoint: serve.Endpoint) -> dict[str, str]:
    """Return the environment of that JupyterLab."""
    return environ_on(endpoint)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, lab_environ: dict[str, str]) -> Iterator[Lab]:
    """Run JupyterLab on copies of the notebooks, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("lab")
    notebooks = shutil.copytree(
        ROOT / "notebooks", folder / "my notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
    )
    with running(notebooks, folder / "home", lab_environ, "--no-browser") as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start a browser for all tests."""
    with browsers.launched() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return an empty page; at the end it has asked nobody but this machine, and complained about nothing."""
    with watched(browser, **SIZE) as opened:
        yield opened


@pytest.fixture(scope="session")
def _lab_page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """Open one page for all notebooks of JupyterLab: from the second on, its scripts are there, and compiled."""
    with noted(browser, **SIZE) as opened:
        yield opened


@pytest.fixture
def open_notebook(_lab_page: tuple[Page, list[str]], lab: Lab) -> Iterator[Callable[[str], Notebook]]:
    """Open a notebook of JupyterLab's folder; its kernel is ended after, and the page has complained about nothing."""
    page, seen = _lab_page
    yield lambda name: Notebook(page, lab, name)
    page.goto("about:blank")
    lab.end_kernels()
    complaints, seen[:] = list(seen), []
    assert complaints == []
