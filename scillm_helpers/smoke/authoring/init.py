"""A folder -> the notebooks, and what they need."""

import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import nbformat

from ...errors import UsageError
from .. import extra
from ..labels import label_of
from .stored import unstamp

# A wheel has the files beside this module; in a clone they are where the wheel's build takes them from.
_PACKAGED = Path(__file__).with_name("project")
_CLONE = Path(__file__).parents[3]
_IGNORED = ".env\n.venv/\nruns/\n"
REQUIREMENTS = Path("requirements.txt")


def init(arguments: Namespace) -> int:
    """Write what is not there yet, install what the notebooks import, and return the exit status. Raises UsageError."""
    folder: Path = arguments.folder
    files = contents()
    try:
        _write(folder, files)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to ({error.strerror}); choose another folder.") from error
    notebooks = sum(path.suffix == ".ipynb" for path in files)
    others = ", ".join(str(path) for path in files if path.suffix != ".ipynb")
    print(f"{label_of(folder)}: {notebooks} notebooks in notebooks/; {others}", flush=True)
    status = _install(folder / REQUIREMENTS) if extra.missing() and extra.has_pip() else 0
    if status == 0:
        command = extra.command("run") if extra.missing() else "scillm-smoke run"
        print(f"Next: {'' if folder == Path() else f'cd {shlex.quote(label_of(folder))}, then '}{command}")
    return status


def contents() -> dict[Path, str]:
    """Return what a project begins with: each path, and what the file holds."""
    packaged = _PACKAGED.is_dir()
    root = _PACKAGED if packaged else _CLONE
    lock = root / (REQUIREMENTS if packaged else "requirements/lock.txt")
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    return {
        **{Path("notebooks") / path.name: _notebook(path) for path in notebooks},
        REQUIREMENTS: lock.read_text(encoding="utf-8"),
        Path(".env.example"): (root / ".env.example").read_text(encoding="utf-8"),
        Path(".gitignore"): _IGNORED,
    }


def _notebook(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    unstamp(notebook)
    return f"{nbformat.writes(notebook)}\n"


def _write(folder: Path, files: dict[Path, str]) -> None:
    """Write the files, once none of them is there with another content."""
    missing = {}
    for path, text in files.items():
        try:
            there = (folder / path).read_bytes()
        except FileNotFoundError:
            missing[path] = text
        else:
            if there != text.encode():
                raise UsageError(f"{folder / path} is there already, and differs; choose another folder.")
    for path, text in missing.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _install(requirements: Path) -> int:
    """Install what the notebooks import into this Python's environment, and return the exit status."""
    print(f"Installing what the notebooks import, from {label_of(requirements)}:", flush=True)
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--require-hashes"]
    return subprocess.run([*command, "-r", requirements], check=False).returncode  # noqa: S603 - fixed words, a path
