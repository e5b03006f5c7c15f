"""`make test-peers`: whether the suites of other projects give the same results with warm kernels as with cold ones.

Each suite is the one in the project's own source distribution, of the version that is installed. It runs once with each
provisioner as Jupyter's default; what differs runs once more, alone. Exit status: 0 where nothing differs, 1 otherwise.
"""

import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from rich.console import Console
from rich.table import Table

_FOLDER = Path("build/peers")
_PROVISIONERS = {"local": "local-provisioner", "warm": "scillm-warm"}
_SUITE_SECONDS = 1800
_TEST_SECONDS = 200  # what takes longer hangs, and fails
_OPTIONS = [
    *("-q", "-p", "no:cacheprovider", "--color=no", f"--timeout={_TEST_SECONDS}", "--timeout-method=signal"),
    "--continue-on-collection-errors",
    # pytest-asyncio warns where it is unset, which is an error for most of the suites.
    *("-o", "asyncio_default_fixture_loop_scope=function"),
]
# Where pytest finds its settings, and the sections.
_SETTINGS = ("pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml")
_SECTIONS = ("[pytest]", "[tool:pytest]", "[tool.pytest.ini_options]")

Results = dict[str, str]  # the id of each test -> passed, failed or skipped


@dataclass(frozen=True)
class Suite:
    """The tests of a project."""

    project: str
    tests: str = "tests"

    @property
    def source(self) -> Path:
        """Return the folder of the source distribution."""
        return _FOLDER / f"{self.project}-{version(self.project)}"

    def download(self) -> None:
        """Download and unpack the source distribution, unless it is there."""
        if self.source.is_dir():
            return
        wanted = f"{self.project}=={version(self.project)}"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--no-binary", self.project, "--dest", str(_FOLDER), wanted], check=True)  # noqa: S603
        with tarfile.open(f"{self.source}.tar.gz") as archive:
            archive.extractall(_FOLDER, filter="data")
        settings = "".join(path.read_text() for name in _SETTINGS if (path := self.source / name).is_file())
        if not any(section in settings for section in _SECTIONS):
            (self.source / "pytest.ini").write_text("[pytest]\n")  # else pytest takes those of this project, above

    def run(self, way: str, only: Iterable[str] = ()) -> Results:
        """Return the result of each test with the provisioner of that way; of `only` some where they are named."""
        report = (_FOLDER / f"{self.project}-{way}.xml").resolve()
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", *_OPTIONS, f"--junitxml={report}"]
        log = report.with_suffix(".log")
        environ = os.environ | {"JUPYTER_DEFAULT_PROVISIONER_NAME": _PROVISIONERS[way], "PATH": _path()}
        if not _done([*command, *(only or [self.tests])], self.source, environ, log):
            return {f"the suite was not done after {_SUITE_SECONDS} s; see {log.name}": "failed"}
        cases = [case for suite in JUnitXml.fromfile(str(report)) for case in suite] if report.is_file() else []
        results = {_id(case): _outcome(case) for case in cases}
        return results if "passed" in results.values() else {f"no test has passed; see {log.name}": "failed"}


SUITES = [
    Suite("papermill", "papermill/tests"),
    Suite("nbmake"),
    Suite("nbval"),
    Suite("ipykernel"),
    Suite("jupyter_client"),
    Suite("nbclient"),
]


def _done(command: list[str], cwd: Path, environ: dict[str, str], log: Path) -> bool:
    """Run a command to its end, and tell whether it came in time; what it has started, and left behind, is killed."""
    with (
        log.open("w", encoding="utf-8") as out,
        subprocess.Popen(  # noqa: S603
            command,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            process.wait(_SUITE_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return True


def _path() -> str:
    """Return the search path with this environment's commands first: some tests call `jupyter`."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def _id(case: TestCase) -> str:
    """Return the id by which pytest selects a test."""
    module, *classes = str(case.classname).split(".")
    path = module
    while classes and not classes[0][:1].isupper():
        path += f"/{classes.pop(0)}"
    return "::".join([f"{path}.py", *classes, str(case.name)])


def _outcome(case: TestCase) -> str:
    if any(isinstance(result, (Failure, Error)) for result in case.result):
        return "failed"
    return "skipped" if any(isinstance(result, Skipped) for result in case.result) else "passed"


def _compared(suite: Suite) -> tuple[dict[str, Results], dict[str, tuple[str, str]]]:
    """Run a suite both ways, and again what differs; return all results, and those of the tests that differ each time."""
    results = {way: suite.run(way) for way in _PROVISIONERS}
    local, warm = results["local"], results["warm"]
    both = {test: (local.get(test, "not run"), warm.get(test, "not run")) for test in local | warm}
    differ = {test: (cold, hot) for test, (cold, hot) in both.items() if cold != hot}
    if repeatable := [test for test in differ if test in local and test in warm]:
        local, warm = (suite.run(way, repeatable) for way in _PROVISIONERS)
        unsteady = {test for test in repeatable if test in local and local[test] == warm.get(test)}
        differ = {test: ways for test, ways in differ.items() if test not in unsteady}
    return results, differ


def _totals(results: Results) -> str:
    counted = Counter(results.values())
    return "/".join(str(counted[outcome]) for outcome in ("passed", "failed", "skipped"))


def main(projects: list[str]) -> int:
    """Compare the suites, or those of some projects, and print what each gives; return the exit status."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    table = Table("suite", *_PROVISIONERS, "differ", title="passed/failed/skipped", box=None)
    found: list[str] = []
    for suite in SUITES:
        if projects and suite.project not in projects:
            continue
        suite.download()
        results, differ = _compared(suite)
        table.add_row(suite.source.name, *(_totals(results[way]) for way in _PROVISIONERS), str(len(differ)))
        found += [f"{suite.project} {test}: {cold}, warm {hot}" for test, (cold, hot) in differ.items()]
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for line in found:
        console.print(line, markup=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
