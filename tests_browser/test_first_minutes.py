"""What a person meets first: a port that is taken, a folder that cannot be written, no network, no browser."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests import working_tree
from tests.conftest import ROOT
from tests_browser.lab import Lab, running
from tests_browser.notebook import Notebook


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with a notebook that cannot be written to; root, whom modes do not stop, mounts it so."""
    source, folder = tmp_path / "source", tmp_path / "read only"
    for path in (source, folder):
        path.mkdir()
    shutil.copy(ROOT / "notebooks" / "01_setup.ipynb", source)
    if os.geteuid() != 0:
        shutil.copy(source / "01_setup.ipynb", folder)
        folder.chmod(0o555)
        (folder / "01_setup.ipynb").chmod(0o444)
        yield folder
        folder.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", "-o", "ro", source, folder], check=False).returncode:
        pytest.skip("modes do not stop root, who may not mount a folder here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_port_that_is_taken_and_folder_that_is_read_only(
    page: Page, read_only: Path, tmp_path: Path, lab_environ: dict[str, str]
) -> None:
    """The URL has the real port; the notebook opens and runs; that it is not saved is said in the page."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # It would try the next one by itself; the user wants this one.
        arguments = ["--no-browser", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1"]
        with running(read_only, tmp_path / "home", lab_environ, *arguments) as lab:
            assert f":{port}/" not in lab.url
            assert "Open 01_setup.ipynb first" in lab.printed
            notebook = Notebook(page, lab, "01_setup.ipynb")
            notebook.run_all()
            notebook.wait()
            assert notebook.errors() == []
            notebook.save()
            page.get_by_text("notebook is read-only").wait_for()
            page.close()  # before the server


def test_nothing_is_asked_of_the_network(browser: Browser, lab: Lab) -> None:
    """Where no name can be resolved and no other address reached, the page opens and works."""
    context = browser.new_context()
    elsewhere: list[str] = []

    def only_here(route: object) -> None:
        url = route.request.url  # type: ignore[attr-defined]
        if url.startswith((lab.base, "data:", "blob:")):
            route.continue_()  # type: ignore[attr-defined]
        else:
            elsewhere.append(url)
            route.abort()  # type: ignore[attr-defined]

    context.route("**/*", only_here)
    notebook = Notebook(context.new_page(), lab, "01_setup.ipynb")
    notebook.run_all()
    notebook.wait()
    assert notebook.errors() == []
    assert elsewhere == []
    context.close()
    lab.end_kernels()


def test_no_chromium_is_one_line(tmp_path: Path) -> None:
    """What to run, and no traceback."""
    command = [sys.executable, "-m", "pytest", "tests_browser", "--collect-only", "-q"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line] == ["ERROR: no chromium is installed; run make packages"]
    assert "Traceback" not in done.stdout + done.stderr


def test_first_lines_without_a_browser(tmp_path: Path, lab_environ: dict[str, str]) -> None:
    """The URL with its token, the notebook to begin with, and that no browser was found."""
    environ = lab_environ | {"PATH": str(tmp_path)}
    with running(ROOT / "notebooks", tmp_path / "home", environ) as lab:
        first = min(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
        assert f"Open {first} first" in lab.printed
        assert f"/lab/tree/{first}?token=" in lab.url
        assert lab.next_line() == "No browser was found on this machine; open that URL in one that can reach it."


def test_terminal_has_one_url_and_one_interrupt_ends_it(tmp_path: Path, lab_environ: dict[str, str]) -> None:
    """Without a question; all that it writes to the terminal is read here."""
    ours, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.lab", str(ROOT / "notebooks"), "--no-browser"],
        cwd=ROOT,
        env=lab_environ | {"HOME": str(tmp_path)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    with open(ours, "rb", buffering=0) as output:
        written = b""
        while b"http://" not in written or not written.endswith(b"\n"):
            written += output.read(1000)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the terminal's other end is closed
            while more := output.read(1000):
                written += more
    assert process.wait(60) == 0
    text = written.decode()
    assert text.count("://") == 1, text
    assert "?" not in text.replace("?token=", ""), text


WAITING = """
import asyncio, anyio.to_thread

def _load_jupyter_server_extension(server):
    async def wait():
        await anyio.to_thread.run_sync(int)
        print("waiting", flush=True)
        await asyncio.Event().wait()

    server.io_loop.add_callback(wait)
"""


def test_stops_though_a_task_is_not_done(tmp_path: Path, lab_environ: dict[str, str]) -> None:
    """Its thread, as those that read and write files, would be waited for, and never told to end."""
    (tmp_path / "waiting.py").write_text(WAITING)
    environ = lab_environ | {"PYTHONPATH": str(tmp_path)}
    extension = "--ServerApp.jpserver_extensions={'waiting': True}"
    with running(ROOT / "notebooks", tmp_path / "home", environ, "--no-browser", extension) as lab:
        assert lab.next_line() == "waiting"


def test_binder_builds_in_a_clean_folder(tmp_path: Path) -> None:
    """Its own command installs the package of a fresh clone, in a Python that has nothing."""
    clone, own = working_tree.copied(tmp_path / "clone"), tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", own], check=True)
    environ = os.environ | {"PATH": f"{own / 'bin'}:{os.environ['PATH']}"}
    subprocess.run([clone / "binder" / "postBuild"], cwd=clone, env=environ, check=True)
    found = subprocess.run(
        [own / "bin" / "python", "-c", "import importlib.util as u; print(u.find_spec('scillm_helpers').origin)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(clone / "scillm_helpers" / "__init__.py")
