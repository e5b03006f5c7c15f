"""Take the pictures that the README shows: of a report, and of a printed tutorial.

`make screenshot` calls this. For the report every notebook runs with every embedded model, three times, so that there
is a past; the tutorial is a page of the site that has this report.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tools.site import build

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "report.png"
TUTORIAL = ROOT / "docs" / "tutorial.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_RUNS = 3


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


def take(shown: Path, picture: Path, height: int = 1150) -> None:
    """Take the picture of a page as a reader first sees it; `height` is in pixels."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(color_scheme="light", viewport={"width": 1200, "height": height})
        page.goto(shown.as_uri())
        page.screenshot(path=picture)
        chromium.close()


def main() -> int:
    """Write `docs/report.png` and `docs/tutorial.png`."""
    with tempfile.TemporaryDirectory() as folder:
        report = run_all(Path(folder))
        take(report, REPORT)
        build(Path(folder, "site"), report.parent)
        take(Path(folder, "site", "02_streaming.html"), TUTORIAL, height=1250)
    for picture in (REPORT, TUTORIAL):
        print(picture.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
