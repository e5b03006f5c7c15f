"""A copy of the checkout, its virtual environment among it, that belongs to another user."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_OUT = {
    ".git",
    "runs",
    "build",
    ".hypothesis",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
}  # of the checkout itself
_COMMIT = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "As it is")


@dataclass(frozen=True)
class User:
    """A user of this system, and a primary group."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "User":
        """Return the user of that name. Raises KeyError."""
        entry = pwd.getpwnam(name)
        return cls(name, entry.pw_uid, entry.pw_gid)


def copied(root: Path, folder: Path, user: User) -> Path:
    """Copy the checkout at `root` into `folder`, a home and a folder for temporary files beside it; return the copy.

    What has been edited is copied as it is. All of it is the user's, and leads to the copy and not to `root`.
    """
    copy = folder / "checkout"
    shutil.copytree(root, copy, symlinks=True, ignore=lambda place, _: _LEFT_OUT if Path(place) == root else ())
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    for path in _naming_their_place(copy / ".venv"):
        _replace(path, root, copy)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    _commit(copy, folder / "home", user)
    return copy


def _naming_their_place(environment: Path) -> Iterator[Path]:
    """Yield the files of a virtual environment that may hold its path, or that of an editable install."""
    yield from environment.rglob("bin/*")
    yield from environment.rglob("site-packages/__editable__*")
    yield from environment.rglob("site-packages/*.pth")


def _replace(path: Path, root: Path, copy: Path) -> None:
    if path.is_file() and not path.is_symlink() and b"\0" not in (content := path.read_bytes()):
        path.write_bytes(content.replace(bytes(root), bytes(copy)))


def _commit(copy: Path, home: Path, user: User) -> None:
    """Make a repository of the copy, as the tests have one; a worktree's belongs to somebody else."""
    if git := shutil.which("git"):
        environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
        # Only root may become somebody else, or drop groups.
        become = {"user": user.uid, "group": user.gid, "extra_groups": ()} if os.geteuid() == 0 else {}
        for command in (("init", "-q"), ("add", "-A"), _COMMIT):
            subprocess.run([git, *command], cwd=copy, env=environ, check=True, **become)  # type: ignore[call-overload]  # noqa: S603
