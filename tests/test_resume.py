import json
import os
from pathlib import Path

from scillm_helpers.endpoint import serve
from tests.harness import Smoke, refused, write
from tests.polling import PATIENCE, until

COUNT = "from pathlib import Path\nwith Path({counter!r}).open('a') as file: file.write('x')\n"


def _counting(smoke: Smoke, name: str, source: str = "") -> Path:
    """Write a notebook that leaves an x for each time it is executed."""
    write(smoke.folder / "notebooks" / f"{name}.ipynb", COUNT.format(counter=str(smoke.folder / name)) + source)
    return smoke.folder / name


def test_only_what_has_not_passed_is_executed(smoke: Smoke) -> None:
    """What passed stays as it was, what failed or was skipped is executed again, and the run is whole."""
    passed = _counting(smoke, "a")
    failed = _counting(smoke, "b", f"assert Path({str(smoke.folder / 'mended')!r}).exists()")
    skipped = _counting(smoke, "c", "from scillm_helpers import skip\nskip('x', 'not today')")
    assert smoke.run().returncode == 1
    before = smoke.results
    (smoke.folder / "mended").touch()
    done = smoke("run", "--resume", smoke.out)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[0].startswith("2 cases of 3, ")
    assert [path.read_text() for path in (passed, failed, skipped)] == ["x", "xx", "xx"]
    after = smoke.results
    assert [case["status"] for case in after["cases"]] == ["passed", "passed", "skipped"]
    assert after["cases"][0] == before["cases"][0]
    assert [after["run"][name] for name in ("id", "started_at")] == [
        before["run"][name] for name in ("id", "started_at")
    ]
    assert after["run"]["seconds"] > before["run"]["seconds"]


def test_request_log_is_of_the_whole_run(smoke: Smoke) -> None:
    """A resumed run adds to what was asked before; a new one in the same folder begins anew."""
    ask = "import os, httpx\nkey = os.environ['CHUTES_API_KEY']\n"
    ask += "httpx.get(os.environ['CHUTES_API_BASE'] + '/models', headers={'Authorization': f'Bearer {key}'})\n"
    write(smoke.folder / "notebooks" / "a.ipynb", f"{ask}assert False")
    assert smoke.run().returncode == 1
    first = smoke.requests
    assert smoke("run", "--resume", smoke.out).returncode == 1
    assert smoke.requests == first + first
    assert smoke.run().returncode == 1
    assert smoke.requests == first


def test_killed_run_is_resumed(smoke: Smoke) -> None:
    """After SIGKILL: by the id in runs/, what had finished is not done again."""
    done = _counting(smoke, "a")
    _counting(smoke, "b", f"import time\nwhile not Path({str(smoke.folder / 'go')!r}).exists(): time.sleep(0.01)")
    process = smoke.start("--jobs", "1", out=smoke.folder / "runs" / "killed")
    until((smoke.folder / "b").exists)
    process.kill()
    process.communicate()
    (smoke.folder / "go").touch()
    resumed = smoke("run", "--resume", "killed")
    assert resumed.returncode == 0, resumed
    assert done.read_text() == "x"
    results = json.loads((smoke.folder / "runs" / "killed" / "results.json").read_text())
    assert results["totals"]["passed"] == 2


def test_notebook_changed_since_it_passed_is_executed_again(smoke: Smoke) -> None:
    """Its result is no longer true of it; with all passed and nothing changed there is nothing to do."""
    counter = _counting(smoke, "a")
    assert smoke.run().returncode == 0
    assert smoke("run", "--resume", smoke.out).stdout.splitlines()[0].startswith("0 cases of 1")
    later = (smoke.folder / "notebooks" / "a.ipynb").stat().st_mtime + 100
    os.utime(smoke.folder / "notebooks" / "a.ipynb", (later, later))
    assert smoke("run", "--resume", smoke.out).returncode == 0
    assert counter.read_text() == "xx"


def test_parameters_and_models_are_those_of_the_run(smoke: Smoke) -> None:
    """Nothing has to be said again."""
    source = (
        "import os\nassert (number, os.environ['CHUTES_MODEL']) == (3, 'embedded/text-1')\nassert Path(go).exists()"
    )
    write(
        smoke.folder / "notebooks" / "a.ipynb", "from pathlib import Path\n" + source, parameters="number = 0\ngo = ''"
    )
    parameters = ["-p", "number=3", "-p", f"go={smoke.folder}/go"]
    assert smoke.run("--model", "embedded/text-1", *parameters).returncode == 1
    (smoke.folder / "go").touch()
    done = smoke("run", "--resume", smoke.out)
    assert done.returncode == 0, done
    assert (smoke.case["status"], smoke.case["model"]) == ("passed", "embedded/text-1")


# Refusals


def test_run_that_cannot_be_resumed(smoke: Smoke) -> None:
    """One line each: no such run, no results, damaged ones, a notebook that is gone, arguments that say it twice."""
    assert refused(smoke("run", "--resume", "none")) == (
        "'none' is not the folder of a run, nor one in runs/; see runs/."
    )
    (smoke.folder / "empty").mkdir()
    line = refused(smoke("run", "--resume", "empty"))
    assert line.endswith("empty/results.json cannot be read (No such file or directory); name the folder of a run.")
    (smoke.folder / "empty" / "results.json").write_text('{"schema_version": 1}')
    line = refused(smoke("run", "--resume", "empty"))
    assert line.endswith("empty/results.json holds no results of a run (KeyError: 'run'); start a new one.")
    _counting(smoke, "a", "assert 0")
    assert smoke.run().returncode == 1
    line = refused(smoke("run", "a", "--resume", smoke.out))
    assert line == "--resume has its notebooks, parameters, models and folder from the run; leave them out."
    (smoke.folder / "notebooks" / "a.ipynb").unlink()
    line = refused(smoke("run", "--resume", smoke.out))
    assert line == "a.ipynb is not where out had it; resume where that run was started."


def test_other_endpoint_is_another_run(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """Results of two endpoints in one report would be of neither."""
    _counting(smoke, "a", "assert 0")
    assert smoke.run().returncode == 1
    line = refused(smoke("run", "--resume", smoke.out, **endpoint.environ))
    assert line == (
        "out was a run of embedded/omni-1 with litellm on the embedded endpoint, and this would be one of "
        f"embedded/omni-1 with litellm on {endpoint.api_base}; start a new run."
    )


def test_folder_in_use_is_refused(smoke: Smoke) -> None:
    """Two runs would overwrite each other's results."""
    write(
        smoke.folder / "notebooks" / "a.ipynb",
        f"from pathlib import Path\nPath({str(smoke.folder / 'begun')!r}).touch()\nimport time; time.sleep(99)",
    )
    process = smoke.start()
    until((smoke.folder / "begun").exists)
    for arguments in (["--out", smoke.out], ["--resume", smoke.out]):
        line = refused(smoke("run", *arguments))
        assert line == f"{smoke.out} is in use by a run; wait for it, or choose another --out."
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 130
    assert process.stdout is not None
    process.stdout.close()
    assert smoke.results["totals"]["not_run"] == 1
