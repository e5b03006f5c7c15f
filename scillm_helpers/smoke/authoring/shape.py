"""The suite's shape: title, sections, parameters, a call that the reader sees, an assertion, a record."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from .findings import Finding, bash_blocks, numbered, tagged

FOUR_LINES = "### Why/When/Gotchas/Troubleshooting"
RECAP = "### Recap"
CURL = "### Troubleshooting with curl"
SECTIONS = (FOUR_LINES, "### Runtime setup", RECAP, CURL)
MOST_LINES = 14  # of a code cell: it is one idea

_RECORD = re.compile(r"^record\(", re.MULTILINE)


def title(notebook: Any) -> Iterator[Finding]:
    """Have the first cell begin with the title."""
    if not notebook.cells or not notebook.cells[0].source.startswith("# "):
        yield Finding(1, "no title", "begin with `# NN · Title: what it is about`, and what the reader will have seen")


def sections(notebook: Any) -> Iterator[Finding]:
    """Have each section, in order."""
    headings = [(number, line) for number, cell in numbered(notebook, "markdown") for line in cell.source.splitlines()]
    found = [next((at for at in enumerate(headings) if at[1][1].strip() == section), None) for section in SECTIONS]
    for section, place in zip(SECTIONS, found, strict=True):
        if place is None:
            yield Finding(None, f"no section `{section}`", "add it")
    there = [place for place in found if place is not None]
    for (before, (_, earlier)), (after, (number, section)) in pairwise(there):
        if after < before:
            yield Finding(number, f"`{section.strip()}` stands before `{earlier.strip()}`", "move it behind")


def four_lines(notebook: Any) -> Iterator[Finding]:
    """Have the four lines that say why, when, and what goes wrong."""
    for number, cell in numbered(notebook, "markdown"):
        if FOUR_LINES in cell.source.splitlines():
            for line in ("- Why:", "- When:", "- Gotchas:", "- Troubleshooting:"):
                if line not in cell.source:
                    yield Finding(number, f"no line `{line}`", "add it")


def installation(notebook: Any) -> Iterator[Finding]:
    """Require that the first code cell says what to install, for a notebook opened on Colab or Kaggle."""
    for number, cell in numbered(notebook, "code")[:1]:
        if "pip install" not in cell.source:
            yield Finding(
                number, "no word on what to install", "have the first code cell say it, as `scillm-smoke new` writes it"
            )


def parameters(notebook: Any) -> Iterator[Finding]:
    """Have one cell for papermill, of lines `name = literal  # why`."""
    cells = [(number, cell) for number, cell in numbered(notebook, "code") if tagged(cell, "parameters")]
    if not cells:
        yield Finding(None, "no cell tagged `parameters`", "tag the cell with what a reader may want to change")
    for number, _ in cells[1:]:
        yield Finding(number, "a second cell tagged `parameters`", "have all parameters in one")
    for number, cell in cells[:1]:
        for line in cell.source.splitlines():
            if not _is_parameter(line):
                yield Finding(number, f"`{line}` is no parameter", "write `name = literal  # what it is for`")


def _is_parameter(line: str) -> bool:
    if not re.fullmatch(r"\w+ = .+  # \S.*", line):
        return False
    try:
        ast.literal_eval(line.partition(" = ")[2].rpartition("  # ")[0])
    except (ValueError, SyntaxError):
        return False
    return True


def real_call(notebook: Any) -> Iterator[Finding]:
    """Have the reader see LiteLLM's call, with the connection spread into it."""
    if not any(re.search(r"completion\(\s*\*\*llm\.kwargs", cell.source) for _, cell in numbered(notebook, "code")):
        yield Finding(
            None, "no call to see", "make one as `llm.completion(**llm.kwargs, messages=...)`, or `acompletion`"
        )


def reported(notebook: Any) -> Iterator[Finding]:
    """Have an assertion before the first record, and a record in the last code cell."""
    code = numbered(notebook, "code")
    asserts = [number for number, cell in code if "assert " in cell.source]
    records = [number for number, cell in code if _RECORD.search(cell.source)]
    if not asserts:
        yield Finding(None, "no assertion", "assert what must hold of the answer on every provider")
    if not records:
        yield Finding(None, "no record", "end with `record(CHECK, ok=True, model=llm.model)`, for the harness")
        return
    if asserts and asserts[0] > records[0]:
        yield Finding(records[0], "a record before the first assertion", "assert first")
    if records[-1] != code[-1][0]:
        yield Finding(code[-1][0], "code after the last record", "have a record in the last code cell")


def small_cells(notebook: Any) -> Iterator[Finding]:
    """Have cells of one idea."""
    for number, cell in numbered(notebook, "code"):
        if (lines := len(cell.source.splitlines())) > MOST_LINES:
            yield Finding(number, f"{lines} lines of code", f"split the cell: {MOST_LINES} lines are the most")


def curl(notebook: Any) -> Iterator[Finding]:
    """Have the call as a command, too, with the key in its variable."""
    if not any("curl " in block and "$CHUTES_API_KEY" in block for block in bash_blocks(notebook)):
        yield Finding(
            None, "no curl command", f"give the call below `{CURL}`, in a ```bash block, with $CHUTES_API_KEY"
        )


def records_of(cell: Any) -> bool:
    """Tell whether a cell reports to the harness, whatever happens in it."""
    return bool(_RECORD.search(cell.source))


RULES = (title, sections, four_lines, installation, parameters, real_call, reported, small_cells, curl)
