"""`make test-elsewhere` makes the conditions that it names, and reports which test failed under which."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tools.elsewhere import checkout
from tools.elsewhere.__main__ import main
from tools.elsewhere.conditions import CONDITIONS, NotMadeError
from tools.elsewhere.outcomes import Outcome, table

HOLDS = {
    "plain": "True",
    "one-core": "len(os.sched_getaffinity(0)) == 1",
    "busy": "'while True: pass' in [word for child in psutil.Process().parent().children() for word in child.cmdline()]",
    "narrow": "shutil.get_terminal_size().columns == 40",
    "wide": "shutil.get_terminal_size().columns == 300",
    "lang-c": "os.environ['LANG'] == 'C' and 'LC_ALL' not in os.environ",
    "latin-1": "locale.getpreferredencoding(False) == 'ISO-8859-1'",
    "time-zone": "time.timezone == -14 * 3600",
    "umask": "os.umask(0) == 0o077",
    "hash-seed": "not sys.flags.hash_randomization",
    "no-git": "not shutil.which('git') and shutil.which('sh')",
    "no-ipv6": "socket.has_ipv6 and refused(socket.AF_INET6) and not refused(socket.AF_INET)",
    "no-cgroup": "os.listdir('/sys/fs/cgroup') == []",
    "user": "os.geteuid() != 0 and os.access(os.getcwd(), os.W_OK)",
}
SOURCE = """
import locale, os, psutil, shutil, socket, sys, time

def refused(family):
    try:
        socket.socket(family).close()
    except OSError:
        return True
    return False

assert {}
"""


def test_every_condition_is_checked() -> None:
    """One that is added gets a line above."""
    assert set(HOLDS) == set(CONDITIONS)


# The copy for another user is of the whole virtual environment: a gigabyte.
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "user" else n for n in HOLDS])
def test_condition_holds(name: str) -> None:
    """A Python that is started under it sees it."""
    try:
        # Not pytest's folder, which is its user's alone.
        with tempfile.TemporaryDirectory() as folder, CONDITIONS[name].make(Path(folder)) as surroundings:
            surroundings.require()
            assert surroundings.start("-c", SOURCE.format(HOLDS[name])).wait() == 0
    except NotMadeError as error:
        pytest.skip(str(error))


TESTS = """
import os
import pytest

NARROW = os.environ.get("COLUMNS") == "40"

def test_portable():
    pass

@pytest.mark.parametrize("size", [40, 80])
def test_width(size):
    assert not NARROW or size != 40

class TestThings:
    @pytest.fixture
    def spoilt(self):
        yield
        assert not NARROW

    def test_in_a_class(self, spoilt):
        pass

    @pytest.mark.skip
    def test_skipped(self):
        pass
"""


@pytest.mark.slow
def test_failed_tests_are_listed_with_their_conditions(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """By names that pytest takes; exit status 1. The tests that pass everywhere are counted."""
    path = tmp_path / "test_width.py"
    path.write_text(TESTS)
    arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(path)]
    assert main(["plain", "narrow", "--", *arguments]) == 1
    out, _ = capfd.readouterr()
    *_, results, failed = out.strip().split("\n\n")
    rows = [line.split() for line in results.splitlines()]
    assert [row[:5] for row in rows[1:]] == [["plain", "passed", "4", "0", "1"], ["narrow", "failed", "2", "2", "1"]]
    names = dict(line.split() for line in failed.splitlines())
    assert names.pop("failed") == "under"
    assert set(names.values()) == {"narrow"}
    assert {name.rpartition("/")[2] for name in names} == {
        "test_width.py::test_width[40]",
        "test_width.py::TestThings::test_in_a_class",
    }


def test_condition_that_is_named_must_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without its program it is reported as not made, and nothing is run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["one-core", "--", "no-such-test.py"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert out.endswith("one-core   not made\n\none-core: taskset is not installed (package util-linux)\n")


def test_run_that_was_cut_short_is_red(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Though no test has failed: pytest's exit status counts."""
    assert main(["plain", "--", "-q", str(tmp_path / "no-such-test.py")]) == 1
    assert capfd.readouterr().out.endswith("plain: pytest ended with status 4\n")


def test_unknown_condition(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, with those that there are."""
    with pytest.raises(SystemExit) as ended:
        main(["no-gti", "--"])
    assert ended.value.code == 2
    assert "no-gti is not a condition; choose from plain, one-core" in capsys.readouterr().err


def test_table_of_failures() -> None:
    """A test that failed under two conditions has one line; what was not made has no figures."""
    done = [
        Outcome("plain", seconds=61.4, passed=3, failed=("a.py::x",)),
        Outcome("narrow", seconds=3600, passed=2, skipped=1, failed=("a.py::x", "a.py::y[1]")),
        Outcome("user", "nobody is not there", made=False),
    ]
    assert table(done) == (
        "condition  result    passed  failed  skipped  minutes\n"
        "plain      failed    3       1       0        1:01\n"
        "narrow     failed    2       2       1        60:00\n"
        "user       not made\n\n"
        "failed      under\n"
        "a.py::x     plain, narrow\n"
        "a.py::y[1]  narrow\n\n"
        "user: nobody is not there"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_folder_that_is_closed_to_others_is_refused(tmp_path: Path) -> None:
    """Before a gigabyte is copied into it."""
    tmp_path.chmod(0o700)
    (folder := tmp_path / "below").mkdir()
    with pytest.raises(NotMadeError, match=r"is closed to other users; set TMPDIR"), CONDITIONS["user"].make(folder):
        pass


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a small checkout, with what must be copied and what must not."""
    root = tmp_path / "root"
    contents = {
        ".gitignore": ".venv\n",
        "edited.py": "1",
        "runs/latest": "a run",
        ".git": "gitdir: elsewhere",
        ".venv/bin/tool": f"#!{root}/.venv/bin/python",
        ".venv/lib/python3/site-packages/openai/runs/__init__.py": "",
        ".venv/bin/binary": f"\0{root}",
        ".venv/lib/python3/site-packages/__editable__.x.pth": str(root),
    }
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_copy_leads_to_itself(project: Path, tmp_path: Path) -> None:
    """What is edited is in it, a run is not; its tools and its install are its own, and git takes it for a repository."""
    user = checkout.User("me", os.geteuid(), os.getegid())
    copy = checkout.copied(project, tmp_path / "folder", user)
    assert (copy / "edited.py").read_text() == "1"
    assert not (copy / "runs").exists()
    assert (copy / ".venv/lib/python3/site-packages/openai/runs/__init__.py").exists()
    assert (copy / ".venv/bin/tool").read_text() == f"#!{copy}/.venv/bin/python"
    assert (copy / ".venv/lib/python3/site-packages/__editable__.x.pth").read_text() == str(copy)
    assert (copy / ".venv/bin/binary").read_text() == f"\0{project}"
    assert (copy / ".git").is_dir() == bool(shutil.which("git"))
    assert {path.stat().st_uid for path in copy.rglob("*")} == {user.uid}
