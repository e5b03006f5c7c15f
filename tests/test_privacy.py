"""Every file of a run allows what the umask allows, and to nobody more than the run's folder."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scillm_helpers import atomic
from tests.harness import SMOKE, Smoke, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")

ALL = {".lock", "results.json", "junit.xml", "report.html", "summary.md", "requests.jsonl", "a.ipynb", "a.html"}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022, 0o002])
@pytest.mark.parametrize("folder", [None, 0o700, 0o750, 0o755, 0o777])
def test_file_is_as_private_as_its_folder(tmp_path: Path, umask: int, folder: int | None) -> None:
    """Also in a folder that is made for it, and when it is written again."""
    place = tmp_path / "out"
    if folder is not None:
        place.mkdir()
        place.chmod(folder)
    before = os.umask(umask)
    try:
        tmp_path.chmod(0o755)
        atomic.make_folder(place / "notebooks", exist_ok=True)
        for path in (place / "a", place / "notebooks" / "b"):
            atomic.replace(path, b"1")
            atomic.replace(path, b"2")
        with open(place / "c", "a", encoding="utf-8", opener=atomic.opener(place)):
            pass
    finally:
        os.umask(before)
    most = (folder or 0o755) & ~umask
    assert {_mode(path) for path in (place / "a", place / "notebooks" / "b", place / "c")} == {0o666 & most}
    assert _mode(place / "notebooks") == 0o777 & most
    assert [path.name for path in sorted(place.iterdir())] == ["a", "c", "notebooks"]
    assert (place / "a").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("umask", "folder"),
    [
        (0o077, 0o755),
        pytest.param(0o022, 0o700, marks=pytest.mark.slow),
        pytest.param(0o027, None, marks=pytest.mark.slow),
        pytest.param(0o022, None, marks=pytest.mark.slow),
    ],
)
def test_every_file_of_a_run_is_private(smoke: Smoke, umask: int, folder: int | None) -> None:
    """With a folder that was there, and with one that the run makes."""
    write(smoke.folder / "a.ipynb", "1")
    smoke.folder.chmod(0o755)
    if folder is not None:
        smoke.out.mkdir()
        smoke.out.chmod(folder)
    environ = smoke.environ | {"SCILLM_WARM_PRELOAD": "json"}
    command = [*SMOKE, "run", "--out", str(smoke.out), "a.ipynb"]
    done = subprocess.run(command, cwd=smoke.folder, env=environ, umask=umask, capture_output=True, check=False)
    assert done.returncode == 0, done
    most = (folder or 0o755) & ~umask
    files = [path for path in smoke.out.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= ALL, sorted(path.name for path in files)
    for path in files:
        assert _mode(path) & ~(0o666 & most) == 0, (path, oct(_mode(path)))
    assert _mode(smoke.folder / "runs" / "history.sqlite") & umask == 0
