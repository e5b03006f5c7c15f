"""`make test-peers` compares what a suite gives with each provisioner, test by test."""

from pathlib import Path

import pytest

from tools import peers

_TESTS = """
import os
from pathlib import Path
import pytest

WARM = os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] == "scillm-warm"

def test_same(): pass
def test_fails_both_ways(): assert False
@pytest.mark.skip
def test_skipped(): pass
class TestGroup:
    @pytest.mark.parametrize("number", [1, 2])
    def test_differs(self, number): assert not (WARM and number == 2)
def test_differs_once():
    first = not Path("seen").exists()
    if WARM:
        Path("seen").touch()
        assert not first
if WARM:
    def test_warm_only(): pass
"""


class _Toy(peers.Suite):
    @property
    def source(self) -> Path:
        return Path("toy").resolve()

    def download(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _suites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SUITES", [_Toy("toy"), _Toy("other")])
    monkeypatch.setattr(peers, "_OPTIONS", ["-p", "no:cacheprovider"])  # pytest-timeout is not installed here
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def _write(tests: str) -> None:
    Path("toy/tests").mkdir(parents=True)
    Path("toy/tests/test_toy.py").write_text(tests, encoding="utf-8")


def test_what_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A test that gives the same when it is run again does not count, nor one that fails both ways."""
    _write(_TESTS)
    assert peers.main(["toy"]) == 1
    _, _, row, *differ = (line.strip() for line in capsys.readouterr().out.splitlines())
    assert row.split() == ["toy", "4/1/1", "3/3/1", "2"]
    assert sorted(differ) == [
        "toy tests/test_toy.py::TestGroup::test_differs[2]: passed, warm failed",
        "toy tests/test_toy.py::test_warm_only: not run, warm passed",
    ]


@pytest.mark.slow
def test_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """All suites run, where none is named."""
    _write("def test_same(): pass\ndef test_fails(): assert False")
    assert peers.main([]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["toy", "1/1/0", "1/1/0", "0"]] * 2


def test_suite_that_cannot_run_is_no_agreement(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways give the same then: nothing."""
    _write("import no_such_module")
    assert peers.main(["toy"]) == 1
    assert "toy no test has passed; see toy-local.log: failed, warm not run" in capsys.readouterr().out


@pytest.mark.slow
def test_suite_that_hangs_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not waited for."""
    monkeypatch.setattr(peers, "_SUITE_SECONDS", 1)
    _write("import time\ndef test_hangs():\n    time.sleep(1000)")
    assert peers.main(["toy"]) == 1
    assert "toy the suite was not done after 1 s; see toy-warm.log: not run, warm failed" in capsys.readouterr().out
