"""A streamed output grows while its stream is open, and neither flickers nor jumps."""

from collections.abc import Callable

import pytest

from scillm_helpers.endpoint.serve import Endpoint
from tests_browser.ends import StreamEnds
from tests_browser.lab import Lab
from tests_browser.notebook import Notebook, write
from tests_browser.test_interrupt import CELLS, SETUP
from tests_browser.watching import growth, unsteady

UNSTEADY = {
    "text": """
import asyncio
from IPython.display import clear_output
for count in range(1, 4):
    clear_output()
    await asyncio.sleep(0.2)
    print("word " * count)
""",
    "height": """
import asyncio
from IPython.display import Markdown, display
handle = display(Markdown("a\\n\\nb\\n\\nc"), display_id=True)
await asyncio.sleep(0.2)
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
            notebook.wait_for_growth(cell, times=5)
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
    write(lab.folder / "unsteady.ipynb", UNSTEADY[what])
    notebook = open_notebook("unsteady.ipynb")
    notebook.run(0)
    notebook.wait(0)
    assert [fault for fault in unsteady(notebook.shown(0)) if fault.startswith(what)]
