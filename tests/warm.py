"""Run real kernels, and the processes that own them, and ask them how they are."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from tests.polling import PATIENCE, until

COLD, WARM = "local-provisioner", "scillm-warm"
# Whether a process was forked from a zygote, as it can tell itself.
FORKED = "'kernels.zygote' in open(f'/proc/{__import__(\"os\").getppid()}/cmdline').read()"
# What a kernel can do and let no other thread run.
HOLD_THE_LOCK = "import re; re.match('(a+)+$', 'a' * 60 + 'b')"


def gone(pid: int) -> bool:
    """Tell whether a process has ended (a zombie has)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Kernel:
    """Run a kernel of the standard kernelspec, and ask it for values."""

    def __init__(self, provisioner: str = WARM, spec: KernelSpec | None = None, **launch: Any) -> None:
        """Start it; `launch` is what `KernelManager.start_kernel` is given."""
        KernelProvisionerFactory.instance().default_provisioner_name = provisioner
        # Unix sockets: a free TCP port may be taken before the kernel binds it.
        self._sockets = tempfile.mkdtemp(prefix="kernel-")
        file = os.path.join(self._sockets, "kernel.json")
        self.manager = KernelManager(kernel_name="python3", transport="ipc", connection_file=file)
        if spec is not None:
            self.manager._kernel_spec = spec
        # With pytest's own variable ipykernel leaves the descriptors 1 and 2 alone.
        environ = {k: v for k, v in launch.pop("env", os.environ).items() if k != "PYTEST_CURRENT_TEST"}
        self.manager.start_kernel(env=environ, **launch)
        self.client = self.manager.client()

    def __enter__(self) -> "Kernel":
        try:
            self.client.start_channels()
            self.client.wait_for_ready(timeout=PATIENCE)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __call__(self, expression: str) -> Any:
        """Return the value of an expression, which JSON can tell."""
        asked = {"value": f"__import__('json').dumps({expression})"}
        reply = self.client.execute_interactive("", user_expressions=asked, timeout=PATIENCE)
        value = reply["content"]["user_expressions"]["value"]
        assert value["status"] == "ok", value
        return json.loads(ast.literal_eval(value["data"]["text/plain"]))

    def run(self, source: str) -> str:
        """Execute a cell and return what it prints; fail if it raises."""
        printed: list[str] = []

        def note(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(source, output_hook=note, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)

    def published(self, text: str) -> None:
        """Return as soon as `text` arrives on a standard stream, whichever cell it is taken for."""
        while text not in self.client.get_iopub_msg(timeout=PATIENCE)["content"].get("text", ""):
            pass

    def begin(self, source: str, path: Path) -> str:
        """Have a cell executed, and return as it has come to `source`, with the number of its message."""
        # Or what comes right after an interrupted cell would be aborted, now and then.
        message = self.client.execute(f"open({str(path)!r}, 'w').close()\n{source}", stop_on_error=False)
        until(path.exists)
        return str(message)

    def reply(self, message: str) -> dict[str, Any]:
        """Return the reply to a message, past those to others."""
        while (got := self.client.get_shell_msg(timeout=PATIENCE))["parent_header"].get("msg_id") != message:
            pass
        return dict(got["content"])

    def poll(self) -> int | None:
        """Return the exit status as the provisioner reports it."""
        process = self.manager.provisioner.process
        return None if process is None else process.poll()

    @property
    def pid(self) -> int:
        return int(self.manager.provisioner.pid)

    @property
    def zygote(self) -> int:
        """Return the process that the kernel was forked from."""
        assert self("__import__('os').getpid()") == self.pid
        assert self(FORKED)
        return psutil.Process(self.pid).ppid()

    def close(self) -> None:
        if self.client.channels_running:
            self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        shutil.rmtree(self._sockets, ignore_errors=True)


def module(folder: Path, name: str, source: str) -> dict[str, Any]:
    """Write a module that kernels preload, and return what a kernel that is to have it is launched with."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    return {"env": os.environ | {"PYTHONPATH": str(folder)}, "cwd": folder.parent}


# Starts a kernel that is idle but for its child, and one that runs `sys.argv[1]`, tells who they are, and ends as it is told.
_OWNER = """
import json, sys
import psutil
from pathlib import Path
from tests.warm import Kernel
if __name__ == "__main__":
    kernels = [Kernel().__enter__() for _ in range(2)]
    zygote = kernels[0].zygote
    kernels[0].run("import subprocess; child = subprocess.Popen(['sleep', '1000'])")
    child = kernels[0]("child.pid")
    kernels[1].begin(sys.argv[1], Path("begun"))
    print(json.dumps({"zygote": zygote, "kernels": [*(kernel.pid for kernel in kernels), child]}), flush=True)
    exec(sys.stdin.readline())
"""


class Owner:
    """Be a process that has two warm kernels, one of which is busy."""

    def __init__(self, busy: str, folder: Path) -> None:
        root = str(Path(__file__).parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWNER, busy],
            env=os.environ | {"PYTHONPATH": root, "SCILLM_WARM_PRELOAD": "json"},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.zygote: int = told["zygote"]
        self.kernels: list[int] = told["kernels"]  # and a child of the idle one

    def tell(self, source: str) -> None:
        """Have it do something, and end then if that does not end it."""
        assert self.process.stdin is not None
        self.process.stdin.write(source + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        with self.process:
            self.process.kill()
        for pid in [self.zygote, *self.kernels]:
            if not gone(pid):
                psutil.Process(pid).kill()
