"""A warm kernel is as a cold one: isolated, interrupted, restarted, ended and reported in the same way."""

import asyncio
import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpec

from scillm_helpers.kernels.process import KernelProcess
from tests.polling import PATIENCE, until
from tests.warm import COLD, FORKED, WARM, Kernel, gone

BOTH = pytest.mark.parametrize("provisioner", [pytest.param(COLD, marks=pytest.mark.slow), WARM])
# Modules that have drawn random numbers before the kernels are forked.
_DRAWN = """
import random, secrets, tempfile, uuid
import fastuuid, numpy.random
numpy.random.random(), random.random(), uuid.uuid4(), fastuuid.uuid4(), secrets.token_hex(), tempfile.mktemp()
"""
DRAWS = [
    "random.random()",
    "numpy.random.random()",
    "str(uuid.uuid4())",
    "str(fastuuid.uuid4())",
    "secrets.token_hex()",
    "tempfile.mktemp()",
]


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preload what takes no time, unless a test says otherwise."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "colorsys")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Kernel]]:
    """Return a cold kernel and a warm one, launched alike."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "temporary").mkdir()
    environ = os.environ | {"TMPDIR": str(folder / "temporary"), "ONLY_HERE": "Grüße\nzwei", "TZ": "Asia/Kathmandu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCILLM_WARM_PRELOAD", "colorsys")
        Kernel(WARM).close()  # its zygote has another environment than the next kernel
        with Kernel(COLD, env=environ, cwd=folder) as cold, Kernel(WARM, env=environ, cwd=folder) as warm:
            yield cold, warm


@pytest.fixture
def kernel(provisioner: str) -> Iterator[Kernel]:
    """Return a kernel of either provisioner."""
    with Kernel(provisioner) as running:
        yield running


def _sockets(pid: int) -> set[str]:
    return {name for name in _descriptors(pid).values() if name.startswith("socket:")}


def _descriptors(pid: int) -> dict[str, str]:
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[path.name] = os.readlink(path)
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def _watched(pid: int) -> list[int]:
    """Return the processes that a process has a pidfd of."""
    numbers = [number for number, name in _descriptors(pid).items() if name == "anon_inode:[pidfd]"]
    told = [Path(f"/proc/{pid}/fdinfo/{number}").read_text(encoding="utf-8") for number in numbers]
    return [int(found.group(1)) for text in told if (found := re.search(r"^Pid:\s*(-?\d+)", text, re.MULTILINE))]


# As isolated as a cold kernel


def test_warm_kernel_is_forked(pair: tuple[Kernel, Kernel]) -> None:
    """The one has the preloaded module and a zygote for its parent, the other has neither."""
    cold, warm = pair
    has = "'colorsys' in __import__('sys').modules"
    assert (cold(has), cold(FORKED)) == (False, False)
    assert (warm(has), warm(FORKED)) == (True, True)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('sys').path",
        "__import__('sys').argv[:2]",
        "[word for word in __import__('sys').orig_argv if not word.endswith('.json')]",
        "[__import__('sys').executable, __import__('sys').prefix, str(__import__('sys').flags)]",
        "sorted(vars(__import__('__main__')))",
        "[str(vars(__import__('__main__'))[name]) for name in ('__name__', '__doc__', '__spec__', '__loader__')]",
        "__import__('os').getcwd()",
        "{**__import__('os').environ} | {'PYDEVD_USE_FRAME_EVAL': ''}",  # which debugpy sets, imported or not
        "__import__('time').tzname",
        "__import__('tempfile').gettempdir()",
        "__import__('locale').getpreferredencoding()",
        "[__import__('sys').__stdout__.encoding, __import__('sys').__stdout__.errors, __import__('sys').__stdout__.line_buffering]",
        "__import__('gc').isenabled()",
        "__import__('os').getpgid(0) == __import__('os').getsid(0) == __import__('os').getpid()",
        "[line for line in open('/proc/self/status') if line.startswith(('Sig', 'Umask'))][1:]",
        "__import__('signal').getsignal(2) is __import__('signal').default_int_handler",
        "__import__('sys').stdin.read()",
        "len(__import__('os').listdir('/proc/self/task'))",
    ],
)
def test_warm_kernel_sees_what_a_cold_one_sees(pair: tuple[Kernel, Kernel], expression: str) -> None:
    """The same launch gives the same values."""
    cold, warm = pair
    assert warm(expression) == cold(expression)


def test_threads_are_a_cold_kernels_and_the_owner_watch(pair: tuple[Kernel, Kernel]) -> None:
    """A cold kernel polls its parent in a thread, a warm one watches its owner."""
    names = "[[type(t).__name__, t.name, t.daemon] for t in __import__('threading').enumerate()]"
    cold, warm = (Counter((kind, re.sub(r"\d+", "", name), daemon) for kind, name, daemon in k(names)) for k in pair)
    assert cold - warm == Counter([("ParentPollerUnix", "Thread-", True)])
    assert warm - cold == Counter([("Thread", "owner-watch", True)])


def test_no_descriptor_is_shared(pair: tuple[Kernel, Kernel]) -> None:
    """No socket of the owner, of the zygote or of another kernel, and no pidfd but the owner's."""
    warm = pair[1]
    with Kernel() as later:
        assert later.zygote == warm.zygote
        for other in (os.getpid(), later.zygote, warm.pid):
            assert not _sockets(other) & _sockets(later.pid)
        assert _watched(later.pid) == [os.getpid()]


def test_kernels_draw_different_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two forks of one zygote share no random state, also where that was in use before."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "drawn.py").write_text(_DRAWN)
    environ = os.environ | {"PYTHONPATH": str(tmp_path / "modules"), "OPENBLAS_NUM_THREADS": "1"}
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", "drawn")
    source = "import random, secrets, tempfile, uuid, fastuuid, numpy.random"
    with Kernel(env=environ) as one, Kernel(env=environ) as other:
        assert one.zygote == other.zygote
        for kernel in (one, other):
            assert kernel("'fastuuid' in __import__('sys').modules")
            kernel.run(source)
        first, second = ([kernel(draw) for draw in DRAWS] for kernel in (one, other))
    assert [draw for draw, a, b in zip(DRAWS, first, second, strict=True) if a == b] == []


# Standard streams


@BOTH
def test_outputs_arrive_in_the_notebook(kernel: Kernel) -> None:
    """Whatever way a cell writes: Python's, the descriptor's, a child's."""
    assert kernel.run("print('printed')") == "printed\n"
    for source in ("os.system('echo shouted')", "os.system('echo shouted >&2')", "os.write(1, b'shouted')"):
        kernel.client.execute(f"import os; {source}")
        kernel.published("shouted")


@BOTH
def test_given_files_are_stdout_and_stderr(provisioner: str, tmp_path: Path) -> None:
    """What a kernel writes past Python's streams gets to the files that it was launched with."""
    out, err = tmp_path / "out", tmp_path / "err"
    with (
        out.open("wb") as stdout,
        err.open("wb") as stderr,
        Kernel(provisioner, stdout=stdout, stderr=stderr) as kernel,
    ):
        assert kernel(FORKED) is (provisioner == WARM)
        kernel.run("import os; os.write(1, b'to stdout'); os.system('echo to stderr >&2')")
        until(lambda: "to stdout" in out.read_text() and "to stderr" in err.read_text())
    assert "to stderr" not in out.read_text()


@BOTH
def test_stderr_may_be_stdout(provisioner: str, tmp_path: Path) -> None:
    """`subprocess.STDOUT` means the same as to Popen."""
    out = tmp_path / "out"
    with out.open("wb") as stdout, Kernel(provisioner, stdout=stdout, stderr=subprocess.STDOUT) as kernel:
        kernel.run("import os; os.system('echo to stderr >&2')")
        until(lambda: "to stderr" in out.read_text())


# Life and death


@BOTH
def test_interrupt_ends_the_cell_and_not_the_kernel(kernel: Kernel, tmp_path: Path) -> None:
    """A sleeping cell raises KeyboardInterrupt, and the next one runs."""
    asked = kernel.begin("import time; time.sleep(60)", tmp_path / "begun")
    kernel.manager.interrupt_kernel()
    assert kernel.reply(asked)["ename"] == "KeyboardInterrupt"
    assert kernel("1 + 1") == 2


@BOTH
def test_restart_forgets_everything(kernel: Kernel) -> None:
    """Another process, with nothing of what the first had set."""
    before = kernel.pid
    kernel.run("import os; os.environ['LEFT'] = name = 'behind'")
    kernel.manager.restart_kernel()
    kernel.client.wait_for_ready(timeout=PATIENCE)
    assert kernel.pid != before
    assert gone(before)
    assert kernel("'name' in globals() or 'LEFT' in __import__('os').environ") is False


@BOTH
def test_shutdown_finishes_what_the_kernel_has_begun(kernel: Kernel, tmp_path: Path) -> None:
    """Its threads end, its atexit handlers run and its streams are flushed before it is gone."""
    kernel.run(
        f"""
import atexit, threading, time
from pathlib import Path
folder, main = Path({str(tmp_path)!r}), threading.main_thread()
atexit.register((folder / "atexit").touch)
def finish():
    main.join()
    (folder / "thread").touch()
threading.Thread(target=finish).start()
"""
    )
    process = kernel.manager.provisioner.process
    kernel.manager.shutdown_kernel()
    assert process.returncode == 0
    assert (tmp_path / "atexit").exists()
    assert (tmp_path / "thread").exists()


@BOTH
@pytest.mark.parametrize(("source", "status"), [("os._exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -9)])
def test_status_of_a_dead_kernel_is_told(kernel: Kernel, source: str, status: int) -> None:
    """Positive for an exit, negative for a signal, as Popen has it; and again when asked again."""
    assert kernel.poll() is None
    assert kernel.manager.is_alive()
    kernel.client.execute(f"import os, signal; {source}")
    assert until(kernel.poll) == status
    assert kernel.poll() == status
    assert not kernel.manager.is_alive()
    provisioner = kernel.manager.provisioner
    assert asyncio.run(provisioner.wait()) == status
    assert not provisioner.has_process
    until(lambda: not psutil.pid_exists(kernel.pid))


@BOTH
def test_kill_takes_the_kernels_children_along(kernel: Kernel) -> None:
    """They are in its process group."""
    kernel.run("import subprocess; child = subprocess.Popen(['sleep', '1000'])")
    child = kernel("child.pid")
    kernel.manager.shutdown_kernel(now=True)
    until(lambda: gone(child))


@BOTH
def test_provisioner_tells_who_the_kernel_is(kernel: Kernel) -> None:
    """What is stored of a kernel leads to its process and its group."""
    told = asyncio.run(kernel.manager.provisioner.get_provisioner_info())
    assert told["pid"] == told["pgid"] == kernel("__import__('os').getpid()")
    assert kernel.manager.provisioner.has_process


def test_process_waits_as_popen_does(tmp_path: Path) -> None:
    """`wait` ends with the status, or raises when its time is up; a signal to what has ended does nothing."""
    with Kernel() as kernel:
        process = kernel.manager.provisioner.process
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
        process.terminate()
        assert process.wait(timeout=PATIENCE) == process.wait() == -signal.SIGTERM
        process.kill()


# What is not warm


def _launched(kernel: Kernel) -> type:
    kind = type(kernel.manager.provisioner.process)
    if kind is subprocess.Popen and (output := kernel.manager.provisioner.process.stdout) is not None:
        output.close()
    kernel.close()
    return kind


def test_independent_kernel_is_cold() -> None:
    """One that may outlive its owner is no child of what dies with the owner."""
    assert _launched(Kernel(independent=True)) is subprocess.Popen


def test_kernel_with_a_pipe_is_cold() -> None:
    """Its reader expects the pipe on the process object."""
    assert _launched(Kernel(stdout=subprocess.PIPE)) is subprocess.Popen


def test_kernel_with_more_options_of_popen_is_cold() -> None:
    """What Popen does with them is left to it."""
    assert _launched(Kernel(umask=0o77)) is subprocess.Popen


def test_other_language_is_cold() -> None:
    """Any other command is run as it is."""
    spec = KernelSpec(argv=["sleep", "1000"], display_name="Sleep", language="sleep")
    assert _launched(Kernel(spec=spec)) is subprocess.Popen


def test_missing_folder_is_refused_as_by_popen(tmp_path: Path) -> None:
    """The same exception, whichever provisioner."""
    for provisioner in (COLD, WARM):
        with pytest.raises(FileNotFoundError, match="missing"):
            Kernel(provisioner, cwd=tmp_path / "missing")


def test_environment_may_hold_paths(tmp_path: Path) -> None:
    """What Popen takes for a variable's value is taken, and what it refuses is refused."""
    with Kernel(env=os.environ | {"FOLDER": tmp_path}) as kernel:
        assert kernel(FORKED)
        assert kernel("__import__('os').environ['FOLDER']") == str(tmp_path)
    for provisioner in (COLD, WARM):
        with pytest.raises(TypeError):
            Kernel(provisioner, env=os.environ | {"NUMBER": 1})


# Configuration


def test_kernelspec_names_provisioner_and_preload() -> None:
    """Its metadata goes before the environment."""
    chosen = {"provisioner_name": WARM, "config": {"preload": ["colorsys", "wave"]}}
    argv = ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = KernelSpec(argv=argv, display_name="Warm", language="python", metadata={"kernel_provisioner": chosen})
    with Kernel(COLD, spec=spec) as kernel:
        assert isinstance(kernel.manager.provisioner.process, KernelProcess)
        assert kernel("'wave' in __import__('sys').modules")


def test_variable_names_what_is_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules separated by commas, in place of the default."""
    monkeypatch.setenv("SCILLM_WARM_PRELOAD", " wave, xml.sax.saxutils ,")
    with Kernel() as kernel:
        assert kernel("sorted({'wave', 'xml.sax.saxutils', 'litellm'} & {*__import__('sys').modules})") == [
            "wave",
            "xml.sax.saxutils",
        ]


def test_kernels_start_side_by_side() -> None:
    """Launches from several threads give as many kernels."""
    kernels: list[Kernel] = []
    threads = [threading.Thread(target=lambda: kernels.append(Kernel())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len({kernel.pid for kernel in kernels}) == 4
        assert all(isinstance(kernel.manager.provisioner.process, KernelProcess) for kernel in kernels)
    finally:
        for kernel in kernels:
            kernel.close()
