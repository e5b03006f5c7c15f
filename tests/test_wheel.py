"""The wheel, built, installed and used outside of a clone."""

import re
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

from scillm_helpers.smoke import extra
from scillm_helpers.smoke.authoring import stored
from tests import wheels
from tests.conftest import ROOT
from tests.wheels import Environment

LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this working tree."""
    return wheels.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return an environment as `pip install WHEEL` makes it."""
    return wheels.light(tmp_path_factory.mktemp("light"), wheel)


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return an environment as `pip install WHEEL[run]` makes it."""
    return wheels.full(tmp_path_factory.mktemp("full"), wheel)


def test_wheel_holds_what_a_project_begins_with(wheel: Path) -> None:
    """The notebooks, the variables and the lock, as they are here; and the licence."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        project = "scillm_helpers/smoke/authoring/project"
        assert sorted(Path(name).name for name in names if name.startswith(f"{project}/notebooks/")) == LESSONS
        assert archive.read(f"{project}/.env.example") == (ROOT / ".env.example").read_bytes()
        assert archive.read(f"{project}/requirements.txt") == (ROOT / "requirements" / "lock.txt").read_bytes()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("scillm_helpers/", "scillm_notebooks-"))]


@pytest.mark.slow
def test_light_installation_has_no_litellm(light: Environment, tmp_path: Path) -> None:
    """Nor matplotlib; `new` and `check` work all the same, and advise nothing that is not there."""
    installed = {path.name for path in light.packages.iterdir()}
    assert not installed & {"litellm", "matplotlib", "openai", "papermill", "pydantic", "numpy"}
    (tmp_path / "notebooks").mkdir()
    done = light("new", "11_embeddings", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert_only_advises_what_exists(done.stdout)
    done = light("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done


@pytest.mark.parametrize("command", ["run", "serve", "doctor", "history", "report"])
def test_light_installation_says_what_to_install(light: Environment, tmp_path: Path, command: str) -> None:
    """In one line, with the wheel that it came from; status 2."""
    done = light(command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = done.stderr.splitlines()
    with_extra = r"uvx --from 'scillm-notebooks\[run\] @ file://\S+\.whl' scillm-smoke"  # the environment has no pip
    assert re.fullmatch(rf"scillm-smoke: \w+ is not installed; run: {with_extra} {command}", line)
    done = light("init", cwd=tmp_path)
    assert re.fullmatch(f"Next: {with_extra} run", done.stdout.splitlines()[-1])


def test_init_writes_a_project_that_passes_its_checks(full: Environment, tmp_path: Path) -> None:
    """Here or into a folder; each notebook without the digest that only a clone keeps."""
    done = full("init", "my lessons", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.splitlines()[-1] == "Next: cd 'my lessons', then scillm-smoke run"
    folder = tmp_path / "my lessons"
    assert sorted(path.name for path in (folder / "notebooks").iterdir()) == LESSONS
    assert not [
        path for path in folder.glob("notebooks/*") if stored.METADATA in nbformat.read(path, as_version=4).metadata
    ]
    assert (folder / ".env.example").read_text() == (ROOT / ".env.example").read_text()
    assert {".env", "runs/"} <= set((folder / ".gitignore").read_text().split())
    done = full("check", cwd=folder)
    assert (done.returncode, done.stdout) == (0, ""), done


@pytest.mark.slow
def test_init_again_changes_nothing(full: Environment, tmp_path: Path) -> None:
    """What is missing is written; what differs is refused before anything is."""
    assert full("init", cwd=tmp_path).returncode == 0
    (tmp_path / "notebooks" / LESSONS[0]).unlink()
    assert full("init", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "notebooks").iterdir()) == LESSONS
    (tmp_path / "notebooks" / LESSONS[0]).unlink()
    (tmp_path / "notebooks" / LESSONS[1]).write_text("mine")
    done = full("init", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr == f"scillm-smoke: notebooks/{LESSONS[1]} is there already, and differs; choose another folder.\n"
    )
    assert (tmp_path / "notebooks" / LESSONS[1]).read_text() == "mine"
    assert not (tmp_path / "notebooks" / LESSONS[0]).exists()


def test_init_says_where_it_cannot_write(full: Environment, tmp_path: Path) -> None:
    """One line, status 2: a file in the way, a folder in which nobody can create one."""
    (tmp_path / "file").write_text("")
    for folder in ("file", "/proc/self/task"):
        done = full("init", folder, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert re.fullmatch(r"scillm-smoke: \S+ cannot be written to \(.+\); choose another folder\.\n", done.stderr)


@pytest.mark.slow
def test_everything_works_in_an_empty_folder(full: Environment, tmp_path: Path) -> None:
    """`init`, `run`, `report`, `history`, `doctor`: with warm kernels, and no word of what only a clone has."""
    told = ""
    for arguments in (["init"], ["run", "--jobs", "2"], ["report"], ["history"], ["doctor"], ["new", "11_more"]):
        done = full(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done
        told += done.stdout + done.stderr
    assert f"{len(LESSONS)} passed" in told or re.search(r"\d+ passed, \d+ skipped", told)
    assert_only_advises_what_exists(told)
    done = full("--help", cwd=tmp_path, entry="scillm-notebooks")
    assert done.returncode == 0
    assert "init" in done.stdout


def assert_only_advises_what_exists(told: str) -> None:
    """There is no Makefile, and no README.md, tests/ or tools/ of ours."""
    assert not re.search(r"\bmake [a-z]+\b|Makefile|README|\btests/|\btools/|requirements-", told), told


def _spoiled(change: Callable[[nbformat.NotebookNode], object], path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda notebook: notebook.cells[2].update(execution_count=7),
        pytest.param(lambda notebook: notebook.cells[2].update(execution_count=None), marks=pytest.mark.slow),
        pytest.param(
            lambda notebook: notebook.cells[2].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="")),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda notebook: notebook.cells[2].outputs.append(
                nbformat.v4.new_output("stream", name="stderr", text="!")
            ),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda notebook: notebook.metadata.update(scillm={"outputs_of": "of other code"}), marks=pytest.mark.slow
        ),
    ],
)
def test_check_advises_what_exists(
    light: Environment, tmp_path: Path, change: Callable[[nbformat.NotebookNode], object]
) -> None:
    """Also of stored outputs, which in a clone `make tutorials` makes again."""
    (tmp_path / "notebooks").mkdir()
    light("new", "11_embeddings", cwd=tmp_path)
    _spoiled(change, tmp_path / "notebooks" / "11_embeddings.ipynb")
    done = light("check", cwd=tmp_path)
    assert done.returncode == 1, done
    assert "execute it again" in done.stdout
    assert_only_advises_what_exists(done.stdout)


def test_extra_names_what_is_installed_here() -> None:
    """Where all of it is, nothing is missing; the metadata is that of this working tree."""
    assert extra.missing() == []
    assert any("extra == 'run'" in line for line in metadata.requires(extra.DISTRIBUTION) or ())
