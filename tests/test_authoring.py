"""`scillm-smoke new` and `scillm-smoke check`: what they say, and their exit status."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from scillm_helpers.smoke.authoring import check, leaks, shape, stored
from scillm_helpers.smoke.authoring.new import TEMPLATE
from tests.conftest import ROOT
from tests.harness import Smoke, refused
from tools.stored import same

AGAIN = "execute it again (`make tutorials`)."


@pytest.fixture
def good(clone: None) -> Any:
    """Return a notebook that lacks nothing."""
    return check.read(TEMPLATE)


@pytest.fixture
def clone(tmp_path: Path) -> None:
    """Have a Makefile in the working directory, as a clone has."""
    (tmp_path / "Makefile").write_text("tutorials:\n")


def _cell(notebook: Any, name: str) -> Any:
    (found,) = [cell for cell in notebook.cells if cell.id == name]
    return found


def _lines(notebook: Any) -> list[str]:
    return [str(finding) for finding in check.lacking(notebook)]


def _prose(name: str, old: str, new: str) -> Callable[[Any], None]:
    """Return a change of a cell that is not executed."""

    def change(notebook: Any) -> None:
        cell = _cell(notebook, name)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


def _code(name: str, old: str, new: str) -> Callable[[Any], None]:
    """Return a change of code whose outputs are of the new code, too."""

    def change(notebook: Any) -> None:
        _prose(name, old, new)(notebook)
        stored.stamp(notebook)

    return change


def _output(place: str, **output: Any) -> Callable[[Any], None]:
    """Return a further output of a cell."""
    return lambda notebook: _cell(notebook, place).outputs.append(nbformat.from_dict(output))


def _stream(text: str, name: str = "stdout") -> Callable[[Any], None]:
    return _output("call", output_type="stream", name=name, text=text)


def _untag(notebook: Any) -> None:
    _cell(notebook, "parameters").metadata.tags = []


def _tag_twice(notebook: Any) -> None:
    _cell(notebook, "setup").metadata.tags = ["parameters"]


def _swap(notebook: Any) -> None:
    notebook.cells[-1], notebook.cells[-2] = notebook.cells[-2], notebook.cells[-1]


def _record_first(notebook: Any) -> None:
    notebook.cells.insert(9, nbformat.from_dict(_cell(notebook, "record") | {"id": "early"}))
    _renumber(notebook)


def _renumber(notebook: Any) -> None:
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = number
    stored.stamp(notebook)


def _more_code(notebook: Any) -> None:
    notebook.cells.insert(-2, nbformat.v4.new_code_cell("print(reply.id)"))
    _renumber(notebook)


def _never_executed(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []


def _count(name: str, count: int | None) -> Callable[[Any], None]:
    return lambda notebook: setattr(_cell(notebook, name), "execution_count", count)


def _counted_on(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count += 3


def _no_record(notebook: Any) -> None:
    _cell(notebook, "record").outputs = []


KEY = "sk-" + "obviouslyfake" * 2
SECRET_REMEDY = "take it out, and replace the key, or tag the cell `allow-secret`."
PATH_REMEDY = "have it relative, or from a variable, or tag the cell `allow-path`."
URL_REMEDY = "use the variable that holds it, or a name such as `llm.example.com`, or tag the cell `allow-url`."
PNG = {"image/png": "iVBORw0KGgo="}
NAMELESS = {"text/markdown": "![](data:image/png;base64,AAAA)"}

# What is broken, and the one line that says so.
BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "title": (
        _prose("title", "# 00", "00"),
        "cell 1: no title: begin with `# NN · Title: what it is about`, and what the reader will have seen.",
    ),
    "section": (_prose("recap", "### Recap", "### Summary"), "no section `### Recap`: add it."),
    "order": (_swap, "cell 13: `### Troubleshooting with curl` stands before `### Recap`: move it behind."),
    "line": (_prose("why", "- When:", "- Then:"), "cell 2: no line `- When:`: add it."),
    "installation": (
        _code("install", "pip install", "pip get"),
        "cell 3: no word on what to install: have the first code cell say it, as `scillm-smoke new` writes it.",
    ),
    "parameters": (_untag, "no cell tagged `parameters`: tag the cell with what a reader may want to change."),
    "parameters twice": (_tag_twice, "cell 6: a second cell tagged `parameters`: have all parameters in one."),
    "parameter": (
        _code("parameters", "max_tokens = 8 ", "max_tokens = 2**3 "),
        "cell 4: `max_tokens = 2**3  # the longest answer that is paid for` is no parameter: write `name = literal  # what it is for`.",
    ),
    "call": (
        _code("call", "**llm.kwargs, ", ""),
        "no call to see: make one as `llm.completion(**llm.kwargs, messages=...)`, or `acompletion`.",
    ),
    "assertion": (
        _code("assert", "assert ", "print("),
        "no assertion: assert what must hold of the answer on every provider.",
    ),
    "record": (
        _code("record", "record(", "print("),
        "no record: end with `record(CHECK, ok=True, model=llm.model)`, for the harness.",
    ),
    "record first": (_record_first, "cell 10: a record before the first assertion: assert first."),
    "more code": (_more_code, "cell 13: code after the last record: have a record in the last code cell."),
    "long cell": (
        _code("connect", "\n\n", "\n" * 14),
        "cell 7: 15 lines of code: split the cell: 14 lines are the most.",
    ),
    "curl": (
        _prose("curl", "$CHUTES_API_KEY", "$KEY"),
        "no curl command: give the call below `### Troubleshooting with curl`, in a ```bash block, with $CHUTES_API_KEY.",
    ),
    "code changed": (
        _prose("call", "print(", "print(1, "),
        f"stored outputs out of date, the code has changed since: {AGAIN}",
    ),
    "never executed": (_never_executed, f"no stored outputs: {AGAIN}"),
    "not executed": (_count("call", None), f"cell 9: not executed, where [5] is its turn: {AGAIN}"),
    "out of order": (_count("call", 7), f"cell 9: executed as [7], where [5] is its turn: {AGAIN}"),
    "executed twice": (_counted_on, f"cell 3: executed as [4], where [1] is its turn: {AGAIN}"),
    "no output": (_no_record, f"cell 12: no stored output of its record: {AGAIN}"),
    "error": (
        _output("call", output_type="error", ename="E", evalue="", traceback=[]),
        f"cell 9: a stored output is an error: mend the cell, and {AGAIN}",
    ),
    "warning": (
        _stream("Careful!", "stderr"),
        f"cell 9: a stored output is a warning, on the standard error stream: mend it, and {AGAIN}",
    ),
    "widget": (
        _output("call", output_type="display_data", data={stored.WIDGET: {"model_id": "a"}}, metadata={}),
        f"cell 9: a stored output is a widget, dead without its kernel: {AGAIN}",
    ),
    "picture": (
        _output("call", output_type="display_data", data=PNG, metadata={}),
        "cell 9: a picture without a text: show it with `figure(fig, TEXT)` or `![TEXT](...)`.",
    ),
    "picture in Markdown": (
        _output("call", output_type="display_data", data=NAMELESS, metadata={}),
        "cell 9: a picture without a text: show it with `figure(fig, TEXT)` or `![TEXT](...)`.",
    ),
    "secret in prose": (_prose("recap", "One", KEY), f"cell 13: a secret (key): {SECRET_REMEDY}"),
    "secret in code": (_code("call", "0)", f'0, api_key="{KEY}")'), f"cell 9: a secret (key): {SECRET_REMEDY}"),
    "secret in an output": (_stream(f"Bearer {'fake' * 6}"), f"cell 9: a secret (bearer token): {SECRET_REMEDY}"),
    "secret in metadata": (
        lambda notebook: notebook.metadata.update(author=KEY),
        "a secret in the notebook's metadata: take it out, and replace the key.",
    ),
    "key of an endpoint": (
        _stream("embedded-" + "f" * 32),
        f"cell 9: a secret (key of the embedded endpoint): {SECRET_REMEDY}",
    ),
    "path on Linux": (_stream("/home/ada/x"), f"cell 9: the path `/home/ada` of a machine: {PATH_REMEDY}"),
    "path on macOS": (
        _code("call", "0)", '0, file="/Users/ada/x")'),
        f"cell 9: the path `/Users/ada` of a machine: {PATH_REMEDY}",
    ),
    "path on Windows": (
        _prose("recap", "One", r"C:\Users\ada\x"),
        rf"cell 13: the path `C:\Users\ada` of a machine: {PATH_REMEDY}",
    ),
    "path of a kernel": (
        _stream("File /tmp/ipykernel_7/1.py:1"),
        f"cell 9: the path `/tmp/ipykernel_7` of a machine: {PATH_REMEDY}",
    ),
    "URL in code": (
        _code("call", "0)", '0, api_base="https://llm.acme.io/v1")'),
        f"cell 9: the address `https://llm.acme.io/v1`: {URL_REMEDY}",
    ),
    "URL in prose": (
        _prose("curl", "$CHUTES_API_BASE/", "https://llm.acme.io/v1/"),
        f"cell 14: the address `https://llm.acme.io/v1/chat/completions`: {URL_REMEDY}",
    ),
    "almost documented": (
        _prose("recap", "One", "https://llm.chutes.ai.acme.io/v1"),
        f"cell 13: the address `https://llm.chutes.ai.acme.io/v1`: {URL_REMEDY}",
    ),
    "longer than documented": (
        _prose("recap", "One", f"{leaks.DOCUMENTED}2"),
        f"cell 13: the address `{leaks.DOCUMENTED}2`: {URL_REMEDY}",
    ),
    "address of a port": (_stream("on 127.0.0.1:41234"), f"cell 9: the address `127.0.0.1:41234`: {URL_REMEDY}"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_rule_says_what_is_lacking(good: Any, name: str) -> None:
    """One line, of that alone."""
    spoil, expected = BROKEN[name]
    spoil(good)
    (line,) = _lines(good)
    assert line == expected


def test_every_rule_is_broken_here() -> None:
    """None goes without a notebook that it refuses."""
    for rule in check.RULES:
        broken = []
        for spoil, _ in BROKEN.values():
            notebook = check.read(TEMPLATE)
            spoil(notebook)
            broken += rule(notebook)
        assert broken, rule.__name__


@pytest.mark.parametrize(
    ("tag", "name", "text"),
    [
        ("allow-secret", "recap", KEY),
        ("allow-path", "call", "'/home/ada'"),
        ("allow-url", "recap", "https://docs.acme.io/guide"),
    ],
)
def test_false_alarm_is_allowed_by_a_tag(good: Any, tag: str, name: str, text: str) -> None:
    """On its cell, for its rule, and not elsewhere."""
    _cell(good, name).source += f"\n{text}"
    stored.stamp(good)
    assert len(_lines(good)) == 1
    _cell(good, "title").metadata.tags = [tag]
    assert len(_lines(good)) == 1
    _cell(good, name).metadata.tags = [tag]
    assert _lines(good) == []


@pytest.mark.parametrize(
    "text",
    [
        leaks.DOCUMENTED,
        f"{leaks.DOCUMENTED}/models",
        "https://llm.example.com/v1, https://example.org. (http://llm.test/v1)",
        "http://127.0.0.1:8000/v1 and http://localhost:8888/lab, as you start them",
        "$HOME/notebooks, ~/notebooks, ./home/x, https://example.com/home/ada/x and notebooks/tmp/x",
        "sk-... and hf_...",
        '<svg xmlns="http://www.w3.org/2000/svg">',
    ],
)
def test_what_is_for_all_is_no_finding(good: Any, text: str) -> None:
    """The documented base, names for examples, the reader's own machine, variables."""
    _cell(good, "recap").source += f"\n{text}"
    assert _lines(good) == []


def test_own_secret_and_own_folders_are_found(good: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of a variable, whatever it looks like; the home and the working directory, wherever they are."""
    monkeypatch.setenv("ACME_API_KEY", "plain-words-only")
    monkeypatch.setenv("HOME", "/srv/people/ada")
    monkeypatch.chdir("/usr/share")
    _cell(good, "recap").source += "\nplain-words-only\n/srv/people/ada/x\n/usr/share/y, /usr/shared"
    lines = _lines(good)
    assert lines[0] == f"cell 13: a secret (ACME_API_KEY): {SECRET_REMEDY}"
    assert f"cell 13: the path `/srv/people/ada` of a machine: {PATH_REMEDY}" in lines
    assert lines[2:] == [f"cell 13: the path `/usr/share` of a machine: {PATH_REMEDY}"]
    assert not any("plain-words-only" in line for line in lines)


def test_comment_may_stand_in_a_parameter(good: Any) -> None:
    """What begins with two spaces and a hash is a comment only at the end."""
    _code("parameters", '"In one word, say OK"', '"one  # two"')(good)
    assert _lines(good) == []


def test_documented_base_is_the_one_that_is_documented() -> None:
    """In .env.example and in the README."""
    for name in (".env.example", "README.md"):
        assert f"CHUTES_API_BASE={leaks.DOCUMENTED}" in (ROOT / name).read_text()


def test_notebook_without_a_digest_is_judged_by_its_counts(good: Any) -> None:
    """Another project's `make` may keep none."""
    del good.metadata[stored.METADATA]
    assert _lines(good) == []
    _count("call", 9)(good)
    assert len(_lines(good)) == 1


def test_empty_notebook_lacks_all() -> None:
    """No cell at all."""
    lines = _lines(nbformat.v4.new_notebook())
    assert lines[0].startswith("cell 1: no title")
    assert sum("no section" in line for line in lines) == len(shape.SECTIONS)


# The command


@pytest.fixture
def project(smoke: Smoke, clone: None) -> Iterator[Smoke]:
    """Return a project with one good notebook."""
    (smoke.folder / "notebooks").mkdir()
    shutil.copy(TEMPLATE, smoke.folder / "notebooks" / "01_setup.ipynb")
    return smoke


def _spoil(project: Smoke, name: str) -> None:
    path = project.folder / "notebooks" / "01_setup.ipynb"
    notebook = check.read(path)
    BROKEN[name][0](notebook)
    nbformat.write(notebook, path)


def test_check_says_nothing_of_a_good_notebook(project: Smoke) -> None:
    """Status 0, by name, by path, by folder, or without one."""
    for given in ([], ["01_setup"], ["notebooks/01_setup.ipynb"], ["notebooks"]):
        done = project("check", *given)
        assert (done.returncode, done.stdout) == (0, ""), done
        assert done.stderr == "scillm-smoke: 1 notebook checked, no findings\n"


@pytest.mark.parametrize("name", ["parameters", "code changed", "secret in code", "path on Linux", "URL in code"])
def test_check_says_where_and_what(project: Smoke, name: str) -> None:
    """A line with the file, status 1, and no secret in it."""
    _spoil(project, name)
    done = project("check")
    assert done.returncode == 1
    assert done.stdout == f"notebooks/01_setup.ipynb: {BROKEN[name][1]}\n"
    assert done.stderr == "scillm-smoke: 1 notebook checked, 1 finding\n"
    assert KEY not in done.stdout


def test_what_is_not_there_is_refused(project: Smoke) -> None:
    """One line, status 2."""
    assert refused(project("check", "zzz")) == "'zzz' is not a notebook; see notebooks/."
    assert refused(project("check", "01_setop")) == "'01_setop' is not a notebook; did you mean 01_setup?"


def test_unreadable_notebooks_hide_no_finding(project: Smoke) -> None:
    """A line for each: not a notebook, broken JSON, not UTF-8, cells of no kind, a folder; and what the others lack."""
    _spoil(project, "parameters")
    cell = {"cell_type": "poem", "metadata": {}, "source": "", "id": "a"}
    contents = [
        b"{",
        b"[1]",
        b'{"a": 1}',
        b"\xff\xfe",
        b"",
        b"[" * 100_000,
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}).encode(),
    ]
    for number, content in enumerate(contents):
        (project.folder / "notebooks" / f"0{number}_x.ipynb").write_bytes(content)
    (project.folder / "notebooks" / "99_folder.ipynb").mkdir()
    done = project("check")
    assert done.returncode == 1
    unreadable = [line for line in done.stdout.splitlines() if not line.startswith("notebooks/01_setup")]
    assert len(unreadable) == len(contents) + 1
    for line in unreadable:
        assert re.fullmatch(
            r"notebooks/\d\d_(x|folder)\.ipynb: not a valid notebook \(.+\): mend or restore it\.", line
        )
    assert f"notebooks/01_setup.ipynb: {BROKEN['parameters'][1]}" in done.stdout
    assert done.stderr == f"scillm-smoke: {len(contents) + 2} notebooks checked, {len(contents) + 2} findings\n"


def test_check_has_no_folder_to_look_in(smoke: Smoke) -> None:
    """Outside of a project."""
    assert refused(smoke("check")) == (
        "notebooks/ holds no notebook; name one, or write the lessons with scillm-smoke init."
    )


def test_commands_work_inside_the_folder_of_notebooks(project: Smoke) -> None:
    """By name and for all; what they write is where it is otherwise."""
    inside = Smoke(project.folder / "notebooks")
    done = inside("run", "01_setup")
    assert done.returncode == 0, done
    (run,) = (project.folder / "runs").glob("2*")
    assert done.stdout.splitlines()[-1].endswith(f"see ../runs/{run.name}/report.html")
    assert (project.folder / "runs" / "history.sqlite").exists()
    assert inside("check").stderr == "scillm-smoke: 1 notebook checked, no findings\n"
    assert inside("report").returncode == 0
    assert inside("new", "02_next").stdout.startswith("02_next.ipynb: runs as it is")
    assert {path.suffix for path in inside.folder.iterdir()} == {".ipynb"}


def test_new_notebook_lacks_nothing_and_runs(project: Smoke) -> None:
    """At once, with no key; what it stores is what it outputs."""
    done = project("new", "11_embeddings")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "notebooks/11_embeddings.ipynb: runs as it is (scillm-smoke run 11_embeddings).\nNext: "
    )
    assert project("check").returncode == 0
    path = project.folder / "notebooks" / "11_embeddings.ipynb"
    assert check.read(path).cells[0].source.startswith("# 11 · Embeddings: ")
    assert project.run("11_embeddings").returncode == 0, project.results
    assert project.case["status"] == "passed"
    assert [record["check"] for record in project.case["records"]] == ["chat"]
    stored_cells = [cell for cell in check.read(path).cells if cell.cell_type == "code"]
    for kept, fresh in zip(stored_cells, project.copy("11_embeddings"), strict=True):
        if kept.id != "connect":  # the harness has set the base
            assert same(kept.outputs, fresh.outputs[: len(kept.outputs)])  # what it used comes after


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("embeddings", None),
        ("1_embeddings", None),
        ("11_", None),
        ("11_Embed dings", None),
        ("11_embeddings.ipynb", None),
        ("../11_embeddings", None),
        ("", None),
        ("01_setup", "notebooks/01_setup.ipynb is there already; choose another name."),
        ("01_other", "01 is the number of 01_setup.ipynb; 02 is free."),
    ],
)
def test_new_refuses_a_name(project: Smoke, name: str, line: str | None) -> None:
    """What is no number and words, and what is taken; nothing is written."""
    wrong = f"{name!r} is no name for a notebook; write two digits, `_` and words, such as 11_embeddings."
    assert refused(project("new", name)) == (line or wrong)
    assert len(list(project.folder.rglob("*.ipynb"))) == 1


def test_new_never_writes_elsewhere(project: Smoke) -> None:
    """Through a link that leads nowhere yet."""
    (project.folder / "notebooks" / "11_a.ipynb").symlink_to(project.folder / "elsewhere")
    assert refused(project("new", "11_a")).startswith("11 is the number of 11_a.ipynb;")
    assert not (project.folder / "elsewhere").exists()


def test_new_refuses_where_there_is_no_number_left(project: Smoke) -> None:
    """A hundred are enough."""
    (project.folder / "notebooks" / "99_last.ipynb").touch()
    assert refused(project("new", "99_more")) == "99 is the number of 99_last.ipynb; choose another."


def test_new_refuses_a_folder_that_is_not_there_or_not_writable(smoke: Smoke, tmp_path: Path) -> None:
    """Root may write where others may not, so the folder is one in which nobody can create a file."""
    assert refused(smoke("new", "11_a")) == (
        "notebooks/ is not here; run this in the folder above it, or write it with scillm-smoke init."
    )
    (smoke.folder / "notebooks").symlink_to("/proc/self/task")
    line = refused(smoke("new", "11_a"))
    assert line.startswith("notebooks/ cannot be written to (")
    assert line.endswith("; see to the folder.")


def test_new_and_check_read_their_help() -> None:
    """The words of the README are those of the command."""
    readme = (ROOT / "README.md").read_text()
    assert "scillm-smoke new 11_embeddings" in readme
    for tag in ("allow-secret", "allow-path", "allow-url"):
        assert tag in readme


def test_lint_checks_the_notebooks() -> None:
    """`make lint` runs it."""
    planned = subprocess.run(["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "scillm_helpers.smoke check" in planned
