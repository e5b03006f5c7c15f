"""Which cells were run, which one failed, and how a kernel ended: a case's status and reason state that truthfully."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from scillm_helpers.smoke import deaths
from tests.harness import SMOKE, Smoke, write
from tests.polling import until

SKIP, RAISES = ["skip-execution"], ["raises-exception"]


def _tagged(path: Path, *cells: tuple[str, list[str]]) -> None:
    """Write a notebook of code cells with their tags."""
    notebook = new_notebook(cells=[new_code_cell(source, metadata={"tags": tags}) for source, tags in cells])
    nbformat.write(notebook, path)


def _cases(smoke: Smoke, *arguments: str, **environ: str) -> dict[str, Any]:
    """Run all notebooks of the folder, and return each case's status, and its reason's cell and message."""
    done = smoke.run(".", *arguments, **environ)
    assert done.stderr == ""
    return _told(smoke)


def _told(smoke: Smoke) -> dict[str, Any]:
    none = {"cell": None, "message": None}
    told = {case["id"]: (case["status"], case["reason"] or none) for case in smoke.results["cases"]}
    return {name: (status, reason["cell"], reason["message"]) for name, (status, reason) in told.items()}


# Timeouts

LATE = {
    "shell": "!trap 'sleep 1; exit 1' INT; while :; do sleep 0.2; done",
    "caught": "import time\ntry:\n    time.sleep(99)\nexcept KeyboardInterrupt:\n    pass",
    "expected": "import time; time.sleep(99)",
}


@pytest.mark.parametrize("option", [pytest.param("--deadline", marks=pytest.mark.slow), "--cell-deadline"])
def test_timeout_names_the_cell_that_returns_after_the_interrupt(smoke: Smoke, option: str) -> None:
    """However the cell takes the interrupt, it is the one that was not done, and no later cell is run."""
    for name, source in LATE.items():
        _tagged(smoke.folder / f"{name}.ipynb", ("1", []), (source, RAISES), ("raise Exception('run')", []))
    cases = _cases(smoke, option, "4")
    assert {name: (status, cell) for name, (status, cell, _) in cases.items()} == dict.fromkeys(LATE, ("timeout", 2))
    for name in LATE:
        assert [cell.execution_count for cell in smoke.copy(name)] == [1, 2, None]
        assert smoke.copy(name)[2].outputs == []


@pytest.mark.slow
def test_timeout_of_the_last_cell_is_one_though_it_returns(smoke: Smoke) -> None:
    """The notebook was not done in time, whatever it did then."""
    write(smoke.folder / "a.ipynb", LATE["caught"])
    assert _cases(smoke, "--deadline", "4")["a"][:2] == ("timeout", 1)


# Kernels that end

DEATHS = {
    "os._exit(0)": "the kernel exited with status 0; look at this cell.",
    "os._exit(3)": "the kernel exited with status 3; look at this cell.",
    "os._exit(255)": "the kernel exited with status 255; look at this cell.",
    "os.kill(os.getpid(), signal.SIGSEGV)": "the kernel was killed (SIGSEGV); look at this cell.",
    "os.abort()": "the kernel was killed (SIGABRT); look at this cell.",
    "os.kill(os.getpid(), signal.SIGKILL)": "the kernel was killed (SIGKILL), perhaps out of memory; look at this cell.",
    "os.kill(os.getpid(), 40)": "the kernel was killed (signal 40); look at this cell.",
}


@pytest.mark.parametrize("provisioner", ["scillm-warm", pytest.param("local-provisioner", marks=pytest.mark.slow)])
def test_dead_kernel_names_signal_or_status(smoke: Smoke, provisioner: str) -> None:
    """Warm or cold."""
    for number, death in enumerate(DEATHS):
        write(smoke.folder / f"{number}.ipynb", "print('one')", f"import os, signal\n{death}", "3")
    cases = _cases(smoke, "--deadline", "100", JUPYTER_DEFAULT_PROVISIONER_NAME=provisioner)
    assert list(cases.values()) == [("kernel_died", 2, message) for message in DEATHS.values()]


EXITS = ["exit()", "quit", "get_ipython().kernel.do_shutdown(True)", "exit(keep_kernel=True)"]


def test_kernel_that_exits_names_the_cell_that_asked_for_it(smoke: Smoke) -> None:
    """The cells after it are not run; with none after it all were."""
    for number, source in enumerate(EXITS):
        write(smoke.folder / f"{number}.ipynb", "1", source, "raise Exception('run')")
        write(smoke.folder / f"last{number}.ipynb", "1", source)
    cases = _cases(smoke)
    message = "this cell has the kernel exit (exit() or quit()); the cells after it were not run."
    assert [cases[str(number)] for number in range(3)] == [("kernel_died", 2, message)] * 3
    assert cases["3"] == ("failed", 3, "Exception: run")
    assert {cases[f"last{number}"] for number in range(4)} == {("passed", None, None)}


FORGED = "display({'application/vnd.scillm.smoke+json': {'check': 'exit', 'ok': True}}, raw=True)"


def test_report_of_an_exit_that_a_notebook_makes_up_hides_nothing(smoke: Smoke) -> None:
    """The kernel has to end by itself, and after the cell."""
    write(smoke.folder / "a.ipynb", FORGED, "raise Exception('run')")
    write(smoke.folder / "b.ipynb", f"import os\n{FORGED}\nos._exit(3)")
    write(smoke.folder / "c.ipynb", FORGED)
    assert _cases(smoke) == {
        "a": ("failed", 2, "Exception: run"),
        "b": ("kernel_died", 1, "the kernel exited with status 3; look at this cell."),
        "c": ("passed", None, None),
    }


def test_cell_that_the_kernel_aborts_is_not_run(smoke: Smoke) -> None:
    """nbclient takes an aborted cell for one that ran."""
    write(smoke.folder / "a.ipynb", "get_ipython().kernel._aborting = True", "raise Exception('run')")
    assert _cases(smoke)["a"] == ("failed", None, "the kernel aborted a cell, which was not run.")


# Errors that are printed only

PRINTED = {
    "%nosuchmagic": "UsageError: Line magic function `%nosuchmagic` not found.",
    "%%nosuchmagic\n1": "UsageError: Cell magic `%%nosuchmagic` not found.",
    "x = 1\n%env NOSUCH": "UsageError: Environment does not have key: NOSUCH",
    "%config Nosuch": "UsageError: Invalid config statement: 'Nosuch', should be `Class.trait = value`.",
    "%popd": "UsageError: %popd on empty stack",
    "%history -z": "UsageError: unrecognized arguments: -z",
    "%%html": "UsageError: %%html is a cell magic, but the cell body is empty.",
    "%alias_magic": "UsageError: the following arguments are required: name, target",
    "from IPython.core.error import UsageError\nraise UsageError('of mine')": "UsageError: of mine",
    "%run nosuch.py": "Exception: File `'nosuch.py'` not found.",
    "%load_ext nosuch": "ModuleNotFoundError: No module named 'nosuch'",
    "%%bash\nexit 3": "CalledProcessError: Command 'b'exit 3\\n'' returned non-zero exit status 3.",
    "%%capture\n1 / 0": "ZeroDivisionError: division by zero",
    "%%time\n1 / 0": "ZeroDivisionError: division by zero",
    "import sys; sys.exit(3)": "SystemExit: 3",
    "class A:\n    def __repr__(self): 1 / 0\nA()": "ZeroDivisionError: division by zero",
    "from IPython.display import clear_output\ntry:\n    1 / 0\nfinally:\n    get_ipython().events.register('post_run_cell', lambda _: clear_output())": (
        "ZeroDivisionError: division by zero"
    ),
}


def test_error_that_ipython_prints_is_the_reason(smoke: Smoke) -> None:
    """What the kernel replies counts, also where the cell has no output of an error."""
    for number, source in enumerate(PRINTED):
        write(smoke.folder / f"{number:02}.ipynb", "1", source, "3")
    cases = _cases(smoke)
    assert list(cases.values()) == [("failed", 2, message) for message in PRINTED.values()]
    assert {case["reason"]["kind"] for case in smoke.results["cases"]} == {"notebook"}


def test_printed_error_is_without_secrets(smoke: Smoke) -> None:
    """The reply, which no output holds, is redacted as an output is."""
    write(smoke.folder / "a.ipynb", "import os\nget_ipython().run_line_magic(os.environ['MY_TOKEN'], '')")
    assert smoke.run("a.ipynb", MY_TOKEN="obviously-fake-0123").returncode == 1
    assert "[redacted MY_TOKEN]" in smoke.case["reason"]["message"]
    assert "obviously-fake" not in (smoke.out / "results.json").read_text()


# Cells that are not run


def test_cell_that_is_not_to_run_makes_a_case_skipped(smoke: Smoke) -> None:
    """`passed` means that every cell ran."""
    _tagged(smoke.folder / "one.ipynb", ("1", []), ("raise Exception", SKIP))
    _tagged(smoke.folder / "two.ipynb", ("1", SKIP), ("", SKIP), ("1", SKIP), ("2", []))
    _tagged(smoke.folder / "fails.ipynb", ("x = 1", SKIP), ("x", []))
    _tagged(smoke.folder / "blank.ipynb", ("", []), (" \n", []))
    assert _cases(smoke) == {
        "blank": ("skipped", None, "the notebook has no code cells."),
        "fails": ("failed", 1, "NameError: name 'x' is not defined"),
        "one": ("skipped", None, "1 cell is tagged skip-execution."),
        "two": ("skipped", None, "2 cells are tagged skip-execution."),
    }


def test_number_of_a_cell_is_that_of_the_executed_copy(smoke: Smoke) -> None:
    """`In [n]` counts what was run: blank cells and those that are not to run have no number."""
    _tagged(smoke.folder / "a.ipynb", ("", []), ("1", []), ("2", SKIP), ("1 / 0 # here", []))
    _tagged(smoke.folder / "b.ipynb", ("get_ipython().execution_count = 41", []), ("1 / 0", []))
    _tagged(smoke.folder / "c.ipynb", ("", []), ("import os; os._exit(1)", []))
    _tagged(smoke.folder / "d.ipynb", ("get_ipython().execution_count = 10**400", []), ("%nosuchmagic", []))
    cases = _cases(smoke)
    assert {name: cell for name, (_, cell, _) in cases.items()} == {
        "a": 2,
        "b": smoke.copy("b")[1].execution_count,
        "c": 1,
        "d": None,
    }
    assert cases["b"][1] > 40
    assert [cell.execution_count for cell in smoke.copy("a")] == [None, 1, None, 2]
    assert "1 / 0 # here" in (smoke.out / "report.html").read_text()


# Each kind of cell: its source, its tags, and what it makes of the case.
_KINDS: dict[str, tuple[str, list[str], str | None]] = {
    "runs": ("1", [], None),
    "comment": ("# nothing", [], None),
    "expected": ("1 / 0", RAISES, None),
    "usage": ("%nosuchmagic", RAISES, None),
    "shell": ("!exit 3", [], None),
    "blank": (" \n", [], None),
    "skipped": ("1 / 0", SKIP, None),
    "raises": ("1 / 0", [], "failed"),
    "magic": ("%nosuchmagic", [], "failed"),
    "does not parse": ("x = (", [], "failed"),
    "exits": ("exit()", [], "exits"),
    "dies": ("import os; os._exit(0)", [], "kernel_died"),
    "dies as expected": ("import os; os._exit(0)", RAISES, "kernel_died"),
    "gate": ("from scillm_helpers import skip\nskip('a', 'why')", [], "skipped"),
}


def _expected(kinds: list[str]) -> tuple[str, int | None]:
    """Return the status of a notebook of these cells, and the number of the cell at fault."""
    number = 0
    for place, kind in enumerate(kinds):
        number += kind not in ("blank", "skipped")
        ends = _KINDS[kind][2]
        if ends == "exits":
            if any(later not in ("blank", "skipped") for later in kinds[place + 1 :]):
                return "kernel_died", number
            break
        if ends is not None:
            return ends, number
    return ("skipped" if "skipped" in kinds or number == 0 else "passed"), None


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_any_notebook_has_the_status_of_its_cells(smoke: Smoke, seed: int) -> None:
    """Drawn notebooks of all kinds of cells, against a model of ten lines."""
    draw = random.Random(seed)
    notebooks: list[list[str]] = []
    for kind in _KINDS:
        before = draw.choices([kind for kind, (_, _, ends) in _KINDS.items() if ends is None], k=draw.randrange(4))
        notebooks.append([*before, kind, *draw.choices(list(_KINDS), k=draw.randrange(4))])
    for number, kinds in enumerate(notebooks):
        _tagged(smoke.folder / f"{number:02}.ipynb", *(_KINDS[kind][:2] for kind in kinds))
    cases = _cases(smoke)
    assert [(cases[f"{number:02}"][:2], kinds) for number, kinds in enumerate(notebooks)] == [
        (_expected(kinds), kinds) for kinds in notebooks
    ]


# Out of memory

COUNTS = {
    "v2": ("0::/a/b\n", {"a/b/memory.events": "oom 9\noom_kill 4\noom_group_kill 0\n"}, 4),
    "v1": ("5:cpu:/\n4:memory:/x\n0::/\n", {"memory/x/memory.oom_control": "under_oom 0\noom_kill 2\n"}, 2),
    "a container's own mount": ("0::/docker/0123\n", {"memory.events": "oom_kill 7\n"}, 7),
    "the root of v2, which has none": ("0::/\n", {}, 0),
    "another format": ("what\n", {"memory.events": "oom_kill 7\n"}, 0),
    "no such line": ("0::/a\n", {"a/memory.events": "oom 1\n"}, 0),
}


@pytest.mark.parametrize("name", COUNTS)
def test_kills_are_counted_for_this_cgroup(name: str, tmp_path: Path) -> None:
    """Version 1, version 2, and neither."""
    own, files, count = COUNTS[name]
    (tmp_path / "cgroup").write_text(own)
    for path, content in files.items():
        (tmp_path / "fs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / path).write_text(content)
    assert deaths.oom_kills(tmp_path / "cgroup", tmp_path / "fs") == count


def test_system_without_cgroups_counts_nothing(tmp_path: Path) -> None:
    """macOS has neither file."""
    assert deaths.oom_kills(tmp_path / "missing", tmp_path / "missing") == 0


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """Return a cgroup with 700 MB of memory, where the user may make one."""
    found = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
    mounts = {"memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), "": ("/sys/fs/cgroup", "memory.max")}
    mount, limit, path = next(
        ((*mounts[controllers], path) for _, controllers, path in found if controllers in mounts), ("/", "", "/")
    )
    folder = Path(f"{mount}{path}", f"scillm-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / limit).write_text("700000000")
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"needs to make a cgroup: {error}")
    yield folder
    until(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


@pytest.mark.slow
def test_kernel_that_the_system_killed_ran_out_of_memory(smoke: Smoke, small_cgroup: Path) -> None:
    """A real OOM killer; the one that kills itself before is not told to be its victim."""
    write(smoke.folder / "a.ipynb", "import os; os.kill(os.getpid(), 9)")
    write(smoke.folder / "b.ipynb", "1", "held = [b'x' * 10_000_000 for _ in range(1000)]")
    enter = 'echo $$ > "$0" && exec "$@"'
    command = [*SMOKE, "run", "--out", str(smoke.out), "--jobs", "1", "a.ipynb", "b.ipynb"]
    environ = smoke.environ | {"SCILLM_WARM_PRELOAD": "json"}
    subprocess.run(
        ["sh", "-c", enter, str(small_cgroup / "cgroup.procs"), *command], cwd=smoke.folder, env=environ, check=False
    )
    killed = "the kernel was killed (SIGKILL)"
    assert _told(smoke) == {
        "a": ("kernel_died", 1, f"{killed}, perhaps out of memory; look at this cell."),
        "b": (
            "kernel_died",
            2,
            f"{killed} while the system's OOM killer was at work: it ran out of memory; look at this cell.",
        ),
    }


def test_signals_have_names() -> None:
    """Those that Python knows; a real-time signal has its number."""
    assert deaths._name(signal.SIGTERM) == "SIGTERM"
    assert deaths._name(40) == "signal 40"
