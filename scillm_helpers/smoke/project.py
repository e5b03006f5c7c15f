"""The project's folder, which has `notebooks/` and `runs/`: the working directory, or the one above `notebooks/`."""

import re
from pathlib import Path

_NOTEBOOKS = "notebooks"


def home() -> Path:
    """Return the project's folder, relative to the working directory."""
    inside = Path.cwd().name == _NOTEBOOKS and not Path(_NOTEBOOKS).is_dir() and any(Path().glob("*.ipynb"))
    return Path("..") if inside else Path()


def notebooks() -> Path:
    """Return the folder of the project's notebooks."""
    return home() / _NOTEBOOKS


def runs() -> Path:
    """Return the folder of the project's runs."""
    return home() / "runs"


def makes(target: str) -> bool:
    """Tell whether the project has a Makefile with this target: a clone has, a folder that `init` wrote has not."""
    try:
        makefile = (home() / "Makefile").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE) is not None
