"""Notebooks -> what they lack, a line each."""

import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import reader

from ..folder import shown
from ..labels import label, label_of
from ..plan import InvalidNotebook, find_notebooks
from . import leaks, shape, stored
from .findings import Finding

RULES = (*shape.RULES, *stored.RULES, *leaks.RULES)


def check(arguments: Namespace) -> int:
    """Print what the notebooks lack, and return the exit status: 1 where it is anything."""
    paths = find_notebooks(arguments.notebooks)
    found = 0
    for path in paths:
        for finding in _findings(path):
            print(label(f"{label_of(shown(path))}: {finding}"))
            found += 1
    what = f"{len(paths)} notebook{'s' if len(paths) > 1 else ''} checked"
    print(f"scillm-smoke: {what}, {found or 'no'} finding{'' if found == 1 else 's'}", file=sys.stderr)
    return 1 if found else 0


def _findings(path: Path) -> Iterator[Finding]:
    """Yield what a notebook lacks; of one that cannot be read, that."""
    try:
        notebook = read(path)
    except InvalidNotebook as error:
        yield Finding(None, f"not a valid notebook ({error.why})", "mend or restore it")
    else:
        yield from lacking(notebook)


def lacking(notebook: Any) -> Iterator[Finding]:
    """Yield what a notebook lacks."""
    for rule in RULES:
        yield from rule(notebook)


def read(path: Path) -> Any:
    """Return the notebook at `path`, as nbformat 4. Raises InvalidNotebook."""
    try:
        with warnings.catch_warnings(action="error"):  # of cells without an id
            notebook = reader.reads(path.read_text(encoding="utf-8"))
            nbformat.validate(notebook)
            return nbformat.convert(notebook, 4)
    except Exception as error:  # nbformat raises its own, jsonschema's and the json module's
        raise InvalidNotebook(path, error) from error
