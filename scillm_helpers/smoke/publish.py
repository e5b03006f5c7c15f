"""A run -> all that people read of it: the report, its notebooks' pages, the summary, the matrix."""

import json
import os
import webbrowser
from argparse import Namespace
from pathlib import Path

from ..errors import UsageError
from . import matrix, page, report, summary
from . import resume as earlier
from .files import Files
from .folder import shown
from .history import History
from .labels import label_of, path_of
from .past import Identity, Past
from .redact import Redactor
from .results import Run
from .story import Story, story
from .templates import page as page_of


def publish(run: Run, files: Files, told: Story) -> None:
    """Write what people read of a run, which holds no secrets any more."""
    files.write_page("report.html", page.as_html(run, told, files.folder))
    files.write_page("summary.md", summary.as_markdown(run))
    files.write_page("matrix.md", summary.matrix(run) + "\n")
    files.write("matrix.json", json.dumps(matrix.as_json(run), indent=1) + "\n")


def again(arguments: Namespace) -> int:
    """Write the report of an earlier run anew, and return the exit status."""
    folder, run = earlier.find(arguments.run)
    known = story(run, _past(run, arguments.history))
    files = Files(folder, Redactor.of_environment())
    for executed in filter(None, (result.executed for result in run.results)):
        if os.path.isfile(folder / path_of(executed)) and not os.path.isfile(folder / path_of(page_of(executed))):
            _write_page(executed, files)
    publish(report.redacted(run, files.redactor), files, known)
    print(f"{label_of(shown(folder))}/report.html")
    if arguments.open:
        webbrowser.open((folder / "report.html").as_uri())
    return 0


def _past(run: Run, path: Path) -> dict[Identity, list[Past]]:
    """Return what the history knows of the run's cases; a report without one is a report."""
    if not os.path.exists(path):
        return {}
    with History.read(path) as history:
        return history.past_of(run)


def _write_page(executed: str, files: Files) -> None:
    """Write the page of an executed copy: a run that was killed has left some without."""
    import nbformat  # a second, which most reports have no need of

    from . import notebook_page

    copy = files.folder / path_of(executed)
    try:
        notebook = nbformat.read(copy, as_version=4)
    except (OSError, ValueError) as error:
        raise UsageError(f"{copy} cannot be read ({type(error).__name__}); resume the run.") from error
    files.write_page(page_of(executed), notebook_page.as_html(files.redactor.notebook(notebook), copy.stem))
