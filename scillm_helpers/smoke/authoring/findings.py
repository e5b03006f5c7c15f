"""What a notebook lacks: the vocabulary of the rules."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Say what is lacking, and what to do; `cell` is counted from 1, prose too, and None where no cell is at fault."""

    cell: int | None
    lacking: str
    remedy: str

    def __str__(self) -> str:
        """Return the line that an author reads."""
        place = "" if self.cell is None else f"cell {self.cell}: "
        return f"{place}{self.lacking}: {self.remedy}."


def numbered(notebook: Any, kind: str) -> list[tuple[int, Any]]:
    """Return the cells of a kind (`code`, `markdown`), each with its number."""
    return [(number, cell) for number, cell in enumerate(notebook.cells, 1) if cell.cell_type == kind]


def tagged(cell: Any, tag: str) -> bool:
    """Tell whether a cell has a tag."""
    return tag in cell.metadata.get("tags", ())


def bash_blocks(notebook: Any) -> Iterator[str]:
    """Yield the commands that the prose gives to paste."""
    for _, cell in numbered(notebook, "markdown"):
        yield from re.findall(r"```bash\n(.*?)```", cell.source, re.DOTALL)
