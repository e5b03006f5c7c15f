"""A name -> a notebook in the suite's shape, which runs at once."""

import os
import re
from argparse import Namespace
from pathlib import Path

import nbformat

from ...errors import UsageError
from .. import project
from ..folder import shown
from ..labels import label_of
from .stored import unstamp

TEMPLATE = Path(__file__).with_name("template.ipynb")
_TITLE = "# 00 · Title: what it is about"


def new(arguments: Namespace) -> int:
    """Write the notebook, say what to do next, and return the exit status. Raises UsageError."""
    number, words = _named(arguments.name)
    folder = project.notebooks()
    if not folder.is_dir():
        raise UsageError("notebooks/ is not here; run this in the folder above it, or write it with scillm-smoke init.")
    path = folder / f"{arguments.name}.ipynb"
    if os.path.exists(path):
        raise UsageError(f"{path} is there already; choose another name.")
    _check_number(number, folder)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_content(number, words))
    except OSError as error:
        raise UsageError(f"{folder}/ cannot be written to ({error.strerror}); see to the folder.") from error
    print(f"{label_of(shown(path.resolve()))}: runs as it is (scillm-smoke run {arguments.name}).")
    print(_next(arguments.name))
    return 0


def _content(number: str, words: str) -> str:
    notebook = nbformat.read(TEMPLATE, as_version=4)
    title = f"# {number} · {words.replace('_', ' ').capitalize()}: what it is about"
    notebook.cells[0].source = notebook.cells[0].source.replace(_TITLE, title, 1)
    if not project.makes("tutorials"):
        unstamp(notebook)
    return f"{nbformat.writes(notebook)}\n"


def _next(name: str) -> str:
    """Return what to do next: in a clone, its tests want to know of a notebook."""
    lesson, says = "Next: put your lesson in place of the example", f"`scillm-smoke check {name}` says what it lacks."
    if not project.makes("tutorials"):
        return f"{lesson}, and execute it; {says}"
    listed = "Then give it its row in README.md and its name in tests/test_notebooks.py and tests/test_curl.py."
    return f"{lesson}; `make tutorials` executes it, and {says}\n{listed}"


def _named(name: str) -> tuple[str, str]:
    """Return the number and the words of a name. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{2})_([a-z0-9]+(?:_[a-z0-9]+)*)", name)
    if match is None:
        raise UsageError(f"{name!r} is no name for a notebook; write two digits, `_` and words, such as 11_embeddings.")
    return match[1], match[2]


def _check_number(number: str, folder: Path) -> None:
    numbers = {path.name[:2]: path.name for path in folder.glob("[0-9][0-9]_*.ipynb")}
    if number in numbers:
        free = next((f"{n:02}" for n in range(int(max(numbers)) + 1, 100)), None)
        remedy = f"{free} is free." if free else "choose another."
        raise UsageError(f"{number} is the number of {numbers[number]}; {remedy}")
