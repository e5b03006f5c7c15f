"""Stored outputs: whole, of the code that stands beside them, and to be read by everybody.

`make tutorials` keeps in a notebook's metadata a digest of the code that its outputs came from. A notebook without one,
from another project, is judged by its execution counts alone.
"""

from collections.abc import Iterator
from typing import Any

from ...records import MIME_TYPE
from .. import project
from ..source import digest
from .findings import Finding, numbered
from .shape import records_of

WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA, DIGEST = "scillm", "outputs_of"


def stamp(notebook: Any) -> None:
    """Keep in the notebook that its outputs are of its code as it is now."""
    notebook.metadata[METADATA] = {DIGEST: digest(notebook)}


def unstamp(notebook: Any) -> None:
    """Take that out again: outside of a clone nothing keeps it up to date."""
    notebook.metadata.pop(METADATA, None)


def again() -> str:
    """Return how to have the stored outputs made again."""
    return "execute it again (`make tutorials`)" if project.makes("tutorials") else "execute it again"


def up_to_date(notebook: Any) -> Iterator[Finding]:
    """Have the outputs of this code."""
    kept = notebook.metadata.get(METADATA, {}).get(DIGEST)
    if kept is not None and kept != digest(notebook):
        remedy = again() if project.makes("tutorials") else f"{again()}, and take `{METADATA}` out of its metadata"
        yield Finding(None, "stored outputs out of date, the code has changed since", remedy)


def whole(notebook: Any) -> Iterator[Finding]:
    """Have each cell executed, in order, and each record there."""
    cells = numbered(notebook, "code")
    if cells and all(cell.execution_count is None for _, cell in cells):
        yield Finding(None, "no stored outputs", again())
        return
    for wanted, (number, cell) in enumerate(cells, 1):
        if cell.execution_count != wanted:
            was = "not executed" if cell.execution_count is None else f"executed as [{cell.execution_count}]"
            yield Finding(number, f"{was}, where [{wanted}] is its turn", again())
            return  # those after it follow from it
    for number, cell in cells:
        if records_of(cell) and not any(MIME_TYPE in output.get("data", {}) for output in cell.outputs):
            yield Finding(number, "no stored output of its record", again())


def clean(notebook: Any) -> Iterator[Finding]:
    """Have no error, and no warning."""
    for number, cell in numbered(notebook, "code"):
        kinds = {output.get("name", output.output_type) for output in cell.outputs}
        if "error" in kinds:
            yield Finding(number, "a stored output is an error", f"mend the cell, and {again()}")
        if any(WIDGET in output.get("data", {}) for output in cell.outputs):
            yield Finding(number, "a stored output is a widget, dead without its kernel", again())
        if "stderr" in kinds:
            yield Finding(
                number, "a stored output is a warning, on the standard error stream", f"mend it, and {again()}"
            )


def described(notebook: Any) -> Iterator[Finding]:
    """Have a text for each picture: who cannot see it has it read aloud."""
    for number, cell in numbered(notebook, "code"):
        data = [output.get("data", {}) for output in cell.outputs]
        if any("image/png" in shown or "![](" in shown.get("text/markdown", "") for shown in data):
            yield Finding(number, "a picture without a text", "show it with `figure(fig, TEXT)` or `![TEXT](...)`")


RULES = (up_to_date, whole, clean, described)
