"""A working directory for each case, where it finds what its notebook's folder has."""

import os
from pathlib import Path


def lay_out(place: Path, folder: Path) -> Path:
    """Fill `place` with links to what `folder` has, and return the directory that stands for `folder`.

    What a notebook writes anew stays in `place`, so that cases side by side do not meet; what it
    reads is there, also in the folders above, up to the one that the run was started in.
    """
    top = Path.cwd() if folder.is_relative_to(Path.cwd()) else folder
    source, copy = top, place
    for name in (*folder.relative_to(top).parts, None):
        copy.mkdir(exist_ok=True)
        for entry in os.listdir(source):  # strings: a folder may have hundreds, for each of hundreds of cases
            if entry != name:
                os.symlink(f"{source}/{entry}", f"{copy}/{entry}")
        if name is not None:
            source, copy = source / name, copy / name
    return copy
