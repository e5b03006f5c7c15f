"""The owner's side: zygotes, and how kernels are had from them."""

import atexit
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from . import forks
from .process import KernelProcess, readable
from .recipe import Recipe

_log = logging.getLogger(__name__)

# The folder is on the path for this import only: a kernel may have a package named as ours. The working
# directory is not on it at all: what it holds belongs to a kernel, and ipykernel adds it where it should be.
_PROGRAM = """
import sys
sys.path[:] = [{!r}, *filter(None, sys.path)]
from kernels.zygote import main
sys.path.pop(0)
main()
"""
_READY_SECONDS = 45.0  # less than the minute that Jupyter tools give a kernel to start
_END_SECONDS = 0.5  # for a process without kernels, which needs some 0.02


class Refused(Exception):
    """Say why a zygote forks no kernel: `stale`, `cold`, `broken` (see zygote.py) or `died`."""

    def __init__(self, how: str, why: str) -> None:
        super().__init__(why)
        self.how = how


class Zygote:
    """Be a zygote to its owner: a process that imports from now on, and then forks kernels."""

    skipped: tuple[str, ...] = ()  # what it could not import, known with its first kernel

    def __init__(self, recipe: Recipe, environ: dict[str, str]) -> None:
        """Start it; this returns at once. Raises OSError where the interpreter cannot be started."""
        self.recipe = recipe
        self.launched = 0
        program = _PROGRAM.format(str(Path(__file__).parents[1]))
        with forks.lock:
            self._control, theirs = _pair(socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - the kernelspec's own interpreter
                    [*recipe.interpreter, "-c", program, str(theirs.fileno()), *recipe.names],
                    # Read as ipykernel is imported: 1 has it poll for no parent, which would be the zygote.
                    env=environ | {"JPY_PARENT_PID": "1"},
                    cwd=recipe.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )

    def wait(self) -> None:
        """Return when it has imported everything, has died doing so, or has taken too long."""
        readable(self._control.fileno(), _READY_SECONDS)

    def launch(self, argv: list[str], environ: dict[str, str], cwd: str, streams: list[int]) -> KernelProcess:
        """Fork a kernel; this waits until the zygote has imported everything. Raises Refused."""
        asked = json.dumps({"argv": argv, "environ": environ, "cwd": cwd}).encode() + b"\n"
        with ExitStack() as undo:
            try:
                with forks.lock:
                    channel, theirs = _pair(socket.SOCK_STREAM)
                    undo.enter_context(channel)
                    with theirs:
                        socket.send_fds(self._control, [b"+"], [theirs.fileno(), *streams])
                channel.settimeout(_READY_SECONDS)
                channel.sendall(asked)
                # A descriptor ends what one call receives: the exit status, if it is there too, stays for later.
                answer, descriptors, _, _ = socket.recv_fds(channel, 65536, 1)
            except TimeoutError as error:
                raise Refused("broken", f"it was not ready after {_READY_SECONDS:g} s") from error
            except OSError as error:
                raise Refused("died", self._death()) from error
            if not answer:
                raise Refused("died", self._death())
            told = json.loads(answer)
            if not descriptors:
                raise Refused(*told.popitem())
            undo.pop_all()
        self.launched += 1
        self.skipped = tuple(told["skipped"])
        channel.settimeout(None)
        os.set_inheritable(descriptors[0], False)
        return KernelProcess(told["pid"], descriptors[0], channel)

    def retire(self) -> None:
        """Fork no more kernels; the process ends with the last that it has."""
        self._control.close()

    def ended(self) -> bool:
        """Tell whether the process has ended (and reap it)."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Retire, and end the process now, unless it has to see to it that kernels end with the owner."""
        self.retire()
        if not self.launched:
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def disown(self) -> None:
        """Take it for another process's child, which is not waited for here (nor warned of, as by `Popen.__del__`)."""
        self._process.returncode = 0

    def _death(self) -> str:
        with suppress(subprocess.TimeoutExpired):  # its sockets are closed a moment before
            return f"it has died with status {self._process.wait(_END_SECONDS)}"
        return "it answers no more"


class Zygotes:
    """Keep a zygote for each recipe, and fork kernels from the one that is right."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zygotes: dict[Recipe, Zygote] = {}
        self._retired: list[Zygote] = []
        self._broken: set[Recipe] = set()
        self._warned = False
        self._skipped: set[tuple[str, ...]] = set()
        self._closed = False

    def start(self, recipe: Recipe, environ: dict[str, str]) -> None:
        """Have a zygote import what later kernels need, while the caller goes on."""
        with self._lock:
            self._start(recipe, environ)

    def wait(self) -> None:
        """Return when the zygotes that have been started are ready, or have failed."""
        for zygote in list(self._zygotes.values()):
            zygote.wait()

    def launch(
        self, recipe: Recipe, argv: list[str], environ: dict[str, str], cwd: str, streams: list[int]
    ) -> KernelProcess | None:
        """Fork a kernel, from a new zygote where need be; None where it has to start cold.

        That is told as a warning, once for all. Raises RuntimeError after `close`.
        """
        with self._lock:
            for attempt in range(2):  # one that is stale is followed by one that is not
                zygote = self._start(recipe, environ)
                if zygote is None:
                    break
                try:
                    process = zygote.launch(argv, environ, cwd, streams)
                    self._report_skipped(zygote.skipped)
                    return process
                except Refused as refused:
                    if self._closed:
                        raise RuntimeError("the zygotes are closed") from refused
                    if refused.how == "cold":
                        _log.info("a kernel starts cold: %s", refused)
                        break
                    self._drop(recipe, refused)
                    if refused.how == "died":
                        self._start(recipe, environ)
                        break
                    if refused.how == "stale" and attempt:
                        self._give_up(recipe, f"{refused} whenever it has been started")
        return None

    def close(self) -> None:
        """End all zygotes; the next launches raise RuntimeError."""
        self._closed = True  # before the lock: a launch that holds it may wait for a zygote
        for zygote in [*self._zygotes.values(), *self._retired]:
            zygote.end()

    def disown(self) -> None:
        """Leave the zygotes to the parent of this process, which has been forked."""
        for zygote in [*self._zygotes.values(), *self._retired]:
            zygote.disown()

    def _start(self, recipe: Recipe, environ: dict[str, str]) -> Zygote | None:
        if self._closed:
            raise RuntimeError("the zygotes are closed")
        if sys.platform != "linux":
            self._give_up(recipe, "it needs Linux")
        if recipe not in self._zygotes and recipe not in self._broken:
            try:
                self._zygotes[recipe] = Zygote(recipe, environ)
            except OSError as error:
                self._give_up(recipe, str(error))
        return self._zygotes.get(recipe)

    def _drop(self, recipe: Recipe, refused: Refused) -> None:
        """Have no more kernels from a zygote; one that has never served would not the next time either."""
        zygote = self._zygotes.pop(recipe)
        zygote.retire()
        self._retired = [zygote, *(zygote for zygote in self._retired if not zygote.ended())]
        if refused.how == "broken" or (refused.how == "died" and not zygote.launched):
            self._give_up(recipe, str(refused))
        elif refused.how == "died":
            self._warn("a zygote has died; kernels start cold until the next one is ready.")

    def _give_up(self, recipe: Recipe, why: str) -> None:
        self._broken.add(recipe)
        self._warn(f"kernels start cold, because the zygote cannot serve: {why}.")

    def _report_skipped(self, skipped: tuple[str, ...]) -> None:
        """Warn once of what kernels are without, as it could not be imported ahead."""
        if skipped and skipped not in self._skipped:
            self._skipped.add(skipped)
            _log.warning("kernels are warm, but for what could not be imported: %s.", "; ".join(skipped))

    def _warn(self, message: str) -> None:
        if not self._warned:
            _log.warning(message)
        self._warned = True


def _pair(kind: socket.SocketKind) -> tuple[socket.socket, socket.socket]:
    """Return our socket and the one to send away; the caller holds `forks.lock` until it has closed the latter."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    forks.leave_to_parent(ours)
    return ours, theirs


_shared = Zygotes()


def shared() -> Zygotes:
    """Return the zygotes of this process, which end with it. (A process that it forks has its own.)"""
    return _shared


def _start_anew() -> None:
    """Replace the parent's zygotes with an empty pool (called in each forked process)."""
    global _shared
    _shared.disown()
    _shared = Zygotes()


forks.at_fork(_start_anew)
atexit.register(lambda: _shared.close())
