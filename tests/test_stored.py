"""Stored outputs: compared strictly, made again to the byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook

from scillm_helpers import figure
from tests.conftest import ROOT
from tools.stored import same
from tools.tutorials import execute_in_place

SOURCES = [
    "import time\nprint('text')\nprint(f'first token after {time.perf_counter() % 1 + 1:.3f} s')",
    "from IPython.display import Markdown, display\nhandle = display(Markdown('first'), display_id=True)\n"
    "handle.update(Markdown('last'))",
    "from scillm_helpers import record\nrecord('chat', ok=True, chunks=3, ttft_s=time.perf_counter())",
]


@pytest.fixture(scope="module")
def _executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source, id=f"c{i}") for i, source in enumerate(SOURCES)]), path)
    assert execute_in_place(path)
    return path


@pytest.fixture
def notebook(_executed: Path, tmp_path: Path) -> Path:
    """Return an executed notebook with a time, a display that was updated, and a record."""
    return Path(shutil.copy(_executed, tmp_path))


def _nbval(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--nbval", path]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_only_what_truly_varies_may_differ(notebook: Path) -> None:
    """A measured time may; it is there, and it was another one."""
    assert "ttft_s" in notebook.read_text()
    done = _nbval(notebook)
    assert done.returncode == 0, done.stdout


def test_anything_else_that_differs_fails(notebook: Path) -> None:
    """A word of the text, of an updated display, a field of a record: each in a cell of its own."""
    outputs = nbformat.writes(nbformat.read(notebook, as_version=4))
    for stored, other in (('"text\\n', '"test\\n'), ("last", "lost"), ('"chunks": 3', '"chunks": 4')):
        head, mark, tail = outputs.rpartition(stored)
        assert mark, "the notebook does not hold what this test changes"
        outputs = head + other + tail
    notebook.write_text(outputs)
    done = _nbval(notebook)
    assert done.returncode == 1, done.stdout
    assert "3 failed" in done.stdout
    assert "passed" not in done.stdout


def _picture(height: float, alt: str) -> list[Any]:
    drawn = Figure(figsize=(1, 1))
    drawn.subplots().plot([0, height])
    return [{"output_type": "display_data", "data": {"text/markdown": figure(drawn, alt).data}}]


def test_pictures_are_compared_byte_for_byte() -> None:
    """The same figure gives the same bytes, and another one others."""
    assert same(_picture(1, "A line"), _picture(1, "A line"))
    assert not same(_picture(1, "A line"), _picture(2, "A line"))


def test_pictures_of_what_was_measured_are_compared_by_their_text() -> None:
    """They are never twice the same; what they show is."""
    assert same(_picture(1, "Measured: a line"), _picture(2, "Measured: a line"))
    assert not same(_picture(1, "Measured: a line"), _picture(1, "Measured: a curve"))
    assert not same(_picture(1, "Measured: a line"), [])


def test_progress_bars_may_differ_in_their_times() -> None:
    """And in nothing else: a bar that did not come to its end is another one."""
    bars = [{"text": f"{done}%|██| {done}/100 [{times}]"} for done, times in _BARS]
    assert same(bars[:1], bars[1:2])
    assert not same(bars[:1], bars[2:])


_BARS = [(100, "00:07<00:00,  2.27it/s"), (100, "00:12<00:00, 11.05s/it"), (50, "00:07<00:00,  2.27it/s")]


def test_made_again_a_notebook_is_the_same_to_the_byte(notebook: Path) -> None:
    """The time was another one, and the stored one stays; no version of this machine is written."""
    before = notebook.read_bytes()
    assert not execute_in_place(notebook)
    assert notebook.read_bytes() == before
    assert nbformat.read(notebook, as_version=4).metadata.language_info == {"name": "python"}


def test_what_changed_is_written(notebook: Path) -> None:
    """A cell with another source gets its own output."""
    loaded = nbformat.read(notebook, as_version=4)
    loaded.cells[0].source = "import time\nprint('another')"
    nbformat.write(loaded, notebook)
    assert execute_in_place(notebook)
    assert nbformat.read(notebook, as_version=4).cells[0].outputs[0].text == "another\n"
