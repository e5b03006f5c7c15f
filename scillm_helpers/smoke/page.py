"""A run, and what was before it -> `report.html`: one page that explains itself."""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from . import plots, templates
from .labels import path_of
from .matrix import CAPABILITIES, Row, matrix
from .results import CaseResult, Run
from .signatures import Failure, failures
from .story import Story
from .words import plain, rate, seconds, verdict

_SHOWN = 12  # cases named with a failure
_LONGEST = 12_000  # characters of a source, and of a traceback, from its end


def as_html(run: Run, story: Story, folder: Path) -> str:
    """Return the page of a run, of which `folder` has the executed copies."""
    rows = matrix(run)
    return templates.render(
        "report.html.j2",
        run=run,
        verdict=verdict(run),
        models=list(dict.fromkeys(result.case.model for result in run.results)),
        failures=[_told(failure, story, folder) for failure in failures(run)],
        changed=list(story.changed.items()),
        matrix={"names": list(CAPABILITIES.values()), "rows": rows if any(_shows(row) for row in rows) else []},
        pages=_pages(run, folder),
        past={case: plots.strip(statuses) for case, statuses in story.past.items()},
        ttft=plots.dots(_by_model(run, "ttft_s"), "Seconds to the first token, by model", seconds),
        throughput=plots.dots(_by_model(run, "tokens_per_s"), "Tokens per second, by model", rate),
        nights=plots.nights(story.nights),
        timeline=plots.timeline(run.results),
    )


def _pages(run: Run, folder: Path) -> dict[str, str]:
    """Return the pages of the executed copies that there are, by the case's id."""
    named = {result.case.id: templates.page(result.executed) for result in run.results if result.executed}
    return {case: name for case, name in named.items() if os.path.isfile(folder / path_of(name))}


def _shows(row: Row) -> bool:
    return any(check.state != "not_run" for check in row.checks.values())


def _by_model(run: Run, fact: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for result in run.results:
        found[result.case.model] += [value for check in result.checks if (value := getattr(check, fact)) is not None]
    return found


def _told(failure: Failure, story: Story, folder: Path) -> dict[str, Any]:
    """Return what the page says of a failure: the cell and the traceback are those of its first case."""
    first = failure.results[0]
    source, traceback = _cell(first, folder)
    return {
        "id": failure.id,
        "title": failure.title,
        "since": story.since.get(failure.signature, ""),
        "shown": failure.results[:_SHOWN],
        "more": len(failure.results) - _SHOWN if len(failure.results) > _SHOWN else 0,
        "cell": first.reason.cell if first.reason else None,
        "source": source,
        "traceback": traceback,
    }


def _cell(result: CaseResult, folder: Path) -> tuple[str, str]:
    """Return the source of the cell at fault and its traceback; empty where there is none to read."""
    number = result.reason.cell if result.reason else None
    if number is None or result.executed is None:
        return "", ""
    try:
        content = json.loads((folder / path_of(result.executed)).read_bytes())
        cell = next(cell for cell in content["cells"] if cell.get("execution_count") == number)
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return "", ""
    errors = [output for output in cell["outputs"] if output["output_type"] == "error"]
    lines = errors[0]["traceback"] if errors else []
    return plain("".join(cell["source"]))[-_LONGEST:], plain("\n".join(lines))[-_LONGEST:]
