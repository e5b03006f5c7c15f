"""Share the tests among workers; have nbval compare as `tools.stored` does, and displays updated in place, and notice a dead kernel."""

import re
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# jsonschema compiles a grammar of URIs for a format that no notebook's schema has: a second in each of xdist's processes.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
pytest_plugins = ["nbval.plugin"]

from jupyter_client.provisioning import KernelProvisionerFactory  # noqa: E402
from nbformat import from_dict  # noqa: E402
from nbval.kernel import RunningKernel  # noqa: E402
from nbval.plugin import IPyNbCell, IPyNbFile  # noqa: E402

from tools.stored import masked  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Extend nbval for this session (pytest calls this)."""
    IPyNbCell.sanitize = lambda self, value: masked(value)
    IPyNbFile.setup = _starting_warm(IPyNbFile.setup)
    IPyNbFile.get_kernel_message = _applying_updates(IPyNbFile.get_kernel_message)
    RunningKernel.get_message = _noticing_death(RunningKernel.get_message)
    IPyNbCell.runtest = _explaining_death(IPyNbCell.runtest)


class _Scheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        """Return what stays on one worker, in order (xdist calls this): a single test, or a file that shares something."""
        file = nodeid.partition("::")[0]
        if file.endswith(".ipynb"):
            return "notebooks"  # their kernels come from one zygote
        return file if _shares(self.config.rootpath / file) else nodeid


@cache
def _shares(file: Path) -> bool:
    """Return whether the tests of a file share what takes long to make: a fixture of the module, a cache."""
    return bool(re.search(r'^@(cache$|pytest.fixture\(scope="module")', file.read_text(encoding="utf-8"), re.M))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give each worker the next tests as soon as it is free (xdist calls this).

    xdist's worksteal would tear notebooks apart, and its loadgroup loses its marks on pytest 9.2.
    """
    return _Scheduling(config, log)


def _starting_warm(setup: Callable[[IPyNbFile], None]) -> Callable[[IPyNbFile], None]:
    """Fork the kernels of notebooks from a process that has imported LiteLLM: else each would import it by itself."""

    def setup_warm(self: IPyNbFile) -> None:
        factory = KernelProvisionerFactory.instance()
        usual, factory.default_provisioner_name = factory.default_provisioner_name, "scillm-warm"
        try:
            setup(self)
        finally:
            factory.default_provisioner_name = usual

    return setup_warm


def _applying_updates(get_message: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Fold each `update_display_data` message into the display that it updates, as Jupyter does.

    nbval 0.11 keeps a display as it was first, and the stored notebook holds what it was last.
    """

    def get_updated_message(self: IPyNbFile, timeout: float | None = None, stream: str = "iopub") -> dict[str, Any]:
        shown = self.__dict__.setdefault("_displays", {})
        while True:
            message = get_message(self, timeout=timeout, stream=stream)
            content = message["content"]
            display_id = content.get("transient", {}).get("display_id")
            if message["msg_type"] == "display_data" and display_id is not None:
                # A NotebookNode is kept as it is by the output that nbval makes of it.
                content["data"] = shown[display_id] = from_dict(content["data"])
            if message["msg_type"] != "update_display_data":
                return message
            shown[display_id].clear()
            shown[display_id].update(from_dict(content["data"]))

    return get_updated_message


class _KernelDiedError(RuntimeError):
    pass


def _noticing_death(get_message: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Ask every second whether the kernel is alive; nbval 0.11 waits out the cell's timeout, 2000 s."""

    def get_message_of_living(self: RunningKernel, stream: str, timeout: float | None = None) -> dict[str, Any]:
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = end - time.monotonic()
            try:
                return get_message(self, stream, timeout=max(0.0, min(1.0, left)))
            except Empty:
                if not self.is_alive():
                    raise _KernelDiedError from None
                if left <= 0:
                    raise

    return get_message_of_living


def _explaining_death(runtest: Callable[[IPyNbCell], None]) -> Callable[[IPyNbCell], None]:
    def runtest_explained(self: IPyNbCell) -> None:
        try:
            runtest(self)
        except _KernelDiedError:
            self.raise_cell_error("The kernel died while it executed this cell.")

    return runtest_explained
