"""Kernels, the zygote and the harness are killed at random moments in a run of 16 cases."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness import Smoke, write
from tests.polling import PATIENCE, until

CASES = 16
pytestmark = pytest.mark.slow


def _write_cases(smoke: Smoke) -> Path:
    """Write notebooks that leave, in a folder, the number of their process as they begin, and a mark as they end."""
    marks = smoke.folder / "marks"
    marks.mkdir()
    for number in range(CASES):
        begin = f"import os, time\nfrom pathlib import Path\nmark = Path({str(marks)!r}, '{number:02}')"
        # Said first: what dies after its mark is there has said it.
        begin += "\nprint('begun', flush=True)\nmark.with_suffix('.pid').write_text(str(os.getpid()))"
        end = "with mark.with_suffix('.end').open('a') as file: file.write('x')"
        write(smoke.folder / "notebooks" / f"{number:02}.ipynb", begin, "time.sleep(0.2)", end)
    return marks


def _ended(marks: Path) -> set[str]:
    return {path.stem for path in marks.glob("*.end")}


def _running(marks: Path) -> dict[str, int]:
    """Return the processes of the cases that have begun and not ended."""
    texts = {path.stem: path.read_text() for path in marks.glob("*.pid")}
    return {name: int(text) for name, text in sorted(texts.items()) if text and name not in _ended(marks)}


def _kill_zygote(harness: psutil.Process) -> None:
    for child in harness.children():
        with suppress(psutil.NoSuchProcess):  # or it is a zombie: killed the last time
            if "kernels.zygote" in " ".join(child.cmdline()):
                child.kill()


def _family(harness: psutil.Process) -> list[psutil.Process]:
    return [harness, *harness.children(recursive=True)]


def _assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_kernels_and_zygote_are_told_truly(smoke: Smoke, seed: int) -> None:
    """A case has died exactly if its own kernel was killed; the zygote's death costs no case anything."""
    dice = random.Random(seed)
    marks = _write_cases(smoke)
    process = smoke.start("--jobs", "4")
    harness = psutil.Process(process.pid)
    family, killed = [], set()
    for moment in sorted(dice.sample(range(2, CASES - 4), 5)):
        until(lambda moment=moment: len(_ended(marks)) + len(killed) >= moment)
        family += _family(harness)
        if moment % 2 or len(killed) >= 3:
            _kill_zygote(harness)
        else:
            running = list(_running(marks).items())
            for name, kernel in dice.sample(running, min(1, len(running))):
                with suppress(ProcessLookupError):  # it has ended in this moment
                    os.kill(kernel, signal.SIGKILL)
                    killed.add(name)
    output, _ = process.communicate(timeout=PATIENCE)
    statuses = {case["id"]: case["status"] for case in smoke.results["cases"]}
    died = {name for name, status in statuses.items() if status == "kernel_died"}
    assert set(statuses.values()) <= {"passed", "kernel_died"}, output
    # Killed at its very end, a kernel may have done all its work.
    assert died <= killed, output
    assert killed - died <= _ended(marks), output
    assert _ended(marks) >= {name for name, status in statuses.items() if status == "passed"}
    assert process.returncode == (1 if died else 0)
    for name in died:
        assert smoke.copy(name)[0].outputs[0].text == "begun\n"
    _assert_gone(family)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_harness_has_reported_what_finished(smoke: Smoke, seed: int) -> None:
    """No process is left, each line that was printed is in the results, and resuming does the rest and no more."""
    dice = random.Random(seed)
    marks = _write_cases(smoke)
    process = smoke.start("--jobs", "4")
    harness = psutil.Process(process.pid)
    moment = dice.randrange(1, CASES - 4)
    until(lambda: len(_ended(marks)) >= moment)
    family = _family(harness)
    if dice.random() < 0.5:
        _kill_zygote(harness)  # its kernels have to find out by themselves that their owner is gone
    process.kill()
    output, _ = process.communicate(timeout=PATIENCE)
    _assert_gone(family)
    told = {line.split()[1] for line in output.splitlines() if line.startswith("passed")}
    reported = {case["id"] for case in smoke.results["cases"] if case["status"] == "passed"}
    assert told - reported == set()
    assert reported <= _ended(marks)
    assert {case["status"] for case in smoke.results["cases"]} <= {"passed", "not_run"}
    done = smoke("run", "--resume", smoke.out)
    assert done.returncode == 0, done
    assert smoke.results["totals"]["passed"] == CASES
    assert all((marks / f"{name}.end").read_text() == "x" for name in reported)
