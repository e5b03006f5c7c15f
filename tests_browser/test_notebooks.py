"""Every notebook runs in JupyterLab, twice, and what it streams is on the page piece by piece."""

import re
from collections.abc import Callable

import nbformat
import pytest

from scillm_helpers.endpoint.serve import Endpoint
from tests.conftest import ROOT
from tests_browser.notebook import Notebook
from tests_browser.steps import held
from tests_browser.watching import unsteady

NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def streaming_cells(name: str) -> list[int]:
    """Return the code cells that show a stream of the endpoint as it comes; a practice endpoint has another pace."""
    cells = nbformat.read(ROOT / "notebooks" / name, as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    return [
        place
        for place, source in enumerate(sources)
        if re.search(r"^ *(async )?for \w+ in .*\n(.*\n)*.*(end=|\.update\()", source, re.MULTILINE)
        and "acompletion" in source + sources[place - 1]
        and "practice" not in source
    ]


@pytest.mark.parametrize("name", NAMES)
def test_runs_all_and_again(
    name: str, open_notebook: Callable[[str], Notebook], endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error shows, and no streamed text flickers; and so again. Then each piece of a stream shows before the next is sent."""
    if not streaming_cells(name):
        monkeypatch.setattr(endpoint, "chunk_seconds", 0)
    notebook = open_notebook(name)
    for number in range(2):
        notebook.run_all()
        notebook.wait()
        assert notebook.errors() == []
        first = 1 + number * notebook.size
        assert notebook.prompts() == [f"[{count}]:" for count in range(first, first + notebook.size)]
        for cell in streaming_cells(name):
            assert not [fault for fault in unsteady(notebook.shown(cell)) if fault.startswith("text")]
    for cell in streaming_cells(name):
        with held() as steps:
            notebook.run(cell)
            pieces = 0
            while notebook.wait_for_more(cell, pieces):
                pieces += 1
                steps.next()
        assert pieces >= 3, cell
        assert notebook.errors() == []


def test_streaming_cells_are_found() -> None:
    """Else the test above would watch nothing."""
    assert streaming_cells("02_streaming.ipynb") == [4, 5, 7, 8]
    assert streaming_cells("05_tools.ipynb") == [11]
    assert not any(map(streaming_cells, ["01_setup.ipynb", "06_retries.ipynb", "08_batch.ipynb", "10_errors.ipynb"]))
