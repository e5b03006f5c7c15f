"""The code of a notebook: its cells, and what tells whether it has changed."""

import hashlib
from typing import Any


def code_cells(notebook: Any) -> list[Any]:
    """Return the code cells of a notebook; none where it could not even be read."""
    return [] if notebook is None else [cell for cell in notebook.cells if cell.cell_type == "code"]


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
