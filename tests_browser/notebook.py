"""An open notebook in JupyterLab: what a person does with it, by menu, mouse and keyboard."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page

from tests.polling import PATIENCE
from tests_browser.lab import Lab
from tests_browser.watching import Shown

_WATCH = (Path(__file__).parent / "watch.js").read_text()
_CELLS = ".jp-Notebook .jp-CodeCell"


def write(path: Path, *sources: str) -> None:
    """Write a notebook of these code cells for which JupyterLab asks for no kernel."""
    spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": spec}), path)


class Notebook:
    """Open a notebook; its `size` code cells are numbered from 0."""

    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        cells = nbformat.read(lab.folder / name, as_version=4).cells
        self.page = page
        self.size = sum(cell.cell_type == "code" for cell in cells)
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(lab.url_of(name))
        # JupyterLab adds the cells one by one, whenever it is idle.
        page.locator(_CELLS).nth(self.size - 1).wait_for()
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Return when the kernel can take a cell; before, JupyterLab runs none, and does not say so."""
        self.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()

    def run_all(self) -> None:
        """Run all cells by the menu, and watch them."""
        self._watch()
        self.choose("Run", "Run All Cells")

    def run(self, cell: int) -> None:
        """Select a cell and press Ctrl-Enter, and watch it."""
        self.page.locator(_CELLS).nth(cell).locator(".jp-InputPrompt").click()
        self._watch()
        self.page.keyboard.press("Control+Enter")

    def wait(self, *cells: int) -> None:
        """Return when these cells, or all, have run, or were left out because one before them failed."""
        self.page.wait_for_function("wanted => watch.finished(wanted)", arg=[*(cells or range(self.size))])

    def interrupt(self) -> None:
        """Press I twice, as the Kernel menu says."""
        self.page.keyboard.press("i")
        self.page.keyboard.press("i")
        assert self.page.evaluate("watch.keys")[-2:] == ["i", "i"]

    def restart(self) -> None:
        """Restart the kernel by the menu."""
        self.choose("Kernel", "Restart Kernel…")
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        self.wait_for_kernel()

    def save(self) -> None:
        """Press Ctrl-S."""
        self.page.keyboard.press("Control+s")

    def text(self, cell: int) -> str:
        """Return the text of a cell's outputs."""
        return "".join(self.page.locator(_CELLS).nth(cell).locator(".jp-OutputArea-output").all_text_contents())

    def wait_for_text(self, cell: int, part: str) -> None:
        """Return when the outputs of a cell have `part` in them."""
        shown = self.page.locator(_CELLS).nth(cell).locator(".jp-OutputArea-output")
        shown.filter(has_text=part).first.wait_for()

    def prompts(self) -> list[str]:
        """Return what stands before each code cell: `[3]:` once it has run."""
        return self.page.locator(f"{_CELLS} .jp-InputPrompt").all_text_contents()

    def errors(self) -> list[str]:
        """Return the error outputs, and what was written to stderr."""
        kinds = ("application/vnd.jupyter.error", "application/vnd.jupyter.stderr")
        where = ", ".join(f'{_CELLS} .jp-OutputArea-output[data-mime-type="{kind}"]' for kind in kinds)
        return self.page.locator(where).all_text_contents()

    def shown(self, cell: int) -> list[Shown]:
        """Return what the page has shown of a cell since it was last run: first nothing."""
        seen = self.page.evaluate("cell => watch.outputs.filter(shown => shown.cell === cell)", cell)
        series = [Shown(one["at"] / 1000, one["text"], one["height"], one["scroll"]) for one in seen]
        return series[[shown.text for shown in series].index("") :]

    def wait_for_growth(self, cell: int, times: int = 3) -> None:
        """Return when the text of a cell has grown so often since the cell was last run."""
        self.page.wait_for_function("([cell, times]) => watch.growth(cell) >= times", arg=[cell, times])

    def wait_for_more(self, cell: int, times: int) -> bool:
        """Return whether the text of a cell has grown more often than so; False once the cell has run without."""
        state = "([cell, times]) => watch.growth(cell) > times ? 'grown' : watch.finished([cell]) && 'finished'"
        return bool(self.page.wait_for_function(state, arg=[cell, times]).json_value() == "grown")

    def choose(self, menu: str, *items: str) -> None:
        """Choose from JupyterLab's menus, by the names that stand there."""
        self.page.locator("#jp-MainMenu").get_by_role("menuitem", name=menu, exact=True).click()
        for item in items:
            self.page.locator(".lm-Menu .lm-Menu-itemLabel").filter(has_text=item).first.click()

    def _watch(self) -> None:
        self.page.evaluate(_WATCH)
