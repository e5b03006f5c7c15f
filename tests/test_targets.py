"""The make targets of CI do the same by hand."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import live


def make(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Call make as the workflow does, in a clean environment."""
    command = ["make", "-s", *arguments]
    environ = {"PATH": os.environ["PATH"]} | environ
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """Return a folder whose `python` prints its arguments, one to a line."""
    (tmp_path / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("lacking", ["CHUTES_API_BASE", "CHUTES_API_KEY"])
def test_smoke_live_is_refused_without_endpoint(lacking: str) -> None:
    """It runs nothing, rather than quietly the keyless suite."""
    environ = {"CHUTES_API_BASE": "http://127.0.0.1:9", "CHUTES_API_KEY": "obviously-fake"} | {lacking: ""}
    done = make("smoke-live", **environ)
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert (done.returncode, done.stdout) == (2, "")
    assert line == f"smoke-live: {lacking} is not set; export it, or run make smoke-keyless."


@pytest.mark.parametrize("target", ["smoke-live", "matrix", "issues"])
def test_target_that_holds_a_key_installs_nothing(target: str, tmp_path: Path) -> None:
    """On a fresh clone it is refused, and says what to run first."""
    venv = tmp_path / "venv"
    done = make(target, f"VENV={venv}", CHUTES_API_KEY="obviously-fake", GITHUB_TOKEN="obviously-fake")
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert (done.returncode, done.stdout) == (2, "")
    assert line == f"{target}: {venv} is not set up, or older than its requirements; run make setup."
    assert not venv.exists()


def test_smoke_live_runs_with_endpoint(bin_folder: Path) -> None:
    """The check, then the same command as by hand."""
    assert live.missing({"CHUTES_API_BASE": "http://127.0.0.1:9", "CHUTES_API_KEY": "obviously-fake"}) == []
    done = make("smoke-live", f"BIN={bin_folder}")
    assert done.stdout.split() == ["-m", "tools.live", "-m", "scillm_helpers.smoke", "run"]


def test_smoke_keyless_goes_nowhere_else(bin_folder: Path) -> None:
    """Whatever the shell has set, the live endpoint's variables are empty."""
    (bin_folder / "python").write_text("#!/bin/sh\nenv\n")
    done = make("smoke-keyless", f"BIN={bin_folder}", CHUTES_API_BASE="http://127.0.0.1:9", CHUTES_API_KEY="fake")
    assert {"CHUTES_API_BASE=", "CHUTES_API_KEY="} <= set(done.stdout.splitlines())


@pytest.mark.parametrize("pattern", ["some/.*-7b$", "a b", "'\"; echo broken", "$(shell echo broken)", "`echo broken`"])
def test_matrix_takes_any_pattern_as_it_is(bin_folder: Path, pattern: str) -> None:
    """It comes from who starts the workflow: neither make nor the shell reads it."""
    done = make("matrix", f"BIN={bin_folder}", MATCH=pattern)
    assert done.stdout.splitlines()[2:] == ["run", "--model", "all", "--match", pattern]


def test_matrix_without_pattern_has_all_models(bin_folder: Path) -> None:
    """A night has none: GitHub sets the variable to nothing."""
    assert make("matrix", f"BIN={bin_folder}", MATCH="").stdout.splitlines()[2:] == ["run", "--model", "all"]


def test_summary_prints_the_runs(tmp_path: Path) -> None:
    """Of each run that a pattern finds, in their order; and where there is none, it says so."""
    for name in ("20261101T030000Z", "20261101T031500Z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.md").write_text(f"of {name}\n")
    (tmp_path / "20261101T040000Z").mkdir()
    done = make("summary", f"RUNS={tmp_path}/2*")
    assert done.stdout == "of 20261101T030000Z\nof 20261101T031500Z\n"
    none = make("summary", f"RUNS={tmp_path}/3*")
    assert none.stdout == "No run has left a summary; the log of the step before says why.\n"


def test_night_without_key_says_so() -> None:
    """In the summary, and it is no failure."""
    done = make("not-live")
    assert done.returncode == 0
    assert "**not run**" in done.stdout


def test_history_is_rebuilt_from_a_folder(bin_folder: Path) -> None:
    """Without one, nothing is done."""
    (bin_folder / "python").rename(bin_folder / "scillm-smoke")
    done = make("history-import", f"BIN={bin_folder}", "RESULTS=artifacts")
    assert done.stdout.split() == ["history", "--import", "artifacts"]
    assert make("history-import", f"BIN={bin_folder}").returncode == 2


@pytest.mark.parametrize("browser", ["chromium", "google-chrome", None])
def test_packages_installs_what_lacks(tmp_path: Path, browser: str | None) -> None:
    """Chromium, where no browser like it is there; and where nothing lacks, it asks apt-get nothing."""
    there = ["curl", "jq", "make", "strace", "python3", "id", "sudo", *([browser] if browser else [])]
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    for name in [*there, "apt-get"]:
        (tmp_path / name).chmod(0o755)
    bash = shutil.which("bash") or "bash"
    subprocess.run([bash, ROOT / ".ci" / "packages"], env={"PATH": str(tmp_path)}, capture_output=True, check=True)
    asked = tmp_path / "asked"
    assert (asked.read_text().split()[-1] if asked.exists() else None) == (None if browser else "chromium")


def test_every_target_is_told_of() -> None:
    """In the Makefile's first comment, and in the README."""
    text = (ROOT / "Makefile").read_text()
    head = text.split("\n\n")[0]
    readme = (ROOT / "README.md").read_text()
    targets = " ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)).split()
    for target in set(targets) - {"clean"}:
        assert re.search(rf"\b{target}\b", head), target
        assert f"make {target}" in readme, target
