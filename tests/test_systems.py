"""What works without a zygote works on macOS and Windows, too, as far as that can be seen from here.

Neither system is at hand: mypy checks the code with the standard library that each has, and a process without what
Windows lacks imports all modules, and runs notebooks.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.conftest import ROOT
from tests.harness import Smoke, write

# Used where a kernel can be forked, and nowhere else: `test_other_systems_have_cold_kernels`.
_LINUX_ONLY = {f"scillm_helpers/kernels/{name}.py" for name in ("process", "zygote", "zygotes")}


@pytest.mark.slow
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_code_uses_what_the_system_has(system: str, tmp_path: Path) -> None:
    """By the type stubs of the standard library; `if sys.platform == ...` and `hasattr` are understood."""
    command = [sys.executable, "-m", "mypy", "--platform", system, "--cache-dir", str(tmp_path), "-p", "scillm_helpers"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "checked" in done.stdout, done.stdout + done.stderr
    errors = re.findall(r"^(\S+?):\d+: error: .*$", done.stdout, re.MULTILINE)
    assert set(errors) <= _LINUX_ONLY, done.stdout


# Third-party libraries keep what they have found by then. (A kernel is a process of its own, and lacks nothing.)
_WITHOUT = """
import errno, importlib, os, pkgutil, select, signal, socket, subprocess, sys, types
import psutil
import scillm_helpers
from scillm_helpers.smoke import cli, run

names = [found.name for found in pkgutil.walk_packages(scillm_helpers.__path__, "scillm_helpers.")]
names = [name for name in names if name not in ("scillm_helpers.smoke.__main__", "scillm_helpers.kernels.zygote")]
for name in names:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "scillm_helpers"]:
    del sys.modules[name]

symlink = os.symlink
def refusing(source, target, target_is_directory=False):
    raise OSError(errno.EPERM, "A required privilege is not held by the client")

os.symlink = refusing
sys.modules["_winapi"] = types.SimpleNamespace(CreateJunction=symlink)
subprocess.Popen.kill = lambda self, kill=9: os.kill(self.pid, kill)  # Windows ends a process by a call of its own
for module in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[module] = None
for module, pattern in {
    os: "fork forkpty register_at_fork setsid killpg getpgid getuid geteuid getgid chown waitid pidfd_open set_blocking "
        "sched_getaffinity mkfifo P_PIDFD WNOHANG getloadavg openpty",
    signal: "SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGPIPE setitimer alarm pthread_sigmask pidfd_send_signal",
    select: "poll epoll",
    socket: "send_fds recv_fds SOCK_SEQPACKET",
}.items():
    for name in pattern.split():
        delattr(module, name)

for name in names:
    importlib.import_module(name)

class System:
    def __getattribute__(self, name):
        return "win32" if name == "platform" else getattr(sys, name)

    def __setattr__(self, name, value):
        setattr(sys, name, value)

for name in names:
    if hasattr(sys.modules[name], "sys"):
        sys.modules[name].sys = System()
from scillm_helpers.smoke import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_runs_without_what_windows_lacks(smoke: Smoke) -> None:
    """Every module imports; a notebook passes in a cold kernel, one that takes too long is ended, and both are reported."""
    (smoke.folder / "data").mkdir()
    (smoke.folder / "data" / "file.txt").write_text("read")
    write(smoke.folder / "a.ipynb", "print(open('data/file.txt').read()); open('written', 'w').close()")
    write(smoke.folder / "b.ipynb", "import time", "time.sleep(100)")
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, "run", "--cell-deadline", "2", "a.ipynb", "b.ipynb"],
        cwd=smoke.folder,
        env=smoke.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == "kernels start cold, because the zygote cannot serve: it needs Linux.\n"
    results = json.loads((smoke.folder / "runs" / "latest" / "results.json").read_text())
    assert [case["status"] for case in results["cases"]] == ["passed", "timeout"]
    executed = smoke.folder / "runs" / "latest" / results["cases"][0]["executed"]
    assert nbformat.read(executed, as_version=4).cells[1].outputs[0].text == "read\n"
    assert not (smoke.folder / "written").exists()
