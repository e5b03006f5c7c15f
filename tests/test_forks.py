"""A process forked from an owner of warm kernels starts kernels of its own, and takes nothing from its parent."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path

import psutil
import pytest

from scillm_helpers.kernels import zygotes
from scillm_helpers.kernels.process import KernelProcess
from tests.conftest import ROOT
from tests.polling import PATIENCE, until
from tests.warm import Kernel, gone, module

# Python 3.12 warns of every fork of a process with threads, which jupyter_client starts.
pytestmark = [
    pytest.mark.usefixtures("own"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
_FORK = multiprocessing.get_context("fork")


def _add(first: int, second: int) -> tuple[int, int]:
    """Return what a new warm kernel adds up, and the process that it was forked from."""
    with Kernel() as kernel:
        assert isinstance(kernel.manager.provisioner.process, KernelProcess)
        return kernel(f"{first} + {second}"), kernel.zygote


def _in_fork(call: Callable[[], None]) -> None:
    """Call in a process forked from this one, and fail if it fails or hangs."""
    process = _FORK.Process(target=call)
    process.start()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode == 0


def _works() -> None:
    assert _add(1, 1)[0] == 2


# Kernels of its own


def test_process_of_multiprocessing_starts_kernels() -> None:
    """It is forked from one whose event loop has started a kernel."""
    with Kernel():
        _in_fork(_works)
        _works()


@pytest.mark.slow
def test_fork_of_a_fork_starts_kernels() -> None:
    """Each generation has zygotes of its own."""
    _works()
    _in_fork(lambda: (_works(), _in_fork(_works))[0])


@pytest.mark.slow
def test_workers_of_a_pool_start_kernels_side_by_side() -> None:
    """Their event loops are copies of one, which share what wakes them (nbclient's test_many_parallel_notebooks)."""
    _, ours = _add(1, 1)
    with ProcessPoolExecutor(3, mp_context=_FORK) as pool:
        futures = [pool.submit(_add, number, number) for number in range(6)]
        if wait(futures, PATIENCE).not_done:
            for process in pool._processes.values():
                process.kill()
        told = [future.result() for future in futures]
    assert [value for value, _ in told] == [0, 2, 4, 6, 8, 10]
    assert ours not in {zygote for _, zygote in told}


_BARE = """
import os, sys
from tests.warm import Kernel
first = Kernel().__enter__()
if child := os.fork():
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert first("1 + 1") == 2
    first.close()
else:
    with Kernel() as kernel:
        assert kernel("1 + 1") == 2
    sys.exit()  # runs what atexit has, other than a process of multiprocessing
"""


@pytest.mark.slow
def test_child_of_a_bare_fork_ends_as_any_program() -> None:
    """It starts a kernel and leaves; the parent's kernel and zygote go on, and nobody is warned of anything."""
    options = ["-W", "error", "-W", "ignore::DeprecationWarning", "-W", "ignore:unclosed:ResourceWarning"]
    done = subprocess.run(
        [sys.executable, *options, "-c", _BARE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# What is the parent's stays so


def test_fork_leaves_the_parents_kernel_alone() -> None:
    """In the child it counts as ended, as one of `subprocess.Popen` does; the parent still learns how it ends."""
    with Kernel() as kernel:
        process = kernel.manager.provisioner.process

        def child() -> None:
            assert process.poll() is not None
            process.kill()
            process.close()
            assert not kernel.manager.is_alive()

        _in_fork(child)
        assert kernel("1 + 1") == 2
        kernel.client.execute("import os; os._exit(3)")
        assert until(kernel.poll) == 3
        _in_fork(child)


def _waiting(folder: Path) -> None:
    (folder / "forked").touch()
    signal.pause()


def test_living_fork_keeps_neither_zygote_nor_kernel(own: zygotes.Zygotes, tmp_path: Path) -> None:
    """It has no copy of a control socket or a channel: a retired zygote ends, and an ended kernel is no zombie."""
    kernel = Kernel()
    (zygote,) = own._zygotes.values()
    child = _FORK.Process(target=_waiting, args=[tmp_path])
    child.start()
    try:
        until((tmp_path / "forked").exists)
        kernel.close()
        until(lambda: not psutil.pid_exists(kernel.pid))
        zygote.retire()
        until(zygote.ended)
    finally:
        child.kill()
        child.join()


@pytest.mark.slow
def test_fork_during_a_launch_launches_too(
    own: zygotes.Zygotes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread of the parent holds the locks, and waits for a zygote that imports."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "held")
    gate = tmp_path / "gate"
    source = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
    launch = module(tmp_path / "modules", "held", source)
    kernels: list[Kernel] = []
    launching = threading.Thread(target=lambda: kernels.append(Kernel(**launch)))
    launching.start()
    try:
        until(lambda: own._zygotes)
        assert own._lock.locked()
        monkeypatch.setenv("SCILLM_WARM_PRELOAD", "colorsys")
        _in_fork(_works)
    finally:
        gate.touch()
        launching.join()
        kernels[0].close()


def test_fork_while_another_thread_waits_for_a_kernel() -> None:
    """Its copy of the kernel's process answers, although the waiting thread holds the lock in the parent."""
    with Kernel() as kernel:
        process = kernel.manager.provisioner.process
        waiting = threading.Thread(target=process.wait)
        waiting.start()
        until(process._lock.locked)
        _in_fork(lambda: process.poll())
        kernel.client.execute("import os; os._exit(3)")
        waiting.join()
        assert process.poll() == 3


@pytest.mark.slow
def test_zygotes_of_a_fork_end_with_it(tmp_path: Path) -> None:
    """However it ends, and while its parent goes on."""
    with Kernel() as kernel:
        told = tmp_path / "told"

        def child() -> None:
            with Kernel() as own:
                told.write_text(f"{own.zygote} {own.pid}")
                os.kill(os.getpid(), signal.SIGKILL)

        process = _FORK.Process(target=child)
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
        for pid in map(int, told.read_text().split()):
            until(lambda: gone(pid))  # noqa: B023
        assert kernel("1 + 1") == 2
