"""Stored outputs: compared strictly, made again to the byte."""

import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_notebook
from tqdm import tqdm

from scillm_helpers import figure
from tests.conftest import ROOT
from tools.stored import masked, same
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


@pytest.fixture(scope="module")
def outcomes(_executed: Path) -> dict[str, list[str]]:
    """Return the outcome of each cell, under nbval, of the executed notebook and of one whose stored outputs differ."""
    outputs = nbformat.writes(nbformat.read(_executed, as_version=4))
    assert "ttft_s" in outputs
    for stored, other in (('"text\\n', '"test\\n'), ("last", "lost"), ('"chunks": 3', '"chunks": 4')):
        head, mark, tail = outputs.rpartition(stored)
        assert mark, "the notebook does not hold what this test changes"
        outputs = head + other + tail
    changed = _executed.with_name("changed.ipynb")
    changed.write_text(outputs, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "conftest",
        "-c",
        ROOT / "pyproject.toml",
        "-p",
        "no:cacheprovider",
    ]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""}
    done = subprocess.run(
        [*command, "--nbval", "-v", "--color=no", _executed, changed],
        cwd=ROOT, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    found = re.findall(r"::Cell \d (PASSED|FAILED)", done.stdout)  # in the order of the notebooks
    return {"unchanged": found[: len(SOURCES)], "changed": found[len(SOURCES) :]}


def test_only_what_truly_varies_may_differ(outcomes: dict[str, list[str]]) -> None:
    """A measured time may; it is there, and it was another one."""
    assert outcomes["unchanged"] == ["PASSED"] * len(SOURCES)


def test_anything_else_that_differs_fails(outcomes: dict[str, list[str]]) -> None:
    """A word of the text, of an updated display, a field of a record: each in a cell of its own."""
    assert outcomes["changed"] == ["FAILED"] * len(SOURCES)


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


_SECONDS = (0, 1e-7, 0.004, 0.3, 9.99, 100, 3599, 3601, 86400, 1e7)
_BARS = st.fixed_dictionaries(
    {
        "ncols": st.none() | st.integers(0, 150),
        "unit_scale": st.sampled_from([False, True, 1000]),
        "unit": st.sampled_from(["it", "B", "tokens", " files"]),
        "prefix": st.sampled_from(["", "load", "a/b [c]"]),
        "ascii": st.booleans(),
        "colour": st.sampled_from([None, "green"]),
    }
)


def _bar(done: int, total: int | None, seconds: float, **bar: Any) -> str:
    return str(tqdm.format_meter(done, total, seconds, **bar))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    bar=_BARS | _BARS.map(lambda bar: bar | {"ascii": " >="}),
    total=st.none() | st.integers(1, 10**7),
    part=st.floats(0, 1),
)
def test_progress_bar_is_the_same_at_any_speed(bar: dict[str, Any], total: int | None, part: float) -> None:
    """tqdm's own, done or not, as wide as it may be: neither its times nor the width that they leave it count."""
    done = round(part * (total or 50))
    assert len({masked(_bar(done, total, seconds, **bar)) for seconds in _SECONDS}) == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(bar=_BARS, total=st.integers(2, 10**7), missing=st.integers(1, 10**7))
def test_progress_bar_that_did_not_finish_is_another_one(bar: dict[str, Any], total: int, missing: int) -> None:
    """By its count, or where that is rounded by its blocks; unless what tells them apart is cut off, or not drawn."""
    assume(bar["ncols"] is None or bar["ncols"] >= 60)
    whole = {masked(_bar(total, total, seconds, **bar)) for seconds in _SECONDS}
    broken = {masked(_bar(max(0, total - missing), total, seconds, **bar)) for seconds in _SECONDS}
    assert not whole & broken


def _printed(*pieces: str) -> list[Any]:
    return [{"output_type": "stream", "name": "stderr", "text": piece} for piece in pieces]


def test_progress_bar_is_compared_as_it_was_last() -> None:
    """tqdm's own, updated at once or step by step; what is printed around it counts."""
    written = []
    for steps in ([6], [1, 1, 1, 1, 1, 1], [5]):
        with tqdm(total=6, file=(file := StringIO()), ncols=80, mininterval=0) as bar:
            for step in steps:
                bar.update(step)
        written.append(file.getvalue().splitlines(keepends=True))
    once, often, broken = [_printed(*pieces) for pieces in written]
    assert len(often) > len(once)
    assert same(once, often)
    assert not same(once, broken)
    assert not same(once, often + _printed("done"))


def test_bar_that_is_taken_away_leaves_nothing() -> None:
    """However long it was."""
    assert same(_printed("\r100%|██| 1/1", "\r              \r", "next"), _printed("\r          \r", "next"))
    assert not same(_printed("text\r\n"), _printed("test\r\n"))


@pytest.mark.parametrize(
    "texts",
    [
        ("first token after 0.079 s, then 95 tokens/s", "first token after 12.401 s, then 3 tokens/s"),
        ("| a | 0.02 s    |", "| a | 12.02 s   |"),
        ("ok (ttft_s 0.079, latency_s 2)", "ok (ttft_s 1.2e-05, latency_s 10.5)"),
        ('{"replies_per_s": 4.5}', '{"replies_per_s": 11}'),
    ],
)
def test_measured_values_in_text_may_differ(texts: tuple[str, str]) -> None:
    """In prose, in a table whose columns are as wide as their values, in a record."""
    assert masked(texts[0]) == masked(texts[1])


@pytest.mark.parametrize("texts", [("timeout 45", "timeout 46"), ("3 chunks", "4 chunks"), ("after 2 s", "after 3 s")])
def test_other_numbers_count(texts: tuple[str, str]) -> None:
    """What is counted or was chosen is not measured."""
    assert masked(texts[0]) != masked(texts[1])


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
