"""The tools that run notebooks have warm kernels from one variable, with the standard kernelspec."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import pytest
import websocket
from nbformat.v4 import output_from_msg

from tests.harness import write
from tests.polling import PATIENCE, until
from tests.warm import COLD, FORKED, Kernel, gone

# Fails in a kernel that was not forked, or has not been preloaded.
CHECK = f"import sys\nassert {FORKED}\nassert 'colorsys' in sys.modules\nprint('forked', 6 * 7)"
pytestmark = pytest.mark.slow
PLAIN = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Write a notebook that passes in a warm kernel only."""
    return write(tmp_path / "a.ipynb", CHECK)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment with nothing but the choice of the provisioner, and of what it imports."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "JUPYTER_DEFAULT_PROVISIONER_NAME": "scillm-warm",
        "SCILLM_WARM_PRELOAD": "colorsys",
    }


def _run(folder: Path, environ: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def _output(path: Path) -> str:
    """Return what the notebook's cell has printed."""
    (cell,) = (cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    return "".join(output.text for output in cell.outputs)


def test_notebook_fails_in_a_cold_kernel() -> None:
    """So that its passing elsewhere shows something."""
    with Kernel(COLD) as kernel, pytest.raises(AssertionError, match="AssertionError"):
        kernel.run(CHECK)


def test_papermill(notebook: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """The executed copy has the output of a forked kernel."""
    done = _run(tmp_path, environ, "papermill", "-k", "python3", "a.ipynb", "out.ipynb")
    assert done.returncode == 0, done
    assert _output(tmp_path / "out.ipynb") == "forked 42\n"


def test_nbconvert(notebook: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """The executed copy has the output of a forked kernel."""
    done = _run(tmp_path, environ, "nbconvert", "--execute", "--to", "notebook", "--output", "out", "a.ipynb")
    assert done.returncode == 0, done
    assert _output(tmp_path / "out.ipynb") == "forked 42\n"


def test_nbmake(notebook: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """The notebook is executed in a forked kernel, and rewritten."""
    done = _run(tmp_path, environ, "pytest", *PLAIN, "--nbmake", "--overwrite", "a.ipynb")
    assert done.returncode == 0, done
    assert "1 passed" in done.stdout
    assert _output(notebook) == "forked 42\n"


def test_nbval(notebook: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """The stored output is what a forked kernel gives again."""
    stored = nbformat.read(notebook, as_version=4)
    stored.cells[-1].execution_count = 1
    stored.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="forked 42\n")]
    nbformat.write(stored, notebook)
    done = _run(tmp_path, environ, "pytest", *PLAIN, "--nbval", "a.ipynb")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


class Lab:
    """Run JupyterLab, and use it as its page in a browser does."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        flags = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"]
        self.log = folder / "lab.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", "lab", *flags, "--IdentityProvider.token=secret"],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.http = httpx.Client(
            base_url=f"http://{self.address}/api",
            headers={"Authorization": "token secret"},
            trust_env=False,
            timeout=PATIENCE,
        )
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/status").is_success
        except httpx.TransportError:
            return False

    def execute(self, kernel: str, source: str) -> list[Any]:
        """Return the outputs of a cell, as a notebook has them."""
        message = {
            "header": {"msg_id": "1", "msg_type": "execute_request", "session": "s", "username": "", "version": "5.3"},
            "parent_header": {},
            "metadata": {},
            "content": {"code": source, "silent": False},
            "channel": "shell",
        }

        def of_cell(got: dict[str, Any]) -> bool:
            return got["parent_header"].get("msg_id") == "1"

        outputs = []
        channel = websocket.create_connection(
            f"ws://{self.address}/api/kernels/{kernel}/channels?token=secret",
            timeout=PATIENCE,
            http_no_proxy=["127.0.0.1"],
        )
        try:
            channel.send(json.dumps(message))
            # The reply may overtake the outputs, which come on another channel: what ends them is the kernel's "idle".
            while (got := json.loads(channel.recv()))["content"] != {"execution_state": "idle"} or not of_cell(got):
                if got["msg_type"] in ("stream", "error"):
                    outputs.append(output_from_msg(got))
        finally:
            channel.close()
        return outputs

    def close(self) -> None:
        self.http.close()
        with self.process:
            self.process.kill()


@pytest.fixture
def lab(tmp_path: Path, environ: dict[str, str]) -> Iterator[Lab]:
    """Return a running JupyterLab."""
    running = Lab(tmp_path, environ)
    yield running
    running.close()


def test_jupyterlab(lab: Lab) -> None:
    """A kernel that its page starts is forked, executes a cell and is gone when deleted; so is the zygote with the server."""
    kernel = lab.http.post("/kernels", json={"name": "python3"}).json()["id"]
    outputs = lab.execute(kernel, f"{CHECK}\nimport os\nprint(os.getpid(), os.getppid())")
    first, second = "".join(output.get("text", repr(output)) for output in outputs).splitlines()
    assert first == "forked 42"
    pid, zygote = map(int, second.split())
    assert psutil.Process(zygote).ppid() == lab.process.pid
    assert lab.http.delete(f"/kernels/{kernel}").status_code == 204
    until(lambda: gone(pid))
    assert not gone(zygote)
    lab.process.terminate()
    assert lab.process.wait(timeout=PATIENCE) == 0
    until(lambda: gone(zygote))
