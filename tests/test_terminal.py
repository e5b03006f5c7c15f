"""The standard streams of a command: closed, full, gone, or of an encoding that lacks a character."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scillm_helpers.smoke import bugs, cli
from tests.harness import SMOKE, Smoke, write

PRINT = "import sys\nfrom scillm_helpers.smoke import terminal\nwith terminal.enduring() as lost:\n    {}\n"
CAREFUL = 'print([error.strerror for error in lost], file=open({!r}, "w"))'


def _python(code: str, file: Path, **streams: int | None) -> tuple[int, str, str]:
    """Run code in a process, and return its exit status, what it wrote to stderr, and the errors that it noted."""
    source = PRINT.format(code) + CAREFUL.format(str(file))
    done = subprocess.run([sys.executable, "-c", source], stderr=subprocess.PIPE, text=True, check=False, **streams)  # type: ignore[call-overload]
    return done.returncode, done.stderr, file.read_text(encoding="utf-8")


def test_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """A reader that stops, such as `head`, ends nothing."""
    read, write_end = os.pipe()
    os.close(read)
    told = _python("[print('x' * 1000) for _ in range(1000)]", tmp_path / "lost", stdout=write_end)
    os.close(write_end)
    assert told == (0, "", "[]\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="it needs /dev/full")
def test_full_disk_is_noted(tmp_path: Path) -> None:
    """What is lost is reported, after all has been done."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        told = _python("[print('x' * 1000) for _ in range(1000)]", tmp_path / "lost", stdout=full.fileno())
    assert told == (0, "", "['No space left on device']\n")


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_not_given_to_files(tmp_path: Path, closed: str) -> None:
    """What is printed does not get into the first file that is opened."""
    code = PRINT.format(f"f = open({str(tmp_path / 'file')!r}, 'w'); print('out'); print('err', file=sys.stderr)")
    script = tmp_path / "script.py"
    script.write_text(code)
    command = ["sh", "-c", f'"$0" "$1" {closed}', sys.executable, script]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done
    assert (tmp_path / "file").read_text() == ""


def test_pipe_that_does_not_block_loses_nothing(tmp_path: Path) -> None:
    """As Node.js leaves it to the programs that it starts."""
    read, write_end = os.pipe()
    os.set_blocking(write_end, False)
    source = PRINT.format("[print(n, flush=True) for n in range(50_000)]")
    with subprocess.Popen([sys.executable, "-c", source], stdout=write_end) as process:
        os.close(write_end)
        with os.fdopen(read) as pipe:
            lines = pipe.read().split()
    assert process.returncode == 0
    assert lines == [str(number) for number in range(50_000)]


def test_run_outlives_its_reader(smoke: Smoke) -> None:
    """Cut off after two lines, in a locale of ASCII: every case is executed and reported."""
    for name, source in (("a", "1"), ("é", "raise ValueError('日本')"), ("z", "1")):
        write(smoke.folder / "notebooks" / f"{name}.ipynb", source)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    command = ["bash", "-c", '"$@" run --jobs 1 | head -2; exit ${PIPESTATUS[0]}', "bash", *SMOKE]
    environ = smoke.environ | {"SCILLM_WARM_PRELOAD": "json"} | ascii_only
    done = subprocess.run(command, cwd=smoke.folder, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b""), done
    assert len(done.stdout.splitlines()) == 2
    cases = json.loads((smoke.folder / "runs" / "latest" / "results.json").read_bytes())["cases"]
    assert [(case["id"], case["status"]) for case in cases] == [("a", "passed"), ("z", "passed"), ("é", "failed")]
    assert cases[2]["reason"]["message"] == "ValueError: 日本"


@pytest.mark.parametrize("encoding", ["latin-1", pytest.param("ascii", marks=pytest.mark.slow)])
def test_every_command_prints_what_its_encoding_lacks_as_escapes(smoke: Smoke, encoding: str) -> None:
    """Run, history, report, check, new and doctor."""
    write(smoke.folder / "notebooks" / "日本.ipynb", "raise ValueError('日本')")
    status = {"run": 1, "history": 0, "report": 0, "check": 1, "new": 2, "doctor": 0}
    for command in (["run"], ["history"], ["report"], ["check"], ["new", "日本"], ["doctor"]):
        done = smoke(*command, PYTHONIOENCODING=encoding)
        assert done.returncode == status[command[0]], done
        assert "bug" not in done.stderr
        assert (done.stdout + done.stderr).isascii()
    assert "+ ENVIRONMENT" in done.stdout


# Signals


def test_nohup_keeps_a_run_from_hanging_up() -> None:
    """SIGHUP ends a run, unless it was started to ignore it."""
    before = signal.getsignal(signal.SIGHUP)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert signal.SIGHUP in cli._endings()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert signal.SIGHUP not in cli._endings()
    finally:
        signal.signal(signal.SIGHUP, before)


# Bugs


def test_bug_is_a_line_and_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback: the details, without secrets, are in the file that the line names."""
    monkeypatch.setenv("OTHER_API_KEY", "not-to-be-told")
    try:
        raise RuntimeError("not-to-be-told")
    except RuntimeError as error:
        bugs.report(error)
    line = capsys.readouterr().err
    assert line.startswith("scillm-smoke: this is a bug of scillm-smoke (RuntimeError); ")
    assert line.endswith(" has the details, please report it.\n")
    details = Path(line.split("; ")[1].split(" has the")[0])
    assert "RuntimeError: [redacted OTHER_API_KEY]" in details.read_text(encoding="utf-8")
    assert "not-to-be-told" not in details.read_text(encoding="utf-8")
    details.unlink()
