"""Hundreds of notebooks, lists of models and command lines that nobody would think of; `make test-all` runs them."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from scillm_helpers.records import MIME_TYPE
from scillm_helpers.smoke.labels import label
from tests.harness import Smoke, write
from tests.scripted import answer, serving

pytestmark = pytest.mark.slow

_few = settings(
    max_examples=int(os.environ.get("HOSTILE_EXAMPLES", "25")),
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a run takes seconds, and what fails is small
    suppress_health_check=list(HealthCheck),
)
# Characters of every kind, halves of one too.
_text = st.text(st.characters(exclude_categories=()), max_size=12) | st.text(
    "\x00\x1b\n\r\u202e\ud800[]/.@-_日é", max_size=12
)
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text | st.sampled_from([10**400, -1, 2**64, 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)
_facts = st.sampled_from(["check", "ok", "skipped", "kind", "unsupported", "ttft_s", "tokens_per_s", "calls", "model"])
_records = (
    _json
    | st.dictionaries(_facts, _json)
    | st.fixed_dictionaries({"check": _text, "ok": st.booleans(), "ttft_s": _json})
)
_mimes = st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "application/json", "text/markdown"])


@st.composite
def _sources(draw: st.DrawFn) -> str:
    """Return the source of a cell: any text, or one that prints, raises, records or displays anything."""
    import_it = "from IPython.display import publish_display_data as publish\n"
    kind = draw(st.sampled_from(["any", "print", "raise", "record", "display"]))
    if kind == "any":
        return draw(_text)
    if kind == "print":
        return f"print({draw(_text)!r})"
    if kind == "raise":
        return f"raise ValueError({draw(_text)!r})"
    value = draw(_records if kind == "record" else _json)
    mime = MIME_TYPE if kind == "record" else draw(_mimes)
    return f"{import_it}nan = inf = 1.5\npublish({{{mime!r}: {value!r}}})"


def _cell(source: str) -> dict[str, Any]:
    head = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None}
    return head | {"outputs": [], "source": source}


_cells = st.builds(_cell, _sources())
_odd_cells = st.builds(
    lambda cell, more: {**cell, **more},
    _cells,
    st.dictionaries(st.sampled_from(["metadata", "outputs", "execution_count", "source", "id", "cell_type"]), _json),
)
_notebooks = st.builds(
    lambda cells, more: {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4} | more,
    st.lists(_cells | _cells | _odd_cells, max_size=3),
    st.just({})
    | st.dictionaries(st.sampled_from(["metadata", "nbformat", "nbformat_minor", "cells"]), _json, max_size=1),
)
_contents = _notebooks | _notebooks | _notebooks | _json
_names = st.binary(min_size=1, max_size=12) | _text.map(lambda text: text.encode("utf-8", "surrogatepass"))


def _file_name(name: bytes) -> bytes:
    return re.sub(rb"[/\x00]", b"_", name)[:200] + b".ipynb"


@contextmanager
def _somewhere() -> Iterator[Smoke]:
    with tempfile.TemporaryDirectory() as folder:
        yield Smoke(Path(folder))


def _is_safe(text: str) -> bool:
    return all(letter == "\n" or label(letter) == letter for letter in text)


@_few
@given(st.lists(st.tuples(_names, _contents), min_size=6, max_size=10, unique_by=lambda pair: _file_name(pair[0])))
def test_any_notebooks_have_each_its_status(notebooks: list[tuple[bytes, Any]]) -> None:
    """No traceback, no lost case, nothing that a terminal would obey; a healthy notebook among them passes."""
    with _somewhere() as smoke:
        folder = os.fsencode(smoke.folder / "notebooks")
        write(smoke.folder / "notebooks" / "healthy.ipynb", "1")
        for name, content in notebooks:
            with open(os.path.join(folder, _file_name(name)), "w", encoding="ascii") as file:
                json.dump(content, file)
        planned = len([name for name in os.listdir(folder) if name.endswith(b".ipynb")])
        done = smoke.run("--deadline", "120", "notebooks")
        assert done.returncode in (0, 1), done
        assert done.stderr == ""
        assert _is_safe(done.stdout)
        assert not list(smoke.out.glob("bug-*")), [path.read_text() for path in smoke.out.glob("bug-*")]
        cases = smoke.results["cases"]
        assert len(cases) == planned
        assert [case["status"] for case in cases if case["id"] == "healthy"] == ["passed"]
        assert {case["status"] for case in cases} <= {"passed", "skipped", "failed"}, cases
        assert [case for case in cases if case["status"] != "passed" and not case["reason"]] == []
        ElementTree.parse(smoke.out / "junit.xml")
        assert all(_is_safe((smoke.out / name).read_text(encoding="utf-8")) for name in ("summary.md", "matrix.md"))
        assert "\x1b" not in (smoke.out / "report.html").read_text(encoding="utf-8")  # it quotes the code of cells
        assert smoke("history").returncode == 0


@_few
@given(st.lists(st.fixed_dictionaries({"id": _text | _json}) | _json, max_size=4) | _json)
def test_any_list_of_models_is_used_or_refused(listed: Any) -> None:
    """A case for each name, or one line."""
    with _somewhere() as smoke, serving() as server:
        server.answers.append(answer(200, {"data": listed}))
        write(smoke.folder / "a.ipynb", "1")
        environ = {"CHUTES_API_BASE": server.api_base, "CHUTES_API_KEY": "obviously-fake"}
        done = smoke.run("a.ipynb", "--model", "all", **environ)
        assert _is_safe(done.stdout + done.stderr)
        if done.returncode == 2:
            assert len(done.stderr.splitlines()) == 1
            return
        assert (done.returncode, done.stderr) == (0, "")
        names = {entry["id"] for entry in listed if isinstance(entry["id"], str)}
        assert {case["status"] for case in smoke.results["cases"]} == {"passed"}
        assert len(smoke.results["cases"]) <= len(names)
        assert smoke("report", smoke.out).returncode == 0


_words = st.sampled_from(
    [
        "a",
        "02",
        "notebooks",
        "all",
        "latest",
        ".",
        "..",
        "/",
        "-",
        "--",
        "-p",
        "--model",
        "--match",
        "--jobs",
        "--deadline",
        "--cell-deadline",
        "--retries",
        "--max-tokens",
        "--max-cost",
        "--price",
        "--out",
        "--history",
        "--resume",
        "--import",
        "--json",
        "x=1",
        "x=",
        "=1",
        "x={}",
        "1",
        "0",
        "-1",
        "nan",
        "1e999",
        "embedded/omni-1",
    ]
)
_arguments = _text.map(lambda text: re.sub("[\x00\ud800-\udc7f\udd00-\udfff]", "", text))


@settings(_few, max_examples=3 * _few.max_examples)
@given(
    st.sampled_from(["run", "run", "history", "report", "check", "new", ""]),
    st.lists(_words | _words | _arguments | st.just("a" * 300), max_size=5),
)
def test_any_command_line_is_done_or_refused(command: str, words: list[str]) -> None:
    """A documented status, no traceback, and nothing that a terminal would obey."""
    with _somewhere() as smoke:
        write(smoke.folder / "notebooks" / "a.ipynb", "1")
        done = smoke(*filter(None, [command]), *words)
        assert done.returncode in (0, 1, 2), done
        assert "Traceback" not in done.stderr
        assert "bug of scillm-smoke" not in done.stdout + done.stderr
        assert _is_safe(done.stdout + done.stderr), done
