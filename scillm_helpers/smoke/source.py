"""The code of a notebook: its cells, and what tells whether it has changed."""

import hashlib
from typing import Any

_DEEPEST = (
    100  # levels of lists and objects; the libraries that read and write notebooks recurse, and Python has a limit
)


def code_cells(notebook: Any) -> list[Any]:
    """Return the code cells of a notebook; none where it could not even be read."""
    return [] if notebook is None else [cell for cell in notebook.cells if cell.cell_type == "code"]


def check_shape(notebook: Any) -> None:
    """Raise ValueError for a notebook whose cells are not of the shape that all here relies on: papermill reads any."""
    if is_deep(notebook):
        raise ValueError("it is nested too deeply")
    for cell in notebook.cells:
        parts = {"cell_type": str, "source": str, "metadata": dict}
        if cell.get("cell_type") == "code":
            parts["outputs"] = list
        for name, kind in parts.items():
            if not isinstance(cell.get(name), kind):
                raise ValueError(f"a cell without a valid {name}")


def is_deep(value: Any) -> bool:
    """Return whether JSON is nested too deeply to be handled."""
    level = [value]
    for _ in range(_DEEPEST):
        inner = (part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer))
        level = [part for part in inner if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def digest(notebook: Any) -> str:
    """Return what tells whether a notebook's code has changed: 12 hexadecimal digits."""
    sources = "\0".join(cell.source for cell in code_cells(notebook))
    return hashlib.sha256(sources.encode(errors="replace")).hexdigest()[:12]


def number(cell: Any) -> int | None:
    """Return n where the executed copy has `In [n]` before a cell; None where it has none, or none that a reader would believe."""
    count = cell.execution_count
    return count if isinstance(count, int) and 0 < count < 1_000_000 else None


def has_tag(cell: Any, tag: str) -> bool:
    """Tell whether a cell has a tag; what the notebook has in place of a list of tags may be anything."""
    tags = cell.metadata.get("tags")
    return isinstance(tags, (list, str)) and tag in tags
