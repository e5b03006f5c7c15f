"""Another project checks its notebooks before each commit: with the real pre-commit, from a clone of this one."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from scillm_helpers.smoke.authoring.new import TEMPLATE
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="pre-commit works with git, which is not installed")
HOOK = "scillm-smoke-check"
_INSTALLED = (
    ".env.example",
    ".pre-commit-hooks.yaml",
    "LICENSE",
    "README.md",
    "hatch_build.py",
    "notebooks",
    "pyproject.toml",
    "requirements",
    "scillm_helpers",
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of what an installation needs, as this working tree has it."""
    folder = tmp_path_factory.mktemp("hooks")
    for name in _INSTALLED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    _commit(folder)
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return another project, with a good notebook and a bad one."""
    folder = tmp_path / "lessons"
    folder.mkdir()
    shutil.copy(TEMPLATE, folder / "good.ipynb")
    bad = TEMPLATE.read_text().replace("One or two sentences to keep.", "See /home/ada/notes.")
    (folder / "bad.ipynb").write_text(bad)
    (folder / "notes.txt").write_text("/home/ada is no notebook")
    _commit(tmp_path)
    return tmp_path


def _commit(folder: Path) -> None:
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "All of it"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.mark.slow
def test_hook_checks_the_notebooks_of_another_project(clone: Path, other: Path) -> None:
    """The bad one by its line; the good one alone passes. What the hook needs it finds where this test does."""
    environ = os.environ | {
        "PRE_COMMIT_HOME": str(other / ".cache"),
        "PIP_NO_DEPS": "1",  # they are pinned and hundreds of megabytes; an installation is not what is tested
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the wrong way round: this builds with what is found below
        "PYTHONPATH": sysconfig.get_path("purelib"),
    }

    def run(*files: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", "try-repo", str(clone), HOOK, "--verbose", *files]
        return subprocess.run(command, cwd=other, env=environ, capture_output=True, text=True, check=False)

    done = run("--all-files")
    assert done.returncode == 1, done
    told = [line for line in done.stdout.splitlines() if line.startswith("lessons/")]
    assert told == [
        "lessons/bad.ipynb: cell 13: the path `/home/ada` of a machine: "
        "have it relative, or from a variable, or tag the cell `allow-path`."
    ]
    assert "2 notebooks checked, 1 finding" in done.stdout
    done = run("--files", "lessons/good.ipynb", "lessons/notes.txt")
    assert done.returncode == 0, done
    assert "1 notebook checked, no findings" in done.stdout
