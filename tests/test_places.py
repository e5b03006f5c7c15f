"""The directories that cases work in, and the temporary folder of a run."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from scillm_helpers.smoke import scratch
from scillm_helpers.smoke.places import Places
from tests.harness import Smoke, write
from tests.polling import until

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/cwd"), reason="only Linux tells who works in a folder")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Lend directories for a folder `lessons` with two files and a folder."""
    lessons = tmp_path / "project" / "lessons"
    (lessons / "data").mkdir(parents=True)
    (lessons / "a.txt").write_text("a")
    (lessons / "b.txt").write_text("b")
    (tmp_path / "project" / "top.txt").write_text("top")
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return Places(tmp_path / "run")


def _seen(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (*folder.iterdir(), *folder.parent.iterdir()) if path.is_file()}


def _nothing(cwd: Path) -> None: ...


def _added(cwd: Path) -> None:
    (cwd / "new.txt").write_text("new")
    (cwd / "__pycache__").mkdir()
    (cwd.parent / "above.txt").write_text("above")
    (cwd / "link").symlink_to("/")


def _removed(cwd: Path) -> None:
    (cwd / "a.txt").unlink()


def _replaced(cwd: Path) -> None:
    (cwd / "a.txt").unlink()
    (cwd / "a.txt").write_text("other")


def _relinked(cwd: Path) -> None:
    (cwd / "a.txt").unlink()
    (cwd / "a.txt").symlink_to(cwd / "b.txt")


def _forbidden(cwd: Path) -> None:
    (cwd / "closed").mkdir()
    (cwd / "closed" / "inner").mkdir()
    (cwd / "closed").chmod(0)
    cwd.chmod(0o500)


def _gone(cwd: Path) -> None:
    scratch.remove(cwd.parent)


@pytest.mark.parametrize("case", [_nothing, _added, _removed, _replaced, _relinked, _forbidden, _gone])
def test_next_case_finds_what_the_folder_has(places: Places, case: object) -> None:
    """Whatever a case did to its directory, the next sees the same files, by another path, and nothing of it."""
    lessons = Path.cwd() / "lessons"
    with places.lent(lessons) as (first, _):
        assert _seen(first) == {"a.txt": "a", "b.txt": "b", "top.txt": "top"}
        case(first)  # type: ignore[operator]
    with places.lent(lessons) as (second, sockets):
        assert _seen(second) == {"a.txt": "a", "b.txt": "b", "top.txt": "top"}
        assert sorted(path.name for path in second.iterdir()) == ["a.txt", "b.txt", "data"]
        assert list(sockets.iterdir()) == []
    assert not first.exists()
    assert _seen(lessons) == {"a.txt": "a", "b.txt": "b", "top.txt": "top"}


@needs_proc
def test_links_are_made_once_for_cases_that_leave_them(places: Places) -> None:
    """The same directory, under another name: where thousands of notebooks lie, its links take longer than a case."""
    seen = []
    for case in (_nothing, _added, _nothing):
        with places.lent(Path.cwd() / "lessons") as (cwd, _):
            seen.append(cwd.stat().st_ino)
            case(cwd)
    assert len(set(seen)) == 1


def test_cases_side_by_side_have_directories_of_their_own(places: Places) -> None:
    """Neither sees what the other writes."""
    lessons = Path.cwd() / "lessons"
    with places.lent(lessons) as (first, _), places.lent(lessons) as (second, _):
        (first / "new.txt").write_text("new")
        assert not (second / "new.txt").exists()


def test_new_file_of_the_folder_is_there_for_the_next_case(places: Places) -> None:
    """What the user adds while a run goes on."""
    lessons = Path.cwd() / "lessons"
    with places.lent(lessons):
        (lessons / "c.txt").write_text("c")
    with places.lent(lessons) as (cwd, _):
        assert (cwd / "c.txt").read_text() == "c"


@needs_proc
def test_process_that_a_case_leaves_behind_keeps_its_directory_to_itself(places: Places) -> None:
    """What it writes later is seen by no other case."""
    lessons = Path.cwd() / "lessons"
    with places.lent(lessons) as (first, _):
        left = subprocess.Popen(["cat"], cwd=first, stdin=subprocess.PIPE)
    with places.lent(lessons) as (second, _):
        assert not second.samefile(f"/proc/{left.pid}/cwd")
    left.communicate()


# What a run leaves


def _mine(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("scillm-run-*"))


def test_killed_run_leaves_folders_that_the_next_removes(smoke: Smoke) -> None:
    """Once nobody uses them, and never those of a run that goes on."""
    temporary = smoke.folder / "tmp"
    temporary.mkdir()
    begun = smoke.folder / "begun"
    write(smoke.folder / "a.ipynb", f"open({str(begun)!r}, 'w').close()\nimport time; time.sleep(600)")
    write(smoke.folder / "b.ipynb", "1")
    process = smoke.start("a.ipynb", TMPDIR=str(temporary))
    until(begun.exists)
    kernels = psutil.Process(process.pid).children(recursive=True)
    (folder,) = (path for path in temporary.glob("scillm-run-*") if path.is_dir())
    other = smoke.folder / "other"
    assert smoke("run", "--out", other, "b.ipynb", TMPDIR=str(temporary)).returncode == 0
    assert folder.is_dir()
    process.kill()
    process.communicate()
    psutil.wait_procs(kernels, timeout=60)
    assert folder.is_dir()
    assert smoke("run", "--out", other, "b.ipynb", TMPDIR=str(temporary)).returncode == 0
    assert _mine(temporary) == []


@needs_proc
def test_folder_in_which_a_process_works_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may outlive its run; its folder is removed when it has ended."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "scillm-run-12345678"
    left.mkdir()
    with FileLock(f"{left}.lock"):
        scratch.sweep()
        assert left.is_dir()
    process = subprocess.Popen([sys.executable, "-c", "input()"], cwd=left, stdin=subprocess.PIPE)
    scratch.sweep()
    assert left.is_dir()
    process.communicate(b"\n")
    scratch.sweep()
    assert _mine(tmp_path) == []


def test_kernels_are_reached_where_paths_are_long(smoke: Smoke) -> None:
    """No Unix socket can have such a path."""
    temporary = smoke.folder / ("t" * 120)
    temporary.mkdir()
    write(smoke.folder / "a.ipynb", "1")
    assert smoke.run("a.ipynb", TMPDIR=str(temporary)).returncode == 0, smoke.case


def test_folder_without_a_lock_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a run has made is removed; a run that ends leaves nothing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "scillm-run-mine").mkdir()
    with scratch.scratch() as folder:
        (folder / "w1").mkdir()
        (folder / "w1").chmod(0)
        assert os.stat(folder).st_mode & 0o777 == 0o700
    assert _mine(tmp_path) == ["scillm-run-mine"]
