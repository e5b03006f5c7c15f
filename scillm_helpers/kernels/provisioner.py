"""A jupyter_client kernel provisioner that forks kernels from a zygote.

Choose it for every kernelspec with `JUPYTER_DEFAULT_PROVISIONER_NAME=scillm-warm`, or for one:

    "metadata": {"kernel_provisioner": {"provisioner_name": "scillm-warm", "config": {"preload": ["litellm"]}}}
"""

import asyncio
import functools
import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from traitlets import List, Unicode

from . import zygotes
from .process import KernelProcess
from .recipe import VARIABLE, Recipe, modules

_POLL_SECONDS = 0.005


class WarmProvisioner(LocalProvisioner):  # type: ignore[misc]
    """Fork the kernels that `python -m ipykernel_launcher` would start, and leave the others to LocalProvisioner."""

    preload = List(
        Unicode(),
        config=True,
        help=f"Modules that the zygote imports, besides ipykernel. Default: ${VARIABLE} (separated by commas), or LiteLLM.",
    )

    def _preload_default(self) -> list[str]:
        return modules(os.environ)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Launch a kernel (jupyter_client calls this); cold where none can be forked."""
        fork = functools.partial(self._fork, cmd, **self._scrub_kwargs(kwargs))
        forking = _in_thread(fork)  # a zygote may have to import first
        try:
            # A loop that a forked process has inherited shares the pipe by which a thread would wake it.
            while not forking.done():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
        except asyncio.CancelledError:
            forking.add_done_callback(_abandon)
            raise
        if (process := forking.result()) is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = process
        self.pid = self.pgid = process.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info

    def _fork(
        self,
        cmd: list[str],
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        env: dict[str, str] | None = None,
        independent: bool = False,
        cwd: str | os.PathLike[str] | None = None,
        **popen: Any,
    ) -> KernelProcess | None:
        """Return a forked kernel, or None for what only `subprocess.Popen` can do."""
        split = _split(cmd)
        folder = os.path.abspath(os.path.expanduser(cwd or os.getcwd()))
        piped = subprocess.PIPE in (stdin, stdout, stderr)
        if split is None or independent or piped or popen or not os.path.isdir(folder):
            return None
        interpreter, argv = split
        environ = {os.fsdecode(k): os.fsdecode(v) for k, v in (os.environ if env is None else env).items()}
        environ["JPY_PARENT_PID"] = str(os.getpid())
        recipe = Recipe.of(interpreter, self.preload, environ, folder)
        with ExitStack() as opened:
            streams = [_descriptor(stream, number, opened) for number, stream in enumerate((stdin, stdout, stderr))]
            if stderr == subprocess.STDOUT:
                streams[2] = streams[1]
            return zygotes.shared().launch(recipe, argv, environ, folder, streams)


def _in_thread(call: Callable[[], KernelProcess | None]) -> "Future[KernelProcess | None]":
    """Call in a thread of its own: the threads of a loop's executor are not there in a forked process."""
    future: Future[KernelProcess | None] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="warm-launch", daemon=True).start()
    return future


def _abandon(forking: "Future[KernelProcess | None]") -> None:
    """End a kernel that nobody waits for any more."""
    if forking.exception() is None and (process := forking.result()) is not None:
        process.kill()
        process.wait()


def _split(cmd: list[str]) -> tuple[list[str], list[str]] | None:
    """Split a command into the interpreter, with its options, and ipykernel's arguments; None if it is another."""
    module = ["-m", "ipykernel_launcher"]
    for place in range(1, len(cmd) - 1):
        if cmd[place : place + 2] == module:
            return [os.path.expanduser(word) for word in cmd[:place]], [os.path.expanduser(w) for w in cmd[place + 2 :]]
    return None


def _descriptor(stream: Any, number: int, opened: ExitStack) -> int:
    """Return the descriptor that `subprocess.Popen` would give a process for this stream."""
    if stream == subprocess.DEVNULL or (stream is None and number == 0):
        return opened.enter_context(open(os.devnull, "r+b")).fileno()
    if stream is None or stream == subprocess.STDOUT:
        return number
    return stream if isinstance(stream, int) else int(stream.fileno())
