"""The command `history`: what it imports, and what it shows."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scillm_helpers.errors import UsageError
from scillm_helpers.smoke import history_table, nightly
from scillm_helpers.smoke.history import History
from scillm_helpers.smoke.results import Run
from tests import nights
from tests.harness import Smoke, refused
from tests.nights import HISTORY, case, filled, run

# Import


def test_history_is_rebuilt_from_artifacts(smoke: Smoke) -> None:
    """A file, a folder of a run, a folder of folders; twice the same changes nothing."""
    nights.write(smoke.folder / "runs", run(1, case()), run(2, case()))
    (smoke.folder / "runs" / "latest").symlink_to(run(2).id)
    nights.write(smoke.folder / "artifacts" / "job", run(3, case()), run(4, case()))
    file = next((smoke.folder / "artifacts" / "job").rglob("results.json"))
    done = smoke("history", "--import", file, smoke.folder / "runs" / run(1).id)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"2 runs added to {HISTORY}")
    done = smoke("history", "--import", "runs", "artifacts")
    assert done.stdout.splitlines()[0] == f"2 runs added to {HISTORY}, 2 replaced"
    assert re.search(r"^a +m +4 +100% +0\.30 +50\.0$", done.stdout, re.MULTILINE), done.stdout
    done = smoke("history", "a", "--import", "runs")
    assert done.stdout.splitlines()[:2] == [
        f"0 runs added to {HISTORY}, 2 replaced",
        "a with m on the embedded endpoint",
    ]


def _changed(**changes: Any) -> Any:
    def change(content: dict[str, Any]) -> None:
        content["cases"][0] |= changes

    return change


def _of_run(**changes: Any) -> Any:
    return lambda content: content["run"].update(changes)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda content: content.update(schema_version=0), "ValueError: schema_version 0, not 1"),
        (lambda content: content.update(schema_version=2), "ValueError: schema_version 2, not 1"),
        (lambda content: content.pop("cases"), "KeyError: 'cases'"),
        (lambda content: content.update(cases=[1]), "TypeError: 'int' object is not subscriptable"),
        (_changed(status="fine"), "results.0.status: Input should be 'passed', 'skipped', "),
        (_changed(seconds="long"), "results.0.seconds: Input should be a valid number"),
        (_changed(seconds=float("nan")), "ValueError: Out of range float values are not JSON compliant"),
        (_changed(calls=2**70), "ValueError: a count is out of range"),
        (_changed(calls="x"), "TypeError: "),
        (_changed(model="\ud800"), "UnicodeEncodeError: "),
        (_of_run(started_at="yesterday"), "ValueError: Invalid isoformat string: 'yesterday'"),
        (
            _of_run(started_at="2026-11-01T03:00:00"),
            "ValueError: started_at is 2026-11-01T03:00:00, which is not in UTC",
        ),
        (_of_run(endpoint="other"), "endpoint: Input should be 'embedded' or 'live'"),
    ],
)
def test_corrupt_results_are_refused_by_name(tmp_path: Path, spoil: Any, why: str) -> None:
    """One line, and nothing of what comes with them has been added."""
    nights.write(tmp_path / "artifacts", run(1, case()), run(2, case()))
    file = tmp_path / "artifacts" / run(2).id / "results.json"
    content = json.loads(file.read_text())
    spoil(content)
    file.write_text(json.dumps(content))
    before = file.read_bytes()
    with pytest.raises(UsageError) as refusal:
        nightly.import_runs([tmp_path / "artifacts"], tmp_path / HISTORY)
    line = str(refusal.value)
    assert line.startswith(f"{file} holds no results of a run ({why}"), line
    assert line.endswith("); leave it out of --import.")
    assert "\n" not in line
    assert file.read_bytes() == before
    assert not (tmp_path / HISTORY).exists()


def test_what_cannot_be_imported(smoke: Smoke) -> None:
    """No such path, a folder without results, a file that is no JSON."""
    (smoke.folder / "empty").mkdir()
    assert refused(smoke("history", "--import", "none")) == (
        "none is not there; give --import the folder of a run, or one of several."
    )
    assert refused(smoke("history", "--import", "empty")) == (
        "empty holds no results.json; give --import the folder of a run, or one of several."
    )
    (smoke.folder / "cut.json").write_text('{"schema_version": 1, "run"')
    line = refused(smoke("history", "--import", "cut.json"))
    assert line.startswith(f"{smoke.folder / 'cut.json'} holds no results of a run (JSONDecodeError: Expecting ':'")


# What is shown


def _shown(smoke: Smoke, *runs: Run) -> None:
    filled(smoke.folder / HISTORY, *runs)


def test_cases_over_the_nights(smoke: Smoke) -> None:
    """A row a case with its medians, and in words what is notable; nothing that only a terminal reads."""
    usual = [run(day, case(), case("b", "failed" if day in (3, 8, 9) else "passed"), case("c")) for day in range(1, 10)]
    _shown(smoke, *usual, run(10, case(ttft_s=2.1), case("b", "failed"), case("c", "skipped")))
    done = smoke("history")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "case  model  nights  passed  TTFT s  tokens/s",
        "a     m          10    100%    0.30      50.0",
        "b     m          10     60%    0.30      50.0",
        "c     m          10    100%    0.30      50.0",
        "a m: TTFT 2.10 s, usually 0.24-0.36 s",
        "b m: failing since 2026-11-08 (run 20261108T030000Z, commit abc1234): rate_limit",
        "b m: flaky 1x",
    ]


def test_case_by_night(smoke: Smoke) -> None:
    """A row a night, two runs in one; what did not pass is told by its kind."""
    later = run(2, case(status="failed"), id="later", started_at="2026-11-02T23:00:00+00:00", git_commit=None)
    _shown(smoke, run(1, case()), run(2, case()), later, run(3, case(status="skipped")), run(4, case("b")))
    done = smoke("history", "a")
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "a with m on the embedded endpoint",
        "night       runs  passed  TTFT s  tokens/s  seconds  commit   not passed",
        "2026-11-01     1    100%    0.30      50.0      1.5  abc1234",
        "2026-11-02     2     50%    0.30      50.0      1.5           rate_limit",
        "2026-11-03     0       -       -         -        -  abc1234  skipped",
        "failing since 2026-11-02 (run later): rate_limit",
    ]


def test_case_of_several_models_and_endpoints(smoke: Smoke) -> None:
    """Each has a table; a model can be named with it; in the overview they have columns of their own."""
    live = run(2, case(parameters={"x": "y"}), endpoint="live", api_base="https://one.test/v1")
    _shown(smoke, run(1, case(), case("a@n", model="n")), live)
    titles = [line for line in smoke("history", "a").stdout.splitlines() if " with " in line]
    assert titles == [
        "a with m on the embedded endpoint",
        'a with m on https://one.test/v1, x="y"',
        "a with n on the embedded endpoint",
    ]
    assert [line for line in smoke("history", "a@n").stdout.splitlines() if " with " in line] == titles[2:]
    rows = [re.split(r" {2,}", line.strip()) for line in smoke("history").stdout.splitlines()]
    assert rows[0][:5] == ["case", "model", "endpoint", "parameters", "nights"]
    assert rows[2][:4] == ["a", "m", "https://one.test/v1", 'x="y"']


def test_unknown_case_has_nearest_names(smoke: Smoke) -> None:
    """With a model or without."""
    _shown(smoke, run(1, case("02_streaming")))
    assert refused(smoke("history", "02_steaming")) == (
        f"'02_steaming' is not a case in {HISTORY}; did you mean 02_streaming or 02_streaming@m?"
    )
    assert refused(smoke("history", "zzz")) == f"'zzz' is not a case in {HISTORY}; scillm-smoke history shows all."


def test_history_without_runs(smoke: Smoke) -> None:
    """None is created by a look; an empty one, and one in which nothing was executed, are the same to the reader."""
    line = f"{HISTORY} has no runs yet; run scillm-smoke run, or add some with --import."
    assert refused(smoke("history")) == line
    assert not (smoke.folder / "runs").exists()
    _shown(smoke)
    assert refused(smoke("history")) == line
    _shown(smoke, run(1, case(status="not_run")))
    assert refused(smoke("history", "a")) == line


def test_readable_at_80_columns(tmp_path: Path) -> None:
    """On a terminal long names are folded, and no number is; in a file each row is a line."""
    model = "chutesai/Some-Very-Long-Model-Name-480B-A35B-Instruct-FP8-Turbo-TEE"
    path = filled(
        tmp_path / "history.sqlite",
        run(1, case("02_streaming", model=model), case("03_json_mode", "failed", model=model)),
    )
    with History.read(path) as history:
        past = history.past()
    shown = {}
    for terminal in (True, False):
        console = Console(width=80, file=io.StringIO(), force_terminal=terminal, color_system=None, soft_wrap=True)
        history_table.show_cases(past, console)
        history_table.show_nights(past, console)
        shown[terminal] = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())  # type: ignore[attr-defined]
    table = shown[True].split("03_json_mode")[0]
    assert all(len(line) <= 80 for line in table.splitlines())
    assert re.search(r"02_streaming +chutesai/\S+ +1 +100% +0\.30 +50\.0", table)
    assert re.search(rf"02_streaming +{model} +1 +100% +0\.30 +50\.0", shown[False])


def test_files_do_not_speak_to_the_terminal(smoke: Smoke) -> None:
    """What an imported file has in its names is shown, not obeyed: no control sequence, no markup."""
    name = "\x1b]0;title\x07[red]a"
    strange = run(1, case(name, "failed", model="\x1b[2Jm"), id="\x1b[31mid", git_commit="\x1b[5m" + "0" * 36)
    nights.write(smoke.folder / "strange", run(2, case()))
    folder = smoke.folder / "strange" / run(2).id
    content = nights.report.as_json(strange)
    (folder / "results.json").write_text(json.dumps(content))
    for arguments in (["--import", "strange"], [name]):
        done = smoke("history", *arguments)
        assert done.returncode == 0, done
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout
        assert "[red]a" in done.stdout
