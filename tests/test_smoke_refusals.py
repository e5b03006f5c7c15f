import json
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from scillm_helpers.endpoint import serve
from tests.harness import SMOKE, Smoke, refused, write
from tests.polling import PATIENCE, until

# Bad input: one line, the documented status


def test_missing_key(smoke: Smoke) -> None:
    """A base without a key."""
    line = refused(smoke("run", CHUTES_API_BASE="http://127.0.0.1:9/v1"))
    assert line == "CHUTES_API_KEY is not set; export it, or unset CHUTES_API_BASE to use the embedded endpoint."


def test_wrong_key_unknown_model_and_unreachable_base(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """Each is told before a kernel starts, and leaves no run behind."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    live = endpoint.environ
    line = refused(smoke("run", **live | {"CHUTES_API_KEY": "obviously-fake"}))
    assert line == f"{endpoint.api_base} refused the key (HTTP 401); check CHUTES_API_KEY."
    line = refused(smoke("run", **live | {"CHUTES_MODEL": "Embeded/Omni-1"}))
    assert line.startswith(
        f"Embeded/Omni-1 is not a model that {endpoint.api_base} serves; did you mean embedded/omni-1"
    )
    assert "did you mean embedded/" in refused(smoke("run", "--model", "embedded/omni"))
    line = refused(smoke("run", **live | {"CHUTES_API_BASE": "http://127.0.0.1:9"}))
    assert line.startswith("http://127.0.0.1:9/v1 cannot be reached (")
    assert line.endswith("; check CHUTES_API_BASE and the network.")
    assert not (smoke.folder / "runs").exists()


def test_unknown_notebook(smoke: Smoke) -> None:
    """A misspelt name is answered with the nearest."""
    write(smoke.folder / "notebooks" / "02_streaming.ipynb", "1")
    assert refused(smoke("run", "02_streeming")) == "'02_streeming' is not a notebook; did you mean 02_streaming?"
    assert refused(smoke("run", "zzz")) == "'zzz' is not a notebook; see notebooks/."
    (smoke.folder / "notebooks" / "02_streaming.ipynb").unlink()
    assert "notebooks/ holds no notebook" in refused(smoke("run"))


def test_unknown_parameter(smoke: Smoke) -> None:
    """A notebook without the cell, and one without the name, are not run with a value that does nothing."""
    write(smoke.folder / "a.ipynb", "1")
    write(smoke.folder / "b.ipynb", "1", parameters="width: int = 3\nheight = 4")
    assert refused(smoke("run", "a.ipynb", "-p", "width=1")) == (
        "a.ipynb has no cell tagged 'parameters'; add one, or run it without -p."
    )
    assert refused(smoke("run", "b.ipynb", "-p", "depth=1")) == "b.ipynb has no parameter depth; it has height, width."
    assert (
        refused(smoke("run", "b.ipynb", "-p", "width"))
        == "-p width is not NAME=VALUE; write for example -p max_tokens=8."
    )
    (smoke.folder / "README.md").touch()
    assert refused(smoke("run", "README.md")) == "'README.md' is not a notebook; see notebooks/."


@pytest.mark.parametrize(
    "option",
    [
        ["--jobs", "0"],
        ["--jobs", "65"],
        ["--jobs", "many"],
        ["--deadline", "soon"],
        ["--cell-deadline", "0"],
        ["--retries", "9"],
        ["--out", ""],
        ["--nope"],
    ],
)
def test_wrong_option_is_usage(smoke: Smoke, option: list[str]) -> None:
    """argparse's own refusals have the same status."""
    assert smoke("run", *option).returncode == 2


def test_wrong_variable_is_configuration(smoke: Smoke) -> None:
    """A value that cannot be read stops the run before it starts."""
    assert refused(smoke("run", LITELLM_TIMEOUT="soon")) == (
        "LITELLM_TIMEOUT is 'soon'; it must be a number of seconds above 0, up to 3600."
    )


def test_unwritable_out(smoke: Smoke) -> None:
    """A file is in the way: said before any kernel starts."""
    write(smoke.folder / "a.ipynb", "1")
    (smoke.folder / "taken").touch()
    line = refused(smoke("run", "a.ipynb", "--out", "taken"))
    assert line.endswith("; choose another --out.")


def test_out_with_a_name_too_long(smoke: Smoke) -> None:
    """No file system takes it: one line."""
    write(smoke.folder / "a.ipynb", "1")
    line = refused(smoke("run", "a.ipynb", "--out", "a" * 300))
    assert line == "the folder cannot be written to (File name too long); choose another --out."


def test_out_never_replaces_the_notebooks(smoke: Smoke) -> None:
    """The executed copies would go where their sources are."""
    path = smoke.folder / "notebooks" / "a.ipynb"
    write(path, "1")
    before = path.read_bytes()
    assert refused(smoke("run", "--out", ".")) == (
        "notebooks has the notebooks, and the executed copies go there; choose another --out."
    )
    assert path.read_bytes() == before
    assert list(smoke.folder.glob("*.json")) == []


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_interrupt_keeps_what_had_finished(smoke: Smoke, number: signal.Signals) -> None:
    """130, no kernel left, what finished is passed, what did not is not_run."""
    write(smoke.folder / "a.ipynb", "1")
    write(
        smoke.folder / "b.ipynb",
        f"print('begun', flush=True); open({str(smoke.folder / 'begun')!r}, 'w').close()\nimport time; time.sleep(60)",
    )
    write(smoke.folder / "c.ipynb", "1")
    process = smoke.start("--jobs", "1", "a.ipynb", "b.ipynb", "c.ipynb")
    until((smoke.folder / "begun").exists)
    kernels = psutil.Process(process.pid).children(recursive=True)
    assert kernels
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert [case["status"] for case in smoke.results["cases"]] == ["passed", "not_run", "not_run"]
    assert smoke.copy("b")[0].outputs[0].text == "begun\n"
    assert output.count("the run was interrupted") == 2  # b and c, a line each
    assert not [kernel for kernel in kernels if kernel.is_running() and kernel.status() != psutil.STATUS_ZOMBIE]


# Serve


def test_serve_prints_what_points_a_shell_at_it(smoke: Smoke) -> None:
    """Three export lines that a shell can evaluate, and a stop at SIGTERM."""
    process = subprocess.Popen([*SMOKE, "serve"], env=smoke.environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert [line.split("=")[0] for line in lines] == [
        "export CHUTES_API_BASE",
        "export CHUTES_API_KEY",
        "export CHUTES_MODEL",
    ]
    script = "".join(lines) + 'curl -sS -H "Authorization: Bearer $CHUTES_API_KEY" "$CHUTES_API_BASE/models"'
    listed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert len(json.loads(listed)["data"]) == 3
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 130
    process.stdout.close()


def test_serve_on_a_taken_port_isrefused(smoke: Smoke) -> None:
    """One line, and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(smoke("serve", "--port", str(port)))
    assert line == f"port {port} cannot be served (Address already in use); choose another --port."


# Disks that are full


def _mounted(folder: Path, size: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("only root can mount a small disk")


def test_full_disk_is_told_before_any_call(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """A disk with less room than a report takes: one line, no request, no folder."""
    write(smoke.folder / "a.ipynb", "1")
    disk = smoke.folder / "disk"
    disk.mkdir()
    _mounted(disk, "64k")
    before = len(endpoint.log.entries)
    try:
        line = refused(smoke("run", "a.ipynb", "--out", disk / "out", **endpoint.environ))
        assert line == f"{disk} cannot be written to (No space left on device); choose another --out."
        assert list(disk.iterdir()) == []
        line = refused(smoke("run", "a.ipynb", TMPDIR=str(disk), **endpoint.environ))
        assert line == f"{disk} cannot be written to (No space left on device); set TMPDIR to another folder."
        assert endpoint.log.entries[before:] == ()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_disk_that_fills_up_ends_the_run_in_one_line(smoke: Smoke) -> None:
    """What was written stays whole; the run is over at once, and can be resumed where there is room."""
    write(smoke.folder / "a.ipynb", "print('x' * 1_900_000)")
    write(smoke.folder / "b.ipynb", "import time; time.sleep(60)")
    disk = smoke.folder / "disk"
    disk.mkdir()
    _mounted(disk, "1400k")
    try:
        done = smoke("run", "a.ipynb", "b.ipynb", "--out", disk)
        assert done.returncode == 1
        assert done.stderr.startswith(f"scillm-smoke: {disk}/")
        assert done.stderr.endswith(" cannot be written (No space left on device); make room, and --resume the run.\n")
        assert done.stderr.count("\n") == 1
        assert [case["status"] for case in json.loads((disk / "results.json").read_text())["cases"]][1] == "not_run"
        assert not list(disk.rglob(".*-*"))  # no half of a file is left
    finally:
        subprocess.run(["umount", str(disk)], check=True)
