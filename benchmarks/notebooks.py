"""What is executed: the tutorials, and copies of the one-call notebook."""

from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
ONE_CALL = Path(__file__).parent / "one_call.ipynb"


def tutorials(count: int) -> dict[str, str]:
    """Return the first `count` tutorials, by file name; the playground is a tool, and none."""
    paths = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.stem != "00_playground"]
    return {path.name: path.read_text() for path in paths[:count]}


def one_calls(count: int) -> dict[str, str]:
    """Return `count` copies of the one-call notebook, by file name."""
    return {f"call_{number:03}.ipynb": ONE_CALL.read_text() for number in range(count)}


def call_cells() -> list[str]:
    """Return the code cells of the one-call notebook: connect, call, check."""
    cells = nbformat.read(ONE_CALL, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]
