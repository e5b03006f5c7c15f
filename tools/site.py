"""Build the static site of the executed tutorials, with the latest report. `make site` calls this.

Nothing is executed for a page: the stored outputs are the executed ones. Where no run has left a report, there is a
keyless one first.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
SITE = ROOT / "build" / "site"
REPORT = ROOT / "runs" / "latest"
_CONFIGURATION = ROOT / "site"
_PUBLISHED = ("report.html", "summary.md", "matrix.md", "matrix.json", "results.json", "junit.xml", "notebooks")


@dataclass(frozen=True)
class Lesson:
    """Be what the front page says of a notebook: the heading and the first sentence of its first cell."""

    name: str
    title: str
    promise: str

    @classmethod
    def of(cls, path: Path) -> "Lesson":
        """Return the lesson of the notebook at `path`."""
        heading, _, prose = nbformat.read(path, as_version=4).cells[0].source.partition("\n")
        sentence = re.split(r"(?<=[.!?])\s", " ".join(prose.split()), maxsplit=1)[0]
        return cls(path.stem, heading.removeprefix("# "), sentence)


def build(site: Path, report: Path) -> None:
    """Write the site into the folder `site`, with the run in the folder `report`. Raises CalledProcessError."""
    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    shutil.rmtree(site, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        for path in notebooks:
            shutil.copy(path, source)
        (source / "index.md").write_text(front_page(map(Lesson.of, notebooks)), encoding="utf-8")
        sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", "--conf-dir"]
        subprocess.run([*sphinx, _CONFIGURATION, "-d", source / "doctrees", source, site], check=True)  # noqa: S603
    (site / "notebooks").mkdir()
    for path in notebooks:
        shutil.copy(path, site / "notebooks")
    _add_report(report, site / "report")


def front_page(lessons: Iterable[Lesson]) -> str:
    """Return the front page, in Markdown."""
    template = (_CONFIGURATION / "index.md.j2").read_text(encoding="utf-8")
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(template).render(lessons=list(lessons))  # noqa: S701


def _add_report(run: Path, folder: Path) -> None:
    """Copy what people read of a run; what the endpoint was asked stays at home."""
    folder.mkdir()
    for name in _PUBLISHED:
        if (run / name).is_dir():
            shutil.copytree(run / name, folder / name)
        elif (run / name).is_file():
            shutil.copy(run / name, folder)


def main() -> int:
    """Build the site, and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SITE, metavar="DIR", help="the site's folder (default: build/site)")
    site = parser.parse_args().out.resolve()
    if not (REPORT / "report.html").is_file():
        run = subprocess.run([sys.executable, "-m", "scillm_helpers.smoke", "run"], cwd=ROOT, check=False)
        if run.returncode:  # a tutorial that does not run is not published
            return run.returncode
    try:
        build(site, REPORT.resolve())
    except subprocess.CalledProcessError as error:  # Sphinx has said why
        return int(error.returncode)
    print(f"{site / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
