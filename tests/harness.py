"""Run `scillm-smoke` the way a user does: as a process of its own, in a folder of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests import forked

SMOKE = [sys.executable, "-m", "scillm_helpers.smoke"]


def write(path: Path, *sources: str, parameters: str | None = None) -> Path:
    """Write a notebook of these code cells; `parameters` is the source of its parameters cell."""
    cells = [new_markdown_cell("# A notebook")]
    if parameters is not None:
        cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [new_code_cell(source) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


class Smoke:
    """Run `scillm-smoke` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.environ = forked.least_environ()

    def __call__(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return forked.call([*map(str, arguments)], self.folder, self.environ | environ)

    def start(self, *arguments: str | Path, out: Path | None = None, **environ: str) -> "subprocess.Popen[str]":
        """Start to run notebooks, with the run's folder in `out`."""
        command = [*SMOKE, "run", "--out", str(out or self.out), *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environ | {"SCILLM_WARM_PRELOAD": "json"} | environ,  # no zygote is lent to it
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run notebooks, with the run's folder in `out`."""
        return self("run", "--out", self.out, *arguments, **environ)

    @property
    def results(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "results.json").read_text()))

    @property
    def case(self) -> dict[str, Any]:
        (only,) = self.results["cases"]
        return dict(only)

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "requests.jsonl").read_text().splitlines()]

    def copy(self, name: str) -> list[Any]:
        """Return the code cells of an executed copy."""
        cells = nbformat.read(self.out / "notebooks" / f"{name}.ipynb", as_version=4).cells
        return [cell for cell in cells if cell.cell_type == "code"]


def refused(done: subprocess.CompletedProcess[str], status: int = 2) -> str:
    """Return the one line of a refusal."""
    assert done.returncode == status, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("scillm-smoke: ")
    return line.removeprefix("scillm-smoke: ")
