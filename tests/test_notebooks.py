"""Every notebook has the suite's shape."""

import ast
import re
from typing import Any

import nbformat
import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def cells(request: pytest.FixtureRequest) -> list[Any]:
    """Return the cells of each notebook in turn."""
    return list(nbformat.read(request.param, as_version=4).cells)


def _code(cells: list[Any]) -> list[Any]:
    return [cell for cell in cells if cell.cell_type == "code"]


def test_sections_stand_in_order(cells: list[Any]) -> None:
    """Title, the four lines, the setup, the recap, curl."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    sections = [
        "# ",
        "### Why/When/Gotchas/Troubleshooting",
        "### Runtime setup",
        "### Recap",
        "### Troubleshooting with curl",
    ]
    places = [text.index(section) for section in sections]
    assert places == sorted(places)
    assert cells[0].source.startswith("# ")
    for line in ("- Why:", "- When:", "- Gotchas:", "- Troubleshooting:"):
        assert line in cells[1].source


def test_parameters_are_literals_with_comments(cells: list[Any]) -> None:
    """One cell, each line `name = literal  # why`."""
    (parameters,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    for line in parameters.source.splitlines():
        assert re.fullmatch(r"\w+ = .+  # \S.*", line), line
        ast.literal_eval(line.partition(" = ")[2].partition("  # ")[0])


def test_real_call_is_visible(cells: list[Any]) -> None:
    """The reader sees LiteLLM's call with the connection spread into it."""
    assert "completion(**llm.kwargs" in "\n".join(cell.source for cell in _code(cells)).replace(
        "(\n        ", "("
    ).replace("(\n    ", "(")


def test_shape_is_asserted_and_reported(cells: list[Any]) -> None:
    """A tutorial is a test: it asserts, then records."""
    sources = [cell.source for cell in _code(cells)]
    asserted = next(i for i, source in enumerate(sources) if "assert " in source)
    recorded = [i for i, source in enumerate(sources) if re.search(r"^record\(", source, re.MULTILINE)]
    assert asserted <= recorded[0]
    assert recorded[-1] == len(sources) - 1


def test_cells_are_small(cells: list[Any]) -> None:
    """A cell is one idea."""
    assert max(len(cell.source.splitlines()) for cell in _code(cells)) <= 14


def test_stored_outputs_are_whole_and_clean(cells: list[Any]) -> None:
    """Executed in order, no error, no warning, no path of a machine, no address."""
    code = _code(cells)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert not re.search(r"/(home|root|tmp|work|Users)/|127\.0\.0\.1:\d|embedded-[\w-]{20}", str(outputs))


def test_images_have_alt_text(cells: list[Any]) -> None:
    """What is shown as a picture can be read aloud."""
    for cell in _code(cells):
        for output in cell.outputs:
            data = output.get("data", {})
            assert "image/png" not in data
            assert "![](" not in data.get("text/markdown", "")


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


def test_recap_leads_to_the_next(cells: list[Any], request: pytest.FixtureRequest) -> None:
    """Each links to the one that follows it; the last may lead anywhere that is there."""
    (recap,) = [cell.source for cell in cells if cell.source.startswith("### Recap")]
    linked = re.findall(r"\((\w+)\.ipynb\)", recap)
    assert linked
    own = request.node.callspec.id
    assert [int(name[:2]) for name in linked] == [int(own[:2]) + 1] or linked == ["01_setup"]
