"""Run every notebook with every embedded model, and take the picture of the report that the README shows.

`make screenshot` calls this. Three runs, so that there is a past.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "report.png"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_RUNS = 3


def browser() -> str | None:
    """Return the path of the browser that is installed, or None."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def run_all(folder: Path) -> Path:
    """Run the notebooks into `folder`, and return the report of the last run. Raises CalledProcessError."""
    command = [
        sys.executable,
        "-m",
        "scillm_helpers.smoke",
        "run",
        "--model",
        "all",
        "--history",
        str(folder / "history.sqlite"),
    ]
    for number in range(_RUNS):
        subprocess.run([*command, "--out", str(folder / str(number))], cwd=ROOT, env=os.environ, check=True)  # noqa: S603
    return folder / str(_RUNS - 1) / "report.html"


def take(report: Path, picture: Path) -> None:
    """Take the picture of a page as a reader first sees it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        page = chromium.new_page(color_scheme="light", viewport={"width": 1200, "height": 1150})
        page.goto(report.as_uri())
        page.screenshot(path=picture)
        chromium.close()


def main() -> int:
    """Write `docs/report.png`."""
    if browser() is None:
        print("screenshot: no chromium is installed; run make packages.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        take(run_all(Path(folder)), PICTURE)
    print(PICTURE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
