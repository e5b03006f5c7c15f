"""One process with everything imported, which forks kernels.

A program, started by `zygotes.Zygote` with the kernel's own interpreter. That may be another
environment's: it needs the standard library and ipykernel. Linux only, for its pidfds.

Its owner sends four descriptors for a kernel (a channel, stdin, stdout, stderr), and on the
channel a line of JSON: `argv`, `environ`, `cwd`. One of these is answered on it:

- `{"pid": n, "skipped": what}` with a pidfd of the kernel, and after the kernel has ended `{"exit": status}`. The
  kernel stays a zombie until the channel is closed, so that nobody else can have its number. `skipped` lists what
  could not be imported.
- `{"stale": why}`: another zygote is needed, which imports afresh.
- `{"cold": why}`: no zygote is right for this kernel.
- `{"broken": why}`: this zygote is right for none.

It says on the control socket when it has imported everything. A control socket that is closed
means: no more kernels. An owner that is gone: none at all.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .preloading import Preloaded, preload

_SHOWN = 5  # of the modules that could not be imported
_SHOWN_CHARACTERS = 200  # of each


@dataclass
class Launch:
    """Be a kernel to fork: what the owner has sent."""

    channel: socket.socket
    streams: list[int]  # stdin, stdout, stderr
    argv: list[str]
    environ: dict[str, str]
    cwd: str


@dataclass
class _Kernel:
    pid: int
    pidfd: int
    channel: socket.socket | None
    ended: bool = False


class Zygote:
    """Fork kernels until the control socket is closed, and keep their exit statuses for the owner."""

    def __init__(self, control: socket.socket, owner: int, preloaded: Preloaded | BaseException) -> None:
        """Serve `control` for the process of the pidfd `owner`; an exception is why the preload failed."""
        self._control = control
        self._owner = owner
        self._preloaded = preloaded
        self._kernels: list[_Kernel] = []
        self._open = True  # the owner may ask for more kernels
        self._poll = select.poll()
        self._poll.register(owner, select.POLLIN)
        self._poll.register(control, select.POLLIN)
        control.send(b"ready")

    def serve(self) -> Launch | None:
        """Return, in each forked child, what it was launched with; None in the zygote, when it is done."""
        while self._open or self._kernels:
            ready = {fd for fd, _ in self._poll.poll()}
            if self._owner in ready:
                self._kill_all()
                return None
            for kernel in [kernel for kernel in self._kernels if kernel.pidfd in ready and not kernel.ended]:
                self._report(kernel)
            for kernel in [k for k in self._kernels if k.channel is not None and k.channel.fileno() in ready]:
                self._release(kernel)
            if self._control.fileno() in ready and (launch := self._receive()) is not None and self._fork(launch):
                return launch
        return None

    def _receive(self) -> Launch | None:
        """Return what the owner asks for; None if it asks no more, or no longer."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, 1, 4)
        except ConnectionResetError:  # closed, and the owner had not read that this zygote is ready
            message = b""
        if not message:
            self._poll.unregister(self._control)
            self._open = False
            return None
        channel = socket.socket(fileno=descriptors[0])
        with channel.makefile("rb") as lines:
            line = lines.readline()
        if not line.endswith(b"\n"):  # the owner has dropped this kernel, or died as it was asking
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            channel.close()
            return None
        asked = json.loads(line)
        return Launch(channel, descriptors[1:], asked["argv"], asked["environ"], asked["cwd"])

    def _fork(self, launch: Launch) -> bool:
        """Fork a kernel, or answer why not; tell whether this is the child."""
        refusal = self._refusal(launch)
        if refusal is not None:
            _send(launch.channel, refusal)
        else:
            pid = os.fork()
            if pid == 0:
                self._forget()
                return True
            kernel = _Kernel(pid, os.pidfd_open(pid), launch.channel)
            self._kernels.append(kernel)
            self._poll.register(kernel.pidfd, select.POLLIN)
            self._poll.register(launch.channel, 0)  # POLLHUP comes unasked
            if not _send(launch.channel, {"pid": pid, "skipped": self._skipped()}, kernel.pidfd):
                _kill(pid)  # it would be nobody's, and may have a cold one in its place
        for stream in launch.streams:
            os.close(stream)
        return False

    def _refusal(self, launch: Launch) -> dict[str, str] | None:
        if isinstance(self._preloaded, BaseException):
            return {"broken": f"{type(self._preloaded).__name__}: {self._preloaded}"}
        # A fork copies only the thread that calls it: a lock that another one holds would stay locked.
        if (threads := len(os.listdir("/proc/self/task"))) > 1:
            return {"broken": f"what was imported has started {threads - 1} thread(s)"}
        if why := self._preloaded.stale(launch.environ):
            return {"stale": why}
        if why := self._preloaded.shadowed(launch.cwd):
            return {"cold": f"{why} would be imported in its place"}
        return None

    def _skipped(self) -> list[str]:
        """Return what could not be imported, as much of it as one message holds and a reader wants."""
        assert isinstance(self._preloaded, Preloaded)
        skipped = self._preloaded.skipped
        more = [f"{len(skipped) - _SHOWN} more"] if len(skipped) > _SHOWN else []
        return [" ".join(text.split())[:_SHOWN_CHARACTERS] for text in skipped[:_SHOWN]] + more

    def _report(self, kernel: _Kernel) -> None:
        """Tell the owner how a kernel has ended, and leave it unreaped."""
        kernel.ended = True
        self._poll.unregister(kernel.pidfd)
        found = os.waitid(os.P_PIDFD, kernel.pidfd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        if kernel.channel is None:
            self._reap(kernel)
        else:
            _send(kernel.channel, {"exit": status})

    def _release(self, kernel: _Kernel) -> None:
        """Take note that the owner has no more interest in a kernel."""
        assert kernel.channel is not None
        self._poll.unregister(kernel.channel)
        kernel.channel.close()
        kernel.channel = None
        if kernel.ended:
            self._reap(kernel)

    def _reap(self, kernel: _Kernel) -> None:
        os.waitpid(kernel.pid, 0)
        os.close(kernel.pidfd)
        self._kernels.remove(kernel)

    def _kill_all(self) -> None:
        for kernel in self._kernels:
            if not kernel.ended:
                _kill(kernel.pid)

    def _forget(self) -> None:
        """Close, in a child, what belongs to the zygote and to other kernels."""
        self._control.close()
        for kernel in self._kernels:
            os.close(kernel.pidfd)
            if kernel.channel is not None:
                kernel.channel.close()


def _send(channel: socket.socket, answer: dict[str, Any], *descriptors: int) -> bool:
    """Answer the owner; tell whether it can hear, or has dropped this kernel, or is gone."""
    try:
        socket.send_fds(channel, [json.dumps(answer).encode() + b"\n"], descriptors)
    except OSError:
        return False
    return True


def _sockets() -> set[str]:
    """Return the sockets that this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of listdir itself
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if name.startswith("socket:")}


def _kill(pid: int) -> None:
    """Kill a kernel and what it has started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def become_kernel(launch: Launch, preloaded: Preloaded, owner: int) -> None:
    """Turn this fork into what `python -m ipykernel_launcher` is after its imports, and run the kernel."""
    launch.channel.close()
    os.setsid()
    for number, stream in enumerate(launch.streams):
        os.dup2(stream, number)
        os.close(stream)
    for text in (sys.stdout, sys.stderr):
        text.reconfigure(line_buffering=text is sys.stderr or os.isatty(text.fileno()))  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(preloaded.added | launch.environ)
    os.chdir(launch.cwd)
    time.tzset()
    tempfile.tempdir = None  # TMPDIR may be another
    if (random := sys.modules.get("numpy.random")) is not None:
        random.seed()  # the standard library's does so itself
    importlib.invalidate_caches()
    gc.enable()
    threading.Thread(target=_die_with, args=(owner,), name="owner-watch", daemon=True).start()

    import ipykernel_launcher
    from ipykernel import kernelapp

    sys.argv = [ipykernel_launcher.__file__, *launch.argv]
    sys.orig_argv[sys.orig_argv.index("-c") :] = ["-m", "ipykernel_launcher", *launch.argv]
    app = kernelapp.IPKernelApp.instance()
    with _modules_of_ipykernel(preloaded.ipykernel):
        app.initialize()
    app.start()
    # ipykernel 7.4 closes first what this thread may still flush to, and would wait for it for 10 s.
    app.control_thread.stop()
    app.control_thread.join()


@contextlib.contextmanager
def _modules_of_ipykernel(names: set[str]) -> Iterator[None]:
    """Have ipykernel see the modules that it would see if it had just been imported.

    It takes all that it finds for its own, which its debugger steps over; and to look at thousands
    of them would copy as many shared pages.
    """
    from ipykernel import ipkernel

    class Sys:
        def __init__(self) -> None:
            self.modules = {name: sys.modules[name] for name in names}

        def __getattr__(self, name: str) -> Any:
            return getattr(sys, name)

    ipkernel.sys = Sys()
    try:
        yield
    finally:
        ipkernel.sys = sys


def _die_with(owner: int) -> None:
    """Die when the process of a pidfd does, also where the zygote that would see to it has died before."""
    select.select([owner], [], [])
    _kill(os.getpid())


def main() -> None:
    """Preload and serve (`zygotes.Zygote` calls this): arguments are the control socket and what to import."""
    descriptor, *names = sys.argv[1:]
    owner = os.pidfd_open(os.getppid())
    for name in [name for name in sys.modules if name.partition(".")[0] == "kernels"]:
        del sys.modules[name]  # a kernel may have a package of its own with this name
    gc.disable()  # nothing to find while importing, and no page of the forks' is touched later
    preloaded: Preloaded | BaseException
    before = _sockets()
    try:
        preloaded = preload(names)
        if opened := len(_sockets() - before):
            raise RuntimeError(f"what was imported has opened {opened} socket(s), which kernels would share")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told to the owner
        preloaded = error
    gc.freeze()
    launch = Zygote(socket.socket(fileno=int(descriptor)), owner, preloaded).serve()
    if launch is None:
        os._exit(0)  # nothing to finalize, and thousands of modules to do it for
    assert isinstance(preloaded, Preloaded)
    os._exit(_finished(lambda: become_kernel(launch, preloaded, owner)))


def _finished(run: Callable[[], None]) -> int:
    """Run a kernel to its end, and return its exit status.

    What an interpreter does at its end, but for taking thousands of modules apart, which would be
    most of a short kernel's time (multiprocessing's children leave it out, too).
    """
    status: Any = 0
    try:
        run()
    except SystemExit as error:
        status = error.code
    except BaseException:  # noqa: BLE001 - as an interpreter at its end
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if isinstance(status, str):
        print(status, file=sys.stderr, flush=True)
    return status if isinstance(status, int) else int(status is not None)
