"""The owner's side: the processes of forked kernels, and the zygotes that they come from."""

import atexit
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

# What is imported unless this variable names something else, separated by commas.
VARIABLE = "SCILLM_WARM_PRELOAD"
# What ipykernel imports as it starts; LiteLLM, and what it imports at its first calls.
PRELOAD = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "faulthandler",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "psutil",
    "sqlite3",
    "tornado.platform.asyncio",
    "litellm",
    "anyio._backends._asyncio",
    "httpcore",
    "litellm._service_logger",
    "litellm.litellm_core_utils.default_encoding",
    "litellm.llms.edenai.chat.transformation",
    "litellm.llms.fal_ai.chat.transformation",
    "litellm.llms.litellm_proxy.chat.transformation",
    "litellm.llms.openai_like.dynamic_config",
    "litellm.llms.vertex_ai.vertex_ai_partner_models.anthropic.transformation",
    "litellm.proxy._types",
    "litellm.proxy.guardrails.exception_utils",
    "litellm.proxy.openai_files_endpoints.common_utils",
    "litellm.types.litellm_core_utils.streaming_chunk_builder_utils",
    "litellm.types.router:GenericLiteLLMParams",
    "litellm.types.router:LiteLLM_Params",
    "litellm.types.services:ServiceLoggerPayload",
    "litellm.types.utils:Choices",
    "litellm.types.utils:CompletionTokensDetailsWrapper",
    "litellm.types.utils:Delta",
    "litellm.types.utils:Message",
    "litellm.types.utils:ModelResponse",
    "litellm.types.utils:ModelResponseStream",
    "litellm.types.utils:StreamingChoices",
    "litellm.types.utils:Usage",
    "openai.resources",
    "openai.types.chat.chat_completion:ChatCompletion",
    "openai.types.chat.chat_completion:Choice",
    "openai.types.chat.chat_completion_chunk:ChatCompletionChunk",
    "openai.types.chat.chat_completion_chunk:Choice",
    "openai.types.chat.chat_completion_chunk:ChoiceDelta",
    "openai.types.chat.chat_completion_message:ChatCompletionMessage",
    "starlette.exceptions",
    "tiktoken.load",
)
# The folder is on the path for this import only: a kernel may have a package named as ours. The working
# directory is not on it at all: what it holds belongs to a kernel, and ipykernel adds it where it should be.
_PROGRAM = """
import sys
sys.path[:] = [{!r}, *filter(None, sys.path)]
from kernels.zygote import main
sys.path.pop(0)
main()
"""
_READY_SECONDS = 120.0
_END_SECONDS = 0.5  # for a process without kernels, which needs some 0.02
_UNKNOWN = 255  # the exit status of a process that nobody could wait for, as in asyncio


class Refused(Exception):
    """Say why a zygote forks no kernel: `stale`, `cold`, `broken` (see zygote.py) or `died`."""

    def __init__(self, how: str, why: str) -> None:
        super().__init__(why)
        self.how = how


class KernelProcess:
    """Be a forked kernel to its owner, as `subprocess.Popen` is one that was started."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        """Follow the kernel of `pid` and `pidfd`; its zygote tells on `channel` how it ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = pidfd
        self._channel = channel
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while the kernel runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait and return the exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("kernel", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel; nothing happens where it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and _readable(self._pidfd, timeout):
                self.returncode = self._told()
                self._channel.close()
                os.close(self._pidfd)
            return self.returncode

    def _told(self) -> int:
        with self._channel.makefile("rb") as lines:
            line = lines.readline()  # empty where the zygote has died
        return int(json.loads(line)["exit"]) if line else _UNKNOWN


def _readable(descriptor: int, seconds: float | None) -> bool:
    poll = select.poll()  # select.select knows only descriptors below 1024
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))


@dataclass(frozen=True)
class Recipe:
    """Be what a zygote and its kernels have in common: the interpreter with its options, and what it imports."""

    interpreter: tuple[str, ...]
    names: tuple[str, ...]
    cwd: str

    @classmethod
    def of(cls, interpreter: list[str], names: Iterable[str], environ: Mapping[str, str], cwd: str) -> "Recipe":
        """Return the recipe for a kernel in the folder `cwd`."""
        paths = environ.get("PYTHONPATH", "").split(os.pathsep)
        # There the folder matters: Python makes the entries absolute as it starts.
        relative = "PYTHONPATH" in environ and not all(os.path.isabs(path) for path in paths)
        return cls(tuple(interpreter), tuple(names), cwd if relative else _dotenv_folder(cwd))


def _dotenv_folder(cwd: str) -> str:
    """Return the folder of the `.env` file that LiteLLM reads as a kernel in `cwd` imports it, or `/`."""
    files = (folder / ".env" for folder in (Path(cwd), *Path(cwd).parents))
    return next((str(file.resolve().parent) for file in files if file.is_file()), "/")


def preload(environ: Mapping[str, str]) -> list[str]:
    """Return what is to be imported besides ipykernel: what the variable names, or the default."""
    named = [name.strip() for name in environ.get(VARIABLE, "").split(",")]
    return [name for name in named if name] or list(PRELOAD)


class Zygote:
    """Be a zygote to its owner: a process that imports from now on, and then forks kernels."""

    def __init__(self, recipe: Recipe, environ: dict[str, str]) -> None:
        """Start it; this returns at once. Raises OSError where the interpreter cannot be started."""
        self.recipe = recipe
        self.launched = 0
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = _PROGRAM.format(str(Path(__file__).parents[1]))
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
        _readable(self._control.fileno(), _READY_SECONDS)

    def launch(self, argv: list[str], environ: dict[str, str], cwd: str, streams: list[int]) -> KernelProcess:
        """Fork a kernel; this waits until the zygote has imported everything. Raises Refused."""
        asked = json.dumps({"argv": argv, "environ": environ, "cwd": cwd}).encode() + b"\n"
        channel, theirs = socket.socketpair()
        with ExitStack() as undo:
            undo.enter_context(channel)
            channel.settimeout(_READY_SECONDS)
            try:
                with theirs:
                    socket.send_fds(self._control, [b"+"], [theirs.fileno(), *streams])
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
                    return zygote.launch(argv, environ, cwd, streams)
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

    def _warn(self, message: str) -> None:
        if not self._warned:
            _log.warning(message)
        self._warned = True


_shared: dict[int, Zygotes] = {}


def shared() -> Zygotes:
    """Return the zygotes of this process, which end with it. (A process that it forks has its own.)"""
    return _shared.setdefault(os.getpid(), Zygotes())


@atexit.register
def _close() -> None:
    if (own := _shared.get(os.getpid())) is not None:
        own.close()
