"""Run `scillm-smoke` in a process forked from one that has imported it: the imports take longer than most runs here.

The forked process has the environment, the directory and the output of its own that a started one would have;
`Smoke.start` starts a real one, and so do `make` and its tests. Its kernels come from one zygote for all tests of
a process, as long as the product's own rules find nothing that would be otherwise in a new one.
"""

import atexit
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import chdir
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from scillm_helpers.kernels import zygotes
from scillm_helpers.kernels.recipe import Recipe
from scillm_helpers.smoke import cli, warm

_ROOT = Path(__file__).parent.parent


def least_environ() -> dict[str, str]:
    """Return what each run has in its environment: a zygote is right only for kernels with the same HOME."""
    return {"PATH": os.environ["PATH"], "HOME": _home()}


@cache
def _home() -> str:
    home = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, home)
    return home


def call(command: list[str], cwd: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Return what `subprocess.run(["scillm-smoke", *command], ...)` would, with its output as text."""
    zygote = _zygote()
    with tempfile.TemporaryDirectory() as folder:
        written = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        process = _context().Process(
            target=_main, args=(command, cwd, dict(environ), written, zygote.recipe, zygote._control)
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        out, err = (Path(path).read_text(encoding="utf-8") if os.path.exists(path) else "" for path in written)
        return subprocess.CompletedProcess(["scillm-smoke", *command], process.exitcode, out, err)


class _Lent(zygotes.Zygote):
    """Be a zygote to a process that has not started it, and does not end it."""

    def __init__(self, recipe: Recipe, control: socket.socket) -> None:
        self.recipe, self._control, self.launched = recipe, control, 0

    def ended(self) -> bool:
        return True

    def end(self) -> None:
        self.retire()

    def disown(self) -> None:
        pass


@cache
def _zygote() -> zygotes.Zygote:
    environ = least_environ()
    zygote = zygotes.Zygote(Recipe.of([sys.executable], warm.preload({}), environ, "/"), environ)
    atexit.register(zygote.end)
    return zygote


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.imported"])
    with chdir(_ROOT):  # where it finds `tests`: on Python 3.11 it has no other path, and tells nobody what it lacks
        forkserver.ensure_running()
    return context


def _main(
    command: list[str], cwd: Path, environ: dict[str, str], written: list[str], recipe: Recipe, control: socket.socket
) -> None:
    assert "tests.imported" in sys.modules
    os.chdir(cwd)
    tempfile.tempdir = None  # TMPDIR may be another
    os.environ.clear()
    os.environ.update(environ)
    for number, path in enumerate(written, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")  # what Python takes where the environment names no locale
    if encoding := environ.get("PYTHONIOENCODING"):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding=encoding, errors="strict")  # type: ignore[union-attr]
    zygotes.shared()._zygotes[recipe] = _Lent(recipe, control)
    sys.argv = ["scillm-smoke", *command]
    sys.exit(cli.main(command))
