"""The conditions that the tests must not depend on, and how each is made on this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tools.elsewhere import checkout

ROOT = Path(__file__).parent.parent.parent
_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE")


class NotMadeError(Exception):
    """A condition that this machine cannot make; the message says why."""


@dataclass(frozen=True)
class Surroundings:
    """What a command is started with, for a condition to hold: a prefix, variables (None unsets one), a umask, a checkout."""

    prefix: tuple[str, ...] = ()
    environ: Mapping[str, str | None] = field(default_factory=dict)
    umask: int = -1
    root: Path = ROOT

    def start(self, *command: str, stderr: int | None = None) -> "subprocess.Popen[str]":
        """Start `python COMMAND` of this checkout under the condition. Raises OSError."""
        python = self.root / Path(sys.executable).relative_to(ROOT)
        environ = {**os.environ, **self.environ}
        return subprocess.Popen(  # noqa: S603
            [*self.prefix, str(python), *command],
            cwd=self.root,
            env={name: value for name, value in environ.items() if value is not None},
            umask=self.umask,
            stderr=stderr,
            text=True,
            errors="replace",
        )

    def require(self) -> None:
        """Start a Python that does nothing. Raises NotMadeError where the system refuses."""
        try:
            process = self.start("-c", "", stderr=subprocess.PIPE)
        except OSError as error:
            raise NotMadeError(str(error)) from error
        _, complaint = process.communicate()
        if process.returncode:
            raise NotMadeError(complaint.strip().rpartition("\n")[2])


Making = Callable[[Path], AbstractContextManager[Surroundings]]


@dataclass(frozen=True)
class Condition:
    """A name, what it stands for, and how it is made; `make` gets a folder that is empty, and removed at the end."""

    name: str
    meaning: str
    make: Making


def _always(surroundings: Surroundings) -> Making:
    return lambda _: nullcontext(surroundings)


def _environ(**environ: str | None) -> Making:
    return _always(Surroundings(environ=environ))


@contextmanager
def _one_core(_: Path) -> Iterator[Surroundings]:
    yield Surroundings(_pinned())


@contextmanager
def _busy(_: Path) -> Iterator[Surroundings]:
    """Run a loop that never waits on the core that the tests have."""
    with subprocess.Popen([*_pinned(), sys.executable, "-c", "while True: pass"]) as loop:  # noqa: S603
        try:
            yield Surroundings(_pinned())
        finally:
            loop.kill()


def _pinned() -> tuple[str, ...]:
    return (_program("taskset", "util-linux"), "--cpu-list", str(min(os.sched_getaffinity(0))))


def _program(name: str, package: str) -> str:
    if (found := shutil.which(name)) is None:
        raise NotMadeError(f"{name} is not installed (package {package})")
    return found


@contextmanager
def _other_encoding(folder: Path) -> Iterator[Surroundings]:
    """Use German in ISO-8859-1, which is made where the system has only its source."""
    command = [_program("localedef", "libc-bin"), "-i", "de_DE", "-f", "ISO-8859-1", str(folder / "de_DE.ISO-8859-1")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise NotMadeError("the source of the locale de_DE is not installed (package locales)")
    environ = dict.fromkeys(_LOCALE) | {"LOCPATH": str(folder), "LC_ALL": "de_DE.ISO-8859-1"}
    yield Surroundings(environ=environ)


@contextmanager
def _no_git(folder: Path) -> Iterator[Surroundings]:
    """Use a PATH of links to all commands but those of git."""
    for directory in map(Path, os.get_exec_path()):
        for command in directory.iterdir() if directory.is_dir() else ():
            link = folder / command.name
            if not command.name.startswith("git") and not link.is_symlink():
                link.symlink_to(command)
    yield Surroundings(environ={"PATH": str(folder)})


@contextmanager
def _no_cgroup(_: Path) -> Iterator[Surroundings]:
    """Hide the control groups from the tests, which only root may."""
    hide = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'
    yield Surroundings((_program("unshare", "util-linux"), "--mount", "sh", "-c", hide, "sh"))


@contextmanager
def _other_user(folder: Path) -> Iterator[Surroundings]:
    """Give a copy of the checkout to `nobody`, who runs the tests there; whoever is not root needs none."""
    if os.geteuid() != 0:
        yield Surroundings()
        return
    if closed := _closed_above(folder):
        raise NotMadeError(f"{closed[0]} is closed to other users; set TMPDIR to a folder that is not below it")
    user = checkout.User.named("nobody")
    copy = checkout.copied(ROOT, folder, user)
    environ = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "USER": user.name, "LOGNAME": user.name}
    drop = (_program("setpriv", "util-linux"), f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    yield Surroundings((*_showing(Path(sys.base_prefix), folder), *drop), environ, root=copy)


def _showing(path: Path, folder: Path) -> tuple[str, ...]:
    """Return the prefix with which everybody may read `path`, though it is below a folder that is root's alone."""
    closed = _closed_above(path)
    if not closed:
        return ()
    (through := folder / "through").mkdir()
    show = 'mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 none "$3" && mkdir -p "$1" && mount --bind "$2" "$1"'
    run = f'{show} && shift 3 && exec "$@"'
    return (
        _program("unshare", "util-linux"),
        "--mount",
        "sh",
        "-c",
        run,
        "sh",
        str(path),
        str(through),
        str(closed[-1]),
    )


def _closed_above(path: Path) -> list[Path]:
    """Return the folders above `path`, the nearest first, that not everybody may enter."""
    return [folder for folder in path.parents if folder.stat().st_mode & 0o005 != 0o005]


_NO_IPV6 = (sys.executable, "-m", "tools.elsewhere.no_ipv6")
CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition("plain", "as the machine is", _always(Surroundings())),
        Condition("one-core", "one CPU core", _one_core),
        Condition("busy", "one CPU core, on which another process never waits", _busy),
        Condition("narrow", "a terminal of 40 columns", _environ(COLUMNS="40", LINES="10")),
        Condition("wide", "a terminal of 300 columns", _environ(COLUMNS="300", LINES="100")),
        Condition("lang-c", "LANG=C", _environ(**dict.fromkeys(_LOCALE) | {"LANG": "C"})),
        Condition("latin-1", "a locale of another encoding, de_DE.ISO-8859-1", _other_encoding),
        Condition("time-zone", "14 hours ahead of UTC", _environ(TZ="<+14>-14")),
        Condition("umask", "a umask of 077", _always(Surroundings(umask=0o077))),
        Condition("hash-seed", "no random hashes: PYTHONHASHSEED=0", _environ(PYTHONHASHSEED="0")),
        Condition("no-git", "no git on the PATH", _no_git),
        Condition("no-ipv6", "a system without IPv6", _always(Surroundings(_NO_IPV6))),
        Condition("no-cgroup", "a system without control groups", _no_cgroup),
        Condition("user", "a user without privileges", _other_user),
    )
}
