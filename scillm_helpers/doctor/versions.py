"""The check of the versions of LiteLLM, openai and httpx: which are installed, wanted, and known to be bad."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from .findings import Finding, failed, ok

WATCHED = ("litellm", "openai", "httpx")
_PROJECT = "scillm-notebooks"


@dataclass(frozen=True)
class Bad:
    """Be versions that are known to be bad: of `package`, where those of the others are in `beside`."""

    package: str
    versions: str
    reason: str
    source: str
    beside: Mapping[str, str] = field(default_factory=dict)

    def holds(self, installed: Mapping[str, str]) -> bool:
        """Tell whether these versions are installed."""
        wanted = {self.package: self.versions, **self.beside}
        return all(
            package in installed and SpecifierSet(versions, prereleases=True).contains(installed[package])
            for package, versions in wanted.items()
        )


KNOWN_BAD = (
    Bad(
        "litellm",
        ">=1.82.7,<=1.82.8",
        "uploaded by attackers: it sends keys and other secrets of this machine away; change every one of them",
        "https://github.com/BerriAI/litellm/issues/24518",
    ),
    Bad(
        "openai",
        "<1.55.3",
        "it passes `proxies` to httpx, which 0.28 has removed: every client raises TypeError",
        "https://github.com/openai/openai-python/issues/1915",
        {"httpx": ">=0.28"},
    ),
    Bad(
        "openai",
        ">=1.100.0,<1.100.2",
        "it lacks ResponseTextConfig, so that `import litellm` fails",
        "https://github.com/BerriAI/litellm/issues/13710",
        {"litellm": "<=1.75.8"},
    ),
    Bad(
        "httpx",
        ">=1.0.dev0",
        "a pre-release with another interface: openai and litellm do not import",
        "https://github.com/encode/httpx/issues/3602",
    ),
)


def check() -> Finding:
    """Compare what is installed with what is known to be bad, with what each needs, and with what this project needs."""
    installed = {package: version for package in WATCHED if (version := _version(package))}
    seen = ", ".join(f"{package} {version}" for package, version in installed.items())
    if missing := [package for package in WATCHED if package not in installed]:
        return failed(f"not installed: {', '.join(missing)}", "Notebooks cannot call a model.", install(*missing))
    if bad := next((bad for bad in KNOWN_BAD if bad.holds(installed)), None):
        return failed(f"{bad.package} {installed[bad.package]}", f"{bad.reason} ({bad.source}).", install(*WATCHED))
    if unmet := [told for package in WATCHED for told in _unmet(package, installed)]:
        return failed(unmet[0], "They were not made for each other.", install(*WATCHED), tuple(unmet[1:]))
    other = _unmet(_PROJECT, installed)
    return ok(seen, "This project isn't tested with them." if other else "As this project needs them.", tuple(other))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _requirements(package: str) -> list[Requirement]:
    """Return what an installed package needs of the watched ones, in this Python; of this project, to run notebooks."""
    try:
        needed = [Requirement(line) for line in metadata.requires(package) or ()]
    except metadata.PackageNotFoundError:
        return []
    extra = "run" if package == _PROJECT else ""
    here = [need for need in needed if need.marker is None or need.marker.evaluate({"extra": extra})]
    return [need for need in here if need.name in WATCHED]


def _unmet(package: str, installed: Mapping[str, str]) -> list[str]:
    subject = f"{package} {_version(package)}"
    return [
        f"{subject} needs {need.name}{need.specifier}, and {installed[need.name]} is installed"
        for need in _requirements(package)
        if not need.specifier.contains(installed[need.name], prereleases=True)
    ]


def install(*packages: str) -> str:
    """Return the command that installs the versions of these packages that this project needs."""
    needed = {need.name: f"{need.name}{need.specifier}" for need in _requirements(_PROJECT)}
    return shlex.join(["python", "-m", "pip", "install", *(needed.get(package, package) for package in packages)])
