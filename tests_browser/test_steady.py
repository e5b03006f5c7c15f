"""A streamed output grows while its stream is open, and neither flickers nor jumps."""

from collections.abc import Callable

import pytest

from scillm_helpers.endpoint.serve import Endpoint
from tests_browser.ends import StreamEnds
from tests_browser.lab import Lab
from tests_browser.notebook import Notebook, write
from tests_browser.test_interrupt import CELLS, SETUP
from tests_browser.watching import growth, unsteady

SEEN = """
import asyncio
from pathlib import Path
from IPython.display import Markdown, clear_output, display

async def seen():
    while not Path("seen").exists():
        await asyncio.sleep(0.01)
"""
UNSTEADY = {
    "text": """
print("three words here")
await seen()
clear_output()
print("one")
""",
    "height": """
handle = display(Markdown("three\\n\\nlines\\n\\nhere"), display_id=True)
await seen()
handle.update(Markdown("one long line, and yet a lower one"))
""",
}


def test_grows_while_the_stream_is_held_open(
    lab: Lab, open_notebook: Callable[[str], Notebook], endpoint: Endpoint, ends: StreamEnds
) -> None:
    """Its second half never comes: what is on the page by then cannot have waited for the end."""
    write(lab.folder / "steady.ipynb", "_patched = None", SETUP, *CELLS.values())
    notebook = open_notebook("steady.ipynb")
    for cell in (0, 1):
        notebook.run(cell)
        notebook.wait(cell)
    for cell in range(2, notebook.size):
        ends.forget()
        with endpoint.faults.scripted("stall"):
            notebook.run(cell)
            notebook.wait_for_growth(cell)
        series = notebook.shown(cell)
        assert ends.so_far() == []
        notebook.interrupt()
        notebook.wait(cell)
        ((end, _),) = ends.wait()
        assert len(growth(series, end)) >= 3
        assert unsteady(series) == []


@pytest.mark.parametrize("what", UNSTEADY)
def test_unsteady_output_is_noticed(lab: Lab, open_notebook: Callable[[str], Notebook], what: str) -> None:
    """Else the test above would show nothing."""
    flag = lab.folder / "seen"
    flag.unlink(missing_ok=True)
    write(lab.folder / "unsteady.ipynb", SEEN + UNSTEADY[what])
    notebook = open_notebook("unsteady.ipynb")
    notebook.run(0)
    notebook.wait_for_text(0, "here")
    flag.touch()
    notebook.wait(0)
    assert [fault for fault in unsteady(notebook.shown(0)) if fault.startswith(what)]
