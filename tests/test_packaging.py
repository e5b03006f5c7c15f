"""The distribution: its metadata, its ranges beside the pins, and the locks beside both."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Each lock, the direct pins that it was made of, and the lock that it was constrained by.
LOCKS = {
    "lock.txt": (["requirements.txt", "requirements/build.txt"], None),
    "lock-dev.txt": (["requirements-dev.txt", "requirements.txt"], "lock.txt"),
    "lock-site.txt": (["requirements-site.txt", "requirements.txt"], "lock-dev.txt"),
    "lock-openai.txt": (["requirements-openai.txt"], None),
}


def _lines(path: Path) -> list[str]:
    """Return the requirements of a file, each with its hashes in one line."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith(("#", "-r "))]


def _locked(name: str) -> dict[str, set[str]]:
    """Return what a lock has of each package: versions, with their markers."""
    locked: dict[str, set[str]] = {}
    for line in _lines(ROOT / "requirements" / name):
        need = Requirement(line.partition(" --hash")[0])
        locked.setdefault(canonicalize_name(need.name), set()).add(f"{need.specifier} ; {need.marker or 'always'}")
    return locked


def _pins(path: Path) -> dict[str, Requirement]:
    return {canonicalize_name(need.name): need for need in map(Requirement, _lines(path))}


def test_each_lock_is_tested() -> None:
    """None is added without its direct pins."""
    assert {path.name for path in (ROOT / "requirements").glob("lock*.txt")} == set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_the_direct_pins(name: str) -> None:
    """Each at its version, on every Python and platform; `make lock` brings a lock up to date."""
    locked = _locked(name)
    pins = [(path, need) for path in LOCKS[name][0] for need in _pins(ROOT / path).values()]
    assert pins
    missing = [f"{path}: {need}" for path, need in pins if locked.get(canonicalize_name(need.name)) != {_always(need)}]
    assert missing == []


def _always(need: Requirement) -> str:
    return f"{need.specifier} ; always"


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_hashes_and_no_address(name: str) -> None:
    """Every line has what pip compares a file with, and none says from where it comes."""
    for line in _lines(ROOT / "requirements" / name):
        assert re.fullmatch(r"[\w.-]+==\S+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line[:80]
    assert "://" not in (ROOT / "requirements" / name).read_text()


@pytest.mark.parametrize("name", [name for name, (_, base) in LOCKS.items() if base])
def test_locks_agree(name: str) -> None:
    """What is installed on top of another lock changes nothing of it."""
    base = _locked(str(LOCKS[name][1]))
    differing = [
        package
        for package, found in _locked(name).items()
        if package in base and not _versions(found) <= _versions(base[package])
    ]
    assert differing == []


def _versions(locked: set[str]) -> set[str]:
    return {entry.partition(" ; ")[0] for entry in locked}


def test_ranges_are_of_what_is_pinned() -> None:
    """The metadata names the packages of requirements.txt, and its ranges have room for the versions there."""
    ranges = {canonicalize_name(n.name): n for n in map(Requirement, [*PROJECT["dependencies"], *EXTRAS["run"]])}
    pins = _pins(ROOT / "requirements.txt")
    assert set(ranges) == set(pins)
    for name, pin in pins.items():
        (version,) = (specifier.version for specifier in pin.specifier)
        assert ranges[name].specifier.contains(version), name
        assert any(specifier.operator == ">=" for specifier in ranges[name].specifier), name


def test_metadata_says_who_what_and_where_it_runs() -> None:
    """The licence by its SPDX name and as a file, the authors, and the Pythons that CI runs."""
    assert (PROJECT["license"], PROJECT["license-files"]) == ("MIT", ["LICENSE"])
    assert PROJECT["authors"] == [{"name": "SciLLM notebooks contributors"}]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    pythons = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == ">=3.11"
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        assert (ROOT / name).read_text().startswith("# "), name
