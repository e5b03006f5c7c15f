"""Notebooks x parameters x models -> cases."""

import ast
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from ..errors import UsageError
from ..listing import nearest
from . import project
from .labels import distinct, label, label_of, writable
from .results import Case


def find_notebooks(names: list[str]) -> list[Path]:
    """Return the notebooks of these paths, names or folders; of `notebooks/` where none is named.

    Raises UsageError for one that does not exist.
    """
    found = [path for name in names for path in _find(name)] if names else _all_in(project.notebooks())
    return list(dict.fromkeys(found))


def check_parameters(notebooks: list[Path], parameters: dict[str, Any]) -> None:
    """Raise UsageError for a notebook that lacks one of the parameters, or lacks the cell for them."""
    for path in notebooks if parameters else ():
        try:
            declared = _declared(path)
        except InvalidNotebook:
            continue  # it fails as a case, and the others run
        if declared is None:
            raise UsageError(f"{path.name} has no cell tagged 'parameters'; add one, or run it without -p.")
        for name in parameters:
            if name not in declared:
                known = ", ".join(declared) or "none"
                raise UsageError(f"{path.name} has no parameter {name}; it has {known}.")


def make_cases(
    notebooks: list[Path], parameters: dict[str, Any], models: list[str], clean: Callable[[str], str]
) -> list[Case]:
    """Return a case for each notebook and model. Its id can be shown: `clean` takes the secrets out of names."""
    names = distinct(clean(label_of(path.stem)) for path in notebooks)
    planned = list(itertools.product(zip(names, notebooks, strict=True), models))
    ids = distinct(f"{name}@{clean(label(model))}" if len(models) > 1 else name for (name, _), model in planned)
    return [Case(id, path, parameters, model) for id, ((_, path), model) in zip(ids, planned, strict=True)]


def parse_parameters(texts: list[str]) -> dict[str, Any]:
    """Read `NAME=VALUE`s. A value that is a Python literal, and JSON too, is one; anything else is a string."""
    return dict(_parse_parameter(text) for text in texts)


def _parse_parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"-p {text} is not NAME=VALUE; write for example -p max_tokens=8.")
    try:
        parsed = ast.literal_eval(value)
        # results.json tells the parameters, so each must be JSON, in UTF-8
        json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        parsed = writable(value)
    return name, parsed


def _find(name: str) -> list[Path]:
    """Return the notebook of a path or a bare name (`02_streaming`), or all of a folder."""
    folder = project.notebooks()
    for path in (Path(name), folder / name, folder / f"{name}.ipynb") if name else ():
        if os.path.isdir(path):  # which raises nothing for a name that no file can have
            return _all_in(path)
        if os.path.isfile(path) and path.suffix == ".ipynb":
            return [path.resolve()]
    near = nearest(Path(name).stem, [path.stem for path in folder.glob("*.ipynb")])
    remedy = f"did you mean {' or '.join(near)}?" if near else "see notebooks/."
    raise UsageError(f"{name!r} is not a notebook; {remedy}")


def _all_in(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.ipynb"))
    if not found:
        raise UsageError(f"{folder}/ holds no notebook; name one, or write the lessons with scillm-smoke init.")
    return [path.resolve() for path in found]


def _declared(path: Path) -> list[str] | None:
    """Return the names that the notebook's parameters cell assigns, or None where there is none.

    Raises InvalidNotebook.
    """
    try:
        cells = nbformat.read(path, as_version=4).cells
    except Exception as error:  # nbformat raises its own, jsonschema's and the json module's
        raise InvalidNotebook(path, error) from error
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        return None
    try:
        body = ast.parse(tagged[0].source).body
    except SyntaxError as error:
        raise UsageError(f"{path.name} has a parameters cell that is not Python ({error}); mend it.") from error
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


class InvalidNotebook(UsageError):
    """Say why a notebook cannot be read."""

    def __init__(self, path: Path, error: Exception) -> None:
        # nbformat quotes the beginning of what it cannot read, which may be the first half of a secret.
        self.why = str(error).splitlines()[0].partition(": ")[0] if str(error) else type(error).__name__
        super().__init__(f"{path.name} is not a valid notebook ({self.why}); mend or restore it.")
