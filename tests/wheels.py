"""The wheel, and environments in which it is installed: alone with its dependencies, or with all that this one has."""

import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.polling import PATIENCE

_HERE = Path(sysconfig.get_path("purelib"))


def build(folder: Path) -> Path:
    """Return the wheel of this working tree."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel."""

    folder: Path

    @property
    def packages(self) -> Path:
        """Return its site-packages."""
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.folder), "platbase": str(self.folder)}))

    def __call__(self, *arguments: str, cwd: Path, entry: str = "scillm-smoke") -> subprocess.CompletedProcess[str]:
        """Run its command."""
        command = [Path(sysconfig.get_path("scripts", "venv", {"base": str(self.folder)})) / entry, *arguments]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


def light(folder: Path, wheel: Path) -> Environment:
    """Return an environment with the wheel and what it depends on without its extra, linked from this environment."""
    made = _install(folder, wheel)
    for name in _needed("scillm-notebooks", set()) - {"scillm-notebooks"}:
        for top in {file.parts[0] for file in metadata.files(name) or () if file.parts[0] != ".."} - {"__pycache__"}:
            if not (made.packages / top).exists():
                (made.packages / top).symlink_to(_HERE / top)
    return made


def full(folder: Path, wheel: Path) -> Environment:
    """Return an environment with the wheel and all that this environment has, but this working tree."""
    made = _install(folder, wheel)
    (made.packages / "all.pth").write_text(f"{_HERE}\n")
    return made


def _install(folder: Path, wheel: Path) -> Environment:
    venv.create(folder, symlinks=True)
    made = Environment(folder)
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", folder, "install", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    return made


def _needed(name: str, seen: set[str]) -> set[str]:
    """Return the distributions that one needs, itself among them."""
    if name not in seen:
        seen.add(name)
        for need in _requirements(name):
            _needed(need, seen)
    return seen


def _requirements(name: str) -> Iterator[str]:
    for need in map(Requirement, metadata.requires(name) or ()):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield re.sub(r"[-_.]+", "-", need.name).lower()
