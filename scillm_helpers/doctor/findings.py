"""The vocabulary of the doctor: what each check has found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

State = Literal["ok", "failed", "not_checked"]

_LONGEST = 200  # characters of what an endpoint says


@dataclass(frozen=True)
class Finding:
    """Be what one check has found.

    `seen` is what was observed, `means` what follows from it, `run` the one command to run next, `curl` the same check
    to paste into a shell, `details` are further lines. A check that was not made has in `needs` the one it waits for,
    or nothing where it is the user who has to set something first.
    """

    state: State
    seen: str
    means: str = ""
    run: str = ""
    details: tuple[str, ...] = ()
    needs: str = ""
    name: str = ""
    curl: str = ""


def ok(seen: str, means: str, details: tuple[str, ...] = ()) -> Finding:
    """Return the finding that a check holds."""
    return Finding("ok", seen, means, details=details)


def failed(seen: str, means: str, run: str, details: tuple[str, ...] = ()) -> Finding:
    """Return the finding that a check does not hold."""
    return Finding("failed", seen, means, run, details)


def waiting(needs: str) -> Finding:
    """Return the finding that a check cannot be made before another one holds."""
    return Finding("not_checked", f"not checked: needs {needs.upper()}", needs=needs)


@dataclass(frozen=True)
class Diagnosis:
    """Be all findings, in the order of the checks, of the endpoint at `api_base`."""

    endpoint: Literal["live", "embedded", "unknown"]
    api_base: str
    findings: tuple[Finding, ...]

    @property
    def cause(self) -> Finding | None:
        """Return the first check that does not hold: those that need it have not been made."""
        return next((finding for finding in self.findings if finding.state == "failed"), None)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "schema_version": 1,
            "endpoint": self.endpoint,
            "api_base": self.api_base,
            "first_cause": None if self.cause is None else self.cause.name,
            "run": None if self.cause is None else self.cause.run,
            "checks": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> "Diagnosis":
        """Return what `as_dict` was made of: what has been redacted is shown from here."""
        findings = tuple(Finding(**check | {"details": tuple(check["details"])}) for check in told["checks"])
        return cls(told["endpoint"], told["api_base"], findings)


def named(finding: Finding, name: str, curl: str) -> Finding:
    """Return a finding as that of the check `name`."""
    return replace(finding, name=name, curl=curl)


def excerpt(text: str) -> str:
    """Return what an endpoint has said in one short line, with nothing in it that a terminal would obey."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def printable(value: Any) -> Any:
    """Return a JSON value with U+FFFD in place of what a terminal would obey: a model may have any name."""
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() or letter in "\n\xa0\u3000" else "\ufffd" for letter in value)
    if isinstance(value, Mapping):
        return {name: printable(inner) for name, inner in value.items()}
    return [printable(inner) for inner in value] if isinstance(value, (list, tuple)) else value
