"""The suite's own notebooks: each lacks nothing, none is lost, and each leads to the next."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from scillm_helpers.smoke.authoring import check, stored
from scillm_helpers.smoke.authoring.new import TEMPLATE
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", [*NOTEBOOKS, TEMPLATE], ids=lambda path: path.stem)
def test_nothing_is_lacking(path: Path) -> None:
    """By the rules of `scillm-smoke check`; and its outputs are known to be of its code."""
    notebook = check.read(path)
    assert [str(finding) for finding in check.lacking(notebook)] == []
    assert stored.DIGEST in notebook.metadata[stored.METADATA]


@pytest.mark.parametrize("path", [*NOTEBOOKS, TEMPLATE], ids=lambda path: path.stem)
def test_first_code_cell_says_what_to_install(path: Path) -> None:
    """In a Python that has the standard library alone, as on a machine where only the notebook was opened."""
    first = next(cell.source for cell in check.read(path).cells if cell.cell_type == "code")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", first], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith('ModuleNotFoundError: Run `%pip install "scillm-notebooks[run] @ git+')


def test_none_is_lost() -> None:
    """Each is there, and has its number."""
    assert [path.stem for path in NOTEBOOKS] == [
        "00_playground",
        "01_setup",
        "02_streaming",
        "03_json_mode",
        "04_multimodal",
        "05_tools",
        "06_retries",
        "07_fallbacks",
        "08_batch",
        "09_model_matrix",
        "10_errors",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_recap_leads_to_the_next(path: Path) -> None:
    """Each links to the one that follows it; the last may lead anywhere that is there."""
    (recap,) = [cell.source for cell in check.read(path).cells if cell.source.startswith("### Recap")]
    linked = re.findall(r"\((\w+)\.ipynb\)", recap)
    assert linked
    assert [int(name[:2]) for name in linked] == [int(path.stem[:2]) + 1] or linked == ["01_setup"]


def test_setup_shows_the_versions_that_are_pinned() -> None:
    """nbval compares them with nothing: `make test-newest` has others."""
    cells = nbformat.read(ROOT / "notebooks" / "01_setup.ipynb", as_version=4).cells
    (shown,) = [cell.outputs[0].text for cell in cells if "import version" in cell.source]
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    assert len(shown.splitlines()) == 3
    assert {line.replace(" ", "==") for line in shown.splitlines()} <= set(pins)
