"""What bounds a case: its directory, its deadlines, its outputs, its attempts, its kernel's life."""

from xml.etree import ElementTree

import psutil
import pytest

from tests.harness import Smoke, write
from tests.polling import PATIENCE, until

FAIL_ONCE = """from pathlib import Path
seen = Path({marker!r})
if not seen.exists():
    seen.touch()
    raise {error}
print("well")"""


# Directories


def test_each_case_has_a_directory_of_its_own(smoke: Smoke) -> None:
    """Cases of one notebook write the same name side by side and do not meet; the source folder stays as it was."""
    source = (
        "import os, pathlib, time\n"
        "mine = os.environ['CHUTES_MODEL']\n"
        "pathlib.Path('written.txt').write_text(mine)\n"
        "pathlib.Path(f'{rendezvous}-{mine[9:]}').touch()\n"
        "while len(list(pathlib.Path(rendezvous).parent.glob('met-*'))) < 3: time.sleep(0.01)\n"
        "assert pathlib.Path('written.txt').read_text() == mine"
    )
    write(smoke.folder / "notebooks" / "a.ipynb", source, parameters="rendezvous = ''")
    models = [word for name in ("omni-1", "text-1", "mini-1") for word in ("--model", f"embedded/{name}")]
    done = smoke.run("a", *models, "-p", f"rendezvous={smoke.folder}/met", "--jobs", "3")
    assert done.returncode == 0, done
    assert [path.name for path in (smoke.folder / "notebooks").iterdir()] == ["a.ipynb"]


def test_what_a_notebook_reads_is_where_it_is_in_jupyter(smoke: Smoke) -> None:
    """Files and modules beside it, and above it up to where the run was started."""
    (smoke.folder / "lessons").mkdir()
    (smoke.folder / "lessons" / "data.txt").write_text("beside")
    (smoke.folder / "lessons" / "own_module.py").write_text("value = 'module'")
    (smoke.folder / "top.txt").write_text("above")
    (smoke.folder / "data").mkdir()
    (smoke.folder / "data" / "deep.txt").write_text("deep")
    write(
        smoke.folder / "lessons" / "a.ipynb",
        "import own_module\n"
        "read = [open(name).read() for name in ('data.txt', '../top.txt', '../data/deep.txt')]\n"
        "assert [*read, own_module.value] == ['beside', 'above', 'deep', 'module']",
    )
    assert smoke.run("lessons/a.ipynb").returncode == 0, smoke.case


def test_relative_python_path_is_meant_from_where_the_run_was_started(smoke: Smoke) -> None:
    """And all cases share one zygote, also where there is a .env file (which LiteLLM looks for from its kernel)."""
    (smoke.folder / ".env").write_text("OBVIOUSLY=fake")
    (smoke.folder / "own_module.py").write_text("")
    source = "import os, own_module\nfrom pathlib import Path\nPath(mark, str(os.getppid())).touch()"
    for name in ("a", "b"):
        write(smoke.folder / "notebooks" / f"{name}.ipynb", source, parameters="mark = ''")
    (smoke.folder / "mark").mkdir()
    done = smoke.run("-p", f"mark={smoke.folder}/mark", PYTHONPATH=".")
    assert done.returncode == 0, done
    assert len(list((smoke.folder / "mark").iterdir())) == 1


# Deadlines


def test_deadline_of_a_cell(smoke: Smoke) -> None:
    """One cell too slow is a timeout that names it; a notebook of quick cells may take longer than the cell may."""
    write(smoke.folder / "a.ipynb", "1", "print('begun', flush=True)\nimport time; time.sleep(60)", "2")
    write(smoke.folder / "b.ipynb", *["import time; time.sleep(1)"] * 6)
    done = smoke.run("a.ipynb", "b.ipynb", "--cell-deadline", "5")
    assert done.returncode == 1
    slow, quick = smoke.results["cases"]
    assert (slow["status"], slow["reason"]["kind"], slow["reason"]["cell"]) == ("timeout", "timeout", 2)
    assert slow["reason"]["message"] == "this cell was not done after 5 s; raise --cell-deadline, or look at this cell."
    assert quick["status"] == "passed"
    assert smoke.copy("a")[1].outputs[0].text == "begun\n"
    assert smoke.copy("a")[1].outputs[1].ename == "KeyboardInterrupt"


def test_kernel_that_ignores_the_interrupt_is_killed(smoke: Smoke) -> None:
    """Past the deadline and some grace: killed, what it had printed kept, the status still timeout."""
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('begun', flush=True)\nwhile True: time.sleep(99)"
    write(smoke.folder / "a.ipynb", "print('one')", stubborn)
    assert smoke.run("a.ipynb", "--deadline", "6").returncode == 1
    assert (smoke.case["status"], smoke.case["reason"]["cell"]) == ("timeout", 2)
    assert [cell.outputs[0].text for cell in smoke.copy("a")] == ["one\n", "begun\n"]


# Kernels that die


def test_dead_kernel_is_noticed_at_once(smoke: Smoke) -> None:
    """However it dies, not after a timeout of minutes."""
    deaths = {
        "exit": "os._exit(3)",
        "kill": "os.kill(os.getpid(), 9)",
        "later": "threading.Timer(0.2, os._exit, [1]).start(); time.sleep(99)",
    }
    for name, death in deaths.items():
        write(smoke.folder / f"{name}.ipynb", "print('one')", f"import os, threading, time\n{death}")
    assert smoke.run(*(f"{name}.ipynb" for name in deaths), "--deadline", "100").returncode == 1
    for case, name in zip(smoke.results["cases"], deaths, strict=True):
        assert (case["status"], case["reason"]["kind"], case["reason"]["cell"]) == ("kernel_died", "kernel", 2), case
        assert smoke.copy(name)[0].outputs[0].text == "one\n"


# Floods


def test_flood_of_output_is_bounded(smoke: Smoke) -> None:
    """100 MB of text and 12,000 displays: the copy is small, has both ends, says what it lacks, and the case passes."""
    write(
        smoke.folder / "a.ipynb",
        "print('first')\nfor n in range(1000):\n    print(f'{n:06}' + 'x' * 100_000)\nprint('last')",
        "from IPython.display import display\nfor n in range(12_000):\n    display({'text/plain': f'd{n}'}, raw=True)",
        "from scillm_helpers import record\nrecord('survived', True)",
    )
    assert smoke.run("a.ipynb").returncode == 0, smoke.case
    assert [record["check"] for record in smoke.case["records"]] == ["survived"]
    printed, displayed, _ = smoke.copy("a")
    text = "".join(out.text for out in printed.outputs if out.name == "stdout")
    assert text.startswith("first\n000000xxx")
    assert text.endswith("xxx\nlast\n")
    (notice,) = [out.text for out in printed.outputs if out.name == "stderr"]
    assert notice == f"\n[scillm-smoke dropped {100_007_011 - len(text):,} characters of output here]\n"
    assert 1_000_000 < len(text) < 2_100_000
    shown = [out.data["text/plain"] for out in displayed.outputs if "data" in out]
    assert (shown[0], shown[-1]) == ("d0", "d11999")
    assert (smoke.out / "notebooks" / "a.ipynb").stat().st_size < 15_000_000


@pytest.mark.slow
def test_one_huge_output_of_any_kind_is_bounded(smoke: Smoke) -> None:
    """A display and a result are left out, a message and a traceback are cut; and none of it is on the terminal."""
    sources = (
        "from IPython.display import HTML, display\ndisplay(HTML('d' * 60_000_000))",
        "HTML('r' * 60_000_000)",
        # What is still in the pipe as the cell ends counts for the next one; each line has a price in the file.
        f"import os\nos.system('yes {'hello' * 20} | head -c 50000000')",
        "raise ValueError('first' + 'e' * 30_000_000 + 'last')",
    )
    write(smoke.folder / "a.ipynb", *sources)
    done = smoke.run("a.ipynb")
    assert done.returncode == 1
    assert len(done.stdout) < 2_000
    assert smoke.case["reason"]["message"].startswith("ValueError: firsteee")
    displayed, result, printed, raised = smoke.copy("a")
    for cell in (displayed, result):
        assert [out.text for out in cell.outputs] == ["\n[scillm-smoke dropped 60,000,034 characters of output here]\n"]
    assert printed.outputs[0].text.startswith("hello" * 20 + "\n")
    (error,) = [out for out in raised.outputs if out.output_type == "error"]
    assert error.evalue.endswith("eeelast")
    assert "[scillm-smoke dropped 29,800,009 characters here]" in error.evalue
    assert (smoke.out / "notebooks" / "a.ipynb").stat().st_size < 6_000_000


@pytest.mark.slow
def test_endless_flood_ends_at_the_deadline(smoke: Smoke) -> None:
    """A cell that prints without end is a timeout, and the harness is still there."""
    write(smoke.folder / "a.ipynb", "while True:\n    print('y' * 10_000)")
    write(smoke.folder / "b.ipynb", "1")
    assert smoke.run("a.ipynb", "b.ipynb", "--deadline", "15").returncode == 1
    assert [case["status"] for case in smoke.results["cases"]] == ["timeout", "passed"]
    assert (smoke.out / "notebooks" / "a.ipynb").stat().st_size < 10_000_000


def test_display_updated_in_a_flood_is_kept_up_to_date(smoke: Smoke) -> None:
    """A display that was there before the flood shows its last state; one that was held back breaks nothing."""
    write(
        smoke.folder / "a.ipynb",
        "from IPython.display import display, update_display\n"
        "display('before', display_id='p')\n"
        "print('x' * 3_000_000)\n"
        "display('held back', display_id='q')\n"
        "update_display('after', display_id='p'); update_display('after', display_id='q')",
    )
    assert smoke.run("a.ipynb").returncode == 0, smoke.case
    assert smoke.copy("a")[0].outputs[0].data["text/plain"] == "'after'"


# Retries


def test_transient_failure_is_tried_again_once(smoke: Smoke) -> None:
    """It passes on attempt 2, and every report says so; the first attempt's copy stays."""
    marker = str(smoke.folder / "seen")
    write(smoke.folder / "a.ipynb", FAIL_ONCE.format(marker=marker, error="ConnectionResetError('gone')"))
    done = smoke.run("a.ipynb", "--retries", "1")
    assert done.returncode == 0, done
    case = smoke.case
    assert (case["status"], case["attempt"]) == ("passed", 2)
    assert case["retried_for"] == [{"kind": "connection", "message": "ConnectionResetError: gone", "cell": 1}]
    lines = done.stdout.splitlines()
    assert lines[1].startswith("failed      a")
    assert lines[1].endswith("connection: ConnectionResetError: gone (In [1]); it is tried again")
    assert lines[2].endswith("passed on attempt 2")
    assert case["executed"] == "notebooks/a.attempt-2.ipynb"
    assert smoke.copy("a")[0].outputs[0].ename == "ConnectionResetError"
    assert smoke.copy("a.attempt-2")[0].outputs[0].text == "well\n"
    said = ElementTree.parse(smoke.out / "junit.xml").findtext(".//system-out")
    assert said == "passed on attempt 2\nattempt 1: ConnectionResetError: gone"


@pytest.mark.parametrize(
    ("errors", "options"),
    [
        (["AssertionError('wrong')", "KeyError('bug')"], ["--retries", "1"]),
        (["TimeoutError('slow')"], []),
    ],
)
def test_what_is_not_transient_or_not_asked_for_is_not_tried_again(
    smoke: Smoke, errors: list[str], options: list[str]
) -> None:
    """An assertion would hide a true failure half of the time."""
    names = [f"{number}.ipynb" for number in range(len(errors))]
    for name, error in zip(names, errors, strict=True):
        write(smoke.folder / name, FAIL_ONCE.format(marker=str(smoke.folder / f"{name}.seen"), error=error))
    assert smoke.run(*names, *options).returncode == 1
    for case in smoke.results["cases"]:
        assert (case["status"], case["attempt"], case["retried_for"]) == ("failed", 1, [])


def test_failure_that_persists_stays_one(smoke: Smoke) -> None:
    """Two attempts, then it has failed."""
    write(smoke.folder / "a.ipynb", "raise TimeoutError('slow')")
    done = smoke.run("a.ipynb", "--retries", "1")
    assert done.returncode == 1
    assert (smoke.case["status"], smoke.case["attempt"]) == ("failed", 2)
    assert done.stdout.splitlines()[-2].endswith("failed on attempt 2")


# Results as they come


def test_results_are_written_after_each_case(smoke: Smoke) -> None:
    """A harness that is killed has reported what had finished, and leaves no process."""
    write(smoke.folder / "a.ipynb", "1")
    write(smoke.folder / "b.ipynb", f"open({str(smoke.folder / 'begun')!r}, 'w').close()\nimport time; time.sleep(99)")
    process = smoke.start("a.ipynb", "b.ipynb", "--jobs", "1")
    until((smoke.folder / "begun").exists)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    psutil.wait_procs(family, timeout=PATIENCE)
    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    assert [case["status"] for case in smoke.results["cases"]] == ["passed", "not_run"]
    assert smoke.results["cases"][1]["reason"]["message"] == "the run was interrupted."
