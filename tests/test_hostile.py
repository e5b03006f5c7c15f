"""What notebooks, names, records and lists of models may hold, and no run is taken down by."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

from scillm_helpers.records import MIME_TYPE
from scillm_helpers.smoke.labels import distinct, file_names, label, label_of
from scillm_helpers.smoke.published import published
from tests.harness import Smoke, refused, write
from tests.scripted import ScriptedServer, answer

RECORD = "from IPython.display import publish_display_data\npublish_display_data({{{mime!r}: {record}}})"


def _write(folder: Path, name: bytes, *sources: str) -> None:
    """Write a notebook whose name, and whose sources, nbformat would not write."""
    folder.mkdir(exist_ok=True)
    content = json.dumps(new_notebook(cells=[new_code_cell(source) for source in sources]))
    Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_text(content, encoding="ascii")


def _recording(record: str) -> str:
    return RECORD.format(mime=MIME_TYPE, record=record)


def test_every_case_has_a_true_status_whatever_its_neighbours_do(smoke: Smoke) -> None:
    """One run of notebooks that once took it down: each has the status that it has alone."""
    notebooks = smoke.folder / "notebooks"
    deep = "d = []\nfor _ in range({}): d = [d]\n"
    display = "display({'application/json': d, 'text/plain': ''}, raw=True)"
    too_deep = "the cell displays what no notebook can hold; look at its outputs."
    wanted = {
        (b"good.ipynb", ("1",)): ("passed", None),
        (b"L" * 240 + b".ipynb", ("1",)): ("passed", None),
        (("é" * 120 + ".ipynb").encode(), ("1",)): ("passed", None),
        (b"bad\xff.ipynb", ("1",)): ("passed", None),
        (b"red\x1b[31m\n\xe2\x80\xae.ipynb", ("1/0",)): ("failed", "ZeroDivisionError: division by zero"),
        (b"digits.ipynb", (_recording("{'check': 'x', 'ok': True, 'ttft_s': 10**400}"),)): (
            "failed", "the check record is not ok.",
        ),
        (b"fact.ipynb", (_recording("{'check': 'x', 'ok': True, 'other': 10**400}"),)): ("passed", None),
        (b"negative.ipynb", (_recording("{'check': 'x', 'ok': True, 'ttft_s': -1}"),)): (
            "failed", "the check record is not ok.",
        ),
        (b"surrogate.ipynb", ("1", "print('\ud800')")): (
            "failed", "half a character (a lone surrogate) cannot be sent to a kernel.",
        ),
        (b"deep.ipynb", (deep.format(700) + _recording("{'check': 'x', 'ok': True, 'deep': d}"),)): ("failed", too_deep),
        **{(b"deep-%d.ipynb" % levels, (deep.format(levels) + display,)): ("failed", too_deep) for levels in (100, 250, 450)},
        (b"deep-90.ipynb", (deep.format(90) + display,)): ("passed", None),
        (b"support.ipynb", (_recording("{'check': 'failure', 'ok': False, 'unsupported': True}"),)): ("passed", None),
    }  # fmt: skip
    for name, sources in wanted:
        _write(notebooks, name, *sources)
    done = smoke.run("notebooks")
    assert (done.returncode, done.stderr) == (1, "")
    found = {case["id"]: case for case in smoke.results["cases"]}
    for (name, _), (status, message) in wanted.items():
        case = found[label_of(os.fsdecode(name.removesuffix(b".ipynb")))]
        assert (case["status"], case["reason"] and case["reason"]["message"]) == (status, message), case
        assert (smoke.out / case["executed"]).is_file()
    assert len(found) == len(wanted)
    assert not list(smoke.out.glob("bug-*"))
    ElementTree.parse(smoke.out / "junit.xml")
    for report in ("summary.md", "junit.xml", "report.html", "matrix.md"):
        text = (smoke.out / report).read_text(encoding="utf-8")
        assert not [letter for letter in text if letter != "\n" and label(letter) != letter], report
    assert "\x1b" not in done.stdout


def test_models_whose_names_are_odd_are_told_apart(smoke: Smoke, scripted: ScriptedServer) -> None:
    """Names that are equal as files, or too long for one; what is listed and has no name is left out."""
    models = ["a/b", "a_b", "A_B", "m" * 250, "m" * 251, "red\x1b[31m", "red\x1c[31m", "日本"]
    listed = [*models, "a/b", 7, None, {"id": "x"}, "", "nul\0", "\ud800"]
    scripted.answers.append(answer(200, {"data": [{"id": name} for name in listed]}))
    write(smoke.folder / "a.ipynb", "import os\nprint(os.environ['CHUTES_MODEL'])")
    environ = {"CHUTES_API_BASE": scripted.api_base, "CHUTES_API_KEY": "obviously-fake"}
    done = smoke.run("a.ipynb", "--model", "all", **environ)
    assert done.returncode == 0, done
    cases = smoke.results["cases"]
    assert [case["id"] for case in cases[:2]] == ["a@a/b", "a@a_b"]
    copies = [json.loads((smoke.out / case["executed"]).read_text()) for case in cases]
    assert ["".join(copy["cells"][1]["outputs"][0]["text"]) for copy in copies] == [f"{name}\n" for name in models]
    assert {case["executed"].lower() for case in cases} == {
        path.relative_to(smoke.out).as_posix().lower() for path in (smoke.out / "notebooks").glob("*.ipynb")
    }
    assert "\x1b" not in done.stdout + (smoke.out / "summary.md").read_text()


@pytest.mark.parametrize("data", [[7], [{"id": 7}], [{"id": ["x"]}, {"id": {"a": "b"}}], {"a": "b"}, 7, None, "text"])
def test_list_without_a_name_is_refused(smoke: Smoke, scripted: ScriptedServer, data: object) -> None:
    """One line before anything is run."""
    scripted.answers.append(answer(200, {"data": data}))
    environ = {"CHUTES_API_BASE": scripted.api_base, "CHUTES_API_KEY": "obviously-fake"}
    write(smoke.folder / "a.ipynb", "1")
    line = refused(smoke.run("a.ipynb", **environ))
    assert line.startswith(f"{scripted.api_base}/models ")
    assert line.endswith("; check CHUTES_API_BASE.")


@pytest.mark.parametrize(
    "command",
    [
        ["run", "{}"],
        ["run", "--out", "{}"],
        ["run", "--history", "{}"],
        ["run", "--resume", "{}"],
        ["run", "--model", "{}"],
        ["run", "-p", "{}"],
        ["run", "--{}"],
        ["check", "{}"],
        ["new", "11_{}"],
        ["report", "{}"],
        ["history", "{}"],
        ["history", "--history", "{}"],
        ["history", "--import", "{}"],
        ["serve", "--replay", "{}"],
        ["serve", "--fault", "{}"],
        ["{}"],
    ],
)
@pytest.mark.parametrize("argument", ["a" * 300, "a\udcff\x1b[31m\n\u202eb"], ids=["long", "odd"])
def test_any_argument_is_used_or_refused_in_a_line(smoke: Smoke, command: list[str], argument: str) -> None:
    """No traceback, and nothing that a terminal would obey."""
    write(smoke.folder / "notebooks" / "a.ipynb", "1")
    done = smoke(*(word.format(argument) for word in command))
    assert done.returncode in (0, 2), done
    last = done.stderr.splitlines()[-1:]
    assert done.returncode == 0 or last[0].startswith("scillm-smoke"), done
    assert "bug" not in done.stderr
    assert "\x1b" not in done.stderr


# Names


@given(st.lists(st.text(max_size=300), max_size=8))
def test_names_of_files_are_distinct_and_can_be(names: list[str]) -> None:
    """Whatever is to be named: also where case does not count, also with what is added to a name."""
    files = file_names([label(name) for name in names])
    assert len({name.casefold() for name in files}) == len(names)
    for name in files:
        assert len(f".{name}.attempt-5.ipynb-12345678".encode()) < 256
        assert not set(name) & set("/\0\n")


@given(st.lists(st.sampled_from(["a", "a-2", "A", "b"]), max_size=8))
def test_distinct_names_keep_their_order_and_most_of_themselves(names: list[str]) -> None:
    """The first of a name has it."""
    found = distinct(names)
    assert len(set(found)) == len(names)
    assert all(new.startswith(old) for old, new in zip(names, found, strict=True))


@given(st.text(max_size=40))
def test_labels_are_safe_and_stable(name: str) -> None:
    """One line that UTF-8 and XML can hold, and its own label."""
    shown = label(name)
    assert "\n" not in shown
    assert label(shown) == shown
    ElementTree.fromstring(f"<a>{shown.replace('&', '').replace('<', '')}</a>")


# Records

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_facts = [
    "check",
    "ok",
    "skipped",
    "kind",
    "unsupported",
    "ttft_s",
    "tokens_per_s",
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "other",
]
_records = _json | st.dictionaries(st.sampled_from(_facts), _json)


@given(_records)
def test_record_is_valid_or_a_check_that_is_not_ok(record: object) -> None:
    """Whatever passes can be written as strict JSON in UTF-8, and its numbers can be counted and compared."""
    cell = new_code_cell(outputs=[new_output("display_data", {MIME_TYPE: record})])
    (found,) = published(cell)
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    assert isinstance(found["check"], str)
    assert found.get("ok") in (True, False, None)
    for name in ("ttft_s", "tokens_per_s", "calls", "prompt_tokens", "completion_tokens"):
        assert 0 <= float(found.get(name) or 0) <= 10**12


BROKEN = """
import sys
from scillm_helpers.smoke import cli
from scillm_helpers.smoke.execute import Execution
run = Execution.run
def broken(self):
    if self.case.id == "b":
        raise KeyError("ours")
    return run(self)
Execution.run = broken
sys.exit(cli.main(sys.argv[1:]))
"""


def test_error_of_ours_costs_one_case(smoke: Smoke) -> None:
    """It is that case's reason, with the details in a file; the other cases go on, and no traceback is printed."""
    paths = [write(smoke.folder / f"{name}.ipynb", "1") for name in "abc"]
    command = [sys.executable, "-c", BROKEN, "run", "--out", smoke.out, *paths]
    environ = smoke.environ | {"SCILLM_WARM_PRELOAD": "json"}
    done = subprocess.run(command, cwd=smoke.folder, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert {case["id"]: case["status"] for case in smoke.results["cases"]} == {
        "a": "passed", "b": "failed", "c": "passed",
    }  # fmt: skip
    reason = smoke.results["cases"][1]["reason"]
    assert reason["kind"] == "harness"
    assert reason["message"].startswith("this is a bug of scillm-smoke (KeyError); ")
    assert "KeyError: 'ours'" in (smoke.out / "bug-1.txt").read_text(encoding="utf-8")
