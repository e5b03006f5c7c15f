"""How a notebook is executed: papermill's own way, with a directory, an environment and bounds for each kernel."""

import logging
import os
import subprocess
import sys
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from traitlets.config import Config

from . import warm
from .source import is_deep

NAME = "scillm-smoke"
_LONGEST_SOCKET = 103  # bytes of a Unix socket's path: macOS takes the fewest

# Where an output is no valid one, nbclient leaves a task of its own behind, and asyncio would say so on the terminal.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

# papermill takes a line end in a name for its end.
warnings.filterwarnings("ignore", message="the file is not specified with any extension", category=UserWarning)

_KERNEL_ARGUMENTS = [
    # The kernel tells the kind of its failures, and bounds its outputs.
    "--IPKernelApp.extra_extensions=scillm_helpers.records",
    "--IPKernelApp.extra_extensions=scillm_helpers.smoke.outputs",
    # ipykernel would log its interrupts into the harness's own output.
    "--IPKernelApp.log_level=CRITICAL",
    # Kernels side by side would wait for one database's lock.
    "--HistoryManager.enabled=False",
]


@dataclass(frozen=True)
class Surroundings:
    """Be what a kernel is given: where it works, where its sockets are, its environment."""

    cwd: Path
    sockets: Path
    environ: dict[str, str]


class Watcher(Protocol):
    """Be told how an execution goes on, in its own thread."""

    def begins(self, notebook: Any, client: PapermillNotebookClient) -> bool:
        """Tell whether to start a kernel for the notebook, read and parameterized."""
        ...

    def kernel_started(self, process: Any) -> None: ...
    def cell_begins(self, cell: Any) -> None: ...
    def cell_replied(self, cell: Any, reply: dict[str, Any]) -> None: ...
    def cell_ended(self, raised: CellExecutionError | None) -> None: ...


class SmokeEngine(Engine):  # type: ignore[misc]
    """Execute notebooks side by side.

    papermill's `cwd` changes the directory of the whole process (papermill issue 473), so that
    notebooks in other threads would start in the wrong one.
    """

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, watcher: Watcher, surroundings: Surroundings, **_: Any
    ) -> None:
        """Execute the notebook (papermill calls this)."""
        manager = _connection(surroundings.sockets / "kernel.json")
        client = _Client(
            nb_man,
            watcher,
            config=Config(KernelManager=manager, WarmProvisioner={"preload": warm.preload(surroundings.environ)}),
            kernel_name=kernel_name,
            resources={"metadata": {"path": str(surroundings.cwd)}},
            extra_arguments=list(_KERNEL_ARGUMENTS),
            startup_timeout=60,
            shell_timeout_interval=1,  # seconds until a kernel that does not answer is found dead
            iopub_timeout=86_400,  # seconds to read what a cell has output; the deadline is shorter
        )
        if watcher.begins(nb_man.nb, client):
            # ipykernel takes what is written to the descriptors into the notebook, and would write it here, too.
            client.execute(env=surroundings.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _connection(file: Path) -> dict[str, str]:
    """Return how a kernel is reached: by Unix sockets beside `file`, or by TCP on Windows and where their paths would be too long.

    A free TCP port may be taken before the kernel binds it.
    """
    fits = sys.platform != "win32" and len(os.fsencode(f"{file}-ipc-5")) <= _LONGEST_SOCKET
    return {"transport": "ipc" if fits else "tcp", "connection_file": str(file)}


def prepare() -> None:
    """Do what is done once for all executions, so that it is done while a zygote imports."""
    with suppress(NoSuchKernel):  # a case says so
        KernelSpecManager().get_kernel_spec("python3")  # imports IPython
    from . import notebook_page

    notebook_page.as_html(new_notebook(cells=[new_code_cell("1")]), "")  # compiles the schema and the templates


papermill_engines.register(NAME, SmokeEngine)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """A client that notifies its watcher when the kernel starts and when a cell begins or ends."""

    def __init__(self, nb_man: Any, watcher: Watcher, **settings: Any) -> None:
        super().__init__(
            nb_man,
            on_cell_execute=lambda cell, cell_index: watcher.cell_begins(cell),
            on_cell_executed=lambda cell, cell_index, execute_reply: watcher.cell_replied(
                cell, execute_reply["content"]
            ),
            **settings,
        )
        self._watcher = watcher

    def start_new_kernel_client(self) -> Any:
        """Connect to the kernel that has been started (nbclient calls this)."""
        self._watcher.kernel_started(getattr(self.km.provisioner, "process", None))
        return super().start_new_kernel_client()

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Take a message of the kernel (nbclient calls this). Raises RecursionError for one nested too deeply."""
        if is_deep(msg["content"]):
            raise RecursionError("an output is nested too deeply")
        return super().process_message(msg, cell, cell_index)

    def execute_cell(self, cell: Any, cell_index: int) -> Any:
        """Execute a cell (papermill calls this)."""
        raised = None
        try:
            return super().execute_cell(cell, cell_index)
        except CellExecutionError as error:
            raised = error
            raise
        finally:
            if cell.cell_type == "code":
                self._watcher.cell_ended(raised)
