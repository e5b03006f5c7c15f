"""Files that are written whole or not at all, and that are as private as the folder they are in.

A file allows what the umask allows, and to nobody more than its folder does; a new folder likewise by its parent.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no crash, finds half of it. Raises OSError."""
    temporary = path.with_name(f".{path.name[:100]}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb", opener=opener(path.parent)) as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def opener(folder: Path) -> Callable[[str, int], int]:
    """Return the `opener` with which `open` creates a file that is as private as `folder`."""
    mode = allowed(folder) & 0o666
    return lambda name, flags: os.open(name, flags, mode)


def make_folder(path: Path, exist_ok: bool = False) -> None:
    """Make a folder with those above it. Raises OSError, as `Path.mkdir` does."""
    if not path.parent.exists():
        make_folder(path.parent, exist_ok=True)
    path.mkdir(allowed(path.parent), exist_ok=exist_ok)


def allowed(folder: Path) -> int:
    """Return what a folder allows to its group and to others, as in its mode; its owner may always do all."""
    return folder.stat().st_mode & 0o777 | 0o700
