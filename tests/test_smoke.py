import json
import os
import shutil
from xml.etree import ElementTree

import nbformat

from scillm_helpers.endpoint import serve
from tests.conftest import ROOT
from tests.harness import Smoke, write

# The contract


# Each notebook, the checks that it records, and the calls that it makes.
TUTORIALS: dict[str, tuple[list[str], int]] = {
    "00_playground": (["playground"], 1),
    "01_setup": (["chat"], 3),
    "02_streaming": (["streaming"], 6),
    "03_json_mode": (["json_object", "json_schema"], 3),
    "04_multimodal": (["vision"], 2),
    "05_tools": (["tools"], 8),
    "06_retries": (["retries"], 1),
    "07_fallbacks": (["fallbacks"], 2),
    "08_batch": (["batch"], 77),
    "09_model_matrix": (["model_matrix"], 4),
    "10_errors": (["errors"], 1),
}


def test_runs_of_the_tests_share_a_zygote(smoke: Smoke) -> None:
    """Else each would import LiteLLM again, and nobody would notice."""
    write(smoke.folder / "a.ipynb", "import os\nprint(os.getppid())")
    parents = set()
    for _ in range(2):
        assert smoke.run("a.ipynb").returncode == 0, smoke.case
        parents.add(smoke.copy("a")[0].outputs[0].text)
    assert len(parents) == 1


def test_all_tutorials_pass(smoke: Smoke) -> None:
    """What `make smoke` runs: a line a notebook, results, JUnit, executed copies, a log of requests."""
    done = smoke.run(ROOT / "notebooks")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert [line.split()[0] for line in done.stdout.splitlines()[1:-1]] == ["passed"] * len(TUTORIALS)
    results = smoke.results
    assert results["schema_version"] == 1
    assert set(results["run"]) == {
        "id", "started_at", "seconds", "endpoint", "api_base", "backend", "python", "git_commit", "models"
    }  # fmt: skip
    assert (results["run"]["endpoint"], results["run"]["backend"]) == ("embedded", "litellm")
    nothing_else = {"skipped": 0, "failed": 0, "timeout": 0, "kernel_died": 0, "not_run": 0}
    assert results["totals"] == {"passed": len(TUTORIALS), **nothing_else}
    assert [case["id"] for case in results["cases"]] == list(TUTORIALS)
    for case in results["cases"]:
        assert set(case) == {
            "id", "notebook", "parameters", "model", "status", "seconds", "attempt", "retried_for", "executed",
            "reason", "records", "checks", "calls", "tokens", "cost_usd", "started_s", "worker", "digest",
        }  # fmt: skip
        assert case["reason"] is None
        assert (smoke.out / case["executed"]).is_file()
    seen = {case["id"]: ([record["check"] for record in case["records"]], case["calls"]) for case in results["cases"]}
    assert seen == TUTORIALS
    assert results["cases"][2]["records"][0]["ttft_s"] > 0
    posts = [
        request for request in smoke.requests if (request["path"], request["status"]) == ("/v1/chat/completions", 200)
    ]
    assert len(posts) == sum(calls for _, calls in TUTORIALS.values())  # what was counted is what was answered
    assert results["cases"][2]["tokens"] == {"prompt": 90, "completion": 48, "most_completion": 384}
    assert [case["cost_usd"] for case in results["cases"]] == [0.0] * len(TUTORIALS)
    assert sorted(path.name for path in smoke.out.iterdir() if not path.name.startswith(".")) == [
        "junit.xml", "matrix.json", "matrix.md", "notebooks", "report.html", "requests.jsonl", "results.json", "summary.md"
    ]  # fmt: skip
    suite = ElementTree.parse(smoke.out / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (str(len(TUTORIALS)), "0", "0")
    assert any(request["stream"] for request in smoke.requests)


def test_control_characters_do_not_break_the_reports(smoke: Smoke) -> None:
    """XML cannot hold them, and a terminal would obey them."""
    write(smoke.folder / "a.ipynb", "raise ValueError('a\\x1b[31mred\\x07\\ufffe!')")
    assert smoke.run("a.ipynb").returncode == 1
    assert smoke.case["reason"]["message"] == "ValueError: ared!"
    failure = ElementTree.parse(smoke.out / "junit.xml").find(".//failure")
    assert failure is not None
    assert failure.get("message") == "ValueError: ared!"


def test_closed_gate_sends_no_request_and_is_skipped(smoke: Smoke) -> None:
    """The endpoint's own log is the proof; skipped is good, and is not passed."""
    done = smoke.run(ROOT / "notebooks" / "02_streaming.ipynb", SCILLM_ALLOW_STREAM_SMOKE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert smoke.case["status"] == "skipped"
    assert smoke.case["reason"]["kind"] is None
    assert "set SCILLM_ALLOW_STREAM_SMOKE=1 to run this notebook" in smoke.case["reason"]["message"]
    assert smoke.results["totals"]["passed"] == 0
    assert [request["path"] for request in smoke.requests] == ["/v1/models"]  # the harness's own, for the model's name
    assert ElementTree.parse(smoke.out / "junit.xml").find(".//skipped") is not None


def test_model_without_vision_is_skipped(smoke: Smoke) -> None:
    """A capability that a model lacks is told from a failure by what the endpoint answers."""
    done = smoke.run(ROOT / "notebooks" / "04_multimodal.ipynb", "--model", "embedded/text-1")
    assert done.returncode == 0
    assert (smoke.case["status"], smoke.case["model"]) == ("skipped", "embedded/text-1")
    assert "has no vision" in smoke.case["reason"]["message"]


def test_same_notebooks_run_live(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """With only the three variables set, every call goes to that base; gates are the user's own."""
    before = len(endpoint.log.entries)
    done = smoke.run(
        ROOT / "notebooks" / "01_setup.ipynb", ROOT / "notebooks" / "02_streaming.ipynb", **endpoint.environ
    )
    assert done.returncode == 0, done
    assert (smoke.results["run"]["endpoint"], smoke.results["run"]["api_base"]) == ("live", endpoint.api_base)
    assert [case["status"] for case in smoke.results["cases"]] == ["passed", "skipped"]
    assert len(endpoint.log.entries) > before
    assert not (smoke.out / "requests.jsonl").exists()


def test_env_file_makes_a_run_live(smoke: Smoke, endpoint: serve.Endpoint) -> None:
    """What `.env` says counts as if it were exported."""
    (smoke.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in endpoint.environ.items()))
    write(smoke.folder / "a.ipynb", "import os; assert os.environ['CHUTES_API_BASE']")
    assert smoke.run("a.ipynb").returncode == 0
    assert smoke.results["run"]["endpoint"] == "live"


def test_parameters_are_injected(smoke: Smoke) -> None:
    """A literal is one, anything else is a string, and the results say what was given."""
    write(
        smoke.folder / "a.ipynb",
        "assert (number, word, flag) == (3, 'Say OK', False), (number, word, flag)",
        parameters="number = 1  # a number\nword = ''\nflag = True",
    )
    done = smoke.run("a.ipynb", "-p", "number=3", "-p", "word=Say OK", "-p", "flag=False")
    assert done.returncode == 0, done
    assert smoke.case["parameters"] == {"number": 3, "word": "Say OK", "flag": False}


def test_each_notebook_runs_in_its_own_folder_side_by_side(smoke: Smoke) -> None:
    """A relative path means what it means in Jupyter, however many run at once."""
    for name in "abcdef":
        (smoke.folder / name).mkdir()
        (smoke.folder / name / "data.txt").write_text(name)
        check = f"import os; assert open('data.txt').read() == {name!r}, os.getcwd()"
        write(smoke.folder / name / "same.ipynb", check, "%pwd", check)
    done = smoke.run(*(f"{name}/same.ipynb" for name in "abcdef"), "--jobs", "3")
    assert done.returncode == 0, done
    assert len({case["id"] for case in smoke.results["cases"]}) == 6


def test_models_multiply_the_cases(smoke: Smoke) -> None:
    """A case for each notebook and model; a model that is named is the one for every purpose."""
    write(
        smoke.folder / "a.ipynb",
        "import os\nassert os.environ['CHUTES_MODEL'].startswith('embedded/')\nassert not os.environ['CHUTES_VLM_MODEL']",
    )
    models = ["--model", "embedded/omni-1", "--model", "embedded/text-1"]
    assert smoke.run("a.ipynb", *models, CHUTES_VLM_MODEL="embedded/omni-1").returncode == 0
    assert [case["model"] for case in smoke.results["cases"]] == ["embedded/omni-1", "embedded/text-1"]
    assert len({case["executed"] for case in smoke.results["cases"]}) == 2


def test_runs_folder_and_latest(smoke: Smoke) -> None:
    """Each run has its own folder, and `latest` points to the newest."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    for _ in range(2):
        assert smoke("run").returncode == 0
    runs = sorted(path.name for path in (smoke.folder / "runs").iterdir())
    assert len(runs) == 4
    assert runs[2:] == ["history.sqlite", "latest"]
    assert os.readlink(smoke.folder / "runs" / "latest") == runs[1]
    assert json.loads((smoke.folder / "runs" / "latest" / "results.json").read_text())["run"]["id"] == runs[1]


# Truthful statuses and kinds


def test_failing_cell_keeps_what_came_before(smoke: Smoke) -> None:
    """The third cell raises: the first two keep their outputs, the fourth has not run."""
    write(smoke.folder / "a.ipynb", "print('one')", "print('two')", "raise KeyError('three')", "print('four')")
    done = smoke.run("a.ipynb")
    assert done.returncode == 1
    assert smoke.case["status"] == "failed"
    assert smoke.case["reason"] == {"kind": "notebook", "message": "KeyError: 'three'", "cell": 3}
    cells = smoke.copy("a")
    assert [cell.outputs[0].text for cell in cells[:2]] == ["one\n", "two\n"]
    assert cells[2].outputs[0].ename == "KeyError"
    assert cells[3].outputs == []
    assert "failed" in done.stdout
    assert "notebook: KeyError: 'three' (In [3])" in done.stdout
    failure = ElementTree.parse(smoke.out / "junit.xml").find(".//failure")
    assert failure is not None
    assert failure.get("message") == "KeyError: 'three'"


CONNECT = "from scillm_helpers import *\nimport os\nllm = connect()\n"
ASK = "llm.completion(messages=[{'role': 'user', 'content': 'Say OK'}]"


FAILURES = [
    ("assert 1 == 2, 'not equal'", "assertion", "AssertionError: not equal"),
    ("x = (", "notebook", "SyntaxError: incomplete input"),
    ("class _Own(LookupError): pass\nclass _Inner(_Own): pass\nraise _Inner('x')", "notebook", "LookupError: x"),
    ("class _Own(Exception): pass\nraise _Own('x')", "notebook", "_Own: x"),
    (CONNECT + ASK + ", api_key='obviously-fake')", "auth", "refused the key (HTTP 401); check CHUTES_API_KEY."),
    (CONNECT + ASK + ", model='embeded/omni')", "bad_request", "did you mean embedded/omni-1"),
    (CONNECT + ASK + ", api_base='http://127.0.0.1:9/v1')", "connection", "cannot be reached"),
    (CONNECT + "parse_json('no')", "bad_reply", "holds no JSON"),
    (CONNECT + "image_part('missing.png')", "notebook", "missing.png cannot be read"),
    ("raise TimeoutError('slow')", "timeout", "TimeoutError: slow"),
    ("from scillm_helpers import *; record('chat', ok=False)", "assertion", "the check chat is not ok."),
]


def test_failure_has_its_kind(smoke: Smoke) -> None:
    """The provider being down is never confused with the notebook being wrong."""
    for number, (source, _, _) in enumerate(FAILURES, 1):
        write(smoke.folder / f"{number}.ipynb", source)
    names = [f"{number}.ipynb" for number in range(1, len(FAILURES) + 1)]
    assert smoke.run(*names, LITELLM_RETRY_AFTER="0.01").returncode == 1
    for case, (source, kind, message) in zip(smoke.results["cases"], FAILURES, strict=True):
        assert (case["status"], case["reason"]["kind"]) == ("failed", kind), source
        assert message in case["reason"]["message"], source
        assert "\n" not in case["reason"]["message"]


def test_image_that_cannot_be_sent(smoke: Smoke) -> None:
    """The fourth tutorial, given a path that leads to no picture, says so in one line and fails."""
    messages = {
        "missing": "picture.png cannot be read (No such file or directory); check the path.",
        "empty": "picture.png is empty; send a picture.",
        "wrong": "picture.png is no PNG, JPEG, WebP or GIF picture; convert it to one of them.",
    }
    for name in messages:
        (smoke.folder / name).mkdir()
        shutil.copy(ROOT / "notebooks" / "04_multimodal.ipynb", smoke.folder / name)
    (smoke.folder / "empty" / "picture.png").touch()
    (smoke.folder / "wrong" / "picture.png").write_text("hello")
    assert smoke.run(*messages, "-p", "image=picture.png").returncode == 1
    for case, message in zip(smoke.results["cases"], messages.values(), strict=True):
        assert (case["status"], case["reason"]["kind"]) == ("failed", "notebook")
        assert case["reason"]["message"].endswith(message)


def test_failure_that_a_notebook_makes_up_is_its_own(smoke: Smoke) -> None:
    """A forged report of a failure has no kind to believe."""
    forged = "{'application/vnd.scillm.smoke+json': {'check': 'failure', 'ok': False, 'kind': 'weather'}}"
    write(smoke.folder / "a.ipynb", f"from IPython.display import display\ndisplay({forged}, raw=True)\nx = (y")
    write(smoke.folder / "b.ipynb", f"from IPython.display import display\ndisplay({forged}, raw=True)\n1 / 0")
    assert smoke.run("a.ipynb", "b.ipynb").returncode == 1
    assert [case["reason"]["kind"] for case in smoke.results["cases"]] == ["notebook", "notebook"]


def test_exception_group_is_told_as_any_exception(smoke: Smoke) -> None:
    """IPython prints groups to stderr only; here they have a message, a traceback, and the kind of their parts."""
    write(smoke.folder / "a.ipynb", "raise ExceptionGroup('two', [ValueError('a'), KeyError('b')])")
    write(
        smoke.folder / "b.ipynb",
        "import asyncio\nasync with asyncio.TaskGroup() as group:\n    group.create_task(asyncio.wait_for(asyncio.sleep(9), 0.01))",
    )
    assert smoke.run("a.ipynb", "b.ipynb").returncode == 1
    mixed, timeouts = (case["reason"] for case in smoke.results["cases"])
    assert mixed == {"kind": "notebook", "message": "ExceptionGroup: two (2 sub-exceptions)", "cell": 1}
    assert timeouts["kind"] == "timeout"
    assert "ValueError: a" in "\n".join(smoke.copy("a")[0].outputs[0].traceback)


def test_exception_without_text(smoke: Smoke) -> None:
    """Its name is the message."""
    write(smoke.folder / "a.ipynb", "assert False")
    assert smoke.run("a.ipynb").returncode == 1
    assert smoke.case["reason"]["message"] == "AssertionError"


def test_page_that_cannot_be_made_costs_nothing_else(smoke: Smoke) -> None:
    """Whatever a notebook displays, it and the others have their results."""
    for name, widget in {"a": "'x'", "b": "{'x': 1}", "c": "[1]"}.items():
        shown = f"{{'application/vnd.jupyter.widget-view+json': {widget}, 'text/plain': 'y'}}"
        write(smoke.folder / f"{name}.ipynb", f"from IPython.display import display\ndisplay({shown}, raw=True)")
    write(smoke.folder / "d.ipynb", "1")
    done = smoke.run(*(f"{name}.ipynb" for name in "abcd"), "--jobs", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (smoke.out / "notebooks").glob("*.html")) == [
        "a.html", "b.html", "c.html", "d.html"
    ]  # fmt: skip


def test_output_that_no_notebook_can_hold(smoke: Smoke) -> None:
    """It is the notebook's failure, in one line, without a word from the libraries."""
    write(smoke.folder / "a.ipynb", "from IPython.display import display\ndisplay({'text/html': 5}, raw=True)")
    done = smoke.run("a.ipynb")
    assert (done.returncode, done.stderr) == (1, "")
    assert smoke.case["reason"] == {
        "kind": "notebook", "message": "the cell displays what no notebook can hold; look at its outputs.", "cell": 1
    }  # fmt: skip


def test_odd_names_of_notebooks(smoke: Smoke) -> None:
    """Braces, signs and spaces are part of a name."""
    name = "x'{{7*7}} %41#f&amp;{0}"
    write(smoke.folder / f"{name}.ipynb", "1")
    done = smoke.run(f"{name}.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    assert (smoke.out / "notebooks" / f"{name}.html").is_file()


def test_skip_does_not_hide_a_failure(smoke: Smoke) -> None:
    """A cell that says it is skipped, goes on and fails, has failed."""
    write(
        smoke.folder / "a.ipynb",
        "from scillm_helpers import ScillmError, skip\ntry:\n    skip('x', 'not today')\nexcept ScillmError:\n    pass\nassert 0",
    )
    assert smoke.run("a.ipynb").returncode == 1
    assert smoke.case["reason"]["kind"] == "assertion"


def test_expected_exception_is_no_failure(smoke: Smoke) -> None:
    """A cell tagged raises-exception may raise, as under nbclient."""
    path = write(smoke.folder / "a.ipynb", "1 / 0", "print('after')")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, path)
    assert smoke.run("a.ipynb").returncode == 0
    assert smoke.case["status"] == "passed"


def test_deadline_is_a_timeout_that_names_the_cell(smoke: Smoke) -> None:
    """Past the deadline the kernel is gone, what was printed is kept, and the others finish."""
    write(smoke.folder / "a.ipynb", "print('one')", "print('two', flush=True)\nimport time; time.sleep(60)", "3")
    write(smoke.folder / "b.ipynb", "1")
    done = smoke.run("a.ipynb", "b.ipynb", "--deadline", "10")
    assert done.returncode == 1
    slow, quick = smoke.results["cases"]
    assert (slow["status"], slow["reason"]["kind"], slow["reason"]["cell"]) == ("timeout", "timeout", 2)
    assert "the notebook was not done after 10 s; raise --deadline, or look at this cell." in slow["reason"]["message"]
    assert quick["status"] == "passed"
    assert [cell.outputs[0].text for cell in smoke.copy("a")[:2]] == ["one\n", "two\n"]


def test_dead_kernel_is_told(smoke: Smoke) -> None:
    """A kernel that kills itself is no timeout and no failure of an assertion."""
    write(smoke.folder / "a.ipynb", "print('one')", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert smoke.run("a.ipynb").returncode == 1
    assert (smoke.case["status"], smoke.case["reason"]["kind"], smoke.case["reason"]["cell"]) == (
        "kernel_died",
        "kernel",
        2,
    )
    assert smoke.copy("a")[0].outputs[0].text == "one\n"


def test_broken_notebook_fails_and_the_others_run(smoke: Smoke) -> None:
    """Invalid JSON in one notebook loses nothing of the rest."""
    write(smoke.folder / "a.ipynb", "1")
    (smoke.folder / "b.ipynb").write_text('{"cells": [')
    done = smoke.run("a.ipynb", "b.ipynb")
    assert done.returncode == 1
    good, broken = smoke.results["cases"]
    assert good["status"] == "passed"
    assert (broken["status"], broken["executed"]) == ("failed", None)
    assert broken["reason"]["kind"] == "notebook"
    assert broken["reason"]["message"].startswith(
        "b.ipynb is not a valid notebook (Notebook does not appear to be JSON"
    )
    assert broken["reason"]["message"].endswith("; mend or restore it.")


def test_record_that_is_none_fails_its_case_alone(smoke: Smoke) -> None:
    """Whatever a notebook publishes, the others run and the results are written."""
    records = ["'text'", "['check']", "{'check': 'x', 'ok': True, 'prompt_tokens': 'many'}", "{'check': ['x']}"]
    for number, record in enumerate(records):
        shown = f"{{'application/vnd.scillm.smoke+json': {record}}}"
        write(smoke.folder / f"{number}.ipynb", f"from IPython.display import display\ndisplay({shown}, raw=True)")
    write(smoke.folder / "good.ipynb", "1")
    names = [*(f"{number}.ipynb" for number in range(len(records))), "good.ipynb"]
    assert smoke.run(*names).returncode == 1
    *odd, good = smoke.results["cases"]
    for case, record in zip(odd, records, strict=True):
        assert (case["status"], case["reason"]["message"]) == ("failed", "the check record is not ok."), record
    assert good["status"] == "passed"


def test_every_case_has_its_own_id(smoke: Smoke) -> None:
    """Names that collide, also with the number that another one got, are told apart."""
    for name in ("x/a", "y/a", "z/a-2"):
        write(smoke.folder / f"{name}.ipynb", "1")
    assert smoke.run("x", "y", "z").returncode == 0
    assert [case["id"] for case in smoke.results["cases"]] == ["a", "a-2", "a-2-2"]
    assert len(list((smoke.out / "notebooks").glob("*.ipynb"))) == 3


def test_parameter_that_is_no_json_is_text(smoke: Smoke) -> None:
    """results.json can tell every parameter."""
    given = {"a": "{1,2}", "b": "b'x'", "c": "{(1,2):3}", "d": "1e999"}
    names = ", ".join(given)
    write(smoke.folder / "a.ipynb", f"assert [{names}] == {[*given.values()]}", parameters="a = b = c = d = ''")
    done = smoke.run("a.ipynb", *(word for name, value in given.items() for word in ("-p", f"{name}={value}")))
    assert done.returncode == 0, done
    assert smoke.case["parameters"] == given


def test_proxy_does_not_stand_before_the_embedded_endpoint(smoke: Smoke) -> None:
    """Behind a company's proxy a keyless run works: neither harness nor kernel asks the proxy for 127.0.0.1."""
    write(smoke.folder / "a.ipynb", CONNECT + ASK + ")")
    proxy = "http://127.0.0.1:9"
    done = smoke.run("a.ipynb", HTTP_PROXY=proxy, http_proxy=proxy, ALL_PROXY=proxy, LITELLM_MAX_RETRIES="0")
    assert done.returncode == 0, done


def test_notebook_without_code_is_skipped(smoke: Smoke) -> None:
    """Nothing ran, so nothing passed."""
    write(smoke.folder / "a.ipynb")
    assert smoke.run("a.ipynb").returncode == 0
    assert (smoke.case["status"], smoke.case["reason"]["message"]) == ("skipped", "the notebook has no code cells.")
