"""Run commands, one after the other, and measure what they cost."""

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.cpu import open_account
from benchmarks.memory import PeakMemory

_TAIL = 3000  # characters of a failed command's output that are shown


@dataclass(frozen=True)
class Cost:
    """Be what commands took: wall and CPU seconds, and the peak PSS in MB of all their processes."""

    wall_s: float
    cpu_s: float
    peak_pss_mb: float


class CommandFailed(Exception):
    """Say which command failed, and what it printed last."""


def measure(commands: list[list[str]], cwd: Path, environ: dict[str, str]) -> Cost:
    """Run `commands` in `cwd`, each in a fresh process. Raises CommandFailed: a failed run has no cost."""
    with open_account() as account, PeakMemory() as peak:
        began = time.perf_counter()
        for command in commands:
            run(account.wrap(command), cwd, environ, peak)
        wall = time.perf_counter() - began
        cpu = account.seconds()
    return Cost(round(wall, 3), round(cpu, 3), round(peak.mb, 1))


def run(command: list[str], cwd: Path, environ: dict[str, str], peak: PeakMemory | None = None) -> str:
    """Run `command` and return its standard output and error. Raises CommandFailed."""
    with tempfile.TemporaryFile() as log:  # a file, not a pipe: nobody has to read it meanwhile
        process = subprocess.Popen(  # noqa: S603 - the benchmark's own commands
            command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        if peak is not None:
            peak.root = psutil.Process(process.pid)
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        log.seek(0)
        printed = log.read().decode(errors="replace")
    if status != 0:
        raise CommandFailed(f"{' '.join(command)} ended with status {status}:\n{printed[-_TAIL:]}")
    return printed
