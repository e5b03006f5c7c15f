"""Working directories for cases, where each finds what its notebook's folder has.

A directory is filled with links, which takes long where there are thousands. So one that a case has left as it was,
or has only added to, is given to the next case: what was added is removed, and its name is another.
"""

import itertools
import os
import shutil
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import scratch


class Places:
    """Lend each case a directory of its own, inside a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._free: dict[Path, list[_Place]] = defaultdict(list)
        self._lock = threading.Lock()

    @contextmanager
    def lent(self, source: Path) -> Iterator[tuple[Path, Path]]:
        """Yield a directory that stands for `source`, and one for a kernel's sockets, until the case has ended.

        What a notebook writes anew stays in it, so that cases side by side do not meet, and is gone after; what it
        reads is there, also in the folders above, up to the one that the run was started in. Raises OSError where no
        directory can be made.
        """
        place = self._taken(source)
        sockets = self._folder / f"s{next(self._numbers)}"  # short: a socket's path may have some 100 characters
        sockets.mkdir()
        try:
            yield place.begin(), sockets
        finally:
            scratch.remove(sockets)
            if place.restored():
                with self._lock:
                    self._free[source].append(place)
            elif not scratch.in_use(place.root):
                scratch.remove(place.root)

    def _taken(self, source: Path) -> "_Place":
        root = self._folder / f"w{next(self._numbers)}"
        with self._lock:
            place = self._free[source].pop() if self._free[source] else None
        if place is not None and place.is_current():
            place.rename(root)
            return place
        if place is not None:
            scratch.remove(place.root)
        return _Place.laid_out(root, source)


@dataclass
class _Level:
    """A directory of links, and the folder whose entries they lead to."""

    source: str
    name: str  # below the place's root
    links: dict[str, str]
    listed: int  # when `source` last changed, before it was read
    stamp: tuple[int, ...] = ()


@dataclass
class _Place:
    """Directories of links: one for the folder that the run was started in, and in it those down to the notebook's."""

    root: Path
    levels: list[_Level] = field(default_factory=list)

    @classmethod
    def laid_out(cls, root: Path, source: Path) -> "_Place":
        """Create a place that stands for `source`."""
        top = Path.cwd() if source.is_relative_to(Path.cwd()) else source
        place, name, folder = cls(root), "", top
        for inner in (*source.relative_to(top).parts, None):
            place._add(str(folder), name, inner)
            if inner is not None:
                name, folder = f"{name}/{inner}", folder / inner
        return place

    def _add(self, source: str, name: str, inner: str | None) -> None:
        listed = os.stat(source).st_mtime_ns
        # Strings: a folder may have thousands of entries.
        links = {entry: f"{source}/{entry}" for entry in os.listdir(source) if entry != inner}
        os.mkdir(f"{self.root}{name}")
        for entry, target in links.items():
            _link(target, f"{self.root}{name}/{entry}")
        self.levels.append(_Level(source, name, links, listed))

    def is_current(self) -> bool:
        """Tell whether the folders still have the entries that they had."""
        try:
            return all(os.stat(level.source).st_mtime_ns == level.listed for level in self.levels)
        except OSError:
            return False

    def rename(self, root: Path) -> None:
        """Give the place another path, so that nobody reaches it by the one that it had."""
        self.root.rename(root)
        self.root = root

    def begin(self) -> Path:
        """Note how the directories are, and return the one that stands for the notebook's folder."""
        for level in self.levels:
            level.stamp = self._stamp(level)
        return Path(f"{self.root}{self.levels[-1].name}")

    def restored(self) -> bool:
        """Remove what a case has added; return whether the place is as it was, and nobody works in it."""
        if scratch.in_use(self.root) is not False:
            return False
        try:
            return all(self._stamp(level) == level.stamp or self._is_restored(level) for level in self.levels)
        except OSError:
            return False

    def _is_restored(self, level: _Level) -> bool:
        if self._stamp(level)[1:] != level.stamp[1:]:
            return False
        below = {other.name.removeprefix(f"{level.name}/") for other in self.levels if other is not level}
        found: dict[str, str] = {}
        with os.scandir(f"{self.root}{level.name}") as entries:
            for entry in entries:
                if entry.name in level.links and entry.is_symlink():
                    found[entry.name] = os.readlink(entry.path)
                elif entry.name not in below:
                    _remove(entry)
        return found == level.links

    def _stamp(self, level: _Level) -> tuple[int, ...]:
        """Return what changes with every entry that is added, removed or replaced; and what no case may change."""
        seen = os.stat(f"{self.root}{level.name}", follow_symlinks=False)
        return seen.st_ctime_ns, seen.st_ino, seen.st_mode


def _link(target: str, path: str) -> None:
    """Link to a file or a folder; on Windows, which makes symbolic links for few users, by a junction or a copy."""
    if sys.platform != "win32":
        os.symlink(target, path)
    elif os.path.isdir(target):
        import _winapi

        _winapi.CreateJunction(target, path)
    else:
        shutil.copy2(target, path)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        scratch.remove(Path(entry.path))
    else:
        with suppress(FileNotFoundError):
            os.unlink(entry.path)
