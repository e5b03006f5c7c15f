"""The history keeps what runs were, for several processes at once, and touches nothing that is none."""

import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scillm_helpers.endpoint import serve
from scillm_helpers.errors import UsageError
from scillm_helpers.smoke.history import History
from scillm_helpers.smoke.past import Identity
from tests import nights
from tests.conftest import ROOT
from tests.harness import Smoke, refused, write
from tests.nights import COMMIT, HISTORY, case, filled, run
from tests.polling import PATIENCE, until

A = Identity("a", "m", "embedded", "{}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a history may be."""
    return tmp_path / "history.sqlite"


def _script(source: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    """Start Python in the project's folder with a history `path` and a few names at hand."""
    begin = "import os, signal, sys\nfrom pathlib import Path\nfrom scillm_helpers.smoke.history import History\n"
    begin += "from tests.nights import case, run\npath = Path(sys.argv[1])\n"
    command = [sys.executable, "-c", begin + source, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


# What is kept


def test_what_is_added_is_read_back(path: Path) -> None:
    """With the run's circumstances, the measurements, the reason and the attempts."""
    failed = case("b", "failed", retried_for=(nights.LIMITED,), digest="d1")
    filled(path, run(1, case(ttft_s=0.25, speed=40.0), failed))
    with History.read(path) as history:
        past = history.past()
    (good,), (bad,) = past.values()
    assert list(past) == [A, Identity("b", "m", "embedded", "{}")]
    assert (good.passed, good.ttft_s, good.tokens_per_s, good.seconds, good.attempts) == (True, 0.25, 40.0, 1.5, 1)
    assert (good.run.id, good.run.night, good.run.git_commit) == ("20261101T030000Z", "2026-11-01", COMMIT)
    assert (good.kind, good.message, good.signature) == (None, None, None)
    assert (bad.bad, bad.kind, bad.message) == (True, "rate_limit", "RateLimitError: too many requests")
    assert (bad.signature, bad.attempts, bad.digest) == ("rate_limit", 2, "d1")


def test_past_is_in_order_of_time(path: Path) -> None:
    """However the runs were added; what was not run is not in it."""
    filled(path, run(3, case()), run(1, case()), run(2, case(status="not_run")), run(4, case(status="skipped")))
    with History.read(path) as history:
        assert [result.run.night[-2:] for result in history.past()[A]] == ["01", "03", "04"]


def test_only_the_asked_for_is_read(path: Path) -> None:
    """A case without a past has an empty one, and so has one that was never run."""
    filled(path, run(1, case(), case("b"), case("c", "not_run")))
    unknown = Identity("unknown", "m", "embedded", "{}")
    with History.read(path) as history:
        past = history.past([A, unknown])
        assert (list(past), len(past[A]), past[unknown]) == ([A, unknown], 1, [])
        assert [identity.name for identity in history.identities()] == ["a", "b"]


def test_case_is_the_same_over_the_nights(path: Path) -> None:
    """Another port of the embedded endpoint, another order of parameters, one model or several make no other case."""
    one = case(parameters={"x": 1, "y": "ü"})
    two = case("a@m", parameters={"y": "ü", "x": 1})
    filled(path, run(1, one), run(2, two))
    with History.read(path) as history:
        (identity,) = history.identities()
        assert identity == Identity("a", "m", "embedded", '{"x":1,"y":"ü"}')
        assert len(history.past()[identity]) == 2


def test_other_endpoint_model_or_parameters_is_another_case(path: Path) -> None:
    """What they measure is not comparable."""
    live = {"endpoint": "live", "api_base": "https://one.test/v1"}
    filled(
        path,
        run(1, case(), case(model="n"), case(parameters={"x": 1})),
        run(2, case(), **live),
        run(3, case(), **live | {"api_base": "https://two.test/v1"}),
    )
    with History.read(path) as history:
        assert [(one.model, one.where, one.parameters) for one in history.identities()] == [
            ("m", "embedded", '{"x":1}'),
            ("m", "embedded", "{}"),
            ("m", "https://one.test/v1", "{}"),
            ("m", "https://two.test/v1", "{}"),
            ("n", "embedded", "{}"),
        ]


def test_same_run_is_replaced(path: Path) -> None:
    """A resumed run is not two; one of the same name at another time, or on another endpoint, is."""
    before, after = run(1, case(status="failed"), case("b")), run(1, case())
    with History.open(path) as history:
        assert history.add(before) == 1
        assert history.add(after) == 0
        past = history.past()
        assert [result.status for result in past[A]] == ["passed"]
        assert history.identities() == [A]
        assert history.add(run(1, case(), started_at="2026-11-01T04:00:00+00:00"), run(1, case(), endpoint="live")) == 2
        assert len(history.past()[A]) == 2


# More than one process


def test_processes_add_at_once(path: Path) -> None:
    """Three that open one history which is not there yet, and add twenty runs each: all are there, once."""
    source = (
        "for day in range(20):\n with History.open(path) as h: h.add(run(day + 1, case(), id=f'{sys.argv[2]}-{day}'))"
    )
    processes = [_script(source, path, str(number)) for number in range(3)]
    for process in processes:
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    with History.read(path) as history:
        names = [result.run.id for result in history.past()[A]]
    assert sorted(names) == sorted(f"{number}-{day}" for number in range(3) for day in range(20))


def test_open_history_keeps_no_lock(path: Path) -> None:
    """A run has its history open, or has looked at it, while another adds."""
    with History.open(path) as first, History.open(path) as second:
        second.add(run(1, case()))
        first.add(run(2, case()))
        assert len(second.past()[A]) == 2


def test_killed_while_adding_leaves_what_was_there(path: Path) -> None:
    """What a process has half written, SIGKILL leaves in the file: the next one undoes it, if only it reads."""
    filled(path, run(1, case()))
    source = "h = History.open(path)\nh._database.execute('PRAGMA cache_size = 1')\n"
    source += "h._database.execute('BEGIN IMMEDIATE')\nh._add(run(2, case(), *(case(f'c{n}') for n in range(2000))))\n"
    process = _script(source + "os.kill(os.getpid(), signal.SIGKILL)", path)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, said
    assert Path(f"{path}-journal").stat().st_size > 0
    with History.read(path) as history:
        assert [result.run.id for result in history.past()[A]] == ["20261101T030000Z"]
    with History.open(path) as history:
        history.add(run(2, case()))
        assert len(history.past()[A]) == 2


def test_failed_adding_adds_nothing(path: Path) -> None:
    """Of two runs, the second of which cannot be stored, none is there."""
    unstorable = run(2, case(parameters={"x": "\ud800"}))
    with History.open(path) as history:
        with pytest.raises(UnicodeEncodeError):
            history.add(run(1, case()), unstorable)
        assert history.past() == {}
        assert history.add(run(1, case())) == 1


# Files that are no history


def _text(path: Path) -> None:
    path.write_text("no database", encoding="utf-8")


def _page(path: Path) -> None:
    path.write_bytes(b"\x00\xff" * 4096)


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")


def _claimed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 7")


def _older(path: Path) -> None:
    with closing(sqlite3.connect(filled(path, run(1, case())))) as history:
        history.execute("PRAGMA user_version = 0")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(filled(path, run(1, case())))) as history:
        history.execute("PRAGMA user_version = 2")


def _cut(path: Path) -> None:
    content = filled(path, run(1, *(case(f"c{n}") for n in range(300)))).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _overwritten(path: Path) -> None:
    content = bytearray(filled(path, run(1, *(case(f"c{n}") for n in range(300)))).read_bytes())
    content[8192:20_000] = b"\x5a" * (20_000 - 8192)
    path.write_bytes(content)


MOVE = "; move it away, or name another with --history."


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (_text, "is no history of runs (file is not a database)"),
        (_page, "is no history of runs (file is not a database)"),
        (_foreign, "is no history of runs, but another application's database"),
        (_claimed, "is no history of runs, but another application's database"),
        (_older, "is a history of version 0, not 1"),
        (_newer, "is a history of version 2, not 1"),
        (_cut, "is no history of runs (database disk image is malformed)"),
        (_overwritten, "is no history of runs (...)"),
    ],
)
def test_what_is_no_history_is_refused_and_kept(path: Path, spoil: Any, state: str) -> None:
    """Named in one line, to add and to read, and not a byte of it, nor a file beside it, is another after."""
    spoil(path)
    content = path.read_bytes()
    for way in (History.open, History.read):
        with pytest.raises(UsageError) as refusal:
            way(path)
        line = str(refusal.value)
        expected = re.escape(f"{path} {state}{MOVE}").replace(r"\.\.\.", "[^\n]+")
        assert re.fullmatch(expected, line), line
        assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_unwritable_history_is_refused_at_once(path: Path) -> None:
    """Not only when a run ends; to read it is enough that it can be read."""
    content = filled(path, run(1, case())).read_bytes()
    source = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"  # as on a full disk
    source += "with History.read(path) as h: print(len(h.past()), file=sys.stderr)\nHistory.open(path)"
    _, said = _script(source, path).communicate(timeout=PATIENCE)
    first, *_, last = said.splitlines()
    assert first == "1"
    assert re.search(rf"UsageError: {path} cannot be used \(.+\); mend that, or name another with --history\.$", last)
    assert path.read_bytes() == content


def test_other_applications_log_is_left_alone(path: Path) -> None:
    """Whoever opens a database to write, and closes it, moves what its log holds into it; a look does not."""
    source = "import sqlite3\nc = sqlite3.connect(path)\nc.execute('PRAGMA journal_mode = wal')\n"
    source += "c.execute('CREATE TABLE t (x)')\nos._exit(0)"
    _, said = _script(source, path).communicate(timeout=PATIENCE)
    log = Path(f"{path}-wal")
    before = path.read_bytes(), log.read_bytes()
    assert before[1], said
    with pytest.raises(UsageError, match="another application's database"):
        History.open(path)
    assert (path.read_bytes(), log.read_bytes()) == before


def test_empty_file_becomes_a_history(path: Path) -> None:
    """It has nothing that could be lost; to SQLite it is an empty database."""
    path.touch()
    assert filled(path, run(1, case())).stat().st_size > 0


def test_refused_before_any_call(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """A run whose results could not be kept makes none: exit status 2, no folder, no request; nor does it leave a history."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    mine = smoke.folder / "mine.txt"
    mine.write_text("no database")
    before = endpoint.log.entries
    line = refused(smoke.run("--history", "mine.txt", **endpoint.environ))
    assert line == f"mine.txt is no history of runs (file is not a database){MOVE}"
    assert endpoint.log.entries == before
    assert not smoke.out.exists()
    assert mine.read_text() == "no database"
    refused(smoke.run("--model", "none", "--history", "sub/new.sqlite"))
    assert not (smoke.folder / "sub").exists()


def test_unusable_place_is_one_line(smoke: Smoke) -> None:
    """Below a file, in a folder that cannot be made, a folder itself, a file that cannot be opened."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    (smoke.folder / "file").touch()
    for where, state in {
        "file/x.sqlite": "file/x.sqlite cannot be created (Not a directory); name another with --history.",
        "/proc/x/y": "/proc/x/y cannot be created (No such file or directory); name another with --history.",
        "notebooks": "notebooks is a folder, and no history of runs; name a file with --history.",
    }.items():
        assert refused(smoke.run("--history", where)) == state
    # Why not is SQLite's to say, and depends on the user.
    unusable = r"/proc/version cannot be used \([a-z ]+\); mend that, or name another with --history\."
    assert re.fullmatch(unusable, refused(smoke.run("--history", "/proc/version")))
    assert smoke("run", "--history", "").returncode == 2
    assert not smoke.out.exists()


# Runs are added


def test_every_run_is_added(smoke: Smoke) -> None:
    """In runs/, or in the file that is named; a run with --out has an id of its own, so that two are two."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    ids = []
    for _ in range(2):
        assert smoke.run().returncode == 0
        ids.append(smoke.results["run"]["id"])
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", name) for name in ids)
    assert smoke.run("--history", "sub/other.sqlite").returncode == 0
    with History.read(smoke.folder / HISTORY) as history:
        ((identity, past),) = history.past().items()
    assert identity == Identity("a", "embedded/omni-1", "embedded", "{}")
    assert sorted(result.run.id for result in past) == sorted(ids)
    with History.read(smoke.folder / "sub" / "other.sqlite") as history:
        assert len(history.past()[identity]) == 1


def test_resumed_run_is_one(smoke: Smoke) -> None:
    """Its results replace those it had; a run that is begun in runs/ is known by its folder."""
    write(smoke.folder / "notebooks" / "a.ipynb", "from pathlib import Path\nassert Path('mended').exists()")
    assert smoke("run").returncode == 1
    (smoke.folder / "notebooks" / "mended").touch()
    assert smoke("run", "--resume", "latest").returncode == 0
    with History.read(smoke.folder / HISTORY) as history:
        ((result,),) = history.past().values()
    assert (result.status, result.run.id) == ("passed", (smoke.folder / "runs" / "latest").resolve().name)


@pytest.mark.slow
def test_interrupted_run_is_added(smoke: Smoke) -> None:
    """What had finished counts, the rest was not run."""
    begun = smoke.folder / "begun"
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    write(
        smoke.folder / "notebooks" / "b.ipynb",
        f"import pathlib, time\npathlib.Path({str(begun)!r}).touch(); time.sleep(99)",
    )
    process = smoke.start("--jobs", "1")
    until(begun.exists)
    process.terminate()
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    with History.read(smoke.folder / HISTORY) as history:
        assert [identity.name for identity in history.identities()] == ["a"]


@pytest.mark.slow
def test_runs_end_at_once(smoke: Smoke) -> None:
    """Two runs in one place do not tear the history."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    processes = [smoke.start(out=smoke.folder / name) for name in ("one", "two")]
    for process in processes:
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    with History.read(smoke.folder / HISTORY) as history:
        ((first, second),) = history.past().values()
    assert first.run.id != second.run.id


def test_history_lost_on_the_way_leaves_the_verdict(smoke: Smoke) -> None:
    """The exit status is the notebooks'; one line says what has become of the history, and how the run gets into it."""
    (smoke.folder / HISTORY).parent.mkdir()
    spoil = f"from pathlib import Path\nPath({str(smoke.folder / HISTORY)!r}).write_text('no database')"
    write(smoke.folder / "notebooks" / "a.ipynb", spoil)
    done = smoke.run()
    assert done.returncode == 0, done
    assert done.stderr == (
        f"scillm-smoke: {HISTORY} is no history of runs (file is not a database){MOVE} "
        "Then add this run with scillm-smoke history --import out.\n"
    )
    assert (smoke.folder / HISTORY).read_text() == "no database"
