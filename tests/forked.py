"""Run `scillm-smoke` in a process forked from one that has imported it: the imports take longer than most runs here.

The forked process has the environment, the directory and the output of its own that a started one would have;
`Smoke.start` starts a real one, and so do `make` and its tests.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import chdir
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from scillm_helpers.smoke import cli

_ROOT = Path(__file__).parent.parent


def call(command: list[str], cwd: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Return what `subprocess.run(["scillm-smoke", *command], ...)` would, with its output as text."""
    with tempfile.TemporaryDirectory() as folder:
        written = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        process = _context().Process(target=_main, args=(command, cwd, dict(environ), written))
        process.start()
        process.join()
        assert process.exitcode is not None
        out, err = (Path(path).read_text() if os.path.exists(path) else "" for path in written)
        return subprocess.CompletedProcess(["scillm-smoke", *command], process.exitcode, out, err)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.imported"])
    with chdir(_ROOT):  # where it finds `tests`: on Python 3.11 it has no other path, and tells nobody what it lacks
        forkserver.ensure_running()
    return context


def _main(command: list[str], cwd: Path, environ: dict[str, str], written: list[str]) -> None:
    assert "tests.imported" in sys.modules
    os.chdir(cwd)
    tempfile.tempdir = None  # TMPDIR may be another
    os.environ.clear()
    os.environ.update(environ)
    for number, path in enumerate(written, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = ["scillm-smoke", *command]
    sys.exit(cli.main(command))
