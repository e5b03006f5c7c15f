"""The project's files as they are now: with what has been edited, and without what was made here."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT

_MADE = {".git", ".env", ".venv", "build", "dist", "runs"}
_MADE_ANYWHERE: Callable[[str, list[str]], set[str]] = shutil.ignore_patterns(
    "__pycache__", ".*_cache", "*.egg-info", ".hypothesis", ".ipynb_checkpoints"
)


def copied(folder: Path) -> Path:
    """Copy the files into `folder`, which is there or made, and return it."""
    return Path(shutil.copytree(ROOT, folder, ignore=_made, dirs_exist_ok=True))


def _made(place: str, names: list[str]) -> set[str]:
    return _MADE_ANYWHERE(place, names) | (_MADE if Path(place) == ROOT else set())
