"""Interrupt in a stream: it stops though more would come, the connection is closed, the text stays, the kernel goes on."""

from collections.abc import Callable

import pytest

from scillm_helpers.endpoint.serve import Endpoint
from tests_browser.ends import StreamEnds
from tests_browser.lab import Lab
from tests_browser.notebook import Notebook, write

SETUP = """
from IPython.display import Markdown, display
from scillm_helpers import TextStream, connect, loops
llm = connect()

def story(words):
    content = f"Tell me a {words} word story."
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 1000, "stream": True}

asking = story(400)
llm.library, _patched
""".strip()
AWAITED = """
async for chunk in await llm.acompletion(**asking):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
"""
AWAITED_TEXT = """
async with TextStream(llm.acompletion(**asking)) as stream:
    async for text in stream:
        print(text, end="")
"""
RENDERED = """
handle = display(Markdown(""), display_id=True)
async with TextStream(llm.acompletion(**asking)) as stream:
    async for _ in stream:
        handle.update(Markdown(stream.text))
"""
PLAIN = """
for chunk in llm.completion(**asking):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
"""
PLAIN_TEXT = """
with TextStream(llm.completion(**asking)) as stream:
    for text in stream:
        print(text, end="")
"""
RAN = """
async def tell():
    async with TextStream(llm.acompletion(**asking)) as stream:
        async for text in stream:
            print(text, end="")
loops.run(tell())
"""
CELLS = {
    "await": AWAITED,
    "await TextStream": AWAITED_TEXT,
    "Markdown": RENDERED,
    "plain": PLAIN,
    "plain TextStream": PLAIN_TEXT,
    "loops.run": RAN,
}
NEXT, SHORT = 'print("usable")', "asking = story(12)"
_NEXT, _SHORT, _FIRST = range(2, 5)  # where those are in the notebook, and the first of the cells that stream
PATCHES = {
    "no patch": "_patched = None",
    "nest_asyncio": "import nest_asyncio as _patched; _patched.apply()",
    "nest_asyncio2": "import nest_asyncio2 as _patched; _patched.apply()",
}


@pytest.fixture(params=PATCHES)
def notebook(request: pytest.FixtureRequest, lab: Lab, open_notebook: Callable[[str], Notebook]) -> Notebook:
    """Open a notebook with all the ways to stream, and connect."""
    sources = [text.strip() for text in CELLS.values()]
    if request.param != "no patch":
        sources.append(f"async def told():\n{_indented(AWAITED_TEXT)}\nimport asyncio; asyncio.run(told())")
    write(lab.folder / "streams.ipynb", PATCHES[request.param], SETUP, NEXT, SHORT, *sources)
    opened = open_notebook("streams.ipynb")
    for cell in (0, 1):
        opened.run(cell)
        opened.wait(cell)
    assert opened.errors() == []
    return opened


def test_interrupt_stops_the_stream(notebook: Notebook, endpoint: Endpoint, ends: StreamEnds) -> None:
    """However the cell reads, whether chunks come or have ceased to come, and with nest_asyncio applied."""
    for cell in range(_FIRST, notebook.size):
        ends.forget()
        with endpoint.faults.scripted("ok"):
            notebook.run(cell)
            notebook.wait_for_growth(cell)
        _interrupt(notebook, cell, ends)
    notebook.run(_SHORT)
    ends.forget()
    with endpoint.faults.scripted("cut"):
        notebook.run(_FIRST)
        notebook.wait(_FIRST)
    ends.wait()
    half = notebook.text(_FIRST)
    for cell in range(_FIRST, notebook.size):
        ends.forget()
        with endpoint.faults.scripted("stall"):
            notebook.run(cell)
            notebook.wait_for_text(cell, half)
        _interrupt(notebook, cell, ends)


def _interrupt(notebook: Notebook, cell: int, ends: StreamEnds) -> None:
    kept = notebook.text(cell).strip()
    assert kept.startswith("The old")
    assert ends.so_far() == []
    notebook.interrupt()
    notebook.wait(cell)
    ((_, entry),) = ends.wait()
    assert not entry.whole
    assert notebook.text(cell).strip().startswith(kept)
    notebook.run(_NEXT)
    notebook.wait(_NEXT)
    assert notebook.text(_NEXT) == "usable\n"


def _indented(source: str) -> str:
    return "\n".join(f"    {line}" for line in source.strip().splitlines())
