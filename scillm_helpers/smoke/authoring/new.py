"""A name -> a notebook in the suite's shape, which runs at once."""

import os
import re
from argparse import Namespace
from pathlib import Path

from ...errors import UsageError
from ..plan import FOLDER

TEMPLATE = Path(__file__).with_name("template.ipynb")
_TITLE = "# 00 · Title: what it is about"


def new(arguments: Namespace) -> int:
    """Write the notebook, say what to do next, and return the exit status. Raises UsageError."""
    path = FOLDER / f"{arguments.name}.ipynb"
    number, words = _named(arguments.name)
    if not FOLDER.is_dir():
        raise UsageError(f"{FOLDER}/ is not here; run this in the project's folder.")
    if os.path.exists(path):
        raise UsageError(f"{path} is there already; choose another name.")
    _check_number(number)
    title = f"# {number} · {words.replace('_', ' ').capitalize()}: what it is about"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.read_text(encoding="utf-8").replace(_TITLE, title, 1))
    except OSError as error:
        raise UsageError(f"{FOLDER}/ cannot be written to ({error.strerror}); see to the folder.") from error
    print(f"{path}: runs as it is (scillm-smoke run {arguments.name}).")
    print(
        f"Next: put your lesson in place of the example; `make tutorials` executes it, and `scillm-smoke check {arguments.name}`"
    )
    print(
        "says what it lacks. Then give it its row in README.md and its name in tests/test_notebooks.py and tests/test_curl.py."
    )
    return 0


def _named(name: str) -> tuple[str, str]:
    """Return the number and the words of a name. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{2})_([a-z0-9]+(?:_[a-z0-9]+)*)", name)
    if match is None:
        raise UsageError(f"{name!r} is no name for a notebook; write two digits, `_` and words, such as 11_embeddings.")
    return match[1], match[2]


def _check_number(number: str) -> None:
    numbers = {path.name[:2]: path.name for path in FOLDER.glob("[0-9][0-9]_*.ipynb")}
    if number in numbers:
        free = next((f"{n:02}" for n in range(int(max(numbers)) + 1, 100)), None)
        remedy = f"{free} is free." if free else "choose another."
        raise UsageError(f"{number} is the number of {numbers[number]}; {remedy}")
